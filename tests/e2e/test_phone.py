"""A browser at phone size, on a page of another origin, uploads photos as phones take them and sees them the right way up."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Response, expect
from tests import photos

from bapsang_local import s3
from bapsang_local.settings import Settings

from .conftest import Community
from .site import browsing, serving_in_development

PASSWORD = "Bapsang-2026!"
PHONE = {"width": 390, "height": 844}
DENSITY = 2
#: What a phone of 12 megapixels takes: lying, and standing.
LYING, STANDING = (4032, 3024), (3024, 4032)
PATIENCE_MS = 30_000  # of one wait; a busy machine is no failure
MADE_MS = 120_000  # until the variants of a photo of 12 megapixels are there
#: A photo is compared in so many pixels by its longer side, by the mean difference of a channel.
GRID, SAME, OTHER = 32, 10, 20
TURNS = {1: None, **photos.TURNED}

expect.set_options(timeout=PATIENCE_MS)


@dataclass(frozen=True)
class Photo:
    """A file on the phone, and what its camera saw."""

    name: str
    content_type: str
    make: Callable[[], bytes]
    scene: Callable[[], Image.Image]

    @property
    def file(self) -> dict[str, Any]:
        return {"name": self.name, "mimeType": self.content_type, "buffer": self.make()}

    def grid(self, turn: int = 1) -> Image.Image:
        """Return the scene as it would be seen if it were held otherwise, in a few pixels."""
        transposed = TURNS[turn]
        image = self.scene() if transposed is None else self.scene().transpose(transposed)
        scale = GRID / max(image.size)
        return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BOX)


@cache
def heic() -> bytes:
    fast = {"preset": "ultrafast"}  # a tenth of the time
    return photos.written(photos.scene(*LYING, seed=3), "HEIF", quality=80, enc_params=fast)


@cache
def sideways() -> bytes:
    """Return a JPEG of a phone that stood: its sensor lies, and EXIF says how to turn what it stored."""
    stored = photos.scene(*STANDING, seed=4).transpose(photos.TURNED[6])
    assert stored.size == LYING
    return photos.written(stored, "JPEG", quality=85, exif=photos.exif(6).tobytes())


PHOTOS = (
    Photo("된장찌개.heic", "image/heic", heic, partial(photos.scene, *LYING, seed=3)),
    Photo("김치.jpg", "image/jpeg", sideways, partial(photos.scene, *STANDING, seed=4)),
)


@dataclass
class Phone:
    """Somebody with a phone. `answers` are all that the page got, without those to preflights, which only the browser sees."""

    page: Page
    answers: list[Response] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def open(self, address: str, api: str) -> None:
        self.page.on("response", lambda answer: self.answers.append(answer))  # noqa: PLW0108  # it sets an attribute
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._note)
        self.page.goto(f"{address}/phone.html?api={api}")

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def join(self) -> None:
        tag = secrets.token_hex(4)
        form = self.page.get_by_role("form", name="가입", exact=True)
        for label, value in (("이메일", f"{tag}@example.com"), ("비밀번호", PASSWORD), ("닉네임", tag)):
            form.get_by_label(label).fill(value)
        form.locator("button").click()
        expect(self.page.get_by_role("status")).to_have_text(tag)
        self.at_ease()

    def publish(self, *chosen: Photo) -> None:
        form = self.page.get_by_role("form", name="글쓰기", exact=True)
        form.get_by_label("제목").fill("오늘의 밥상")
        form.get_by_label("사진").set_input_files([photo.file for photo in chosen])  # type: ignore[arg-type]
        form.locator("button").click()

    def photo(self, photo: Photo) -> Locator:
        return self.page.get_by_role("img", name=photo.name, exact=True)

    def at_ease(self) -> None:
        assert self.page.get_by_role("alert").text_content() == ""
        assert self.errors == []

    def of_bucket(self, method: str, bucket: str) -> list[Response]:
        return [one for one in self.answers if one.request.method == method and one.url.startswith(bucket)]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browsing() as opened:
        yield opened


@pytest.fixture
def phone(chromium: Browser, settings: Settings, request: pytest.FixtureRequest) -> Iterator[Phone]:
    held = {"viewport": PHONE, "device_scale_factor": DENSITY, "is_mobile": True, "has_touch": True}
    failed = request.session.testsfailed
    with chromium.new_context(**held) as context:  # type: ignore[arg-type]
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        holder = Phone(page)
        yield holder
        if request.session.testsfailed > failed:
            picture = settings.logs / f"browser-{request.node.name}.png"
            page.screenshot(path=picture, full_page=True)
            answers = [f"{one.request.method} {one.url.partition('?')[0]} {one.status}" for one in holder.answers]
            print(f"Last seen: {picture}\n" + "\n".join([*answers, *holder.errors]))  # noqa: T201


def seen(image: Locator, size: tuple[int, int]) -> Image.Image:
    """Return what the page shows, read from a canvas: the browser hands out no pixels without CORS."""
    pixels = image.evaluate("(image, [columns, rows]) => seen(image, columns, rows)", list(size))
    return Image.frombytes("RGB", size, bytes(pixels))


def difference(one: Image.Image, other: Image.Image) -> float:
    channels = ImageStat.Stat(ImageChops.difference(one, other.resize(one.size))).mean
    return sum(channels) / len(channels)


def assert_upright(image: Locator, photo: Photo) -> None:
    upright = seen(image, photo.grid().size)
    differences = {turn: difference(upright, photo.grid(turn)) for turn in TURNS}
    assert differences.pop(1) < SAME, differences
    assert min(differences.values()) > OTHER, "the scene itself must tell how it is held"
    width, height = image.evaluate("async (image) => (await image.decode(), [image.naturalWidth, image.naturalHeight])")
    assert width / height == pytest.approx(photo.scene().width / photo.scene().height, rel=0.01)


def test_photos_of_a_phone_are_seen_upright_on_a_page_of_another_origin(
    phone: Phone, settings: Settings, sample: Community, figure: Callable[[str, str], None]
) -> None:
    bucket = f"{settings.url}/{s3.BUCKET}/"
    with serving_in_development() as address:
        phone.open(address, settings.url)
        phone.join()
        phone.publish(*PHOTOS)
        weights = {}
        for photo in PHOTOS:  # until the last is made the page draws all of them anew
            expect(phone.photo(photo)).to_have_attribute("data-state", "READY", timeout=MADE_MS)
        for photo in PHOTOS:
            image = phone.photo(photo)
            expect(image).to_have_js_property("complete", True)
            assert_upright(image, photo)
            assert image.get_attribute("data-placeholder")
            source: str = image.evaluate("image => image.currentSrc")
            variants = [one.split() for one in (image.get_attribute("data-srcset") or "").split(", ")]
            (chosen,) = [width for url, width in variants if url == source]
            (loaded,) = [one for one in phone.of_bucket("GET", bucket) if one.url == source]
            weights[f"{photo.name} ({len(photo.make()) >> 10} KiB): {chosen}"] = loaded.request.sizes()[
                "responseBodySize"
            ]
        phone.at_ease()
    for method in ("PUT", "GET"):  # and no picture was asked for before it was there
        assert [answer.status for answer in phone.of_bucket(method, bucket)] == [200] * len(PHOTOS)
    for what, weight in {**weights, "both": sum(weights.values())}.items():
        figure(f"weight at {PHONE['width']} px, {DENSITY}x: {what}", f"{weight / 1024:.1f} KiB")
