"""People who upload photos, write posts with them, delete and hide some; they try again whatever died under their request."""

from __future__ import annotations

import asyncio
import contextlib
import io
import random
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import httpx
from PIL import Image
from tests.photos import png

from bapsang_api.kit.clock import SystemClock
from bapsang_api.kit.ids import Ids
from bapsang_api.uploads import check_function
from bapsang_api.uploads.s3 import Objects

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

API: Final = "/api/v1"
KEPT, DELETED, HIDDEN, SHOWN_AGAIN = "kept", "deleted", "hidden", "shown again"
_FATES: Final = {KEPT: 60, DELETED: 16, HIDDEN: 12, SHOWN_AGAIN: 12}
# What the check function in the cloud does with an upload: its message is lost, comes before the post or at the same
# time, once or twice; or it dies halfway.
_CHECKS: Final = {"lost": 45, "before": 25, "meanwhile": 10, "twice": 10, "dies": 10}
_SPOILED: Final = 0.1
_PATIENT, _PATIENT_SECONDS = 0.6, 60.0
_SIZE: Final = (330, 248)
_PASSWORD: Final = "Bapsang-2026!"
_PAUSE: Final = 0.1


@dataclass
class Taken:
    """A photo that somebody has taken, and what became of it as far as answers say."""

    upload_key: str
    is_spoiled: bool
    fate: str
    post_id: str | None = None
    is_refused: bool = False  # with a 400
    is_settled: bool = False  # its fate has come about
    urls: list[str] = field(default_factory=list)


class People:
    """Two who post and one who moderates, on a service of several processes at `urls`."""

    def __init__(self, urls: Sequence[str], s3: S3Client, bucket: str, rng: random.Random) -> None:
        self._urls, self._s3, self._bucket, self._rng = urls, s3, bucket, rng
        # A request ends when the process does: nobody may give one up that still goes on.
        self._http = httpx.AsyncClient(timeout=120, verify=False)  # noqa: S501 - it is plain HTTP
        self._ids = Ids(SystemClock())
        self._tokens: dict[str, str] = {}  # by user
        self._admin = ""
        self.taken: list[Taken] = []
        self.wrong: list[str] = []

    async def close(self) -> None:
        await self._http.aclose()

    async def sign_up(self, make_admin: Callable[[str], None]) -> None:
        """Sign all of them up."""
        for number in range(2):
            user_id, token = await self._somebody(number)
            self._tokens[user_id] = token
        make_admin((await self._somebody(2))[0])
        self._admin = await self._log_in(2)

    async def post_photos(self, at_least: int, more: Callable[[], bool], seconds: float) -> None:
        """Post photos one after the other, until there are so many and no `more` are needed, or time is over."""
        end = time.monotonic() + seconds
        while (len(self.taken) < at_least or more()) and time.monotonic() < end:
            await self._post_photo()

    async def _post_photo(self) -> None:
        user_id = self._rng.choice(list(self._tokens))
        taken = Taken(
            upload_key=f"users/{user_id}/post/{self._ids.new()}.jpg",
            is_spoiled=self._rng.random() < _SPOILED,
            fate=self._rng.choices(list(_FATES), weights=list(_FATES.values()))[0],
        )
        self.taken.append(taken)
        content = _spoiled() if taken.is_spoiled else self._photo()
        await asyncio.to_thread(self._s3.put_object, Bucket=self._bucket, Key=taken.upload_key, Body=content)
        check = self._rng.choices(list(_CHECKS), weights=list(_CHECKS.values()))[0]
        if check == "before":
            await asyncio.to_thread(self._check, taken.upload_key, check)
        times = {"lost": 0, "before": 0, "twice": 2}.get(check, 1)
        checking = [asyncio.to_thread(self._check, taken.upload_key, check) for _ in range(times)]
        await asyncio.gather(self._write_post(taken, user_id), *checking)

    async def _write_post(self, taken: Taken, user_id: str) -> None:
        body = {"title": "밥", "content": "국", "postImageKey": taken.upload_key}
        answer = await self._send("POST", "/posts", self._tokens[user_id], json=body)
        if answer.status_code == 400 and taken.is_spoiled:
            taken.is_refused = taken.is_settled = True
            return
        if answer.status_code != 201:
            self.wrong.append(f"POST of {taken}: {answer.status_code} {answer.text}")
            return
        taken.post_id = answer.json()["postId"]
        self._see(taken, answer.json())
        await self._look_again(taken)
        if self._rng.random() < _PATIENT:  # else it happens while the variants are made
            await self._until_made(taken)
        await asyncio.sleep(self._rng.random())
        if taken.fate == DELETED:
            await self._expect({204, 200, 404}, "DELETE", f"/posts/{taken.post_id}", self._tokens[user_id])
        elif taken.fate != KEPT:
            await self._expect({204, 200}, "POST", f"/admin/posts/{taken.post_id}/hide", self._admin)
            if taken.fate == SHOWN_AGAIN:
                await asyncio.sleep(self._rng.random())
                await self._expect({204, 200}, "POST", f"/admin/posts/{taken.post_id}/show", self._admin)
        taken.is_settled = True

    async def _until_made(self, taken: Taken) -> None:
        end = time.monotonic() + _PATIENT_SECONDS
        while not taken.urls and taken.fate != KEPT and time.monotonic() < end:
            await asyncio.sleep(_PAUSE)
            await self._look_again(taken)

    async def _look_again(self, taken: Taken) -> None:
        """Look at the post's detail, and load what it shows."""
        answer = await self._send("GET", f"/posts/{taken.post_id}", None)
        if answer.status_code != 200:
            self.wrong.append(f"GET of {taken}: {answer.status_code}")
            return
        self._see(taken, answer.json())
        for url in taken.urls:
            if (loaded := await self._http.get(url)).status_code != 200:
                self.wrong.append(f"{url} was shown, and loading it ends with {loaded.status_code}")

    async def look_at_all(self) -> None:
        """Look at every post that is still shown."""
        for taken in self.taken:
            if taken.post_id and taken.fate in (KEPT, SHOWN_AGAIN):
                await self._look_again(taken)

    def _see(self, taken: Taken, detail: dict[str, Any]) -> None:
        (image,) = detail["contentDetail"]["images"]
        urls = [part.split()[0] for part in (image["srcset"] or "").split(", ") if part]
        urls += [url for url in (image["url"], image["jpegUrl"]) if url]
        if (image["state"] == "READY") != bool(urls) or (taken.is_spoiled and urls):
            self.wrong.append(f"{taken} is shown as {image}")
        if taken.urls and urls != taken.urls:
            self.wrong.append(f"{taken} had other URLs than {urls}")
        taken.urls = urls or taken.urls

    def _check(self, upload_key: str, how: str) -> None:
        objects = (_Dying if how == "dies" else Objects)(self._bucket, self._s3)
        with contextlib.suppress(_DeathError):
            check_function.check(objects, upload_key)

    def _photo(self) -> bytes:
        written = io.BytesIO()
        Image.new("RGB", _SIZE, tuple(self._rng.randrange(256) for _ in range(3))).save(written, "JPEG")
        return written.getvalue()

    async def _somebody(self, number: int) -> tuple[str, str]:
        body = {"email": f"cook{number}@example.com", "password": _PASSWORD, "nickname": f"요리사{number}"}
        answer = await self._send("POST", "/auth/users", None, json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()["userId"], await self._log_in(number)

    async def _log_in(self, number: int) -> str:
        body = {"email": f"cook{number}@example.com", "password": _PASSWORD}
        answer = await self._send("POST", "/auth/tokens", None, json=body)
        assert answer.status_code == 201, answer.text
        return answer.headers["Authorization"].removeprefix("Bearer ")

    async def _expect(self, codes: set[int], method: str, path: str, token: str) -> None:
        answer = await self._send(method, path, token)
        if answer.status_code not in codes:
            self.wrong.append(f"{method} {path}: {answer.status_code} {answer.text}")

    async def _send(self, method: str, path: str, token: str | None, **options: Any) -> httpx.Response:
        """Send a request to one of the processes, again and again until one answers with more than that it cannot."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        while True:
            url = self._rng.choice(self._urls)
            try:
                answer = await self._http.request(method, f"{url}{API}{path}", headers=headers, **options)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code != 503:
                return answer
            await asyncio.sleep(_PAUSE)


class _DeathError(Exception):
    """The function was ended."""


class _Dying(Objects):
    """Ends whoever writes a second object."""

    _written = 0

    def create(self, key: str, content: bytes, content_type: str) -> bool:
        self._written += 1
        if self._written > 1:
            raise _DeathError
        return super().create(key, content, content_type)


def _spoiled() -> bytes:
    """Return a picture by its head, and nothing that could be decoded."""
    return png((b"IHDR", struct.pack(">IIBBBBB", *_SIZE, 8, 2, 0, 0, 0)), (b"IDAT", b"no pixels"))
