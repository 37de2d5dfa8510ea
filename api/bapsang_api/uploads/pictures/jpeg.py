"""JPEG (ITU-T T.81): segments up to the end of the last scan. What follows that end, such as the film of a motion photo, goes."""

import re
from typing import Final

from bapsang_api.uploads.pictures import exif, profile
from bapsang_api.uploads.pictures.picture import Budget, NotAPictureError, Picture, Reader, begins, sized

_SOI: Final = b"\xff\xd8"
_EOI: Final = 0xD9
_SOS: Final = 0xDA
_APP0, _APP1, _APP2, _APP14, _COM = 0xE0, 0xE1, 0xE2, 0xEE, 0xFE
_APPLICATION: Final = range(0xE0, 0xF0)
_TABLES: Final = frozenset({0xC4, 0xCC, 0xDB, 0xDC, 0xDD})  # Huffman, arithmetic, quantisation, line count, restart
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JFIF: Final = b"JFIF\0"
_JFIF_LENGTH: Final = 14  # without a thumbnail, which may show what was cropped away
_EXIF: Final = b"Exif\0\0"
_ICC: Final = b"ICC_PROFILE\0"
_FILL: Final = re.compile(rb"\xff+")
# Within a scan 0xFF is followed by 0 (it stands for itself), a restart marker or a fill byte; anything else ends the scan.
# A regular expression stops at each 0xFF: 8 ms for 10 MiB of a photo, 100 to 190 ms for 10 MiB of nothing else. This table
# and `find` take 35 to 50 ms for any bytes. In windows, because the copy is as large and no other thread runs meanwhile.
_KIND_OF_BYTE: Final = bytes(
    ord("F") if byte == 0xFF else ord("s") if byte == 0 or 0xD0 <= byte <= 0xD7 else ord("m") for byte in range(256)
)
_SCAN_END: Final = b"Fm"
_WINDOW: Final = 64 * 1024


def clean(content: bytes, budget: Budget) -> Picture:
    """Return the JPEG without metadata. Raises NotAPictureError."""
    reader = Reader(content, budget)
    reader.expect(_SOI)
    jfif: list[memoryview] = []
    icc: list[memoryview] = []
    kept: list[memoryview] = []
    size: tuple[int, int] | None = None
    orientation = exif.UPRIGHT
    while True:
        marker = _marker(reader, content)
        start = reader.position - 2
        if marker == _EOI:
            break
        body = reader.take(_length(reader) - 2)
        segment = reader.since(start)
        if marker in _FRAMES:
            if size is not None or len(body) < 6:
                raise NotAPictureError("it has more than one frame, or a broken one")
            size = sized(int.from_bytes(body[3:5]), int.from_bytes(body[1:3]))
            kept.append(segment)
        elif marker == _SOS:
            if size is None:
                raise NotAPictureError("it has a scan before its frame")
            budget.scan()
            _skip_scan(reader, content)
            kept.append(reader.since(start))
        elif marker in _TABLES or (marker == _APP14 and begins(body, b"Adobe")):
            kept.append(segment)
        elif marker == _APP2 and begins(body, _ICC):
            if not budget.scans:  # behind the first one decoders do not look for it
                icc.append(segment)
        elif marker == _APP0 and begins(body, _JFIF) and len(body) == _JFIF_LENGTH:
            jfif = [segment]
        elif marker == _APP1 and begins(body, _EXIF):
            orientation = exif.orientation_of(body[6:], budget)
        elif marker not in _APPLICATION and marker != _COM:
            raise NotAPictureError(f"it has the unknown segment {marker:#x}")
    if size is None or not budget.scans:
        raise NotAPictureError("it has no picture in it")
    end = bytes((0xFF, _EOI))
    parts: list[bytes | memoryview] = [_SOI, *jfif, _turned(orientation), *profile.whole_profile(icc), *kept, end]
    return Picture(b"".join(parts), "image/jpeg", *size)


def _marker(reader: Reader, content: bytes) -> int:
    """Return the code of the next marker and go behind it; fill bytes before it are dropped."""
    reader.budget.part()
    fill = _FILL.match(content, reader.position)
    if fill is None:
        raise NotAPictureError(f"there is no marker at byte {reader.position}")
    reader.take(fill.end() - reader.position)
    return reader.take(1)[0]


def _length(reader: Reader) -> int:
    length = int.from_bytes(reader.take(2))
    if length < 2:
        raise NotAPictureError(f"a segment at byte {reader.position} has the length {length}")
    return length


def _skip_scan(reader: Reader, content: bytes) -> None:
    """Go to the marker that ends a scan."""
    while True:
        # One byte more: a marker may lie across the end of a window.
        window = content[reader.position : reader.position + _WINDOW + 1]
        end = window.translate(_KIND_OF_BYTE).find(_SCAN_END)
        if end >= 0:
            reader.take(end)
            return
        if len(window) <= _WINDOW:
            raise NotAPictureError("it ends within a scan")
        reader.take(_WINDOW)


def _turned(orientation: int) -> bytes:
    if orientation == exif.UPRIGHT:
        return b""
    body = _EXIF + exif.only_orientation(orientation)
    return bytes((0xFF, _APP1)) + (len(body) + 2).to_bytes(2) + body
