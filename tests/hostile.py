"""Files of ten megabytes that were made to cost much: many parts, dear parts, and what unpacks to gigabytes.

None is a stranger's: each is a small picture of our own in which one thing is repeated.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PIL import Image

from bapsang_api.uploads.rules import MOST_BYTES

JPEG, PNG, WEBP = "image/jpeg", "image/png", "image/webp"
MIB = 1024 * 1024
SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Opens as a TIFF block whose list of entries begins at byte 8.
TIFF = b"MM\0*" + struct.pack(">I", 8)


@dataclass(frozen=True)
class File:
    """A file, and whether it is a picture all the same, which the first look lets pass."""

    content_type: str
    make: Callable[[], bytes]
    accepted: bool = False


def filled(head: bytes, part: bytes, tail: bytes) -> bytes:
    """Return a file as large as an upload may be, with as much of `part` as fits in it."""
    return head + part * ((MOST_BYTES - len(head) - len(tail)) // len(part)) + tail


def drawn(form: str, **options: Any) -> bytes:
    written = io.BytesIO()
    Image.linear_gradient("L").resize((64, 48)).convert("RGB").save(written, form, **options)
    return written.getvalue()


def segment(marker: int, body: bytes = b"") -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def jpeg(part: bytes, before: bytes = b"\xff\xc0") -> bytes:
    """Return a JPEG that is full of `part` at the first place at which `before` is."""
    picture = drawn("JPEG")
    at = picture.index(before)
    return filled(picture[:at], part, picture[at:])


def scanned(part: bytes) -> bytes:
    """Return a JPEG whose scan is full of `part`."""
    picture = drawn("JPEG")
    return filled(picture[:-2], part, picture[-2:])


def rescanned(*, tables: bool) -> bytes:
    """Return a progressive JPEG of 49 million pixels with 20,000 scans that add nothing, as the field has seen one."""
    picture = drawn("JPEG", progressive=True)
    frame, last = picture.index(b"\xff\xc2"), picture.rindex(b"\xff\xda")
    scan = picture[last:-2]
    table = picture[picture.rindex(b"\xff\xc4", 0, last) : last] if tables else b""
    large = picture[: frame + 5] + struct.pack(">HH", 7000, 7000) + picture[frame + 9 : -2]
    return large + (table + scan) * 20_000 + picture[-2:]


def icc_segments() -> bytes:
    """Return a JPEG with a profile of ten megabytes, told in as many segments as it takes."""
    body = bytes(36) + b"acsp" + bytes(65_000)
    parts = [segment(0xE2, b"ICC_PROFILE\0" + bytes((number, 155)) + body) for number in range(1, 156)]
    picture = drawn("JPEG")
    return picture[:2] + b"".join(parts) + picture[2:]


def entries(count: int, block: bytes = TIFF) -> bytes:
    """Return an EXIF block with so many entries, none of which is the orientation."""
    return block + struct.pack(">H", min(count, 65_535)) + struct.pack(">HHIHH", 0x0100, 3, 1, 1, 0) * count


def chunk(name: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(part: bytes, before: bytes = b"IDAT") -> bytes:
    """Return a PNG that is full of `part` before the chunk named `before`."""
    picture = drawn("PNG")
    at = picture.index(before) - 4
    return filled(picture[:at], part, picture[at:])


def unpacking(count: int) -> bytes:
    """Return what zlib unpacks to `count` mebibytes of nothing."""
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)  # depends on nothing before it
    return b"\x78\xda" + block * count + zlib.compressobj(wbits=-15).flush()


def empty_blocks(size: int) -> bytes:
    """Return up to `size` bytes that zlib unpacks to nothing: blocks that each bring a code table and no data (RFC 1951)."""
    block = "001" + "00000" + "00000" + "1000"  # not the last, with 257 codes, and one for distances
    block += "100" + "000" * 2 + "010" * 2  # "repeat" takes one bit; "0" and "8" take two
    block += "10" + "11" + "011" * 42 + "000" + "10"  # no code, 256 codes of eight bits, no distance
    block += "11111111"  # the end
    eight = int((block * 8)[::-1], 2).to_bytes(len(block), "little")
    return b"\x78\x9c" + eight * ((size - 2) // len(eight))


def webp(*chunks: bytes, canvas: tuple[int, int] = (64, 48), flags: int = 0) -> bytes:
    body = b"WEBP" + riff(
        b"VP8X", bytes((flags, 0, 0, 0)) + b"".join((one - 1).to_bytes(3, "little") for one in canvas)
    )
    body += b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def riff(name: bytes, body: bytes = b"") -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def webp_full(part: bytes, *behind: bytes) -> bytes:
    """Return a WebP that is full of `part`, and ends with `behind`."""
    room = MOST_BYTES - 30 - sum(map(len, behind))
    return webp(part * (room // len(part)), *behind)


def still() -> bytes:
    """Return the chunk of a lossless WebP: the picture itself."""
    return drawn("WEBP", lossless=True)[12:]


def large_frames() -> bytes:
    """Return an animation of 49 million pixels whose frames take 50 bytes each, and a viewer 0.3 s each."""
    written = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(written, "WEBP", lossless=True)
    picture = bytearray(written.getvalue()[12:])
    # One colour needs no bit a pixel, so that the size can be any.
    picture[9:13] = (int.from_bytes(picture[9:13], "little") >> 28 << 28 | 6999 << 14 | 6999).to_bytes(4, "little")
    frames = framed(bytes(picture), size=(7000, 7000)) * 8000
    return webp(riff(b"ANIM", bytes(6)), frames, canvas=(7000, 7000), flags=ANIMATED)


def framed(*chunks: bytes, size: tuple[int, int] = (1, 1)) -> bytes:
    place = bytes(6) + b"".join((one - 1).to_bytes(3, "little") for one in size) + b"\x64\0\0\0"
    return riff(b"ANMF", place + b"".join(chunks))


def large_png_frames() -> bytes:
    """Return an animation of 49 million pixels whose frames take 60 bytes each, because most of their pixels are missing."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 7000, 7000, 1, 0, 0, 0, 0))
    frame = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 7000, 7000, 0, 0, 1, 10, 0, 0)) + chunk(b"fdAT", bytes(6))
    head = SIGNATURE + header + chunk(b"acTL", struct.pack(">II", 8000, 0)) + chunk(b"IDAT", zlib.compress(bytes(876)))
    return head + frame * 8000 + chunk(b"IEND")


DOT = riff(b"VP8L", b"\x2f" + bytes(7))  # says that it is a picture of one pixel
FULL = bytes(65_533)
ANIMATED = 0x02

FILES: dict[str, File] = {
    "jpeg: restart intervals": File(JPEG, lambda: jpeg(segment(0xDD))),
    "jpeg: fill bytes": File(JPEG, lambda: jpeg(b"\xff"), accepted=True),
    "jpeg: fill bytes before each segment": File(JPEG, lambda: jpeg(b"\xff" * 99 + segment(0xFE))),
    "jpeg: empty comments": File(JPEG, lambda: jpeg(segment(0xFE))),
    "jpeg: full comments": File(JPEG, lambda: jpeg(segment(0xFE, FULL)), accepted=True),
    "jpeg: empty application segments": File(JPEG, lambda: jpeg(segment(0xEF))),
    "jpeg: JFIF": File(JPEG, lambda: jpeg(segment(0xE0, b"JFIF\0" + bytes(9)))),
    "jpeg: Adobe": File(JPEG, lambda: jpeg(segment(0xEE, b"Adobe" + bytes(7)))),
    "jpeg: starts of images": File(JPEG, lambda: jpeg(b"\xff\xd8")),
    "jpeg: Huffman tables": File(JPEG, lambda: jpeg(segment(0xC4, b"\0\1" + bytes(16)))),
    "jpeg: quantisation tables": File(JPEG, lambda: jpeg(segment(0xDB, b"\0" + b"\1" * 64))),
    "jpeg: full segments of tables": File(JPEG, lambda: jpeg(segment(0xDB, FULL)), accepted=True),
    "jpeg: small segments of tables": File(JPEG, lambda: jpeg(segment(0xDB, bytes(650))), accepted=True),
    "jpeg: tables behind the scan": File(JPEG, lambda: jpeg(segment(0xDD), before=b"\xff\xd9")),
    "jpeg: empty EXIF": File(JPEG, lambda: jpeg(segment(0xE1, b"Exif\0\0"))),
    "jpeg: EXIF without an end": File(JPEG, lambda: jpeg(segment(0xE1, b"Exif\0\0" + entries(5_400)))),
    "jpeg: empty profiles": File(JPEG, lambda: jpeg(segment(0xE2, b"ICC_PROFILE\0\1\1"))),
    "jpeg: profile of ten megabytes": File(JPEG, icc_segments),
    "jpeg: scans": File(JPEG, lambda: rescanned(tables=False)),
    "jpeg: scans, each with its table": File(JPEG, lambda: rescanned(tables=True)),
    "jpeg: headers of scans": File(JPEG, lambda: jpeg(segment(0xDA, b"\1\1\0\0\x3f\0"), before=b"\xff\xd9")),
    "jpeg: zeros behind 0xFF": File(JPEG, lambda: scanned(b"\xff\0"), accepted=True),
    "jpeg: restart markers": File(JPEG, lambda: scanned(b"\xff\xd3"), accepted=True),
    "jpeg: restart markers with fill bytes": File(JPEG, lambda: scanned(b"\xff\xff\xd3"), accepted=True),
    "jpeg: fill bytes in the scan": File(JPEG, lambda: scanned(b"\xff"), accepted=True),
    "jpeg: scan without an end": File(JPEG, lambda: scanned(b"\xff\0")[:-2]),
    "png: empty chunks": File(PNG, lambda: png(chunk(b"juNk"))),
    "png: small chunks of pixels": File(PNG, lambda: png(chunk(b"IDAT", bytes(632)), before=b"IEND"), accepted=True),
    "png: texts": File(PNG, lambda: png(chunk(b"tEXt", b"a\0"))),
    "png: packed texts of gigabytes": File(PNG, lambda: png(chunk(b"zTXt", b"a\0\0" + unpacking(1000))), accepted=True),
    "png: pixels, a byte a chunk": File(PNG, lambda: png(chunk(b"IDAT", b"\0"), before=b"IEND")),
    "png: empty chunks of pixels": File(PNG, lambda: png(chunk(b"IDAT"))),
    "png: frames": File(PNG, lambda: png(chunk(b"fcTL", bytes(26)))),
    "png: frames of 49 million pixels": File(PNG, large_png_frames),
    "png: palettes": File(PNG, lambda: png(chunk(b"PLTE", bytes(3)))),
    "png: headers": File(PNG, lambda: png(chunk(b"IHDR", bytes(13)))),
    "png: empty EXIF": File(PNG, lambda: png(chunk(b"eXIf"))),
    "png: EXIF of 65,535 entries": File(PNG, lambda: png(chunk(b"eXIf", entries(65_535)))),
    "png: profile of ten gigabytes": File(PNG, lambda: png(chunk(b"iCCP", b"a\0\0" + unpacking(9_000)))),
    "png: profiles of four megabytes": File(PNG, lambda: png(chunk(b"iCCP", b"a\0\0" + unpacking(4))), accepted=True),
    "png: profile of empty blocks": File(PNG, lambda: png(chunk(b"iCCP", b"a\0\0" + empty_blocks(MOST_BYTES - 999)))),
    "png: profile of empty blocks, as large as it may be": File(
        PNG, lambda: png(chunk(b"iCCP", b"a\0\0" + empty_blocks(2 * MIB))), accepted=True
    ),
    "png: empty profiles": File(PNG, lambda: png(chunk(b"iCCP"))),
    "webp: empty chunks": File(WEBP, lambda: webp_full(riff(b"JUNK"), still())),
    "webp: alpha": File(WEBP, lambda: webp_full(riff(b"ALPH"), still())),
    "webp: headers": File(WEBP, lambda: webp_full(riff(b"VP8X"), still())),
    "webp: pictures": File(WEBP, lambda: webp_full(DOT)),
    "webp: frames": File(WEBP, lambda: webp_full(framed(DOT))),
    "webp: frames of 49 million pixels": File(WEBP, large_frames),
    "webp: small frames": File(WEBP, lambda: webp_full(framed(riff(b"ALPH", bytes(1900)), DOT)), accepted=True),
    "webp: empty chunks in a frame": File(WEBP, lambda: webp(framed(riff(b"JUNK") * 1_300_000, DOT))),
    "webp: frames in a frame": File(WEBP, lambda: webp(framed(framed(DOT) * 250_000, DOT))),
    "webp: empty EXIF": File(WEBP, lambda: webp_full(riff(b"EXIF"), still())),
    "webp: EXIF of 65,535 entries": File(WEBP, lambda: webp_full(riff(b"EXIF", entries(65_535)), still())),
    "webp: empty profiles": File(WEBP, lambda: webp_full(riff(b"ICCP"), still())),
    "webp: profile of ten megabytes": File(WEBP, lambda: webp_full(riff(b"ICCP", bytes(9 * MIB)), still())),
    "webp: one picture of ten megabytes": File(
        WEBP, lambda: webp(riff(b"VP8L", DOT[8:13] + bytes(10 * MIB - 99))), accepted=True
    ),
}
