"""What an uploaded file has to be before it is shown: really the picture it claims, and free of what it tells besides.

Nothing is decoded: the structure is walked and the parts that make up the picture are copied. That costs a few
milliseconds where decoding takes seconds, loses no quality, and hands no hostile byte to a decoder.
"""

from collections.abc import Callable, Mapping
from typing import Final

from bapsang_api.uploads.pictures import jpeg, png, webp
from bapsang_api.uploads.pictures.picture import NotAPictureError, Picture, TooManyPixelsError

__all__ = ["MOST_PIXELS", "NotAPictureError", "Picture", "TooManyPixelsError", "clean"]

# A few kilobytes can declare a picture of gigabytes, which whoever opens it then has to hold.
MOST_PIXELS: Final = 50_000_000
_CLEANERS: Final[Mapping[str, Callable[[bytes], Picture]]] = {
    "image/jpeg": jpeg.clean,
    "image/jpg": jpeg.clean,
    "image/png": png.clean,
    "image/webp": webp.clean,
}


def clean(content: bytes, content_type: str) -> Picture:
    """Return the picture in `content` without metadata; its colour profile and orientation stay.

    Raises NotAPictureError when it is not a whole picture of that type, TooManyPixelsError for one over MOST_PIXELS.
    """
    cleaner = _CLEANERS.get(content_type)
    if cleaner is None:
        raise NotAPictureError(f"the type {content_type!r}")
    picture = cleaner(content)
    if picture.width * picture.height > MOST_PIXELS:
        raise TooManyPixelsError(f"{picture.width} x {picture.height} pixels")
    return picture
