"""PNG (third edition, so animated ones too): the chunks that make up the picture, each with a right checksum."""

import zlib
from typing import Final

from bapsang_api.uploads.pictures import exif, profile
from bapsang_api.uploads.pictures.picture import Budget, NotAPictureError, Picture, Reader, sized

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_HEADER: Final = b"IHDR"
_PROFILE: Final = b"iCCP"
_FRAME: Final = b"fcTL"
# Not the header: there are decoders that go by a second one, with more pixels than the first admits.
_CRITICAL: Final = frozenset({b"PLTE", b"IDAT", b"IEND"})
_COLOUR: Final = frozenset({b"tRNS", b"cHRM", b"gAMA", b"sBIT", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"bKGD", b"pHYs"})
_ANIMATION: Final = frozenset({b"acTL", _FRAME, b"fdAT"})
_KEPT: Final = _CRITICAL | _COLOUR | _ANIMATION


def clean(content: bytes, budget: Budget) -> Picture:
    """Return the PNG without metadata and without what follows its end. Raises NotAPictureError."""
    reader = Reader(content, budget)
    reader.expect(_SIGNATURE)
    name, header, first = _chunk(reader)
    if name != _HEADER or len(header) != 13:
        raise NotAPictureError("it does not begin with its header")
    size = sized(int.from_bytes(header[:4]), int.from_bytes(header[4:8]))
    before: list[memoryview] = [first]  # up to the first pixels
    pixels: list[memoryview] = []
    orientation, profiles = exif.UPRIGHT, 0
    while name != b"IEND":
        name, body, chunk = _chunk(reader)
        if name == b"eXIf":
            orientation = exif.orientation_of(body, budget)
        elif name == _PROFILE:
            profiles += 1
            # The first, before the pixels, as in decoders; to unpack each of thousands would take minutes.
            if profiles == 1 and not pixels and profile.is_packed_profile(body):
                before.append(chunk)
        elif name in _KEPT:
            budget.frames += name == _FRAME
            (pixels if pixels or name == b"IDAT" else before).append(chunk)
        elif not name[0] & 0x20:  # an upper-case first letter: it cannot be shown without this chunk
            raise NotAPictureError(f"it has the unknown chunk {name!r}")
    if not pixels:
        raise NotAPictureError("it has no picture in it")
    return Picture(b"".join((_SIGNATURE, *before, _turned(orientation), *pixels)), "image/png", *size)


def _chunk(reader: Reader) -> tuple[bytes, memoryview, memoryview]:
    """Return the next chunk: its name, its body, and all of it."""
    reader.budget.part()
    start = reader.position
    length = int.from_bytes(reader.take(4))
    checked = reader.take(4 + length)
    if zlib.crc32(checked) != int.from_bytes(reader.take(4)):
        raise NotAPictureError(f"the chunk at byte {start} is damaged")
    return bytes(checked[:4]), checked[4:], reader.since(start)


def _turned(orientation: int) -> bytes:
    if orientation == exif.UPRIGHT:
        return b""
    checked = b"eXIf" + exif.only_orientation(orientation)
    return (len(checked) - 4).to_bytes(4) + checked + zlib.crc32(checked).to_bytes(4)
