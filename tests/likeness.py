"""How alike two pictures are, by libvips, which decodes and resizes with code of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pyvips
from PIL import Image


def of_pillow(image: Image.Image) -> pyvips.Image:
    rgb = image.convert("RGB")
    return pyvips.Image.new_from_memory(rgb.tobytes(), *rgb.size, 3, "uchar").copy(interpretation="srgb")


def resized(image: pyvips.Image, width: int, height: int) -> pyvips.Image:
    return image.resize(width / image.width, vscale=height / image.height, kernel="lanczos3")


def ssim(one: pyvips.Image, other: pyvips.Image) -> float:
    """Return the structural similarity of the lightness of two pictures (Wang et al. 2004), 1 for equal ones."""
    assert (one.width, one.height) == (other.width, other.height)
    a, b = (image.colourspace("b-w").cast("float") for image in (one, other))
    mean_a, mean_b = a.gaussblur(1.5), b.gaussblur(1.5)
    spread_a = (a * a).gaussblur(1.5) - mean_a * mean_a
    spread_b = (b * b).gaussblur(1.5) - mean_b * mean_b
    common = (a * b).gaussblur(1.5) - mean_a * mean_b
    steady, contrast = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    top = (mean_a * mean_b * 2 + steady) * (common * 2 + contrast)
    bottom = (mean_a * mean_a + mean_b * mean_b + steady) * (spread_a + spread_b + contrast)
    return float((top / bottom).avg())


def difference(one: pyvips.Image, other: pyvips.Image) -> float:
    """Return the mean distance of colours (CIEDE2000): 1 is just visible side by side."""
    return float(one.colourspace("lab").dE00(other.colourspace("lab")).avg())


def of_thumbhash(content: bytes) -> Image.Image:
    """Return what a page shows of a ThumbHash, by the definition of the format (an opaque one)."""
    head, tail = int.from_bytes(content[:3], "little"), int.from_bytes(content[3:5], "little")
    wide, side = tail >> 15, tail & 7
    across, down = (7, side) if wide else (side, 7)
    nibbles: Iterator[int] = (value for byte in content[5:] for value in (byte & 15, byte >> 4))
    averages = ((head & 63) / 63, (head >> 6 & 63) / 31.5 - 1, (head >> 12 & 63) / 31.5 - 1)
    scales = ((head >> 18 & 31) / 31, (tail >> 3 & 63) / 63 * 1.25, (tail >> 9 & 63) / 63 * 1.25)
    sizes = ((max(3, across), max(3, down)), (3, 3), (3, 3))
    waves = [
        [
            (x, y, (next(nibbles) / 7.5 - 1) * scale)
            for y in range(rows)
            for x in range(columns)
            if (x or y) and x * rows < columns * (rows - y)
        ]
        for (columns, rows), scale in zip(sizes, scales, strict=True)
    ]
    width, height = (32, round(32 * down / across)) if wide else (round(32 * across / down), 32)
    shown = Image.new("RGB", (width, height))
    for at in range(width * height):
        x, y = (at % width + 0.5) * math.pi / width, (at // width + 0.5) * math.pi / height
        light, yellow, red = (
            average + sum(2 * size * math.cos(x * fx) * math.cos(y * fy) for fx, fy, size in channel)
            for average, channel in zip(averages, waves, strict=True)
        )
        b = light - 2 / 3 * yellow
        r = (3 * light - b + red) / 2
        shown.putpixel((at % width, at // width), tuple(round(255 * min(1, max(0, one))) for one in (r, r - red, b)))
    return shown
