"""`bapsang-api check-image`: a verdict without a server, a bucket or settings."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.integration.api.process import BARE
from tests.photos import KINDS, scene, written

from bapsang_api.__main__ import main

FIELDS = ["verdict", "reason", "detail", "kind", "width", "height", "placeholder", "colour", "variants"]


def checked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = main(["check-image", *arguments])
    out, err = capsys.readouterr()
    assert err == ""
    told: dict[str, Any] = json.loads(out)
    assert list(told) == FIELDS
    return code, told


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    file = tmp_path / "IMG_0001.HEIC"  # names mean nothing
    file.write_bytes(KINDS["jpeg 6"].make())
    return file


def test_an_accepted_upload_is_told_and_written(
    upload: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "folder"
    code, told = checked(capsys, str(upload), "--out", str(out))
    assert (code, told["verdict"], told["kind"], told["width"], told["height"]) == (0, "ACCEPTED", "JPEG", 720, 540)
    assert (told["reason"], told["detail"]) == (None, None)
    assert json.loads((out / "photo.json").read_text()) == told
    sizes = {file.name: file.stat().st_size for file in out.iterdir() if file.name != "photo.json"}
    assert sizes == {variant["name"]: variant["size"] for variant in told["variants"]}
    assert {variant["name"]: variant["contentType"] for variant in told["variants"]} == {
        f"{width}.{extension}": f"image/{form}"
        for width in (320, 640, 1080)
        for extension, form in (("webp", "webp"), ("jpg", "jpeg"))
    }


def test_a_profile_picture_is_told_as_one(upload: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, told = checked(capsys, str(upload), "--use", "PROFILE_IMAGE")
    assert [(one["width"], one["height"]) for one in told["variants"]] == [(96, 96), (96, 96), (256, 256), (256, 256)]


def test_a_refused_upload_says_why_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "picture.jpg").write_bytes(written(scene(), "JPEG")[:9_000])
    code, told = checked(capsys, str(tmp_path / "picture.jpg"), "--out", str(tmp_path / "out"))
    assert (code, told["verdict"], told["reason"], told["variants"]) == (1, "REFUSED", "DAMAGED", [])
    assert "cut off" in told["detail"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [[], ["/nowhere/photo.jpg"], ["/"], ["/etc/hostname", "--use", "POSTER"]])
def test_wrong_usage_is_no_verdict(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-image", *arguments]) == 2
    assert capsys.readouterr().out == ""


def test_it_needs_no_settings_and_loads_no_decoder_itself(upload: Path) -> None:
    program = (
        "import sys; from bapsang_api.__main__ import main\n"
        f"code = main(['check-image', {str(upload)!r}])\n"
        "sys.exit(code or ' '.join({'PIL', 'pi_heif'} & sys.modules.keys()) or None)"
    )
    wrong = {**BARE, "BAPSANG_LOG_LEVEL": "Wonderland"}
    ended = subprocess.run([sys.executable, "-c", program], env=wrong, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")
