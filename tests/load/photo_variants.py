"""What decides how photos are decoded: two libraries, with and without AVIF, and a process a photo. Prints tables; saves JSON.

`PYTHONPATH=manifests/local python -m tests.load.photo_variants [--rounds 5] [--out FILE]`, saved as docs/benchmarks/photos.json.
Every measurement is a process of its own, candidates take turns, and what counts are ratios: the machine has other work.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.photos import exif, scene, written

WIDTHS = (320, 640, 1080, 1600)
#: The original's files, all of the same scene.
FILES: dict[str, Callable[[], bytes]] = {
    "12 MP JPEG": lambda: written(scene(4032, 3024), "JPEG", quality=90, exif=exif(6)),
    "12 MP progressive": lambda: written(scene(4032, 3024), "JPEG", quality=90, progressive=True),
    "48 MP JPEG": lambda: written(scene(8064, 6048), "JPEG", quality=80, exif=exif(6)),
    "48 MP progressive": lambda: written(scene(8064, 6048), "JPEG", quality=80, progressive=True),
    "12 MP HEIC": lambda: written(scene(4032, 3024), "HEIF", quality=60),
    "12 MP AVIF": lambda: written(scene(4032, 3024), "AVIF", quality=60, speed=9),
    "12 MP WebP": lambda: written(scene(4032, 3024), "WEBP", quality=85, method=0),
}
VIPS = """
import os, sys
os.environ["VIPS_CONCURRENCY"] = "1"
import pyvips
pyvips.cache_set_max(0)
content = sys.stdin.buffer.read()
image = pyvips.Image.thumbnail_buffer(content, 1600, height=10_000_000, size="down").copy_memory()
for width in (320, 640, 1080, 1600):
    shown = image if width == image.width else image.thumbnail_image(width, height=10_000_000)
    made["webp"] += len(shown.webpsave_buffer(Q=80, effort=4, keep="none"))
    made["jpeg"] += len(shown.jpegsave_buffer(Q=80, interlace=True, optimize_coding=True, keep="none"))
"""
PILLOW = """
import sys
from bapsang_api.media import decoding, encoding
from bapsang_api.media.kinds import kind_of
from bapsang_api.media.verdict import Use
content = sys.stdin.buffer.read()
kind = kind_of(content)
opened = decoding.opener(kind)
image, original = decoding.decoded(content, kind, opened, lambda size: encoding.needed(Use.POST, size))
for variant, _ in encoding.variants(image, Use.POST, original):
    made["webp" if variant.name.endswith("webp") else "jpeg"] += variant.size
encoding.placeholder(image)
"""
# AVIF of the lowest quality that is as like the original as WebP and as JPEG are in ours.
ENCODERS = """
import io, time
import pyvips
from PIL import Image
from tests.likeness import of_pillow, ssim
from tests.photos import scene
for seed in (1, 2, 3):
    image = scene(1080, 810, seed)
    def saved(form, **options):
        begun, out = time.process_time(), io.BytesIO()
        image.save(out, form, **options)
        cpu = time.process_time() - begun
        shown = Image.open(io.BytesIO(out.getvalue()))
        return out.tell(), cpu, ssim(of_pillow(shown), of_pillow(image))
    webp = saved("webp", quality=80, method=4)
    jpeg = saved("jpeg", quality=80, progressive=True, optimize=True)
    for quality in range(40, 96, 2):
        avif = saved("avif", quality=quality, speed=6, max_threads=1)
        if avif[2] >= webp[2]:
            break
    for name, (size, cpu, _) in {"webp": webp, "jpeg": jpeg, "avif": avif}.items():
        made[name] += size
        made[name + " cpu"] += cpu
"""
CHILD = """
import os
from bapsang_api.media.process import examine, memory_file
from bapsang_api.media.verdict import Use
outcome = examine(memory_file(sys.stdin.buffer.read()), Use.POST)
made["webp"] = sum(len(one) for name, one in outcome.files.items() if name.endswith("webp"))
made["child cpu"], made["child peak"] = outcome.cost.cpu_seconds, outcome.cost.peak_bytes
"""
FRAME = """
import json, resource, sys
from collections import Counter
made = Counter()
{body}
usage = resource.getrusage(resource.RUSAGE_SELF)
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))  # since the exec
print(json.dumps({{"cpu": usage.ru_utime + usage.ru_stime, "mib": peak / 1024, **made}}))
"""


def measured(body: str, content: bytes = b"") -> dict[str, float] | None:
    """Run a program on a file and return what it took; None where the library cannot read the file."""
    command = [sys.executable, "-W", "ignore", "-c", FRAME.format(body=body)]
    ended = subprocess.run(command, input=content, capture_output=True, timeout=600)
    if ended.returncode != 0:
        return None
    told: dict[str, float] = json.loads(ended.stdout)
    return told


def median(rounds: list[dict[str, float] | None]) -> dict[str, float] | None:
    told = [one for one in rounds if one is not None]
    return {name: round(statistics.median(one[name] for one in told), 3) for name in told[0]} if told else None


def start_cost(rounds: int) -> dict[str, float]:
    """Return the CPU seconds of an interpreter, and of one that has loaded what a JPEG or a HEIC needs."""
    programs = {
        "interpreter": "pass",
        "child, JPEG": "from bapsang_api.media import child; child.decoding.opener(child.kind_of(b'\\xff\\xd8\\xff'))",
        "child, HEIC": "from bapsang_api.media import child; child.decoding.opener(child.kind_of(b'\\0\\0\\0\\x18ftypheic'))",
    }
    cost = {}
    for name, program in programs.items():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        for _ in range(rounds):
            subprocess.run([sys.executable, "-P", "-s", "-c", program], check=True, timeout=600)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cost[name] = round((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / rounds, 4)
    return cost


def measure(rounds: int) -> dict[str, Any]:
    files: dict[str, Any] = {}
    for name, make in FILES.items():
        content = make()
        taken: dict[str, list[dict[str, float] | None]] = {"pillow": [], "libvips": [], "process": []}
        for _ in range(rounds):  # in turn, so that all meet the same neighbours
            for library, body in (("pillow", PILLOW), ("libvips", VIPS), ("process", CHILD)):
                taken[library].append(measured(body, content))
        files[name] = {"bytes": len(content), **{library: median(one) for library, one in taken.items()}}
        sys.stderr.write(f"{name}: {files[name]}\n")
    encoders = median([measured(ENCODERS) for _ in range(rounds)])
    return {"files": files, "encoders": encoders, "start": start_cost(10)}


def table(result: dict[str, Any]) -> str:
    lines = ["| file | MB | Pillow: CPU s | MiB | libvips: CPU s | MiB | a process: CPU s | MiB |"]
    lines.append("|---" + "|---:" * 7 + "|")
    for name, told in result["files"].items():
        pillow, vips, child = told["pillow"], told["libvips"], told["process"]
        seen = f"{vips['cpu']:.2f} | {vips['mib']:.0f}" if vips else "cannot read it | –"
        lines.append(
            f"| {name} | {told['bytes'] / 1e6:.1f} | {pillow['cpu']:.2f} | {pillow['mib']:.0f} | {seen} "
            f"| {child['child cpu']:.2f} | {child['child peak'] / 2**20:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "photos.json")
    options = parser.parse_args()
    result = measure(options.rounds)
    packages = {name: version(name) for name in ("pillow", "pi-heif", "pyvips-binary")}
    about = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    options.out.write_text(
        json.dumps({**about, "rounds": options.rounds, "packages": packages, **result}, indent=2) + "\n"
    )
    sys.stdout.write(f"{table(result)}\n{result['encoders']}\n{result['start']}\n")


if __name__ == "__main__":
    main()
