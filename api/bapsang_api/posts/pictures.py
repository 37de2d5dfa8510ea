"""The pictures of a post: what a request names, and what the post has after it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bapsang_api.posts.view import Picture
from bapsang_api.uploads.service import Named


@dataclass(frozen=True)
class NamedPicture:
    """A picture as a request names it: by a key of the author's."""

    key: str
    alt: str | None


@dataclass(frozen=True)
class PictureChange:
    """What a request says about the pictures: all of them, or, from clients that know only one, the first.

    None says nothing; an empty `first` takes the first away. Where all are given, `first` does not count.
    """

    first: str | None
    listed: tuple[NamedPicture, ...] | None

    @property
    def named(self) -> list[Named]:
        """Every image that has to be one of the author's, and the field that names it."""
        if self.listed is not None:
            return [Named(f"images.{number}.key", picture.key) for number, picture in enumerate(self.listed)]
        return [Named("postImageKey", self.first)] if self.first else []

    def applied(self, current: Sequence[Picture], published: Mapping[str, str]) -> list[Picture]:
        """Return what the post has then; `published` holds the object key of each key that is named."""
        if self.listed is not None:
            return [Picture(published[picture.key], picture.alt) for picture in self.listed]
        if self.first is None:
            return list(current)
        if not self.first:
            return list(current[1:])
        first = published[self.first]
        kept_alt = current[0].alt if current and current[0].object_key == first else None
        return [Picture(first, kept_alt), *current[1:]]
