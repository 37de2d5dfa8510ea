"""What an uploaded file has to be before it is shown: really the picture it claims, and free of what it tells besides.

Nothing is decoded: the structure is walked and the parts that make up the picture are copied. That costs a few
milliseconds where decoding takes seconds, loses no quality, and hands no hostile byte to a decoder. Whatever a file holds,
a check ends within its budget (`picture.Budget`): files come from anybody, for the picture of a sign-up without a login.
"""

from collections.abc import Callable, Mapping
from typing import Final

from bapsang_api.uploads.pictures import jpeg, png, webp
from bapsang_api.uploads.pictures.picture import Budget, NotAPictureError, Picture, TooManyPixelsError

__all__ = ["MOST_ANIMATION_PIXELS", "MOST_PIXELS", "NotAPictureError", "Picture", "TooManyPixelsError", "clean"]

# A few kilobytes can declare a picture of gigabytes, which whoever opens it then has to hold.
MOST_PIXELS: Final = 50_000_000
# Of all frames together, each counted as large as the picture, because that is what a viewer composes: in WebP 50 bytes are
# a frame of 50 million pixels, which takes a viewer 0.3 s. 1,200 frames of 1920 x 1080 are allowed: 9 KB each in 10 MiB.
MOST_ANIMATION_PIXELS: Final = 50 * MOST_PIXELS
_CLEANERS: Final[Mapping[str, Callable[[bytes, Budget], Picture]]] = {
    "image/jpeg": jpeg.clean,
    "image/jpg": jpeg.clean,
    "image/png": png.clean,
    "image/webp": webp.clean,
}


def clean(content: bytes, content_type: str) -> Picture:
    """Return the picture in `content` without metadata; its colour profile and orientation stay.

    Raises NotAPictureError when it is not a whole picture of that type or has more parts than any picture needs,
    TooManyPixelsError for one over MOST_PIXELS and for an animation over MOST_ANIMATION_PIXELS.
    """
    cleaner = _CLEANERS.get(content_type)
    if cleaner is None:
        raise NotAPictureError(f"the type {content_type!r}")
    budget = Budget()
    picture = cleaner(content, budget)
    pixels = picture.width * picture.height
    if pixels > MOST_PIXELS or pixels * budget.frames > MOST_ANIMATION_PIXELS:
        raise TooManyPixelsError(f"{picture.width} x {picture.height} pixels, {budget.frames} frames")
    return picture
