"""What is known of an image while it is made and afterwards: which variants there are, and what a page needs to lay it out.

Kept as JSON in one column of the image's row: whoever shows an image reads it with what shows it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Final

from sqlalchemy import Dialect, String
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator, TypeEngine

from bapsang_api.media import thumbhash, verdict
from bapsang_api.media.sizes import SIDES
from bapsang_api.media.verdict import Reason, Use

WEBP, JPEG = "webp", "jpg"
_COLUMN_BYTES: Final = 512
_FLAT: Final = 8  # pixels of the longer side of the placeholder of a picture that nobody has decoded yet
_GREY: Final = (0xDD, 0xDD, 0xDD)


class State(StrEnum):
    """How far an image is."""

    PENDING = "PENDING"
    READY = "READY"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class Size:
    """A size in which a photo is published, as WebP and as JPEG."""

    nominal: int  # the name: the width, or of profile pictures the side, that was aimed at
    width: int  # pixels, as it is
    webp_bytes: int
    jpeg_bytes: int


@dataclass(frozen=True, slots=True)
class Photo:
    """An image as far as it is known. Width and height, in pixels, are those of the picture the right way up."""

    state: State
    width: int | None = None
    height: int | None = None
    placeholder: str | None = None  # ThumbHash, base64
    colour: str | None = None  # the average, as in `#a08060`
    sizes: tuple[Size, ...] = ()  # from the smallest on
    reason: Reason | None = None  # of a refusal

    def size_for(self, width: int) -> Size | None:
        """Return the smallest size that is at least so wide, else the largest; None while there is none."""
        wide = (size for size in self.sizes if size.nominal >= width)
        return next(wide, self.sizes[-1] if self.sizes else None)


def pending(width: int | None, height: int | None, use: Use) -> Photo:
    """Return what is known of an upload by its first look alone; the placeholder is grey until it is decoded."""
    if width is None or height is None:
        return Photo(State.PENDING, placeholder=_grey(1, 1))
    if use is Use.PROFILE:
        width = height = min(width, height, SIDES[-1])
    longer = max(width, height)
    shape = (max(1, round(_FLAT * width / longer)), max(1, round(_FLAT * height / longer)))
    return Photo(State.PENDING, width, height, _grey(*shape))


def ready(made: verdict.Photo, use: Use) -> Photo:
    """Return what is known of a photo whose variants are published."""
    by_name = {variant.name: variant for variant in made.variants}
    sizes = tuple(
        Size(int(name.partition(".")[0]), one.width, one.size, by_name[f"{name.partition('.')[0]}.{JPEG}"].size)
        for name, one in by_name.items()
        if name.endswith(WEBP)
    )
    width, height = made.width, made.height
    if use is Use.PROFILE:
        width = height = sizes[-1].width
    return Photo(State.READY, width, height, made.placeholder, made.colour, sizes)


def refused(known: Photo | None, reason: Reason) -> Photo:
    """Return what is known of an upload that cannot be shown."""
    return replace(known or Photo(State.REFUSED), state=State.REFUSED, reason=reason)


@lru_cache(maxsize=_FLAT * _FLAT)
def _grey(width: int, height: int) -> str:
    return thumbhash.as_text(width, height, [_GREY] * (width * height))


class PhotoColumn(TypeDecorator[Photo]):
    """A photo as JSON. NULL is an image that was published before there were variants."""

    impl = String
    cache_ok = True

    def __init__(self) -> None:
        super().__init__(_COLUMN_BYTES)

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[str]:
        if dialect.name == "mysql":
            return dialect.type_descriptor(mysql.VARCHAR(_COLUMN_BYTES, charset="ascii", collation="ascii_bin"))
        return dialect.type_descriptor(String(_COLUMN_BYTES))

    def process_bind_param(self, value: Photo | None, _dialect: Dialect) -> str | None:
        return None if value is None else _to_json(value)

    def process_result_value(self, value: str | None, _dialect: Dialect) -> Photo | None:
        return None if value is None else _of_json(value)


def _to_json(photo: Photo) -> str:
    sizes = [[size.nominal, size.width, size.webp_bytes, size.jpeg_bytes] for size in photo.sizes]
    told: Sequence[object] = (
        photo.state,
        photo.width,
        photo.height,
        photo.placeholder,
        photo.colour,
        sizes,
        photo.reason,
    )
    return json.dumps(told, separators=(",", ":"))


def _of_json(text: str) -> Photo:
    state, width, height, placeholder, colour, sizes, reason = json.loads(text)
    found = tuple(Size(*size) for size in sizes)
    return Photo(State(state), width, height, placeholder, colour, found, Reason(reason) if reason else None)
