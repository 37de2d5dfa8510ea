"""Files as phones and programs write them, each drawn by script: the scene is known, so what is published can be compared with it.

No picture of a stranger is in the project. Each maker returns bytes; `KINDS` says what each shows once it is published.
"""

from __future__ import annotations

import io
import random
import struct
import subprocess
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import pillow_heif
from PIL import Image, ImageDraw, ImageFilter, PngImagePlugin
from tests.programs import program

pillow_heif.register_heif_opener()

SIZE = (720, 540)
ORIENTATION = 0x0112
#: Words that must not be in anything that is published.
SECRET = "Mapo-daero 12, Seoul"
#: How each orientation is undone (EXIF 2.32, 4.6.4): what has to be done to the stored pixels to see them upright.
TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@cache
def scene(width: int = SIZE[0], height: int = SIZE[1], seed: int = 1) -> Image.Image:
    """Return a table with dishes: other colours in each corner, smooth and rough parts, no symmetry."""
    draw = random.Random(seed)
    corners = Image.new("RGB", (2, 2))
    corners.putdata([(190, 70, 50), (60, 150, 80), (70, 90, 180), (220, 190, 90)])
    image = corners.resize((width, height), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    for _ in range(24):
        x, y, r = draw.randrange(width), draw.randrange(height), draw.randrange(width // 40 + 1, width // 9 + 2)
        pen.ellipse((x - r, y - r, x + r, y + r * 2 // 3), fill=tuple(draw.randrange(30, 226) for _ in range(3)))
    noise = Image.frombytes("L", (width // 3, height // 3), draw.randbytes((width // 3) * (height // 3)))
    grain = noise.resize((width, height), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(1))
    return Image.blend(image, grain.convert("RGB"), 0.03)


def written(image: Image.Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def exif(orientation: int = 1, *, telling: bool = False) -> Image.Exif:
    block = Image.Exif()
    block[ORIENTATION] = orientation
    if telling:
        block[0x010E], block[0x010F], block[0x0110], block[0x9286] = SECRET, "Bapsang", "Phone 1", SECRET
        block.get_ifd(0x8825).update({1: "N", 2: (37.0, 33.0, 0.0), 3: "E", 4: (126.0, 57.0, 0.0)})
        block.get_ifd(0x8769).update({0x927C: SECRET.encode() * 20, 0xA434: "lens"})
    return block


def turned(form: str, orientation: int, **options: Any) -> bytes:
    """Return the scene as a camera stores it that was held otherwise."""
    stored = scene() if orientation == 1 else scene().transpose(TURNED[orientation])
    return written(stored, form, exif=exif(orientation).tobytes(), **options)


def segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    'xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    f'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="3" GCamera:MotionPhoto="1" dc:source="{SECRET}"/>'
    "</rdf:RDF></x:xmpmeta>"
).encode()
XMP_SEGMENT = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP)
IPTC_SEGMENT = segment(
    0xED,
    b"Photoshop 3.0\x008BIM\x04\x04\0\0"
    + struct.pack(">I", 5 + len(SECRET))
    + b"\x1c\x02\x78"
    + struct.pack(">H", len(SECRET))
    + SECRET.encode()
    + b"\0" * (len(SECRET) % 2),
)
COMMENT_SEGMENT = segment(0xFE, SECRET.encode())
FILM = struct.pack(">I", 24) + b"ftypmp42" + bytes(12) + struct.pack(">I", 60_008) + b"mdat" + SECRET.encode() * 3_000
NO_PICTURES = (b"", b"hello", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.7", b"BM" + bytes(60), FILM)


def telling() -> bytes:
    """Return a JPEG with everything in it that a file can tell besides its picture."""
    jpeg = written(scene(), "JPEG", quality=92, exif=exif(telling=True), icc_profile=DISPLAY_P3, dpi=(300, 300))
    return with_segments(jpeg, XMP_SEGMENT, IPTC_SEGMENT, COMMENT_SEGMENT) + SECRET.encode()


def motion_photo(film: bytes = FILM) -> bytes:
    return with_segments(written(scene(), "JPEG", quality=92), XMP_SEGMENT) + film


def multi_picture(*others: Image.Image) -> bytes:
    """Return a multi-picture JPEG (CIPA DC-007): gain maps of Ultra HDR and portraits with depth come like this."""
    return written(scene(), "MPO", save_all=True, append_images=others or [scene(seed=2)], quality=92)


def ultra_hdr() -> bytes:
    """Return a picture with a gain map: the base picture is what is shown."""
    gain = '<rdf:Description xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0" hdrgm:GainMapMax="3"/>'
    marked = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + gain.encode())
    base = multi_picture(scene().convert("L").resize((180, 135)))
    return with_segments(base, marked)


def arithmetic() -> bytes:
    return _transformed(written(scene(), "JPEG", quality=92), "-arithmetic")


def _transformed(jpeg: bytes, *options: str) -> bytes:
    command = [program("jpegtran", "libjpeg-turbo-progs"), *options]
    return subprocess.run(command, input=jpeg, check=True, capture_output=True, timeout=60).stdout


def sixteen_bits() -> bytes:
    """Return a PNG with 16 bits a channel."""
    pixels = scene().tobytes()
    row = SIZE[0] * 3
    rows = [pixels[at : at + row] for at in range(0, len(pixels), row)]
    data = b"".join(b"\0" + bytes(byte for value in one for byte in (value, value)) for one in rows)
    header = struct.pack(">IIBBBBB", *SIZE, 16, 2, 0, 0, 0)
    return png((b"IHDR", header), (b"IDAT", zlib.compress(data, 1)))


def png(*chunks: tuple[bytes, bytes], end: bool = True) -> bytes:
    told = [*chunks, *([(b"IEND", b"")] if end else [])]
    packed = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in told
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def telling_png() -> bytes:
    words = PngImagePlugin.PngInfo()
    words.add_text("Comment", SECRET)
    words.add_itxt("XML:com.adobe.xmp", XMP.decode())
    words.add_text("Long", SECRET * 50, zip=True)
    return written(scene(), "PNG", pnginfo=words, exif=exif(telling=True), icc_profile=DISPLAY_P3) + SECRET.encode()


def on_glass() -> bytes:
    """Return a PNG whose left half is transparent: it is published on white."""
    image = scene().convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, SIZE[0] // 2, SIZE[1]))
    return written(image, "PNG")


def on_white() -> Image.Image:
    image = scene().copy()
    image.paste("white", (0, 0, SIZE[0] // 2, SIZE[1]))
    return image


def animated(form: str) -> bytes:
    others = [scene(seed=seed) for seed in (2, 3)]
    options = {"lossless": True} if form == "WEBP" else {}
    return written(scene(), form, save_all=True, append_images=others, duration=80, loop=0, **options)


def heic(orientation: int = 1, **options: Any) -> bytes:
    return turned("HEIF", orientation, quality=85, **options)


def profile(primaries: tuple[tuple[float, float, float], ...], gamma: float) -> bytes:
    """Return an ICC profile of version 2: `primaries` are XYZ of red, green and blue at D50 (ICC.1:2001-04)."""

    def xyz(values: tuple[float, ...]) -> bytes:
        return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in values))

    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    text = b"desc" + bytes(4) + struct.pack(">I", 8) + b"Bapsang\0" + bytes(78)
    tags = {b"desc": text, b"cprt": b"text" + bytes(4) + b"none\0" + bytes(3), b"wtpt": xyz((0.9642, 1.0, 0.8249))}
    tags |= {name: xyz(values) for name, values in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    at, table, data = 132 + 12 * len(tags), b"", b""
    for name, body in tags.items():
        table += name + struct.pack(">II", at + len(data), len(body))
        data += body + bytes(-len(body) % 4)
    head = struct.pack(">I4sI4s4s4s", at + len(data), b"    ", 0x02100000, b"mntr", b"RGB ", b"XYZ ") + bytes(12)
    head += b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data


# Display P3 at D50, as Apple's profile has it; the curve is a plain 2.2.
DISPLAY_P3 = profile(((0.5151, 0.2412, -0.0011), (0.2919, 0.6922, 0.0419), (0.1572, 0.0666, 0.7841)), 2.2)
#: Within sRGB's gamut, but another colour if the profile were dropped.
P3_COLOUR = (200, 80, 60)


def wide_gamut(form: str = "JPEG", **options: Any) -> bytes:
    return written(Image.new("RGB", SIZE, P3_COLOUR), form, icc_profile=DISPLAY_P3, **options)


def broken_profile() -> bytes:
    """Return a JPEG whose profile begins as one and then points nowhere."""
    broken = DISPLAY_P3[:132] + b"\xff" * (len(DISPLAY_P3) - 132)
    return written(scene(), "JPEG", quality=92, icc_profile=broken)


@dataclass(frozen=True)
class Photo:
    """A file, what it is, and what it shows once it is published."""

    kind: str
    make: Callable[[], bytes]
    shows: Callable[[], Image.Image] = scene


def _grey() -> Image.Image:
    return scene().convert("L")


def _interlaced() -> bytes:
    import pyvips

    image = pyvips.Image.new_from_memory(scene().tobytes(), *SIZE, 3, "uchar")
    content: bytes = image.pngsave_buffer(interlace=True)
    return content


def _spoiled(content: bytes, chunk: bytes) -> bytes:
    """Return it with a wrong checksum of this chunk."""
    at = content.index(chunk)
    end = at + 4 + int.from_bytes(content[at - 4 : at])
    return content[:end] + bytes(4) + content[end + 4 :]


def _longer(webp: bytes) -> bytes:
    return webp[:4] + (int.from_bytes(webp[4:8], "little") + 2).to_bytes(4, "little") + webp[8:]


def in_p3(image: Image.Image) -> Image.Image:
    """Return what is seen when these numbers mean P3, by libvips and its own matrix, not by Pillow."""
    import pyvips

    stored = pyvips.Image.new_from_memory(image.tobytes(), *image.size, 3, "uchar").copy(interpretation="srgb")
    stored.set_type(pyvips.GValue.blob_type, "icc-profile-data", DISPLAY_P3)
    shown = stored.icc_transform("srgb", embedded=True, intent="perceptual")
    return Image.frombytes("RGB", image.size, shown.write_to_memory())


KINDS: dict[str, Photo] = {
    "jpeg": Photo("JPEG", lambda: written(scene(), "JPEG", quality=92)),
    "progressive": Photo("JPEG", lambda: written(scene(), "JPEG", quality=92, progressive=True)),
    "arithmetic": Photo("JPEG", arithmetic),
    "restarts": Photo("JPEG", lambda: written(scene(), "JPEG", quality=92, restart_marker_rows=1)),
    "grey jpeg": Photo("JPEG", lambda: written(_grey(), "JPEG", quality=92), _grey),
    "cmyk": Photo("JPEG", lambda: written(scene().convert("CMYK"), "JPEG", quality=92)),
    "telling": Photo("JPEG", telling, lambda: in_p3(scene())),
    "commented": Photo(
        "JPEG", lambda: with_segments(written(scene(), "JPEG", quality=92), IPTC_SEGMENT, COMMENT_SEGMENT)
    ),
    "motion photo": Photo("JPEG", motion_photo),
    "multi-picture": Photo("JPEG", multi_picture),
    "ultra hdr": Photo("JPEG", ultra_hdr),
    "no end marker": Photo("JPEG", lambda: written(scene(), "JPEG", quality=92)[:-2] + b"SEFH" + bytes(200)),
    "junk between segments": Photo(
        "JPEG", lambda: written(scene(), "JPEG", quality=92).replace(b"\xff\xdb", bytes(7) + b"\xff\xdb", 1)
    ),
    "png": Photo("PNG", lambda: written(scene(), "PNG")),
    "interlaced": Photo("PNG", _interlaced),
    "16 bits": Photo("PNG", sixteen_bits),
    "16 bits grey": Photo(
        "PNG", lambda: written(_grey().convert("I").point(lambda value: value * 257).convert("I;16"), "PNG"), _grey
    ),
    "palette": Photo("PNG", lambda: written(scene().quantize(256), "PNG"), lambda: scene().quantize(256)),
    "transparent": Photo("PNG", on_glass, on_white),
    "telling png": Photo("PNG", telling_png, lambda: in_p3(scene())),
    "wrong checksum": Photo("PNG", lambda: _spoiled(written(scene(), "PNG", dpi=(300, 300)), b"pHYs")),
    "no IEND": Photo("PNG", lambda: written(scene(), "PNG")[:-12]),
    "apng": Photo("PNG", lambda: animated("PNG")),
    "webp": Photo("WEBP", lambda: written(scene(), "WEBP", quality=92)),
    "lossless webp": Photo("WEBP", lambda: written(scene(), "WEBP", lossless=True)),
    "animated webp": Photo("WEBP", lambda: animated("WEBP")),
    "long webp": Photo("WEBP", lambda: _longer(written(scene(), "WEBP", quality=92))),
    "gif": Photo("GIF", lambda: written(scene().quantize(256), "GIF"), lambda: scene().quantize(256)),
    "animated gif": Photo("GIF", lambda: animated("GIF"), lambda: scene().quantize(256)),
    "heic": Photo("HEIC", heic),
    "grey heic": Photo("HEIC", lambda: written(_grey(), "HEIF", quality=85), _grey),
    "heic of several": Photo("HEIC", lambda: heic(save_all=True, append_images=[scene(seed=2)])),
    "avif": Photo("AVIF", lambda: written(scene(), "AVIF", quality=85, speed=9)),
    **{f"jpeg {turn}": Photo("JPEG", lambda turn=turn: turned("JPEG", turn, quality=92)) for turn in TURNED},  # type: ignore[misc]
    **{f"png {turn}": Photo("PNG", lambda turn=turn: turned("PNG", turn)) for turn in (6, 7)},  # type: ignore[misc]
    **{f"webp {turn}": Photo("WEBP", lambda turn=turn: turned("WEBP", turn, quality=92)) for turn in (6, 7)},  # type: ignore[misc]
    **{f"heic {turn}": Photo("HEIC", lambda turn=turn: heic(turn)) for turn in (6, 7)},  # type: ignore[misc]
    **{f"avif {turn}": Photo("AVIF", lambda turn=turn: turned("AVIF", turn, quality=85, speed=9)) for turn in (6, 7)},  # type: ignore[misc]
}
