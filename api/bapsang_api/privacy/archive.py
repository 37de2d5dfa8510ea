"""The archive of an export, written piece by piece."""

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any, Final

from bapsang_api.privacy.queries import SECTIONS, Read
from bapsang_api.uploads.s3 import MULTIPART_BYTES

_README: Final = """밥상머리에 보관된 회원님의 개인정보입니다. 시각은 모두 서울 시각입니다.

account.json   이메일, 닉네임, 프로필 사진
consents.json  가입할 때 동의한 문서와 그 판 (version이 null이면 물어보지 않은 것입니다)
devices.json   로그인한 기기
access.json    가입하고 로그인한 시각과 IP 주소
posts.json     쓴 글, images.json  그 사진
comments.json  쓴 댓글
likes.json     좋아요
reports.json   신고
measures.json  운영자가 계정에 한 조치
"""


def archive(read: Read, user_id: str) -> Iterator[bytes]:
    """Yield the archive (ZIP) of what is kept of a person, in parts of at least MULTIPART_BYTES but the last.

    `read` runs a job with a connection and returns what it returns; it is called for a batch of rows at a time.
    """
    target = _Pieces()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as files:
        files.writestr("README.txt", _README)
        for section in SECTIONS:
            with files.open(f"{section.name}.json", "w", force_zip64=True) as file:
                opened = b"["
                for row in section.rows(read, user_id):
                    file.write(opened + b"\n" + json.dumps(row, ensure_ascii=False).encode())
                    opened = b","
                    if target.size >= MULTIPART_BYTES:
                        yield target.take()
                file.write(b"[]\n" if opened == b"[" else b"\n]\n")
    yield target.take()


class _Pieces(io.RawIOBase):
    """A file that can only be written, and hands out what was."""

    def __init__(self) -> None:
        self._written: list[bytes] = []
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._written.append(piece)
        self.size += len(piece)
        return len(piece)

    def take(self) -> bytes:
        whole = b"".join(self._written)
        self._written, self.size = [], 0
        return whole
