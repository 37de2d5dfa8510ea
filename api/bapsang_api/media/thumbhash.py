"""ThumbHash (https://evanw.github.io/thumbhash/): a blurred picture in 17 to 24 bytes, its shape and average colour too.

Of opaque pictures only, since variants have no transparency.
"""

import base64
import math
import operator
from collections.abc import Sequence
from typing import Final, NamedTuple

_MOST_WAVES: Final = 7  # along the longer side

Pixel = Sequence[int]


class _Channel(NamedTuple):
    average: float
    waves: list[float]  # each in 0..1
    scale: float


def as_text(width: int, height: int, pixels: Sequence[Pixel]) -> str:
    """Return the hash in base64 without padding, at most 32 characters."""
    return base64.b64encode(encode(width, height, pixels)).decode().rstrip("=")


def encode(width: int, height: int, pixels: Sequence[Pixel]) -> bytes:
    """Return the hash of a small picture, given as its rows of (red, green, blue), each 0 to 255."""
    reds, greens, blues = ([pixel[at] / 255 for pixel in pixels] for at in range(3))
    triples = list(zip(reds, greens, blues, strict=True))
    across = max(1, _rounded(_MOST_WAVES * width / max(width, height)))
    down = max(1, _rounded(_MOST_WAVES * height / max(width, height)))
    size = (width, height)
    light = _channel([(r + g + b) / 3 for r, g, b in triples], size, max(3, across), max(3, down))
    yellow = _channel([(r + g) / 2 - b for r, g, b in triples], size, 3, 3)
    red = _channel([r - g for r, g, _ in triples], size, 3, 3)
    wide = width > height
    head = _rounded(63 * light.average) | _rounded(31.5 + 31.5 * yellow.average) << 6
    head |= _rounded(31.5 + 31.5 * red.average) << 12 | _rounded(31 * light.scale) << 18
    tail = (down if wide else across) | _rounded(63 * yellow.scale) << 3 | _rounded(63 * red.scale) << 9 | wide << 15
    nibbles = [_rounded(15 * wave) for channel in (light, yellow, red) for wave in channel.waves]
    nibbles += [0] * (len(nibbles) % 2)
    packed = bytes(low | high << 4 for low, high in zip(nibbles[::2], nibbles[1::2], strict=True))
    return head.to_bytes(3, "little") + tail.to_bytes(2, "little") + packed


def _channel(values: Sequence[float], size: tuple[int, int], across: int, down: int) -> _Channel:
    """Return the average, and the amplitudes of cosine waves within the triangle `across` x `down`."""
    width, height = size
    columns = [[math.cos(math.pi / width * wave * (x + 0.5)) for x in range(width)] for wave in range(across)]
    rows = [[math.cos(math.pi / height * wave * (y + 0.5)) for y in range(height)] for wave in range(down)]
    found: list[float] = []
    for y_wave in range(down):
        x_wave = 0
        while x_wave * down < across * (down - y_wave):
            column, row = columns[x_wave], rows[y_wave]
            sums = (_product(values[y * width : (y + 1) * width], column) for y in range(height))
            found.append(_product(list(sums), row) / (width * height))
            x_wave += 1
    average, *waves = found
    scale = max(map(abs, waves), default=0.0)
    return _Channel(average, [0.5 + 0.5 / scale * wave if scale else 0.0 for wave in waves], scale)


def _product(one: Sequence[float], other: Sequence[float]) -> float:
    return math.fsum(map(operator.mul, one, other))


def _rounded(value: float) -> int:
    """As JavaScript rounds, in which the format is defined."""
    return math.floor(value + 0.5)
