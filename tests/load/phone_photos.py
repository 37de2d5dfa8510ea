"""A corpus of photos as phones send them, drawn by script: dishes on a table, from plain to rough, with a sensor's noise.

What a photo weighs depends on its detail at each scale, so detail is what is drawn: noise of all scales whose strength falls
from coarse to fine as it does in photos, edges of thousands of small things, and blur where the lens is out of focus. How much
of each was chosen by what real photos weigh (`REAL` in tests/load/photo_weights.py).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import pyvips
from PIL import Image, ImageDraw
from tests.photos import exif, written

Colour = tuple[int, int, int]
#: Food, tables and tableware.
_COLOURS = ((182, 58, 38), (226, 168, 74), (94, 128, 52), (238, 226, 198), (120, 72, 44), (66, 52, 48), (214, 116, 66))
_TABLES = ((142, 104, 70), (92, 66, 48), (206, 198, 186), (58, 60, 64), (176, 150, 116))
#: From a table with one plate to a market stall: strength of detail, one after the other.
_DETAIL = (0.15, 0.25, 0.33, 0.42, 0.55, 0.65, 0.85, 1.1, 2.0, 4.0)


@dataclass(frozen=True)
class Phone:
    """What phones are set to. Sizes are of the upright picture; a portrait is stored on its side and says so in its EXIF."""

    form: str
    width: int
    height: int
    count: int
    quality: int

    @property
    def name(self) -> str:
        """Return the row's name, such as `12 MP JPEG 3:4`."""
        shape = {0.75: "3:4", 1.0: "1:1", 1.33: "4:3", 1.78: "16:9", 0.56: "9:16"}[round(self.width / self.height, 2)]
        return f"{round(self.width * self.height / 1e6)} MP {self.form} {shape}"


PHONES = (
    Phone("JPEG", 3024, 4032, 12, 92),
    Phone("JPEG", 4032, 3024, 8, 92),
    Phone("JPEG", 4032, 2268, 2, 92),
    Phone("JPEG", 2268, 4032, 2, 92),
    Phone("JPEG", 3024, 3024, 2, 92),
    Phone("JPEG", 4284, 5712, 2, 90),
    Phone("JPEG", 5712, 4284, 1, 90),
    Phone("JPEG", 8064, 6048, 1, 80),
    Phone("HEIC", 3024, 4032, 6, 46),
    Phone("HEIC", 4032, 3024, 3, 46),
    Phone("HEIC", 4284, 5712, 1, 46),
)


def corpus() -> Iterator[tuple[Phone, int, bytes]]:
    """Yield forty uploads, each with its phone and the seed that its scene is drawn from. Every run yields the same scenes."""
    seed = 0
    for phone in PHONES:
        for _ in range(phone.count):
            seed += 1
            yield phone, seed, upload(phone, seed)


def upload(phone: Phone, seed: int) -> bytes:
    """Return the file that the phone sends."""
    image = scene(phone.width, phone.height, seed)
    if phone.form == "HEIC":  # turned by the container, which the encoder writes by itself
        return written(image, "HEIF", quality=phone.quality, enc_params={"preset": "veryfast"})
    if phone.width < phone.height:
        image = image.transpose(Image.Transpose.ROTATE_90)
    turn = 6 if phone.width < phone.height else 1
    return written(image, "JPEG", quality=phone.quality, subsampling="4:2:0", exif=exif(turn, telling=True))


def scene(width: int, height: int, seed: int) -> Image.Image:
    """Return dishes on a table, seen from above or from the side, as rough as this seed has them."""
    dice = random.Random(seed)
    detail = _DETAIL[(seed * 7) % len(_DETAIL)] * dice.uniform(0.85, 1.15)
    unit = (width * height) ** 0.5 / 3500  # what a pixel of 12 MP is
    table, dishes, mask = _drawn(width, height, dice, detail, unit)
    blurred = table.gaussblur(dice.choice((0.6, 2, 6, 14)) * unit) * _grain(width, height, dice, 0.06 * detail, 0.8)
    plates = dishes.gaussblur(dice.uniform(0.9, 1.8) * unit) * _grain(width, height, dice, 0.1 * detail, 0.86)
    image = mask.gaussblur(1.2 * unit).ifthenelse(plates, blurred, blend=True) * _light(width, height, dice)
    noise = _noise(width, height, dice, dice.uniform(3.0, 5.2)).gaussblur(0.55)  # as a phone's denoising leaves it
    colours = pyvips.Image.arrayjoin([image])  # one place in memory: what follows reads it once
    image = (colours + noise).cast("uchar")
    return Image.frombytes("RGB", (width, height), image.write_to_memory())


def _drawn(
    width: int, height: int, dice: random.Random, detail: float, unit: float
) -> tuple[pyvips.Image, pyvips.Image, pyvips.Image]:
    """Return the table, the dishes, and where the dishes are (0 to 255)."""
    table = Image.new("RGB", (width, height), dice.choice(_TABLES))
    dishes, mask = table.copy(), Image.new("L", (width, height))
    boards, pen, stencil = ImageDraw.Draw(table), ImageDraw.Draw(dishes), ImageDraw.Draw(mask)
    for _ in range(dice.randrange(0, 9)):
        x = dice.randrange(width)
        boards.line(
            (x, 0, x + dice.randrange(-width // 9, width // 9), height), _near(dice, (90, 70, 56)), round(9 * unit)
        )
    for _ in range(dice.randint(1, 5)):
        x, y = dice.randrange(width), dice.randrange(height)
        r = dice.uniform(0.22, 0.45) * min(width, height)
        flat = dice.uniform(0.6, 1.0)
        oval = (x - r, y - r * flat, x + r, y + r * flat)
        stencil.ellipse(oval, 255)
        pen.ellipse(oval, _near(dice, dice.choice(((236, 234, 228), (52, 50, 54), (196, 208, 210)))))
        _fill(pen, dice, (x, y, r * 0.85, r * 0.85 * flat), detail, unit)
    return _vips(table), _vips(dishes), _vips(mask)


def _fill(
    pen: ImageDraw.ImageDraw, dice: random.Random, dish: tuple[float, float, float, float], detail: float, unit: float
) -> None:
    """Fill a dish with what is in it: many small things, or few large ones, each with a dark side and a light."""
    x, y, across, down = dish
    colours = dice.sample(_COLOURS, 3)
    pen.ellipse((x - across, y - down, x + across, y + down), _near(dice, colours[0]))
    size = dice.uniform(18, 90) * unit
    count = min(6000, round(0.35 * detail * across * down / size**2))
    for _ in range(count):
        while True:
            u, v = dice.uniform(-1, 1), dice.uniform(-1, 1)
            if u * u + v * v < 1:
                break
        left, top, r = x + u * across, y + v * down, size * dice.uniform(0.5, 1.5)
        tall, colour = dice.uniform(0.35, 1.0), _near(dice, dice.choice(colours))
        pen.ellipse((left - r, top - r * tall + r / 5, left + r, top + r * tall + r / 5), _shade(colour, 0.6))
        pen.ellipse((left - r, top - r * tall, left + r, top + r * tall), colour)
        pen.ellipse((left - r / 2, top - r * tall / 1.6, left + r / 6, top - r * tall / 4), _shade(colour, 1.2))


def _grain(width: int, height: int, dice: random.Random, strength: float, fall: float) -> pyvips.Image:
    """Return noise of all scales around 1: each octave has `fall` of the strength of the next coarser one."""
    sizes = [(width, height)]
    while min(sizes[-1]) > 8:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    made, power = None, strength
    for across, down in reversed(sizes):
        octave = _noise(across, down, dice, power)
        if made is not None:
            larger = made.resize(across / made.width, vscale=down / made.height, kernel="cubic")
            octave += larger.embed(0, 0, across, down, extend="copy")
        made, power = octave.copy_memory(), power * fall
    return made + 1


def _noise(width: int, height: int, dice: random.Random, sigma: float) -> pyvips.Image:
    return pyvips.Image.gaussnoise(width, height, sigma=sigma, mean=0, seed=dice.randrange(1 << 30))


def _light(width: int, height: int, dice: random.Random) -> pyvips.Image:
    """Return a lamp on one side: from 0.75 to 1.15."""
    corners = pyvips.Image.new_from_array([[dice.uniform(0.75, 1.15) for _ in range(2)] for _ in range(2)])
    lamp = corners.resize(width / 2, vscale=height / 2, kernel="linear")
    return lamp.embed(0, 0, width, height, extend="copy")


def _vips(image: Image.Image) -> pyvips.Image:
    return pyvips.Image.new_from_memory(image.tobytes(), *image.size, len(image.getbands()), "uchar")


def _near(dice: random.Random, colour: Colour) -> Colour:
    return _shade(colour, dice.uniform(0.82, 1.18))


def _shade(colour: Colour, light: float) -> Colour:
    red, green, blue = (min(255, round(one * light)) for one in colour)
    return red, green, blue
