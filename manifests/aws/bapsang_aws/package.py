"""Makes the archive that the functions run from: what they and their child import of the API, and the pinned libraries.

Libraries are those for arm64, whatever machine makes the archive. boto3 is not in it: the runtime brings its own (1.36 or
newer is needed).
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bapsang_aws.template import ROOT

API: Final = ROOT.parents[1] / "api"
HANDLERS: Final = (
    "bapsang_api.uploads.presign_function",
    "bapsang_api.uploads.check_function",
    "bapsang_api.uploads.purge_function",
)
#: What they start: `media/process.py` names it as a module, and the plug-ins of each kind of picture are imported by name.
CHILDREN: Final = ("bapsang_api.media.child",)
#: With what they need themselves; `api/requirements.txt` pins them, and a test holds that nothing else is imported.
LIBRARIES: Final = ("python-ulid", "pyjwt", "cryptography", "cffi", "pycparser", "pillow", "pi-heif")
PYTHON: Final = "3.13"
PROCESSOR: Final = "aarch64"
# The same input makes the same bytes, so that a deployment changes the function only when the code changed.
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


def modules() -> list[Path]:
    """Return the files of the API that the functions and what they start import, packages with their `__init__.py`, sorted."""
    found: set[Path] = set()
    waiting = [*HANDLERS, *CHILDREN]
    while waiting:
        name = waiting.pop()
        path = _file(name)
        if path is None or path in found:
            continue
        found.add(path)
        waiting += [name.rpartition(".")[0], *_imports(path)]
    return sorted(found)


def _file(module: str) -> Path | None:
    if not module.startswith("bapsang_api"):
        return None
    place = API / module.replace(".", "/")
    return next((path for path in (place / "__init__.py", place.with_suffix(".py")) if path.is_file()), None)


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from a import b`: b is a module or a name in one.
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


def pins() -> str:
    """Return the requirements of the libraries with their hashes. Raises KeyError for one that is not pinned."""
    blocks = re.split(r"\n(?=\S)", (API / "requirements.txt").read_text())
    named = {re.split(r"[=\[ ;]", block, maxsplit=1)[0].lower(): block for block in blocks}
    # Without the marker of the platform: what the archive is for is not where it is made.
    return "\n".join(re.sub(r" ; [^\\\n]+", " ", named[name]) for name in LIBRARIES) + "\n"


def write(target: Path, *, processor: str = PROCESSOR, python: str = PYTHON) -> int:
    """Write the archive; return its size in bytes. Raises CalledProcessError when pip cannot have a library."""
    with tempfile.TemporaryDirectory() as folder:
        _install(Path(folder), processor, python)
        files = {path.relative_to(API): path for path in modules()}
        files |= {path.relative_to(folder): path for path in Path(folder).rglob("*") if _ships(path)}
        target.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, path in sorted(files.items()):
                entry = zipfile.ZipInfo(name.as_posix(), _EPOCH)
                entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                archive.writestr(entry, path.read_bytes())
    return target.stat().st_size


def _install(folder: Path, processor: str, python: str) -> None:
    requirements = folder / "requirements.txt"
    requirements.write_text(pins())
    # glibc of the runtime is 2.34.
    platforms = [f"--platform={tag}_{processor}" for tag in ("manylinux_2_28", "manylinux2014")]
    subprocess.run(  # noqa: S603 - pip, with our own arguments
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"),
            *("--require-hashes", "--no-deps", "--only-binary=:all:", "--python-version", python, *platforms),
            *("--target", str(folder / "site"), "--requirement", str(requirements)),
        ],
        check=True,
    )
    for path in (folder / "site").iterdir():
        path.rename(folder / path.name)
    (folder / "site").rmdir()
    requirements.unlink()


def _ships(path: Path) -> bool:
    return path.is_file() and path.suffix != ".pyi" and path.parts[-2] != "bin"
