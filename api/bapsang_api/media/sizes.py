"""How large a photo may be, and how large its variants are. Pure."""

from typing import Final

from bapsang_api.media.verdict import Reason, Refused, Use

#: 12,000 x 9,000, the largest that phones write, and the decoder's memory: 4 bytes a pixel where it cannot shrink on load.
MOST_PIXELS: Final = 108_000_000
#: Nominal widths in pixels: lists on phones of 1x and 2x, details, zoom.
WIDTHS: Final = (320, 640, 1080, 1600)
#: Sides of profile pictures, which are squares.
SIDES: Final = (96, 256)
#: A variant is at most so many times as high as it is wide, nominally: a screenshot of a whole page would be 16,000 high.
MOST_HEIGHT: Final = 3

Size = tuple[int, int]


def refusal(size: Size) -> Refused | None:
    """Return why no photo has this size; None when one may."""
    width, height = size
    if width < 1 or height < 1:
        return Refused(Reason.DAMAGED, f"it is {width} x {height} pixels")
    if width * height > MOST_PIXELS:
        return Refused(Reason.TOO_MANY_PIXELS, f"it is {width} x {height} pixels, of {MOST_PIXELS} at most")
    return None


def targets(use: Use, original: Size) -> dict[int, Size]:
    """Return the size of each variant by its nominal width or side.

    Nothing is enlarged: the first that the original does not fill has the original's own size and is the last one.
    """
    if use is Use.PROFILE:
        square = min(original)
        sizes = {side: (min(side, square), min(side, square)) for side in SIDES}
        return _until(sizes, (square, square))
    return _until({width: fitted(original, width) for width in WIDTHS}, original)


def fitted(original: Size, width: int) -> Size:
    """Return `original` scaled down to at most `width` and MOST_HEIGHT times its height, and at least 1 x 1."""
    scale = min(1.0, width / original[0], width * MOST_HEIGHT / original[1])
    return max(1, round(original[0] * scale)), max(1, round(original[1] * scale))


def middle(original: Size) -> tuple[int, int, int, int]:
    """Return the largest square in the middle: left, top, right, bottom."""
    side = min(original)
    left, top = (original[0] - side) // 2, (original[1] - side) // 2
    return left, top, left + side, top + side


def _until(sizes: dict[int, Size], original: Size) -> dict[int, Size]:
    needed = {}
    for nominal, size in sizes.items():
        needed[nominal] = size
        if size == original:
            break
    return needed
