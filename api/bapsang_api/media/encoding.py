"""From pixels to what pages load: WebP for browsers, JPEG for everything else, and what is shown until they are there."""

import io
from collections.abc import Iterator
from typing import Any, Final

from PIL import Image

from bapsang_api.media import sizes, thumbhash
from bapsang_api.media.sizes import Size
from bapsang_api.media.verdict import Use, Variant

# AVIF would take four times the CPU of WebP (docs/decisions/0013-photo-variants.md).
_FORMATS: Final[dict[str, tuple[str, str, dict[str, Any]]]] = {
    "webp": ("WEBP", "image/webp", {"quality": 80, "method": 4}),
    "jpg": ("JPEG", "image/jpeg", {"quality": 80, "progressive": True, "optimize": True}),
}
_HASHED: Final = 32  # pixels of the longer side: more changes nothing in so few waves


def needed(use: Use, original: Size) -> Size:
    """Return how large a picture of this size has to be for the largest of its variants."""
    targets = list(sizes.targets(use, original).values())
    if use is Use.POST:
        return targets[-1]
    scale = targets[-1][0] / min(original)
    return max(targets[-1][0], round(original[0] * scale)), max(targets[-1][0], round(original[1] * scale))


def variants(image: Image.Image, use: Use, original: Size) -> Iterator[tuple[Variant, bytes]]:
    """Make the variants of a picture that has the size `needed`, one after the other."""
    if use is Use.PROFILE:
        image = image.crop(sizes.middle(image.size))
    for nominal, size in sizes.targets(use, original).items():
        shown = image if image.size == size else image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
        for extension, (form, content_type, options) in _FORMATS.items():
            written = io.BytesIO()
            shown.save(written, form, **options)
            content = written.getvalue()
            yield Variant(f"{nominal}.{extension}", content_type, *size, len(content)), content


def placeholder(image: Image.Image) -> str:
    """Return the ThumbHash in base64."""
    small = image.copy()
    small.thumbnail((_HASHED, _HASHED), Image.Resampling.BOX)
    pixels = list(zip(*(iter(small.tobytes()),) * 3, strict=True))
    return thumbhash.as_text(*small.size, pixels)


def average_colour(image: Image.Image) -> str:
    """Return the mean of all pixels, as in `#a08060`."""
    return "#" + image.resize((1, 1), Image.Resampling.BOX).tobytes().hex()
