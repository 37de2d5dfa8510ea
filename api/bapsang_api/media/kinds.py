"""Which kind of picture a file is, by its first bytes: names and declared types are what people hope it is."""

from enum import StrEnum
from typing import Final

#: Of an upload.
MOST_BYTES: Final = 10 * 1024 * 1024
#: Of an upload that is looked at first.
HEAD: Final = 256 * 1024


class Kind(StrEnum):
    """The kinds that are accepted."""

    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WEBP"
    GIF = "GIF"
    AVIF = "AVIF"
    HEIC = "HEIC"


_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
_HEIC_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_HEIF_BRANDS: Final = frozenset({b"mif1", b"msf1", b"mif2"})  # the container; a compatible brand says what is in it
# Google's XMP, its older form, and Samsung's trailer.
_FILM: Final = (b"MotionPhoto", b"MicroVideo")


def kind_of(content: bytes) -> Kind | None:
    """Return the kind, None for anything else."""
    if content.startswith(b"\xff\xd8\xff"):
        return Kind.JPEG
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return Kind.PNG
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return Kind.WEBP
    if content.startswith((b"GIF87a", b"GIF89a")):
        return Kind.GIF
    return _container(content) if content[4:8] == b"ftyp" else None


def carries_film(head: bytes) -> bool:
    """Whether a photo with this beginning says that a film follows it (a motion photo, a live photo in one file)."""
    return any(mark in head[:HEAD] for mark in _FILM)


def _container(content: bytes) -> Kind | None:
    end = min(int.from_bytes(content[:4]), 512)
    brand, *others = (content[at : at + 4] for at in (8, *range(16, end, 4)))
    for named in (brand, *others) if brand in _HEIF_BRANDS else (brand,):
        if named in _AVIF_BRANDS:
            return Kind.AVIF
        if named in _HEIC_BRANDS:
            return Kind.HEIC
    return None
