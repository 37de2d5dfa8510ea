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
# Of an animation each frame counts as large as the picture, because that is what a viewer composes, round after round: 6 to
# 13 ms a million pixels with libwebp, of frames of 50 bytes too. 3840 x 2160, so that one frame takes 0.1 s at most.
MOST_FRAME_PIXELS: Final = 3840 * 2160
# Of all frames together, so that a round takes 13 s at most. 480 frames of 1920 x 1080 are allowed: 20 s of film.
MOST_ANIMATION_PIXELS: Final = 1_000_000_000
_CLEANERS: Final[Mapping[str, Callable[[bytes, Budget], Picture]]] = {
    "image/jpeg": jpeg.clean,
    "image/jpg": jpeg.clean,
    "image/png": png.clean,
    "image/webp": webp.clean,
}


def clean(content: bytes, content_type: str) -> Picture:
    """Return the picture in `content` without metadata; its colour profile and orientation stay.

    Raises NotAPictureError when it is not a whole picture of that type or has more parts than any picture needs,
    TooManyPixelsError for one over MOST_PIXELS and for an animation over MOST_FRAME_PIXELS or MOST_ANIMATION_PIXELS.
    """
    cleaner = _CLEANERS.get(content_type)
    if cleaner is None:
        raise NotAPictureError(f"the type {content_type!r}")
    budget = Budget()
    picture = cleaner(content, budget)
    pixels = picture.width * picture.height
    most = MOST_PIXELS if budget.frames <= 1 else min(MOST_FRAME_PIXELS, MOST_ANIMATION_PIXELS // budget.frames)
    if pixels > most:
        raise TooManyPixelsError(f"{picture.width} x {picture.height} pixels, {budget.frames} frames")
    return picture
