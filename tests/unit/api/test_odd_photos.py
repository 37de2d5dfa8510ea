"""Files that are not as the formats' books have them: what browsers show is published, what nobody could see is refused."""

import pytest
import pyvips
from PIL import Image
from tests.likeness import difference, of_pillow, resized, ssim
from tests.odd_photos import HIDDEN, REFUSED, SHOWN
from tests.photos import FILM, KINDS, SECRET, written

from bapsang_api.media.kinds import HEAD, Kind
from bapsang_api.media.look import Looked, look
from bapsang_api.media.process import Outcome, examine, memory_file
from bapsang_api.media.verdict import Photo, Reason, Refused, Use


def looked_at(content: bytes) -> Outcome:
    with memory_file(content) as upload:
        return examine(upload, Use.POST)


@pytest.mark.parametrize("name", SHOWN)
def test_what_browsers_show_is_published_as_they_show_it(name: str) -> None:
    content, expected = SHOWN[name].make(), SHOWN[name].shows()
    outcome = looked_at(content)
    photo = outcome.verdict
    assert isinstance(photo, Photo), photo
    assert (photo.width, photo.height) == expected.size
    told = look(content[:HEAD], len(content))
    assert told in (Looked(Kind(photo.kind), *expected.size), Looked(Kind(photo.kind)))
    variant = photo.variants[0]
    got = pyvips.Image.new_from_buffer(outcome.files[variant.name], "").colourspace("srgb")
    wanted = resized(of_pillow(expected), variant.width, variant.height)
    assert ssim(got, wanted) >= 0.93
    assert difference(got, wanted) < 4.5
    assert SECRET.encode() not in b"".join(outcome.files.values())


@pytest.mark.parametrize("name", REFUSED)
def test_what_nobody_could_see_is_refused(name: str) -> None:
    verdict = looked_at(REFUSED[name]()).verdict
    assert isinstance(verdict, Refused)
    assert verdict.reason is Reason.DAMAGED


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "I;16"])
@pytest.mark.parametrize("size", [(96, 72), (97, 73), (3, 1), (1, 1)])
def test_a_png_that_ends_in_black_or_in_nothing_is_whole(mode: str, size: tuple[int, int]) -> None:
    image = Image.new(mode, size)
    plain = written(image, "PNG")
    interlaced: bytes = pyvips.Image.new_from_buffer(plain, "").pngsave_buffer(interlace=True)
    for content in (plain, interlaced):
        photo = looked_at(content).verdict
        assert isinstance(photo, Photo), photo
        assert (photo.width, photo.height) == size


@pytest.mark.parametrize("kind", ["jpeg", "progressive", "png", "webp", "gif", "heic", "avif"])
def test_what_follows_the_end_is_not_published(kind: str) -> None:
    """P11: the film of a motion photo, words, another file."""
    content = KINDS[kind].make()
    assert looked_at(content + FILM + HIDDEN).files == looked_at(content).files != {}


@pytest.mark.parametrize("size", [(16_382, 3_646), (9_248, 6_936), (12_000, 9_000)])
def test_the_largest_photos_of_phones_are_published(size: tuple[int, int]) -> None:
    """P4: panoramas, 64 and 108 megapixels."""
    photo = looked_at(written(Image.new("RGB", size, "teal"), "JPEG")).verdict
    assert isinstance(photo, Photo), photo
    assert (photo.width, photo.height) == size
    assert photo.variants[-1].width == 1600
