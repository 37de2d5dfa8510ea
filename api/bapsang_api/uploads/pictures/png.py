"""PNG (third edition, so animated ones too): the chunks that make up the picture, each with a right checksum."""

import zlib
from typing import Final

from bapsang_api.uploads.pictures import exif
from bapsang_api.uploads.pictures.picture import NotAPictureError, Picture, Reader, sized

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_HEADER: Final = b"IHDR"
_CRITICAL: Final = frozenset({_HEADER, b"PLTE", b"IDAT", b"IEND"})
_COLOUR: Final = frozenset(
    {b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"bKGD", b"pHYs"}
)
_ANIMATION: Final = frozenset({b"acTL", b"fcTL", b"fdAT"})
_KEPT: Final = _CRITICAL | _COLOUR | _ANIMATION


def clean(content: bytes) -> Picture:
    """Return the PNG without metadata and without what follows its end. Raises NotAPictureError."""
    reader = Reader(content)
    reader.expect(_SIGNATURE)
    name, header, first = _chunk(reader)
    if name != _HEADER or len(header) != 13:
        raise NotAPictureError("it does not begin with its header")
    size = sized(int.from_bytes(header[:4]), int.from_bytes(header[4:8]))
    before: list[memoryview] = [first]  # up to the first pixels
    pixels: list[memoryview] = []
    orientation = exif.UPRIGHT
    while name != b"IEND":
        name, body, chunk = _chunk(reader)
        if name == b"eXIf":
            orientation = exif.orientation_of(body)
        elif name in _KEPT:
            (pixels if pixels or name == b"IDAT" else before).append(chunk)
        elif not name[0] & 0x20:  # an upper-case first letter: it cannot be shown without this chunk
            raise NotAPictureError(f"it has the unknown chunk {name!r}")
    if not pixels:
        raise NotAPictureError("it has no picture in it")
    return Picture(b"".join((_SIGNATURE, *before, _turned(orientation), *pixels)), "image/png", *size)


def _chunk(reader: Reader) -> tuple[bytes, memoryview, memoryview]:
    """Return the next chunk: its name, its body, and all of it."""
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
