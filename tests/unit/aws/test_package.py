"""The archive of the upload functions holds what they import, and nothing of the service besides."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

from bapsang_aws import package, template
from bapsang_aws.render import render

#: What the runtime of Lambda brings along.
RUNTIME = {"boto3", "botocore", "s3transfer", "jmespath", "python-dateutil", "six", "urllib3"}
#: What is only loaded here: by the start of a virtual environment, where it is installed, below Python 3.12.
# brotli, bcrypt: a client of ours and cryptography use them where they are, which they are not there.
HERE = {"bapsang", "bcrypt", "brotli", "setuptools", "certifi", "typing_extensions"}
LOOK = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
for name in json.loads(sys.argv[2]):
    importlib.import_module(name)
found = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
print(json.dumps({name: path for name, path in found.items() if path}))
"""


def test_functions_load_from_the_files_of_the_archive_alone(tmp_path: Path) -> None:
    for path in package.modules():
        target = tmp_path / path.relative_to(package.API)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    command = [sys.executable, "-P", "-c", LOOK, str(tmp_path), json.dumps(package.HANDLERS)]
    loaded = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout)
    own = {name: path for name, path in loaded.items() if name.partition(".")[0] == "bapsang_api"}
    assert own
    assert [path for path in own.values() if not path.startswith(str(tmp_path))] == []
    installed = packages_distributions()
    libraries = {
        distribution.lower()
        for name, path in loaded.items()
        if "site-packages" in path
        for distribution in installed.get(name.partition(".")[0], ())
    }
    assert libraries - RUNTIME - HERE <= set(package.LIBRARIES)


def test_every_library_is_pinned_with_its_hashes() -> None:
    blocks = package.pins().strip().split("\n")
    assert [line.split("==")[0] for line in blocks if not line.startswith(" ")] == list(package.LIBRARIES)
    assert " ; " not in package.pins()
    assert package.pins().count("--hash=sha256:") >= len(package.LIBRARIES)


def test_templates_name_the_handlers_that_are_packed() -> None:
    everything = template.parameters(template.ROOT / "params/lean.json") | {"CheckUploads": "true"}
    functions = render(template.load_all(), everything).of("Lambda::Function")
    assert {one.properties["Handler"] for one in functions} == {f"{name}.handler" for name in package.HANDLERS}
    assert {one.properties["Runtime"] for one in functions} == {f"python{package.PYTHON}"}
