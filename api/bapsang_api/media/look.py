"""The first look at an upload: what its first 256 KiB tell, within milliseconds and without a decoder.

It refuses what no decoder need see; whoever passes may still be refused by the decoder, which sees the whole. For requests
and functions, which have no time, memory or right for more, and before a process is started for a file.
"""

from dataclasses import dataclass

from bapsang_api.media import headers, sizes
from bapsang_api.media.headers import HeaderError
from bapsang_api.media.kinds import HEAD, MOST_BYTES, Kind, carries_film, kind_of
from bapsang_api.media.verdict import Reason, Refused


@dataclass(frozen=True)
class Looked:
    """What the beginning tells. Width and height are those of the picture the right way up, None where it does not tell."""

    kind: Kind
    width: int | None = None
    height: int | None = None


def look(head: bytes, size: int) -> Looked | Refused:
    """Judge an upload of `size` bytes by its first HEAD bytes (all of them, or all there are)."""
    if size > MOST_BYTES:
        return _too_large(head, size)
    kind = kind_of(head)
    if kind is None:
        return Refused(Reason.NOT_A_PICTURE, f"it begins as none of {', '.join(Kind)}")
    try:
        header = headers.read(head[:HEAD], kind)
    except HeaderError as error:
        return Refused(error.reason, error.detail)
    if header.size is None:
        return Looked(kind)
    if refused := sizes.refusal(header.size):
        return refused
    width, height = header.size
    if header.turned is None and width != height:
        return Looked(kind)
    return Looked(kind, height, width) if header.turned else Looked(kind, width, height)


def _too_large(head: bytes, size: int) -> Refused:
    detail = f"it has {size} bytes, of {MOST_BYTES} at most"
    if carries_film(head):
        return Refused(Reason.MOTION_PHOTO, f"{detail}: a motion photo; cut its film off, or save it as a still")
    return Refused(Reason.TOO_LARGE, detail)
