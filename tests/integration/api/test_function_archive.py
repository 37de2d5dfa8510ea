"""The archive of the functions, built for this machine, in an interpreter that has nothing else but boto3 (as Lambda's has)."""

import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tests.photos import heic, scene, written

from bapsang_aws import package

from .bucket import Bucket
from .queues import told

KEYS = [f"users/01JDAAAAAAAAAAAAAAAAAAAAAA/post/01JD000000000000000000000{number}.jpg" for number in range(2)]
#: boto3 and what it needs, of which the archive has nothing; and what a library of it needs below Python 3.12.
RUNTIME = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3", "typing_extensions")
#: What Lambda limits: bytes of an archive that is uploaded at once, and of what is in it.
MOST_PACKED, MOST_UNPACKED = 50 * 1024 * 1024, 250 * 1024 * 1024
PROGRAM = """
import json, logging, sys
sys.path[:0] = sys.argv[1:3]
logging.basicConfig(stream=sys.stderr)
from bapsang_api.uploads import check_function
import botocore
outside = sorted({name for name, module in sys.modules.items() if "site-packages" in (getattr(module, "__file__", None) or "")})
print(json.dumps([check_function.handler(json.load(sys.stdin), None), check_function.__file__, outside]))
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("archive") / "functions.zip"
    package.write(made, processor=platform.machine(), python=f"{sys.version_info.major}.{sys.version_info.minor}")
    return made


@pytest.fixture
def task(archive: Path, tmp_path: Path) -> Path:
    """The archive, unpacked as Lambda does."""
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path / "task")
    return tmp_path / "task"


@pytest.fixture
def interpreter(tmp_path: Path) -> str:
    """An interpreter in which nothing is installed: the process that decodes has the archive alone."""
    command = [sys._base_executable, "-m", "venv", "--without-pip", str(tmp_path / "lambda")]  # type: ignore[attr-defined]
    subprocess.run(command, check=True, timeout=60)
    return str(tmp_path / "lambda/bin/python")


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    folder = tmp_path / "runtime"
    folder.mkdir()
    for name in RUNTIME:
        found = importlib.util.find_spec(name)
        assert found is not None
        assert found.origin is not None
        source = Path(found.origin)
        source = source.parent if source.name == "__init__.py" else source
        (folder / source.name).symlink_to(source)
    return folder


def call(interpreter: str, task: Path, runtime: Path, bucket: Bucket) -> tuple[Any, str]:
    """Run the handler with an event of each upload; return its answer, and its log."""
    batch = {"Records": [{"messageId": key, "body": told(key)} for key in KEYS]}
    environment = {name: os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    ended = subprocess.run(
        [interpreter, "-I", "-c", PROGRAM, str(task), str(runtime)],
        input=json.dumps(batch),
        capture_output=True,
        text=True,
        env={**environment, **bucket.environment},
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    answer, file, outside = json.loads(ended.stdout)
    assert file.startswith(str(task))
    assert outside == []
    return answer, ended.stderr


def test_unpacked_archive_makes_variants_of_jpeg_and_heic(
    interpreter: str, task: Path, runtime: Path, bucket: Bucket
) -> None:
    for key, content in zip(KEYS, (written(scene(), "JPEG"), heic()), strict=True):
        bucket.put(key, content)
    answer, log = call(interpreter, task, runtime, bucket)
    assert answer == {"batchItemFailures": []}, log
    kinds = {}
    for name in bucket.keys("checked/"):
        if name.endswith("/photo.json"):
            known = json.loads(bucket.client.get_object(Bucket=bucket.name, Key=name)["Body"].read())
            kinds[known["kind"]] = len(known["variants"])
            assert {f"{name.rpartition('/')[0]}/{one['name']}" for one in known["variants"]} <= set(
                bucket.keys("checked/")
            )
    assert set(kinds) == {"JPEG", "HEIC"}
    assert all(kinds.values())


@pytest.mark.parametrize(
    "missing", ["PIL", "pillow.libs", "bapsang_api/media/child.py", "bapsang_api/media/encoding.py"]
)
def test_process_that_decodes_has_the_archive_alone(
    interpreter: str, task: Path, runtime: Path, bucket: Bucket, missing: str
) -> None:
    """Else the test above would show what is installed here."""
    for key in KEYS:
        bucket.put(key, written(scene(40, 30), "JPEG"))
    (task / missing).rename(task / "elsewhere")
    answer, log = call(interpreter, task, runtime, bucket)
    assert {one["itemIdentifier"] for one in answer["batchItemFailures"]} == set(KEYS), log


def test_archive_fits_and_is_the_same_each_time(archive: Path, tmp_path: Path) -> None:
    package.write(tmp_path / "again.zip")
    for packed in (archive, tmp_path / "again.zip"):
        assert packed.stat().st_size < MOST_PACKED
        assert sum(one.file_size for one in zipfile.ZipFile(packed).infolist()) < MOST_UNPACKED
    package.write(tmp_path / "twice.zip")
    assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "twice.zip").read_bytes()
    names = zipfile.ZipFile(tmp_path / "again.zip").namelist()
    natives = [name for name in names if re.search(r"\.cpython-.*\.so$", name)]
    assert {re.sub(r".*\.cpython", "cpython", name) for name in natives} == {"cpython-313-aarch64-linux-gnu.so"}
    assert {name.partition("/")[0] for name in names} >= {"PIL", "pi_heif", "pillow.libs", "pi_heif.libs"}
