"""EXIF: the one thing in it that a picture needs, which is how the camera was held. The rest, with the place and the time
it was taken and what took it, is nobody's business."""

import struct
from typing import Final

from bapsang_api.uploads.pictures.picture import Budget

UPRIGHT: Final = 1
_ORIENTATION_TAG: Final = 0x0112
_SHORT: Final = 3


def orientation_of(block: bytes | memoryview, budget: Budget) -> int:
    """Return the orientation, 1 to 8, from a TIFF block; UPRIGHT when it does not say or cannot be read.

    Raises NotAPictureError when its entries use up the budget: a block has up to 65,535 of them, and a file many blocks.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(block[:4]))
    if order is None:
        return UPRIGHT
    try:
        (start,) = struct.unpack_from(f"{order}I", block, 4)
        (entries,) = struct.unpack_from(f"{order}H", block, start)
        for number in range(entries):
            budget.part()
            tag, kind, count, value = struct.unpack_from(f"{order}HHIH", block, start + 2 + 12 * number)
            if (tag, kind, count) == (_ORIENTATION_TAG, _SHORT, 1):
                return value if 1 <= value <= 8 else UPRIGHT
    except struct.error:  # it points outside of itself; cameras' maker notes are known to
        return UPRIGHT
    return UPRIGHT


def only_orientation(orientation: int) -> bytes:
    """Return a TIFF block that holds the orientation and nothing else."""
    header = struct.pack(">2sHI", b"MM", 42, 8)
    entry = struct.pack(">HHIHH", _ORIENTATION_TAG, _SHORT, 1, orientation, 0)
    return header + struct.pack(">H", 1) + entry + struct.pack(">I", 0)
