"""Whether all of a picture is there: decoders fill what is missing with grey or nothing, and say so to nobody.

Runs in the child only.
"""

import io
import re
import zlib
from collections.abc import Callable
from typing import Final

from PIL import Image, ImageFile

from bapsang_api.media.headers import chunks

Opener = Callable[[io.BytesIO], ImageFile.ImageFile]
_MIB: Final = 1024 * 1024
# Within a scan 0xFF is followed by 0, a restart marker or a fill byte.
_SCAN_END: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by the colour type of a PNG
#: Where each pass of an interlaced PNG begins, and its steps: left, top, right, down.
_PASSES: Final = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)


def is_whole_jpeg(image: Image.Image, content: bytes, scan: int, opened: Opener) -> bool:
    """Whether the first scan, which begins at `scan`, needs no more data: then bytes added at its end change nothing.

    libjpeg fills what is missing with grey and says so in a warning only, which no binding passes on. Of a progressive
    picture the first scan is the one without which there is nothing to see.
    """
    if not _ends_with(image, {127, 128}):  # mid-grey, 127 once CMYK is inverted
        return True
    found = _SCAN_END.search(content, scan)
    end = found.start() if found else len(content)
    seen = []
    for added in (b"", b"\x5a\xc3\x96" * 1_000):
        image = opened(io.BytesIO(content[:end] + added + content[end:] + b"\xff\xd9"))
        image.decodermaxblock = len(content) + 4_096
        image.draft(None, (1, 1))
        image.load()
        seen.append(image.tobytes())
    return seen[0] == seen[1]


def is_whole_png(image: Image.Image, content: bytes) -> bool:
    """Whether the pixels unpack to as many bytes as the header asks for. Pillow leaves nothing, which is 0, in their place."""
    header = next((body for name, body in chunks(content) if name == b"IHDR"), b"").ljust(13, b"\0")
    bits, interlaced = header[8] * _CHANNELS.get(header[9], 1), header[12] != 0
    if not interlaced and not _ends_with(image, {0}):
        return True
    missing = sum(
        -(-(image.height - top) // down) * (1 + -(-(-(-(image.width - left) // right) * bits) // 8))
        for left, top, right, down in (_PASSES if interlaced else ((0, 0, 1, 1),))
        if image.width > left and image.height > top
    )
    unpacking = zlib.decompressobj()
    for packed in (body for name, body in chunks(content) if name == b"IDAT"):
        left = packed
        while left and missing > 0:
            missing -= len(unpacking.decompress(left, _MIB))
            left = unpacking.unconsumed_tail
    return missing <= 0


def _ends_with(image: Image.Image, values: set[int]) -> bool:
    """Whether all bands of the last pixel have one of these values."""
    pixel = image.getpixel((image.width - 1, image.height - 1))
    return all(value in values for value in (pixel if isinstance(pixel, tuple) else (pixel,)))
