"""The images that are built here have all that docs/local-cluster.md says is relied on in those that registries serve."""

from __future__ import annotations

import json
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest

from bapsang_local import images
from bapsang_local.engine import Engine
from bapsang_local.settings import ROOT

pytestmark = pytest.mark.nightly("registry")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # what the runtime sets where an image sets none


@dataclass(frozen=True)
class Relied:
    """A row of the table."""

    name: str
    user: str
    programs: tuple[str, ...]
    files: tuple[str, ...]


def table() -> dict[str, Relied]:
    text = (ROOT / "docs/local-cluster.md").read_text()
    rows = text.partition("| image | user |")[2].partition("\n\n")[0].splitlines()[2:]
    found = {}
    for row in rows:
        name, user, programs, files, _ = (cell.strip() for cell in row.strip("|").split(" | "))
        name = name.strip("` ")
        found[name] = Relied(name, user, *(tuple(re.findall(r"`([^`]+)`", cell)) for cell in (programs, files)))
    return found


TABLE = table()


def test_every_image_that_is_pulled_has_a_row() -> None:
    pulled = [*images.third_party(), *images.of_tests()]
    assert set(TABLE) == {image.name for image in pulled if not image.only_built}


@pytest.mark.parametrize("name", TABLE)
def test_the_built_image_has_what_is_relied_on(engine: Engine, name: str, tmp_path: Path) -> None:
    relied = TABLE[name]
    assert engine.label(name, images.INPUTS), "built, not pulled"
    contents = exported(engine, name, tmp_path)
    config = json.loads(engine.docker("image", "inspect", "--format", "{{json .Config}}", name))
    path = next((line.partition("=")[2] for line in config["Env"] or () if line.startswith("PATH=")), PATH)
    for program in relied.programs:
        assert any(contents.runs(f"{folder}/{program}") for folder in path.split(":")), program
    for file in relied.files:
        assert contents.has(file), file
    if user := re.fullmatch(r"`(\w+)` (\d+)", relied.user):
        assert f"{user[1]}:x:{user[2]}:" in contents.users
    elif relied.user != "any":
        assert config["User"] == relied.user


class Contents:
    """The files of an image."""

    def __init__(self, archive: Path) -> None:
        with tarfile.open(archive) as tar:
            self._members = {f"/{member.name.strip('/')}": member for member in tar}
            passwd = self._members.get("/etc/passwd")
            file = passwd and tar.extractfile(passwd)
            self.users = file.read().decode() if file else ""

    def has(self, path: str) -> bool:
        return self._found(path) is not None

    def runs(self, path: str) -> bool:
        found = self._found(path)
        return found is not None and found.isfile() and bool(found.mode & 0o001)

    def _found(self, path: str) -> tarfile.TarInfo | None:
        """Follow links, those of folders as well (/bin is usr/bin)."""
        for _ in range(20):
            pure = PurePosixPath(path)
            for above in [*reversed(pure.parents), pure]:
                member = self._members.get(str(above))
                if member is not None and member.issym():
                    target = PurePosixPath(member.linkname)
                    base = target if target.is_absolute() else above.parent / target
                    path = str(normal(base / pure.relative_to(above)))
                    break
                if member is not None and member.islnk() and above == pure:
                    path = f"/{member.linkname.strip('/')}"
                    break
            else:
                return self._members.get(path)
        return None


def normal(path: PurePosixPath) -> PurePosixPath:
    parts: list[str] = []
    for part in path.parts[1:]:
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return PurePosixPath("/", *parts)


def exported(engine: Engine, name: str, folder: Path) -> Contents:
    label = ["--label", "dev.bapsang.test=1"]
    container = engine.docker("create", *label, name, "never-run").strip()
    try:
        archive = folder / "image.tar"
        engine.docker("export", "--output", archive, container, timeout=300)
        return Contents(archive)
    finally:
        engine.docker("rm", "--force", "--volumes", container)
