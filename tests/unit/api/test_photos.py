"""What is published of a photo: of every kind that phones and programs write, the picture, the right way up, and nothing else."""

import base64
import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import pyvips
from PIL import Image
from tests import photos
from tests.likeness import difference, of_pillow, of_thumbhash, resized, ssim
from tests.photos import KINDS, SIZE, scene, written
from tests.programs import program

from bapsang_api.media import sizes, thumbhash
from bapsang_api.media.process import Outcome, examine, memory_file
from bapsang_api.media.verdict import Photo, Reason, Refused, Use

#: What exiftool finds in a picture without metadata: what the file system, the format itself and arithmetic say.
BARE = {"SourceFile", "ExifTool", "System", "File", "JFIF", "RIFF", "Composite"}


def looked_at(content: bytes, use: Use = Use.POST) -> Outcome:
    with memory_file(content) as upload:
        return examine(upload, use)


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    with ThreadPoolExecutor(2) as pool:
        contents = {name: kind.make() for name, kind in KINDS.items()}
        return dict(zip(contents, pool.map(looked_at, contents.values()), strict=True))


@pytest.fixture(scope="module")
def published(outcomes: dict[str, Outcome], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    for name, outcome in outcomes.items():
        for file, content in outcome.files.items():
            (folder / f"{name.replace(' ', '-')}-{file}").write_bytes(content)
    return folder


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_published_as_what_it_shows(name: str, outcomes: dict[str, Outcome]) -> None:
    """The scene is known, and libvips decodes the variants and makes what they are compared with."""
    photo = outcomes[name].verdict
    assert isinstance(photo, Photo), photo
    assert (photo.kind, (photo.width, photo.height)) == (KINDS[name].kind, SIZE)
    shown = of_pillow(KINDS[name].shows())
    for variant in photo.variants[::3]:  # each size, and both formats
        got = pyvips.Image.new_from_buffer(outcomes[name].files[variant.name], "").colourspace("srgb")
        assert (got.width, got.height) == (variant.width, variant.height)
        expected = resized(shown, variant.width, variant.height)
        assert ssim(got, expected) >= 0.95, variant.name
        assert difference(got, expected) < 2.5, variant.name


@pytest.mark.parametrize("name", ["jpeg", "grey jpeg", "transparent", "heic 6"])
def test_placeholder_and_colour_are_those_of_the_picture(name: str, outcomes: dict[str, Outcome]) -> None:
    photo = outcomes[name].verdict
    assert isinstance(photo, Photo)
    assert len(photo.placeholder) <= 32
    hashed = base64.b64decode(photo.placeholder + "=" * (-len(photo.placeholder) % 4))
    shown = KINDS[name].shows().convert("RGB")
    average = shown.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    assert isinstance(average, tuple)
    told = bytes.fromhex(photo.colour[1:])
    assert all(abs(one - other) <= 3 for one, other in zip(told, average, strict=True))
    blurred = of_thumbhash(hashed)
    assert blurred.width / blurred.height == pytest.approx(SIZE[0] / SIZE[1], abs=0.2)
    sharp = of_pillow(shown.resize(blurred.size, Image.Resampling.BOX))
    flat = of_pillow(Image.new("RGB", blurred.size, average))
    assert difference(of_pillow(blurred), sharp) < 0.85 * difference(flat, sharp)


def test_variants_tell_nothing_but_the_picture(published: Path) -> None:
    command = [program("exiftool", "libimage-exiftool-perl"), "-j", "-a", "-G1", "-ee", "-u", str(published)]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=240).stdout)
    assert len(told) >= len(KINDS) * 4
    assert {tag.partition(":")[0] for file in told for tag in file} <= BARE
    assert {tag for file in told for tag in file if tag.startswith(("JFIF:", "RIFF:"))} <= {
        *("JFIF:JFIFVersion", "JFIF:ResolutionUnit", "JFIF:XResolution", "JFIF:YResolution"),
        *("RIFF:VP8Version", "RIFF:ImageWidth", "RIFF:HorizontalScale", "RIFF:ImageHeight", "RIFF:VerticalScale"),
    }


def test_no_byte_of_what_a_file_told_is_published(published: Path) -> None:
    assert photos.SECRET.encode() in photos.telling()
    files = sorted(published.iterdir())
    assert len(files) > 100
    assert [file.name for file in files if photos.SECRET.encode() in file.read_bytes()] == []


def test_a_witness_finds_what_is_in_the_originals(tmp_path: Path) -> None:
    for name in ("telling", "telling png"):
        (tmp_path / f"{name}.{KINDS[name].kind.lower()}").write_bytes(KINDS[name].make())
    command = [program("exiftool", "libimage-exiftool-perl"), "-j", "-a", "-G1", str(tmp_path)]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=240).stdout)
    groups = [{tag.partition(":")[0] for tag in file} for file in told]
    assert all({"IFD0", "GPS", "ExifIFD", "ICC_Profile"} <= group for group in groups)


def test_a_wide_gamut_is_brought_into_srgb() -> None:
    expected = photos.in_p3(Image.new("RGB", (1, 1), photos.P3_COLOUR)).getpixel((0, 0))
    assert isinstance(expected, tuple)
    assert max(abs(one - other) for one, other in zip(expected, photos.P3_COLOUR, strict=True)) > 15
    for content in (photos.wide_gamut(quality=95), photos.wide_gamut("PNG"), photos.wide_gamut("HEIF", quality=95)):
        files = looked_at(content).files
        pixel = pyvips.Image.new_from_buffer(files["640.webp"], "")(100, 100)
        assert all(abs(one - other) <= 4 for one, other in zip(pixel, expected, strict=True)), pixel


def test_a_profile_that_is_none_counts_as_srgb() -> None:
    grey = written(scene().convert("L"), "JPEG", icc_profile=photos.DISPLAY_P3)  # meant for other pixels
    for content in (grey, written(scene(), "JPEG", quality=92, icc_profile=b"\0" * 400), photos.broken_profile()):
        assert isinstance(looked_at(content).verdict, Photo)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((2000, 1500), [(320, 240), (640, 480), (1080, 810), (1600, 1200)]),
        ((1600, 1600), [(320, 320), (640, 640), (1080, 1080), (1600, 1600)]),
        ((700, 500), [(320, 229), (640, 457), (700, 500)]),
        ((320, 200), [(320, 200)]),
        ((9, 7), [(9, 7)]),
        ((4000, 10), [(320, 1), (640, 2), (1080, 3), (1600, 4)]),
        ((100, 5000), [(19, 960), (38, 1920), (65, 3240), (96, 4800)]),
    ],
)
def test_a_variant_is_never_larger_than_its_photo_nor_higher_than_three_widths(
    size: tuple[int, int], expected: list[tuple[int, int]]
) -> None:
    assert list(sizes.targets(Use.POST, size).values()) == expected


def test_a_long_screenshot_keeps_its_shape() -> None:
    photo = looked_at(written(Image.new("RGB", (300, 5000), "teal"), "PNG")).verdict
    assert isinstance(photo, Photo)
    assert [(one.name, one.width, one.height) for one in photo.variants if one.name.endswith("webp")] == [
        ("320.webp", 58, 960),
        ("640.webp", 115, 1920),
        ("1080.webp", 194, 3240),
        ("1600.webp", 288, 4800),
    ]


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_profile_picture_is_the_middle_of_the_photo(orientation: int) -> None:
    outcome = looked_at(photos.turned("JPEG", orientation, quality=95), Use.PROFILE)
    assert isinstance(outcome.verdict, Photo)
    assert [(one.name, one.width, one.height) for one in outcome.verdict.variants] == [
        *(("96.webp", 96, 96), ("96.jpg", 96, 96), ("256.webp", 256, 256), ("256.jpg", 256, 256)),
    ]
    middle = of_pillow(scene().crop((90, 0, 630, 540)))
    for name, content in outcome.files.items():
        got = pyvips.Image.new_from_buffer(content, "")
        assert difference(got, resized(middle, got.width, got.height)) < 4, name


def test_a_small_profile_picture_stays_small() -> None:
    photo = looked_at(written(scene(64, 48), "PNG"), Use.PROFILE).verdict
    assert isinstance(photo, Photo)
    assert [(one.name, one.width, one.height) for one in photo.variants] == [("96.webp", 48, 48), ("96.jpg", 48, 48)]


def test_the_same_file_gives_the_same_bytes() -> None:
    content = KINDS["jpeg"].make()
    first, again = looked_at(content), looked_at(content)
    assert (first.verdict, first.files) == (again.verdict, again.files)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((32, 24), "df07060d863052b84265895586367836062af6ce6c"),
        ((24, 32), "de07061506027320953b7548666459070634cbfe6e"),
        ((32, 32), "1f08020f042121b60144ba438637574885747250a0dcfe07"),
        ((5, 32), "9b570a11108470568483952684606df767"),
        ((1, 1), "000802070000000000000000000000000000000000000000"),
    ],
)
def test_a_hash_is_the_same_as_by_the_formats_own_encoder(size: tuple[int, int], expected: str) -> None:
    """The expected ones were written by its author's package for JavaScript (thumbhash 0.1.1)."""
    width, height = size
    pixels = [
        ((x * 37 + y * 11) % 256, (x * x + y * 5) % 256, (y * 29 + x * 3) % 256)
        for y in range(height)
        for x in range(width)
    ]
    assert thumbhash.encode(width, height, pixels).hex() == expected


def _cut() -> Iterator[tuple[str, bytes]]:
    for name in ("jpeg", "restarts", "cmyk", "grey jpeg", "png", "interlaced", "webp", "gif", "heic", "avif"):
        content = KINDS[name].make()
        yield name, content[: len(content) * 6 // 10]
        if KINDS[name].kind == "JPEG":
            yield f"{name}, with an end", content[: len(content) * 6 // 10] + b"\xff\xd9"
    progressive = KINDS["progressive"].make()
    yield "progressive", progressive[: len(progressive) * 6 // 10]


def test_a_file_that_is_cut_off_is_refused_and_not_shown_half_grey() -> None:
    cut = dict(_cut())
    with ThreadPoolExecutor(2) as pool:
        verdicts = dict(zip(cut, (outcome.verdict for outcome in pool.map(looked_at, cut.values())), strict=True))
    assert {name: verdict for name, verdict in verdicts.items() if not _refused(verdict, Reason.DAMAGED)} == {}


def test_a_picture_that_ends_in_grey_is_whole() -> None:
    grey = Image.new("RGB", (600, 400), (128, 128, 128))
    for options in ({}, {"progressive": True}, {"restart_marker_blocks": 5}):
        for image in (grey, grey.convert("L")):
            assert isinstance(looked_at(written(image, "JPEG", **options)).verdict, Photo)


def test_the_content_decides_the_kind() -> None:
    for content in photos.NO_PICTURES:
        assert _refused(looked_at(content).verdict, Reason.NOT_A_PICTURE)


def test_a_motion_photo_over_the_limit_is_refused_for_its_film(tmp_path: Path) -> None:
    film = photos.FILM + bytes(11 * 1024 * 1024)
    for content, reason in (
        (photos.motion_photo(film), Reason.MOTION_PHOTO),
        (written(scene(), "JPEG") + film, Reason.TOO_LARGE),
    ):
        (tmp_path / "upload").write_bytes(content)
        with (tmp_path / "upload").open("rb") as upload:
            verdict = examine(upload, Use.POST).verdict
        assert _refused(verdict, reason)


def _refused(verdict: object, reason: Reason) -> bool:
    return isinstance(verdict, Refused) and verdict.reason is reason
