"""JPEG (ITU-T T.81): segments up to the end of the last scan. What follows that end, such as the film of a motion photo, goes."""

import re
from typing import Final

from bapsang_api.uploads.pictures import exif
from bapsang_api.uploads.pictures.picture import NotAPictureError, Picture, Reader, begins, sized

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
# Within a scan 0xFF is followed by 0 (it stands for itself) or a restart marker; anything else ends the scan.
_SCAN_END: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def clean(content: bytes) -> Picture:
    """Return the JPEG without metadata. Raises NotAPictureError."""
    reader = Reader(content)
    reader.expect(_SOI)
    jfif: list[memoryview] = []
    kept: list[memoryview] = []
    size: tuple[int, int] | None = None
    orientation, scans = exif.UPRIGHT, 0
    while True:
        start, marker = reader.position, _marker(reader)
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
            scans += 1
            _skip_scan(reader, content)
            kept.append(reader.since(start))
        elif marker in _TABLES or _is_colour(marker, body):
            kept.append(segment)
        elif marker == _APP0 and begins(body, _JFIF) and len(body) == _JFIF_LENGTH:
            jfif = [segment]
        elif marker == _APP1 and begins(body, _EXIF):
            orientation = exif.orientation_of(body[6:])
        elif marker not in _APPLICATION and marker != _COM:
            raise NotAPictureError(f"it has the unknown segment {marker:#x}")
    if size is None or not scans:
        raise NotAPictureError("it has no picture in it")
    end = bytes((0xFF, _EOI))
    return Picture(b"".join((_SOI, *jfif, _turned(orientation), *kept, end)), "image/jpeg", *size)


def _marker(reader: Reader) -> int:
    reader.expect(b"\xff")
    while (code := reader.take(1)[0]) == 0xFF:
        pass  # fill bytes
    return code


def _length(reader: Reader) -> int:
    length = int.from_bytes(reader.take(2))
    if length < 2:
        raise NotAPictureError(f"a segment at byte {reader.position} has the length {length}")
    return length


def _skip_scan(reader: Reader, content: bytes) -> None:
    end = _SCAN_END.search(content, reader.position)
    if end is None:
        raise NotAPictureError("it ends within a scan")
    reader.take(end.start() - reader.position)


def _is_colour(marker: int, body: memoryview) -> bool:
    """Whether a segment says what the numbers mean as colours: an ICC profile, or Adobe's transform."""
    return (marker == _APP2 and begins(body, b"ICC_PROFILE\0")) or (marker == _APP14 and begins(body, b"Adobe"))


def _turned(orientation: int) -> bytes:
    if orientation == exif.UPRIGHT:
        return b""
    body = _EXIF + exif.only_orientation(orientation)
    return bytes((0xFF, _APP1)) + (len(body) + 2).to_bytes(2) + body
