"""ICC profiles, which say what the numbers mean as colours.

What does not begin as a profile is dropped, and the picture stays: browsers ignore it too. One that is too large is refused:
without it a real picture would have wrong colours.
"""

import zlib
from typing import Final

from bapsang_api.uploads.pictures.picture import NotAPictureError

# Unpacked. The largest in use, those of printing presses, have 0.5 to 2.7 MB.
MOST_BYTES: Final = 4 * 1024 * 1024
# Packed, which only PNG does. Deflate may unpack to nothing: blocks with a code table each and no data take 0.13 s per MiB.
# Packing makes nothing noticeably longer, and PNG has no use for the profiles of printing presses, which are for CMYK.
MOST_PACKED_BYTES: Final = 2 * 1024 * 1024
_HEADER: Final = 128  # bytes (ICC.1:2022, 7.2)
_SIGNATURE_AT: Final = 36
_SIGNATURE: Final = b"acsp"
_LONGEST_NAME: Final = 79  # of a profile in PNG
_SEGMENT_HEADER: Final = 18  # of a profile in JPEG: marker, length, "ICC_PROFILE", 0, number, count


def is_profile(content: bytes | memoryview) -> bool:
    """Whether it begins as every profile does. Raises NotAPictureError when it is larger than MOST_BYTES."""
    if len(content) > MOST_BYTES:
        raise NotAPictureError(f"its colour profile has more than {MOST_BYTES} bytes")
    return len(content) >= _HEADER and content[_SIGNATURE_AT : _SIGNATURE_AT + len(_SIGNATURE)] == _SIGNATURE


def is_packed_profile(body: memoryview) -> bool:
    """Whether the body of PNG's chunk iCCP (name, 0, method 0, zlib) holds a profile.

    Raises NotAPictureError when it is larger than MOST_PACKED_BYTES, or than MOST_BYTES unpacked.
    """
    name_end = bytes(body[: _LONGEST_NAME + 1]).find(0)
    if name_end < 0 or bytes(body[name_end + 1 : name_end + 2]) != b"\0":
        return False
    packed = body[name_end + 2 :]
    if len(packed) > MOST_PACKED_BYTES:
        raise NotAPictureError(f"its packed colour profile has more than {MOST_PACKED_BYTES} bytes")
    unpacking = zlib.decompressobj()
    try:
        # One byte more than may be shows that it is too large: 195 KB can expand to 200 MB.
        content = unpacking.decompress(packed, MOST_BYTES + 1)
    except zlib.error:
        return False
    return is_profile(content) and unpacking.eof


def whole_profile(segments: list[memoryview]) -> list[memoryview]:
    """Return JPEG's segments of a profile when together they hold one (each number once), else none.

    Raises NotAPictureError when it is larger than MOST_BYTES.
    """
    if sum(len(segment) - _SEGMENT_HEADER for segment in segments) > MOST_BYTES:
        raise NotAPictureError(f"its colour profile has more than {MOST_BYTES} bytes")
    if not segments or min(map(len, segments)) < _SEGMENT_HEADER:
        return []
    numbers = sorted((segment[_SEGMENT_HEADER - 2], segment[_SEGMENT_HEADER - 1]) for segment in segments)
    if numbers != [(number, len(segments)) for number in range(1, len(segments) + 1)]:
        return []
    first = next(segment for segment in segments if segment[_SEGMENT_HEADER - 2] == 1)
    return segments if is_profile(first[_SEGMENT_HEADER:]) else []
