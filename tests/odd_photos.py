"""Files as the field has seen them, that are not as the formats' books have them: shown by every browser, or by none.

`tests/photos.py` has what phones and programs write as a rule.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

from PIL import Image
from tests.bombs import header
from tests.hostile import chunk, entries, riff, segment, webp
from tests.photos import DISPLAY_P3, SECRET, Photo, exif, in_p3, png, scene, turned, with_segments, written

SMALL = (96, 72)
HIDDEN = SECRET.encode() * 3


@cache
def small() -> Image.Image:
    return scene(*SMALL)


@cache
def jpeg(**options: Any) -> bytes:
    return written(scene(), "JPEG", quality=92, **options)


@cache
def small_png() -> bytes:
    return written(small(), "PNG")


def lying(orientation: int) -> bytes:
    """Return a segment of EXIF that says so."""
    return segment(0xE1, exif(orientation).tobytes())


def before(content: bytes, mark: bytes, more: bytes, back: int = 0) -> bytes:
    """Return it with more bytes before the first place at which `mark` is, less `back`."""
    at = content.index(mark) - back
    return content[:at] + more + content[at:]


def continued_exif() -> bytes:
    """Return a photo on its side whose EXIF takes two segments; the second begins as one of its own would."""
    block = exif(6, telling=True).tobytes().removeprefix(b"Exif\0\0")
    parts = [segment(0xE1, b"Exif\0\0" + part) for part in (block[:200], block[200:])]
    return with_segments(turned("JPEG", 6, quality=92).replace(lying(6), b"", 1), *parts)


def rgb(*, marked: bool) -> bytes:
    """Return a JPEG that stores red, green and blue as they are: told by Adobe's marker, or by the names of the components."""
    content = written(scene(), "JPEG", quality=95, keep_rgb=True)
    at = content.index(b"\xff\xee")
    return content if marked else content[:at] + content[at + 2 + int.from_bytes(content[at + 2 : at + 4]) :]


def adobe(transform: int, tail: bytes = b"") -> bytes:
    return segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes((transform,)) + tail)


def pixels_of(png: bytes) -> bytes:
    """Return the packed pixels of a PNG."""
    at, found = 8, b""
    while at < len(png):
        end = at + 8 + int.from_bytes(png[at : at + 4])
        found += png[at + 8 : end] if png[at + 4 : at + 8] == b"IDAT" else b""
        at = end + 4
    return found


def with_pixels(packed: list[bytes]) -> bytes:
    """Return a small PNG with these as its chunks of pixels."""
    return small_png()[:33] + b"".join(chunk(b"IDAT", one) for one in packed) + chunk(b"IEND")


def in_bytes() -> bytes:
    return with_pixels([pixels_of(small_png())[at : at + 1] for at in range(len(pixels_of(small_png())))])


def half_png() -> bytes:
    """Return a PNG in good order, half of whose rows are missing."""
    rows = zlib.decompress(pixels_of(small_png()))
    return with_pixels([zlib.compress(rows[: len(rows) // 2])])


def half_interlaced() -> bytes:
    """Return an interlaced PNG whose last pixel is in its place, because the first pass has it; half of the last is missing."""
    import pyvips

    image = pyvips.Image.new_from_memory(scene(97, 73).tobytes(), 97, 73, 3, "uchar")
    content: bytes = image.pngsave_buffer(interlace=True)
    rows = zlib.decompress(pixels_of(content))
    return png((b"IHDR", content[16:29]), (b"IDAT", zlib.compress(rows[: -18 * (1 + 97 * 3)])))


def of_webp(name: bytes = b"VP8 ", **options: Any) -> bytes:
    """Return the chunk of a small WebP that is the picture."""
    content = written(small(), "WEBP", **options)
    at = content.index(name)
    return content[at : at + 8 + int.from_bytes(content[at + 4 : at + 8], "little")]


def half_webp() -> bytes:
    """Return a WebP in good order, half of whose picture is missing."""
    picture = of_webp(quality=95)
    half = riff(b"VP8 ", picture[8 : len(picture) // 2])
    return b"RIFF" + struct.pack("<I", 4 + len(half)) + b"WEBP" + half


def framed(size: tuple[int, int], left: int = 0) -> bytes:
    """Return a frame of an animation with a picture of SMALL."""
    place = (left // 2).to_bytes(3, "little") + bytes(3) + b"".join((one - 1).to_bytes(3, "little") for one in size)
    return riff(b"ANMF", place + b"\x64\0\0\0" + of_webp())


def animation(*frames: bytes, told: bytes = bytes(6)) -> bytes:
    return webp(riff(b"ANIM", told), *frames, canvas=SMALL, flags=0x02)


def with_iccp(body: bytes) -> bytes:
    return small_png()[:33] + chunk(b"iCCP", body) + small_png()[33:]


def with_icc_parts(*numbers: tuple[int, int]) -> bytes:
    return with_segments(jpeg(), *(segment(0xE2, b"ICC_PROFILE\0" + bytes(pair) + DISPLAY_P3) for pair in numbers))


#: Display P3 with room behind it, as the profiles of printing presses are long.
LARGE_P3 = DISPLAY_P3 + bytes(4 * 1024 * 1024 - len(DISPLAY_P3))
TIFF = b"MM\0*" + struct.pack(">I", 8)
#: Blocks of EXIF that lead nowhere.
NOWHERE = {
    "loop": TIFF + struct.pack(">HI", 0, 8),
    "list within its own header": b"MM\0*" + struct.pack(">I", 0),
    "list far outside": b"MM\0*" + struct.pack(">I", 0xFFFF_FFFF),
    "65,535 entries that are not there": TIFF + b"\xff\xff",
    "65,535 entries of which a few are there": TIFF + b"\xff\xff" + bytes(12 * 5_000),
    "large": entries(5_000),
    "cut": b"II*",
    "empty": b"",
}


def shown(kind: str, make: Callable[[], bytes], shows: Callable[[], Image.Image] = scene) -> Photo:
    return Photo(kind, make, shows)


def lossless() -> bytes:
    """Return a grey lossless JPEG (process 3): each difference is nought, which takes one bit."""
    frame = segment(0xC3, struct.pack(">BHHB", 8, SMALL[1], SMALL[0], 1) + b"\1\x11\0")
    table, scan = segment(0xC4, b"\0\1" + bytes(15) + b"\0"), segment(0xDA, b"\1\1\0\1\0\0")
    return b"\xff\xd8" + frame + table + scan + bytes(SMALL[0] * SMALL[1] // 8) + b"\xff\xd9"


SHOWN: dict[str, Photo] = {
    # P7: of several the first counts, before the pixels alone.
    "exif, then another": shown(
        "JPEG", lambda: turned("JPEG", 6, quality=92).replace(lying(6), lying(6) + lying(3), 1)
    ),
    "exif in two segments": shown("JPEG", continued_exif),
    "exif behind the scan": shown("JPEG", lambda: jpeg()[:-2] + lying(6) + jpeg()[-2:]),
    "exif behind the pixels": shown(
        "PNG", lambda: before(small_png(), b"IEND", chunk(b"eXIf", exif(6).tobytes()[6:]), 4), small
    ),
    # P8: what tells the colours.
    "rgb by adobe's marker": shown("JPEG", lambda: rgb(marked=True)),
    "rgb by the components' names": shown("JPEG", lambda: rgb(marked=False)),
    "jfif and adobe's rgb": shown("JPEG", lambda: before(jpeg(), b"\xff\xdb", adobe(0))),
    # P6: as decoders resynchronise.
    "short adobe": shown("JPEG", lambda: before(jpeg(), b"\xff\xdb", segment(0xEE, b"Adobe\0"))),
    "zeros between segments": shown("JPEG", lambda: before(jpeg(), b"\xff\xc4", bytes(300))),
    "fill bytes": shown("JPEG", lambda: jpeg()[:2] + b"\xff" * 5_000 + jpeg()[2:-2] + b"\xff" * 5_000 + jpeg()[-2:]),
    "a byte a chunk": shown("PNG", in_bytes, small),
    "empty chunks of pixels": shown("PNG", lambda: with_pixels([b"", pixels_of(small_png()), b""]), small),
    # P11: places for what is no picture.
    "words behind adobe's": shown("JPEG", lambda: before(jpeg(), b"\xff\xdb", adobe(1, HIDDEN))),
    "words before the end": shown("JPEG", lambda: jpeg()[:-2] + HIDDEN + jpeg()[-2:]),
    "words in IEND": shown("PNG", lambda: small_png()[:-12] + chunk(b"IEND", HIDDEN), small),
    "words in pHYs": shown(
        "PNG", lambda: small_png()[:33] + chunk(b"pHYs", bytes(9) + HIDDEN) + small_png()[33:], small
    ),
    "words in ANIM": shown("WEBP", lambda: animation(framed(SMALL), told=bytes(6) + HIDDEN), small),
    **{
        f"profile of a png: {name}": shown("PNG", lambda body=body: with_iccp(body), small)  # type: ignore[misc]
        for name, body in {
            "empty": b"",
            "no name": b"a" * 90,
            "no end of its name": b"a",
            "nothing packed": b"a\0\0",
            "another method": b"a\0\1" + zlib.compress(DISPLAY_P3),
            "cut": b"a\0\0" + zlib.compress(DISPLAY_P3)[:-60],
            "words": b"a\0\0" + zlib.compress(HIDDEN),
        }.items()
    },
    **{
        f"profile of a jpeg: {numbers}": shown("JPEG", lambda numbers=numbers: with_icc_parts(*numbers))  # type: ignore[misc]
        for numbers in ([(1, 2)], [(1, 1), (1, 1)], [(2, 3), (3, 3)])
    },
    "profile of a jpeg: four megabytes": shown("JPEG", lambda: jpeg(icc_profile=LARGE_P3), lambda: in_p3(scene())),
    "profile of a png: as large as is unpacked": shown(
        "PNG", lambda: written(scene(), "PNG", icc_profile=LARGE_P3[: 1024 * 1024]), lambda: in_p3(scene())
    ),
    "profile of a jpeg: short": shown("JPEG", lambda: with_segments(jpeg(), segment(0xE2, b"ICC_PROFILE\0\1"))),
    # EXIF that cannot be read goes, and the picture stays as it is.
    **{
        f"exif: {name}": shown("JPEG", lambda block=block: with_segments(jpeg(), segment(0xE1, b"Exif\0\0" + block)))  # type: ignore[misc]
        for name, block in NOWHERE.items()
    },
    **{
        f"exif of a png: {name}": shown(  # type: ignore[misc]
            "PNG", lambda block=block: small_png()[:33] + chunk(b"eXIf", block) + small_png()[33:], small
        )
        for name, block in NOWHERE.items()
    },
}

REFUSED: dict[str, Callable[[], bytes]] = {
    # P9: a part of the pixels is missing.
    "half of the rows": half_png,
    "half of the last pass": half_interlaced,
    "half of a webp": half_webp,
    # P10: nobody can show it.
    "canvas larger than its picture": lambda: webp(of_webp(), canvas=(120, 90)),
    "canvas smaller than its picture": lambda: webp(of_webp(), canvas=(40, 30)),
    "frame outside of its canvas": lambda: animation(framed(SMALL, left=60)),
    "two stills": lambda: webp(of_webp(), of_webp(), canvas=SMALL),
    "no picture, webp": lambda: webp(canvas=SMALL),
    "two headers, the second larger": lambda: before(small_png(), b"IDAT", chunk(*header(960, 720)), 4),
    "header behind the pixels": lambda: small_png()[:8] + small_png()[33:-12] + small_png()[8:33] + chunk(b"IEND"),
    "no pixels": lambda: small_png()[:33] + chunk(b"IEND"),
    "wrong checksum of the pixels": lambda: small_png().replace(pixels_of(small_png())[-4:], b"abcd"),
    "two frames, jpeg": lambda: before(jpeg(), b"\xff\xda", jpeg()[jpeg().index(b"\xff\xc0") :][:19]),
    "lossless jpeg": lossless,
    "no scan": lambda: jpeg()[: jpeg().index(b"\xff\xda")] + b"\xff\xd9",
}
