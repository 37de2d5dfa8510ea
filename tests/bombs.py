"""Files that were made to cost their decoder much, or to be two things at once. `tests/hostile.py` has more, for parsers."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from PIL import Image
from tests import hostile
from tests.hostile import FILES, chunk, drawn, segment, unpacking
from tests.photos import DISPLAY_P3, KINDS, heic, png, scene, with_segments, written

MOST_SIDE = 65_535


@dataclass(frozen=True)
class Bomb:
    """A file, and the verdicts that are right for it: a reason, or ACCEPTED where the picture is fine and the rest is dropped."""

    make: Callable[[], bytes]
    said: frozenset[str]


def refused(make: Callable[[], bytes], *reasons: str) -> Bomb:
    return Bomb(make, frozenset(reasons or ("DAMAGED",)))


def header(width: int, height: int, depth: int = 8, colour: int = 2) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)


def png_of(width: int, height: int, mebibytes: int) -> bytes:
    return png(header(width, height), (b"IDAT", unpacking(mebibytes)))


def resized_jpeg(width: int, height: int, *, progressive: bool = False) -> bytes:
    """Return a JPEG whose header claims another size."""
    content = drawn("JPEG", progressive=progressive)
    at = content.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    return content[: at + 5] + struct.pack(">HH", height, width) + content[at + 9 :]


def webp_of(width: int, height: int) -> bytes:
    """Return a lossless WebP whose own header claims another size."""
    content = bytearray(written(scene(64, 48), "WEBP", lossless=True))
    at = content.index(b"VP8L") + 9
    bits = int.from_bytes(content[at : at + 4], "little") >> 28 << 28
    content[at : at + 4] = (bits | (height - 1) << 14 | (width - 1)).to_bytes(4, "little")
    return bytes(content)


def gif_of(width: int, height: int) -> bytes:
    content = bytearray(written(scene(64, 48).quantize(8), "GIF"))
    content[6:10] = struct.pack("<HH", width, height)
    at = content.index(b"\x2c")
    content[at + 5 : at + 9] = struct.pack("<HH", width, height)
    return bytes(content)


def boxed(make: Callable[[], bytes], width: int, height: int) -> bytes:
    """Return a HEIC or AVIF whose `ispe` boxes claim another size."""
    content = bytearray(make())
    at = content.find(b"ispe")
    while at >= 0:
        content[at + 8 : at + 16] = struct.pack(">II", width, height)
        at = content.find(b"ispe", at + 4)
    return bytes(content)


def nested_exif(depth: int = 5_000) -> bytes:
    """Return an EXIF block whose directories lie in each other, the last one in the first."""
    block = b"Exif\0\0MM\0*" + struct.pack(">I", 8)
    for level in range(depth):
        following = 8 + 18 * ((level + 1) % depth)
        block += struct.pack(">HHHIII", 1, 0x8769, 4, 1, following, following)
    return block[:65_000]


def huge_palette() -> bytes:
    return png(header(64, 48, 8, 3), (b"PLTE", bytes(3 * 256) * 4_000), (b"IDAT", zlib.compress(bytes(65 * 48))))


def many_headers() -> bytes:
    return png(*[header(side, side) for side in range(1, 20_000)], (b"IDAT", zlib.compress(b"")))


def packed_profile(mebibytes: int) -> bytes:
    body = b"icc\0\0" + unpacking(mebibytes)
    return (
        written(scene(), "PNG").replace(b"IDAT", b"IDAT", 1)[:33] + chunk(b"iCCP", body) + written(scene(), "PNG")[33:]
    )


def packed_text(count: int, mebibytes: int) -> bytes:
    content = written(scene(), "PNG")
    return content[:33] + chunk(b"zTXt", b"k\0\0" + unpacking(mebibytes)) * count + content[33:]


def table_profile() -> bytes:
    """Return a JPEG with a profile that claims a table of colours as large as the address space (lut8, 255 grid points)."""
    tag = b"mft1" + bytes(4) + bytes((3, 3, 255, 0)) + struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    tag += bytes(256 * 3)
    start = DISPLAY_P3[:128] + struct.pack(">I", 1) + b"A2B0" + struct.pack(">II", 144, len(tag)) + tag
    whole = struct.pack(">I", len(start)) + start[4:]
    return written(scene(), "JPEG", icc_profile=whole)


def polyglot(other: bytes) -> bytes:
    """Return a JPEG that is something else too, behind its end and in a comment."""
    return with_segments(written(scene(), "JPEG", quality=92), segment(0xFE, other[:60_000])) + other


@cache
def zipped() -> bytes:
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("index.html", "<script>alert(1)</script>")
    return out.getvalue()


def animation(form: str, frames: int = 200) -> bytes:
    others = [Image.new("RGB", (64, 48), (at % 256, 0, 0)) for at in range(frames)]
    return written(scene(64, 48), form, save_all=True, append_images=others, duration=20)


def noise() -> bytes:
    """Return a GIF-like amount of pixels that no encoder can shorten, in the shape with the largest variants."""
    image = Image.frombytes("L", (800, 2400), random.Random(1).randbytes(800 * 2400)).resize(
        (1600, 4800), Image.Resampling.NEAREST
    )
    return written(image, "PNG", compress_level=1)


BOMBS: dict[str, Bomb] = {
    "png of 65,535 squared": refused(lambda: png_of(MOST_SIDE, MOST_SIDE, 9), "TOO_MANY_PIXELS"),
    "png of 2^31 - 1 squared": refused(lambda: png_of(2**31 - 1, 2**31 - 1, 1), "TOO_MANY_PIXELS"),
    "png of 100 million pixels": Bomb(lambda: png_of(10_000, 10_000, 290), frozenset({"ACCEPTED"})),
    "png that unpacks to 10 GiB": refused(lambda: png_of(64, 48, 10_000), "ACCEPTED"),
    "jpeg of 65,500 squared": refused(lambda: resized_jpeg(65_500, 65_500), "TOO_MANY_PIXELS"),
    "jpeg of 100 million pixels": refused(lambda: resized_jpeg(10_000, 10_000)),
    "progressive of 100 million pixels": refused(lambda: resized_jpeg(10_000, 10_000, progressive=True), "DAMAGED"),
    "20,000 scans of 49 million pixels": refused(lambda: hostile.rescanned(tables=False), "TOO_SLOW"),
    "webp of 16,383 squared": refused(lambda: webp_of(16_383, 16_383), "TOO_MANY_PIXELS"),
    "webp of 100 million pixels": refused(lambda: webp_of(10_000, 10_000), "DAMAGED", "TOO_MUCH_MEMORY"),
    "gif of 65,535 squared": refused(lambda: gif_of(MOST_SIDE, MOST_SIDE), "TOO_MANY_PIXELS"),
    "heic of 65,535 squared": refused(lambda: boxed(heic, MOST_SIDE, MOST_SIDE), "TOO_MANY_PIXELS", "DAMAGED"),
    "heic of 100 million pixels": refused(lambda: boxed(heic, 10_000, 10_000), "DAMAGED", "TOO_MUCH_MEMORY"),
    "noise, as large as variants can be": refused(noise, "ACCEPTED"),
    "avif of 65,535 squared": refused(
        lambda: boxed(KINDS["avif"].make, MOST_SIDE, MOST_SIDE), "TOO_MANY_PIXELS", "DAMAGED"
    ),
    "profile that unpacks to 1 GiB": refused(lambda: packed_profile(1_024), "ACCEPTED"),
    "profile with an endless table": refused(table_profile, "ACCEPTED"),
    "text that unpacks to 3 GiB": refused(lambda: packed_text(60, 50), "ACCEPTED", "DAMAGED"),
    "many headers": refused(many_headers, "TOO_MANY_PIXELS"),
    "millions of segments": refused(FILES["jpeg: restart intervals"].make, "TOO_MANY_PARTS"),
    "millions of chunks": refused(FILES["png: empty chunks"].make, "TOO_MANY_PARTS"),
    "huge palette": refused(huge_palette, "ACCEPTED", "DAMAGED"),
    "nested exif": refused(
        lambda: with_segments(written(scene(), "JPEG", quality=92), segment(0xE1, nested_exif())), "ACCEPTED"
    ),
    "a page behind a jpeg": refused(lambda: polyglot(b"<html><script>alert(1)</script></html>"), "ACCEPTED"),
    "an archive behind a jpeg": refused(lambda: polyglot(zipped()), "ACCEPTED"),
    "a jpeg behind a gif's name": refused(lambda: b"GIF89a" + KINDS["jpeg"].make(), "TOO_MANY_PIXELS"),
    "two hundred frames, webp": refused(lambda: animation("WEBP"), "ACCEPTED"),
    "two hundred frames, png": refused(lambda: animation("PNG"), "ACCEPTED"),
    "two hundred frames, gif": refused(lambda: animation("GIF"), "ACCEPTED"),
}
