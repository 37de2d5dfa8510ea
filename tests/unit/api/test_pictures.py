"""Pictures: nothing but the picture passes, and all of the picture does. Judged by an independent decoder."""

import functools
import io
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageCms, ImageSequence
from PIL.PngImagePlugin import PngInfo

from bapsang_api.uploads.pictures import MOST_PIXELS, NotAPictureError, TooManyPixelsError, clean

SECRET = b"37.5665,126.9780"
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "jpeg": ("JPEG", "RGB", {"quality": 85}),
    "progressive jpeg": ("JPEG", "RGB", {"progressive": True, "comment": SECRET}),
    "grey jpeg": ("JPEG", "L", {}),
    "cmyk jpeg": ("JPEG", "CMYK", {}),
    "jpeg with restarts": ("JPEG", "RGB", {"restart_marker_rows": 1}),
    "png": ("PNG", "RGB", {}),
    "png with alpha": ("PNG", "RGBA", {}),
    "png with palette": ("PNG", "P", {}),
    "webp": ("WEBP", "RGB", {"quality": 80}),
    "webp with alpha": ("WEBP", "RGBA", {"quality": 80}),
    "lossless webp": ("WEBP", "RGBA", {"lossless": True}),
}


def drawing(mode: str = "RGB", shift: int = 0) -> Image.Image:
    picture = Image.linear_gradient("L").resize((63, 41)).rotate(shift)
    bands = [picture, picture.rotate(90), picture.rotate(180), picture.rotate(270)]
    return Image.merge("RGBA", bands).convert(mode)


def encoded(kind: str, **more: Any) -> bytes:
    form, mode, options = KINDS[kind]
    written = io.BytesIO()
    drawing(mode).save(written, form, **options, **more)
    return written.getvalue()


@functools.cache
def with_everything(kind: str, orientation: int = 6) -> bytes:
    """Return a picture with all the metadata that its format can carry."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = SECRET.decode()
    exif.get_ifd(0x8825)[29] = SECRET.decode()
    more: dict[str, Any] = {"exif": exif, "icc_profile": ICC, "xmp": b"<x:xmpmeta>" + SECRET + b"</x:xmpmeta>"}
    if KINDS[kind][0] == "PNG":
        del more["xmp"]
        more["pnginfo"] = PngInfo()
        more["pnginfo"].add_text("Comment", SECRET.decode())
        more["pnginfo"].add_text("Comment", SECRET.decode(), zip=True)
        more["pnginfo"].add_itxt("XML:com.adobe.xmp", SECRET.decode())
    return encoded(kind, **more)


def opened(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content))
    picture.load()
    return picture


def type_of(kind: str) -> str:
    return TYPES[KINDS[kind][0]]


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(*chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def header(width: int, height: int) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


@pytest.mark.parametrize("kind", KINDS)
def test_every_pixel_the_colours_and_the_orientation_stay_and_all_else_goes(kind: str) -> None:
    given_ = with_everything(kind)
    cleaned = clean(given_, type_of(kind))
    assert SECRET not in cleaned.content
    before, after = opened(given_), opened(cleaned.content)
    assert (before.format, before.mode, before.size) == (after.format, after.mode, after.size)
    assert (cleaned.width, cleaned.height) == after.size
    assert cleaned.content_type == type_of(kind)
    assert ImageChops.difference(before.convert("RGBA"), after.convert("RGBA")).getbbox(alpha_only=False) is None
    assert after.info.get("icc_profile") == before.info.get("icc_profile")
    assert dict(after.getexif()) == {0x0112: 6}
    assert not after.info.keys() & {"comment", "Comment", "xmp", "XML:com.adobe.xmp"}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_picture_is_shown_the_way_the_camera_was_held(kind: str, orientation: int) -> None:
    shown = opened(clean(with_everything(kind, orientation), type_of(kind)).content)
    assert shown.getexif().get(0x0112, 1) == orientation


@pytest.mark.parametrize("kind", KINDS)
def test_cleaning_again_changes_nothing(kind: str) -> None:
    once = clean(with_everything(kind), type_of(kind)).content
    assert clean(once, type_of(kind)).content == once


@pytest.mark.parametrize("kind", KINDS)
def test_what_follows_the_end_goes(kind: str) -> None:
    content = encoded(kind)
    film = b"\0\0\0\x18ftypmp42" + SECRET
    assert clean(content + film, type_of(kind)).content == clean(content, type_of(kind)).content


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_animations_keep_every_frame(form: str) -> None:
    written = io.BytesIO()
    frames = [drawing(shift=shift) for shift in (0, 40, 80)]
    exif = Image.Exif()
    exif[0x010F] = SECRET.decode()
    frames[0].save(written, form, save_all=True, append_images=frames[1:], duration=100, exif=exif, lossless=True)
    cleaned = clean(written.getvalue(), TYPES[form])
    assert SECRET not in cleaned.content
    before, after = Image.open(written), Image.open(io.BytesIO(cleaned.content))
    pairs = list(zip(ImageSequence.Iterator(before), ImageSequence.Iterator(after), strict=True))
    assert len(pairs) == 3
    for one, other in pairs:
        assert ImageChops.difference(one.convert("RGB"), other.convert("RGB")).getbbox() is None


def test_thumbnail_of_what_was_cropped_away_goes() -> None:
    content = encoded("jpeg")
    assert content[6:11] == b"JFIF\0"
    thumbnail = b"JFIF\0\x01\x02\0\0\x01\0\x01\x01\x01" + SECRET[:3]
    with_thumbnail = content[:2] + b"\xff\xe0" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + content[20:]
    assert b"JFIF" not in clean(with_thumbnail, "image/jpeg").content


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_truncated_picture_is_refused_wherever_it_ends(kind: str, data: st.DataObject) -> None:
    content = with_everything(kind)
    with pytest.raises(NotAPictureError):
        clean(content[: data.draw(st.integers(0, len(content) - 1))], type_of(kind))


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_damaged_picture_is_cleaned_or_refused_but_never_an_error(kind: str, data: st.DataObject) -> None:
    content = bytearray(with_everything(kind))
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=8)):
        content[at] = value
    try:
        cleaned = clean(bytes(content), type_of(kind))
    except (NotAPictureError, TooManyPixelsError):
        return
    assert 0 < cleaned.width * cleaned.height <= MOST_PIXELS


@given(st.binary(max_size=200), st.sampled_from(["", "\x89PNG\r\n\x1a\n", "\xff\xd8", "RIFF"]))
def test_anything_else_is_refused(content: bytes, start: str) -> None:
    for content_type in TYPES.values():
        with pytest.raises(NotAPictureError):
            clean(start.encode("latin-1") + content, content_type)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("claimed", [*TYPES.values(), "image/gif", "text/html"])
def test_type_must_be_the_one_it_claims(kind: str, claimed: str) -> None:
    if claimed != type_of(kind):
        with pytest.raises(NotAPictureError):
            clean(encoded(kind), claimed)


def test_unregistered_name_of_jpeg_is_one() -> None:
    assert clean(encoded("jpeg"), "image/jpg").content_type == "image/jpeg"


def test_picture_that_would_unpack_to_gigabytes_is_refused() -> None:
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    end = chunk(b"IEND", b"")
    assert clean(png(header(10_000, 5_000), pixels, end), "image/png").width == 10_000
    with pytest.raises(TooManyPixelsError):
        clean(png(header(10_000, 5_001), pixels, end), "image/png")
    jpeg = bytearray(encoded("jpeg"))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    with pytest.raises(TooManyPixelsError):
        clean(bytes(jpeg), "image/jpeg")
    canvas = b"\x10\0\0\0" + b"\xff\xff\xff" * 2
    still = encoded("lossless webp")[12:]
    body = b"WEBPVP8X" + struct.pack("<I", 10) + canvas + still
    with pytest.raises(TooManyPixelsError):
        clean(b"RIFF" + struct.pack("<I", len(body)) + body, "image/webp")


@pytest.mark.parametrize(
    "content",
    [
        png(header(1, 1), chunk(b"IEND", b"")),
        png(header(0, 1), chunk(b"IDAT", b""), chunk(b"IEND", b"")),
        png(chunk(b"IDAT", b""), header(1, 1), chunk(b"IEND", b"")),
        png(header(1, 1), chunk(b"EVIL", b""), chunk(b"IDAT", b""), chunk(b"IEND", b"")),
        png(header(1, 1), chunk(b"IDAT", b"x")[:-1] + b"\0", chunk(b"IEND", b"")),
    ],
    ids=["no pixels", "no width", "header not first", "unknown critical chunk", "wrong checksum"],
)
def test_png_that_is_none_is_refused(content: bytes) -> None:
    with pytest.raises(NotAPictureError):
        clean(content, "image/png")


def test_webp_with_a_picture_larger_than_itself_is_refused() -> None:
    small = b"\x10\0\0\0" + b"\x01\0\0" * 2
    body = b"WEBPVP8X" + struct.pack("<I", 10) + small + encoded("lossless webp")[12:]
    with pytest.raises(NotAPictureError, match="larger than itself"):
        clean(b"RIFF" + struct.pack("<I", len(body)) + body, "image/webp")


def test_jpeg_with_two_frames_or_without_a_scan_is_refused() -> None:
    content = encoded("jpeg")
    frame, scan = content.index(b"\xff\xc0"), content.index(b"\xff\xda")
    length = struct.unpack_from(">H", content, frame + 2)[0] + 2
    with pytest.raises(NotAPictureError, match="more than one frame"):
        clean(content[:frame] + content[frame : frame + length] + content[frame:], "image/jpeg")
    with pytest.raises(NotAPictureError, match="no picture in it"):
        clean(content[:scan] + b"\xff\xd9", "image/jpeg")
