"""Files by thousands: spoiled ones, and those that Pillow's own tests use. What the first look says of each is what the decoder says."""

import random
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import pytest
import pyvips
from tests.likeness import difference, resized, ssim
from tests.photos import DISPLAY_P3, exif, scene, written

from bapsang_api.media.kinds import HEAD, kind_of
from bapsang_api.media.look import Looked, look
from bapsang_api.media.process import Outcome, decode, examine, memory_file
from bapsang_api.media.verdict import Photo, Reason, Refused, Undecided, Use
from bapsang_api.uploads.rules import MOST_BYTES

#: What the decoder would still take: a scan repeated fifty times, for which every viewer pays.
TOO_MANY = Reason.TOO_MANY_PARTS


def looked_at(content: bytes) -> Outcome:
    """Decode it, and require of the first look that it refuses no more than the decoder, parts apart, and tells no other size."""
    kind, looked = kind_of(content), look(content[:HEAD], len(content))
    with memory_file(content) as upload:
        outcome = decode(upload, kind, Use.POST) if kind else examine(upload, Use.POST)
    if isinstance(outcome.verdict, Photo) and not (isinstance(looked, Refused) and looked.reason is TOO_MANY):
        assert isinstance(looked, Looked), looked
        assert (looked.width, looked.height) in {(outcome.verdict.width, outcome.verdict.height), (None, None)}
    return outcome


def seeds() -> list[bytes]:
    """Return small files of each kind with all that a file can have."""
    small, other = scene(64, 48), scene(64, 48, 2)
    told = {"exif": exif(6, telling=True), "icc_profile": DISPLAY_P3}
    return [
        written(small, "JPEG", **told),
        written(small, "JPEG", progressive=True, restart_marker_blocks=2, **told),
        written(small.convert("CMYK"), "JPEG"),
        written(small, "MPO", save_all=True, append_images=[other]),
        written(small, "PNG", **told),
        written(small.quantize(16), "PNG", save_all=True, append_images=[other.quantize(16)]),
        written(small, "WEBP", **told),
        written(small.convert("RGBA"), "WEBP", lossless=True, save_all=True, append_images=[other]),
        written(small.quantize(16), "GIF", save_all=True, append_images=[other.quantize(16)]),
        written(small, "HEIF", exif=exif(6).tobytes()),
        written(small, "AVIF", speed=10, **told),
    ]


def spoiled(count: int, seed: int) -> Iterator[bytes]:
    """Yield files with some bytes changed, moved, left out, repeated or replaced by numbers at the edge of their range."""
    draw = random.Random(seed)
    originals = seeds()
    edges = [b"\0", b"\xff", b"\x7f", b"\x80", b"\0\0\0\0", b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0\0\xff\xff"]
    for number in range(count):
        content = bytearray(originals[number % len(originals)])
        for _ in range(draw.choice((1, 1, 2, 4, 16))):
            at = draw.randrange(min(len(content), draw.choice((64, 700, len(content)))))
            length = draw.choice((1, 2, 4, 8, 64))
            match draw.randrange(5):
                case 0:
                    content[at] ^= 1 << draw.randrange(8)
                case 1:
                    edge = draw.choice(edges)
                    content[at : at + len(edge)] = edge
                case 2:
                    del content[at : at + length]
                case 3:
                    content[at:at] = content[at : at + length] * draw.choice((1, 2, 50))
                case _:
                    content[at : at + length] = draw.randbytes(length)
        yield bytes(content[: draw.randrange(len(content))] if draw.random() < 0.05 else content)


def counted(contents: Iterator[bytes]) -> Counter[str]:
    """Look at each on two cores and count the verdicts."""

    def said(content: bytes) -> str:
        verdict = looked_at(content).verdict
        return "ACCEPTED" if isinstance(verdict, Photo) else verdict.reason

    with ThreadPoolExecutor(2) as pool:
        return Counter(pool.map(said, contents))


def require_decided(counts: Counter[str]) -> None:
    """Each was accepted or refused: nothing was a bug or took too long by the clock; some were each."""
    assert counts["ACCEPTED"] > 0
    assert counts[Reason.DAMAGED] > 0
    assert {
        reason: counts[reason] for reason in (Reason.BROKEN, Reason.TIMED_OUT, Reason.KILLED) if counts[reason]
    } == {}


def test_spoiled_files_are_accepted_or_refused() -> None:
    require_decided(counted(spoiled(44, seed=1)))


@pytest.mark.nightly("photos")
def test_twenty_thousand_spoiled_files_are_accepted_or_refused(record_property: Callable[[str, object], None]) -> None:
    counts = counted(spoiled(20_000, seed=2))
    for reason, count in counts.items():
        record_property(reason, count)
    assert counts.total() == 20_000
    require_decided(counts)


@pytest.fixture(scope="module")
def pillows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The pictures of the tests of Pillow, from its source package: name to content."""
    folder = tmp_path_factory.mktemp("pillow")
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", "pillow"]
    subprocess.run([*command, "-d", str(folder), f"pillow=={version('pillow')}"], check=True, timeout=600)
    (archive,) = folder.glob("*.tar.gz")
    found = {}
    with tarfile.open(archive) as package:
        for member in package:
            if "/Tests/images/" in member.name and member.isfile() and member.size <= MOST_BYTES:
                content = package.extractfile(member)
                assert content is not None
                found[member.name.partition("/Tests/images/")[2]] = content.read()
    return found


LINES = "a few pixels or lines of pure colours, of which both formats keep a quarter of the colour"
#: What looks otherwise than by libvips, and why.
UNLIKE = {
    **dict.fromkeys(("bitmap_font_stroke_basic.png", "bitmap_font_stroke_raqm.png", "color_snakes.png"), LINES),
    **dict.fromkeys(("bmp/html/pal1bg.png", "bmp/html/pal4.png", "xmp_tags_orientation_exiftool.png"), LINES),
    **dict.fromkeys(("imagedraw_polygon_1px_high.png", "imagedraw_polygon_1px_high_translucent.png"), LINES),
    "i_trns.png": "one grey of 16 bits is transparent, which Pillow leaves out",
    "pil_sample_cmyk.jpg": "CMYK without a profile: libvips takes one of its own, we and browsers none",
}


@pytest.mark.nightly("photos")
def test_pictures_of_pillows_tests_are_refused_or_look_as_by_libvips(pillows: dict[str, bytes]) -> None:
    mine = {name: content for name, content in pillows.items() if kind_of(content)}
    assert len(mine) > 300
    with ThreadPoolExecutor(2) as pool:
        outcomes = dict(zip(mine, pool.map(looked_at, mine.values()), strict=True))
    assert [name for name, outcome in outcomes.items() if isinstance(outcome.verdict, Undecided)] == []
    unlike = {}
    compared = 0
    for name, outcome in outcomes.items():
        if isinstance(outcome.verdict, Refused):
            continue
        variant = outcome.verdict.variants[-2]
        shown = by_libvips(mine[name])
        if shown is None:
            continue
        compared += 1
        got = pyvips.Image.new_from_buffer(outcome.files[variant.name], "").colourspace("srgb")
        expected = resized(shown, variant.width, variant.height)
        alike, distance = ssim(got, expected), difference(got, expected)
        if alike < 0.95 and distance > 3:
            unlike[name] = (round(alike, 3), round(distance, 2))
    assert compared > 500
    assert unlike.keys() == UNLIKE.keys(), unlike


def by_libvips(content: bytes) -> pyvips.Image | None:
    """Return the picture as libvips decodes it, the right way up, in sRGB, on white; None where it cannot."""
    try:
        image = pyvips.Image.new_from_buffer(content, "", access="random").autorot()
        if image.get_typeof("icc-profile-data"):
            image = image.icc_transform("srgb", embedded=True, intent="perceptual")
        image = image.colourspace("srgb")
        if image.hasalpha():
            image = image.flatten(background=255)
        return image.cast("uchar").copy_memory()
    except pyvips.Error:
        return None
