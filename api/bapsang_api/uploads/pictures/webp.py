"""WebP (RFC 9649): the chunks that make up the picture, also within the frames of an animation."""

from typing import Final

from bapsang_api.uploads.pictures import exif, profile
from bapsang_api.uploads.pictures.picture import Budget, NotAPictureError, Picture, Reader, begins, sized

_STILL: Final = frozenset({b"VP8 ", b"VP8L"})
_KEPT: Final = _STILL | {b"ALPH", b"ANIM"}
_FRAME_HEADER: Final = 16  # bytes of a frame before its chunks
_FLAG_XMP, _FLAG_EXIF, _FLAG_PROFILE = 0x04, 0x08, 0x20
# Views of the content, and headers: every byte of a picture is copied once, when all of it is known.
Part = bytes | memoryview


def clean(content: bytes, budget: Budget) -> Picture:
    """Return the WebP without metadata and without what follows its end. Raises NotAPictureError."""
    outer = Reader(content, budget)
    outer.expect(b"RIFF")
    reader = Reader(outer.take(int.from_bytes(outer.take(4), "little")), budget)
    reader.expect(b"WEBP")
    name, body = _chunk(reader)
    if name in _STILL:
        return _picture(_packed(name, body), _still_size(name, body))
    if name != b"VP8X" or len(body) != 10:
        raise NotAPictureError("it does not begin with its header")
    canvas = (int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1)
    icc, kept, orientation = _extended(reader, canvas)
    flags = body[0] & ~(_FLAG_XMP | _FLAG_EXIF)
    if not icc:
        flags &= ~_FLAG_PROFILE
    if orientation != exif.UPRIGHT:
        flags |= _FLAG_EXIF
        kept += _packed(b"EXIF", exif.only_orientation(orientation))
    return _picture([*_packed(b"VP8X", bytes((flags,)), body[1:]), *icc, *kept], canvas)


def _extended(reader: Reader, canvas: tuple[int, int]) -> tuple[list[Part], list[Part], int]:
    """Return what is kept of the chunks after the header: the colour profile, the rest, and the orientation."""
    icc: list[Part] = []
    kept: list[Part] = []
    orientation, pictures = exif.UPRIGHT, 0
    while not reader.at_end:
        name, body = _chunk(reader)
        if name == b"EXIF":
            block = body[6:] if begins(body, b"Exif\0\0") else body
            orientation = exif.orientation_of(block, reader.budget)
        elif name == b"ICCP":
            if not icc and profile.is_profile(body):
                icc = _packed(name, body)
        elif name == b"ANMF":
            reader.budget.frames += 1
            kept += _packed(name, *_frame(Reader(body, reader.budget), canvas))
            pictures += 1
        elif name in _KEPT:
            kept += _packed(name, body)
            if name in _STILL:
                _require_within(_still_size(name, body), canvas)
                pictures += 1
    if not pictures:
        raise NotAPictureError("it has no picture in it")
    return icc, kept, orientation


def _frame(reader: Reader, canvas: tuple[int, int]) -> list[Part]:
    parts: list[Part] = [reader.take(_FRAME_HEADER)]
    pictures = 0
    while not reader.at_end:
        name, inner = _chunk(reader)
        if name in _STILL:
            _require_within(_still_size(name, inner), canvas)
            pictures += 1
        if name in _STILL or name == b"ALPH":
            parts += _packed(name, inner)
    if pictures != 1:
        raise NotAPictureError(f"a frame has {pictures} pictures")
    return parts


def _still_size(name: bytes, body: memoryview) -> tuple[int, int]:
    """Return the size that a picture's own header tells."""
    if name == b"VP8 ":
        if len(body) < 10 or body[0] & 1 or not begins(body[3:6], b"\x9d\x01\x2a"):
            raise NotAPictureError("its picture is damaged")
        return sized(*(int.from_bytes(body[at : at + 2], "little") & 0x3FFF for at in (6, 8)))
    if len(body) < 5 or body[0] != 0x2F:
        raise NotAPictureError("its picture is damaged")
    packed = int.from_bytes(body[1:5], "little")
    return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1


def _require_within(size: tuple[int, int], canvas: tuple[int, int]) -> None:
    if size[0] > canvas[0] or size[1] > canvas[1]:
        raise NotAPictureError("a picture in it is larger than itself")


def _chunk(reader: Reader) -> tuple[bytes, memoryview]:
    """Return the name and the body of the next chunk."""
    reader.budget.part()
    name = bytes(reader.take(4))
    length = int.from_bytes(reader.take(4), "little")
    body = reader.take(length)
    if length % 2:
        reader.take(1)  # chunks begin at even bytes
    return name, body


def _packed(name: bytes, *body: Part) -> list[Part]:
    """Return a chunk with this body, in parts."""
    length = sum(map(len, body))
    return [name + length.to_bytes(4, "little"), *body, b"\0" * (length % 2)]


def _picture(chunks: list[Part], size: tuple[int, int]) -> Picture:
    length = 4 + sum(map(len, chunks))
    return Picture(b"".join((b"RIFF", length.to_bytes(4, "little"), b"WEBP", *chunks)), "image/webp", *size)
