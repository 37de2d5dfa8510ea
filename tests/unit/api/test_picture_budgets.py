"""Budgets of a check: what it may cost, whatever ten megabytes come, and that real pictures stay far below."""

import io
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageSequence
from tests import hostile
from tests.confined import Confined, confined
from tests.hostile import FILES, chunk, framed, riff, segment, webp

from bapsang_api.uploads.pictures import (
    _CLEANERS,
    MOST_ANIMATION_PIXELS,
    NotAPictureError,
    TooManyPixelsError,
    clean,
    profile,
)
from bapsang_api.uploads.pictures.picture import MOST_PARTS, MOST_SCANS, Budget
from bapsang_api.uploads.rules import MOST_BYTES

from .test_pictures import ICC, KINDS, TYPES, drawing, encoded, header, opened, png, type_of, with_everything

#: Calls of functions, Python's own and those in C, that a check may need: short EXIF takes the most, 25 a part.
MOST_CALLS = 30 * MOST_PARTS
#: Where the parts of a format begin: a pattern, and how far before its match.
PARTS = {"JPEG": (rb"\xff[\x01-\xfe]", 0), "PNG": (rb"[A-Za-z]{4}", 4), "WEBP": (rb"VP8[ LX]|[A-Z]{3}[A-Z ]", 0)}


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Confined]:
    with confined("picture", tmp_path_factory.mktemp("confined")) as process:
        yield process


@pytest.mark.parametrize("name", FILES)
def test_ten_hostile_megabytes_are_checked_within_little_memory_time_and_steps(limited: Confined, name: str) -> None:
    file = FILES[name]
    content = file.make()
    assert len(content) <= MOST_BYTES
    checked = limited.picture(content, file.content_type)
    assert checked.accepted is file.accepted
    assert checked.size <= len(content)
    assert checked.calls <= MOST_CALLS


def animated(form: str) -> bytes:
    written = io.BytesIO()
    first, *others = (drawing(shift=shift) for shift in range(0, 90, 30))
    first.save(written, form, save_all=True, append_images=others, lossless=True)
    return written.getvalue()


@settings(max_examples=25)
@given(data=st.data())
def test_whatever_is_repeated_in_a_real_picture_stays_within_the_limits(limited: Confined, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from([*KINDS, "animated PNG", "animated WEBP"]))
    form = kind.split()[-1] if kind.startswith("animated") else KINDS[kind][0]
    content = animated(form) if kind.startswith("animated") else with_everything(kind)
    pattern, back = PARTS[form]
    parts = st.sampled_from([found.start() - back for found in re.finditer(pattern, content) if found.start() > back])
    first, last = sorted(data.draw(st.lists(parts | st.integers(1, len(content)), min_size=2, max_size=2, unique=True)))
    part = content[first:last]
    large = bytearray(hostile.filled(content[:last], part, content[last:]))
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(content)), st.integers(0, 255)), max_size=3)):
        large[at] = value
    if form == "WEBP":
        large[4:8] = struct.pack("<I", len(large) - 8)
    assert limited.picture(bytes(large), TYPES[form]).calls <= MOST_CALLS


@pytest.mark.parametrize(
    ("mode", "options"),
    [("L", {}), ("RGB", {}), ("RGB", {"keep_rgb": True}), ("CMYK", {}), ("RGB", {"optimize": True, "quality": 100})],
)
def test_every_progressive_jpeg_of_libjpeg_has_few_enough_scans(mode: str, options: dict[str, Any]) -> None:
    written = io.BytesIO()
    drawing(mode).save(written, "JPEG", progressive=True, **options)
    content = written.getvalue()
    assert 6 <= content.count(b"\xff\xda") <= 18
    assert opened(clean(content, "image/jpeg").content).tobytes() == opened(content).tobytes()


def test_jpeg_may_have_just_so_many_scans() -> None:
    content = encoded("progressive jpeg")
    scan = content[content.rindex(b"\xff\xda") : -2]
    more = MOST_SCANS - content.count(b"\xff\xda")
    most = content[:-2] + scan * more + content[-2:]
    assert clean(most, "image/jpeg").content.count(b"\xff\xda") == MOST_SCANS
    with pytest.raises(NotAPictureError, match="scans"):
        clean(most[:-2] + scan + most[-2:], "image/jpeg")


@pytest.mark.parametrize(
    ("kind", "part", "at"),
    [("jpeg", segment(0xFE), 2), ("png", chunk(b"tEXt", b"a\0"), 33), ("webp", riff(b"JUNK"), 30)],
    ids=["jpeg", "png", "webp"],
)
def test_picture_may_have_just_so_many_parts(kind: str, part: bytes, at: int) -> None:
    content = encoded(kind, **({"exif": Image.Exif(), "icc_profile": ICC} if kind == "webp" else {}))

    def with_more(count: int) -> bytes:
        more = content[:at] + part * count + content[at:]
        return more[:4] + struct.pack("<I", len(more) - 8) + more[8:] if kind == "webp" else more

    used = Budget()
    _CLEANERS[type_of(kind)](content, used)
    room = MOST_PARTS - used.parts
    assert clean(with_more(room), type_of(kind)).content == clean(content, type_of(kind)).content
    with pytest.raises(NotAPictureError, match=f"more than {MOST_PARTS} parts"):
        clean(with_more(room + 1), type_of(kind))


@pytest.mark.parametrize("length", [1, 100, 8192])
def test_png_is_accepted_however_small_the_chunks_of_its_encoder(length: int) -> None:
    content = encoded("png")
    data = content[content.index(b"IDAT") + 4 : content.index(b"IEND") - 8]
    pieces = [chunk(b"IDAT", data[at : at + length]) for at in range(0, len(data), length)]
    cut = png(content[8:33], *pieces, chunk(b"IEND", b""))
    assert opened(clean(cut, "image/png").content).tobytes() == opened(content).tobytes()


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_long_animations_are_accepted(form: str) -> None:
    written = io.BytesIO()
    frames = [Image.new("RGB", (24, 16), (number % 256, number // 256, 0)) for number in range(500)]
    frames[0].save(written, form, save_all=True, append_images=frames[1:], duration=40, lossless=True, method=0)
    cleaned = Image.open(io.BytesIO(clean(written.getvalue(), TYPES[form]).content))
    assert sum(1 for _ in ImageSequence.Iterator(cleaned)) == 500


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_frames_of_an_animation_may_be_just_so_large_and_have_just_so_many_pixels(form: str) -> None:
    def animation(frames: int, canvas: tuple[int, int]) -> bytes:
        if form == "WEBP":
            return webp(framed(hostile.DOT) * frames, canvas=canvas)
        return png(header(*canvas), chunk(b"IDAT", b"x"), *[chunk(b"fcTL", bytes(26))] * frames, chunk(b"IEND"))

    for frames, canvas, more in ((1, (10_000, 5_000), (10_000, 5_001)), (2, (3840, 2160), (3841, 2160))):
        assert clean(animation(frames, canvas), TYPES[form]).width == canvas[0]
        with pytest.raises(TooManyPixelsError):
            clean(animation(frames, more), TYPES[form])
    most = MOST_ANIMATION_PIXELS // (1920 * 1080)
    assert clean(animation(most, (1920, 1080)), TYPES[form]).width == 1920
    with pytest.raises(TooManyPixelsError, match=f"{most + 1} frames"):
        clean(animation(most + 1, (1920, 1080)), TYPES[form])


def with_profile(kind: str, content: bytes) -> bytes:
    """Return a picture with a colour profile that holds just this."""
    if kind == "png":
        plain = encoded("png")
        return plain[:33] + chunk(b"iCCP", b"a\0\0" + zlib.compress(content)) + plain[33:]
    return encoded(kind, icc_profile=content)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_large_colour_profile_stays(kind: str) -> None:
    size = 2**20 if kind == "png" else profile.MOST_BYTES  # the decoder unpacks no more
    large = ICC + bytes(size - len(ICC))  # in JPEG, 65 segments
    assert opened(clean(with_profile(kind, large), type_of(kind)).content).info["icc_profile"] == large


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_colour_profile_that_is_too_large_is_refused(kind: str) -> None:
    with pytest.raises(NotAPictureError, match="profile"):
        clean(with_profile(kind, ICC + bytes(profile.MOST_BYTES - len(ICC) + 1)), type_of(kind))


def test_colour_profile_of_a_png_may_have_just_so_many_packed_bytes() -> None:
    plain = encoded("png")

    def packed(size: int) -> bytes:
        stored = zlib.compress(ICC + bytes(size - len(ICC)), 0)
        return plain[:33] + chunk(b"iCCP", b"a\0\0" + stored) + plain[33:]

    grown = len(zlib.compress(bytes(profile.MOST_PACKED_BYTES), 0)) - profile.MOST_PACKED_BYTES
    most = profile.MOST_PACKED_BYTES - grown
    assert clean(packed(most), "image/png").content == packed(most)
    with pytest.raises(NotAPictureError, match="packed"):
        clean(packed(most + 1), "image/png")


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("content", [b"", b"<html>" * 50, ICC[:127], ICC[1:], bytes(36) + b"ACSP" + bytes(200)])
def test_colour_profile_that_is_none_goes_and_the_picture_stays(kind: str, content: bytes) -> None:
    given_ = with_profile(kind, content)
    cleaned = clean(given_, type_of(kind)).content
    after = opened(cleaned)
    assert "icc_profile" not in after.info
    assert after.tobytes() == opened(given_).tobytes()
    if kind == "webp":
        assert cleaned[12:16] != b"VP8X" or not cleaned[20] & 0x20


@pytest.mark.parametrize(
    "body",
    [b"", b"a", b"a\0", b"a\0\0", b"a" * 90, b"a\0\1" + zlib.compress(ICC), b"a\0\0" + zlib.compress(ICC)[:-1]],
)
def test_colour_profile_of_a_png_that_cannot_be_unpacked_goes(body: bytes) -> None:
    plain = encoded("png")
    cleaned = clean(plain[:33] + chunk(b"iCCP", body) + plain[33:], "image/png").content
    assert cleaned == clean(plain, "image/png").content


@pytest.mark.parametrize("numbers", [[(1, 2)], [(1, 2), (1, 2)], [(0, 1)], [(1, 1), (1, 1)], [(2, 3), (3, 3)], []])
def test_colour_profile_of_a_jpeg_goes_when_a_part_is_missing_or_doubled(numbers: list[tuple[int, int]]) -> None:
    plain = encoded("jpeg")
    segments = [segment(0xE2, b"ICC_PROFILE\0" + bytes(pair) + ICC) for pair in numbers]
    short = segment(0xE2, b"ICC_PROFILE\0\1")
    cleaned = clean(plain[:2] + b"".join(segments) + (b"" if numbers else short) + plain[2:], "image/jpeg").content
    assert cleaned == clean(plain, "image/jpeg").content


def test_first_colour_profile_counts() -> None:
    other = chunk(b"iCCP", b"other\0\0" + zlib.compress(ICC + b"other"))
    doubled = with_profile("png", ICC)
    assert opened(clean(doubled.replace(chunk(b"IDAT"), b""), "image/png").content).info["icc_profile"] == ICC
    at = doubled.index(b"IDAT") - 4
    assert clean(doubled[:at] + other + doubled[at:], "image/png").content == clean(doubled, "image/png").content
    webp_ = with_profile("webp", ICC)
    more = webp_ + riff(b"ICCP", ICC + b"other!")
    more = more[:4] + struct.pack("<I", len(more) - 8) + more[8:]
    assert clean(more, "image/webp").content == clean(webp_, "image/webp").content


def test_png_with_a_second_header_is_refused() -> None:
    pixels, end = chunk(b"IDAT", zlib.compress(bytes(52))), chunk(b"IEND")
    assert clean(png(header(4, 4), pixels, end), "image/png").width == 4
    for chunks in ((header(60_000, 60_000), pixels), (pixels, header(60_000, 60_000)), (header(4, 4), pixels)):
        with pytest.raises(NotAPictureError):
            clean(png(header(4, 4), *chunks, end), "image/png")


EXIF = {
    "loop": hostile.TIFF + struct.pack(">HI", 0, 8),
    "list within its own header": b"MM\0*" + struct.pack(">I", 0),
    "list far outside": b"MM\0*" + struct.pack(">I", 0xFFFF_FFFF),
    "65,535 entries that are not there": hostile.TIFF + b"\xff\xff",
    "65,535 entries of which a few are there": hostile.TIFF + b"\xff\xff" + bytes(12 * 5_000),
    "large": hostile.entries(5_000),
    "cut": b"II*",
    "": b"",
}


@pytest.mark.parametrize("name", EXIF)
def test_exif_that_leads_nowhere_goes_and_the_picture_stays(name: str) -> None:
    block = EXIF[name]
    plain = {kind: encoded(kind) for kind in ("jpeg", "png")}
    given_ = {
        "jpeg": plain["jpeg"][:2] + segment(0xE1, b"Exif\0\0" + block) + plain["jpeg"][2:],
        "png": plain["png"][:33] + chunk(b"eXIf", block) + plain["png"][33:],
    }
    for kind, content in plain.items():
        assert clean(given_[kind], type_of(kind)).content == clean(content, type_of(kind)).content
    cleaned = clean(webp(riff(b"EXIF", block), hostile.still(), flags=0x08), "image/webp").content
    assert cleaned == webp(hostile.still())


def test_fill_bytes_between_segments_go() -> None:
    plain = encoded("jpeg")
    filled = plain[:2] + b"\xff" * 5_000 + plain[2:-2] + b"\xff" * 5_000 + plain[-2:]
    assert opened(clean(filled, "image/jpeg").content).tobytes() == opened(plain).tobytes()
    assert len(clean(filled, "image/jpeg").content) < len(plain) + 6_000


@pytest.mark.parametrize("shift", range(-2, 3))
def test_scan_ends_where_its_marker_is_wherever_the_window_of_the_search_ends(shift: int) -> None:
    plain = encoded("jpeg")
    start = plain.index(b"\xff\xda") + 2 + 12
    stuffed = plain[:-2] + bytes(64 * 1024 * 2 - (len(plain) - 2 - start) + shift) + b"\xff\xd9" + plain
    assert clean(stuffed, "image/jpeg").content == clean(stuffed[: -len(plain)], "image/jpeg").content
    with pytest.raises(NotAPictureError):
        clean(stuffed[: -len(plain) - 1], "image/jpeg")
