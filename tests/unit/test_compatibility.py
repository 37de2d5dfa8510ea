"""Which operator runs which image, and what becomes of resources: tests/compatibility.toml, against this version.

A release adds its entry (`[image."v1"]`, `[operator."v1"]`, `fields-v1.yaml`) from what these tests compute of it.
"""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from bapsang_api.__main__ import app
from bapsang_api.settings import VARIABLES, Settings
from bapsang_operator import names
from bapsang_operator.resource import parse

from . import crd_fields
from .operator.test_build import EXTERNAL, MAIL, SHAPES, STORAGE
from .operator.world import children, resource

ROOT = Path(__file__).parents[2]
TABLE: dict[str, dict[str, Any]] = tomllib.loads((ROOT / "tests/compatibility.toml").read_text())
PAGE = (ROOT / "docs/decisions/0010-road-to-v1.md").read_text()
COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
#: Narrowed on purpose, with a line in CHANGELOG.md.
ANNOUNCED: frozenset[str] = frozenset()
#: All that an operator may set is set in one of these.
SPECS: list[dict[str, Any]] = [
    *SHAPES.values(),
    {
        **EXTERNAL,
        "publicUrl": "https://food.example.com",
        "auth": {"issuer": "https://id.example.com"},
        "storage": {**STORAGE, "uploadUrl": "https://s3.example.com", "publicUrl": "https://cdn.example.com"},
        "api": {"rateLimits": {"rules": {"ip": "600/60"}}, "trustedHops": 2},
        "mail": {**MAIL, "caBundle": {"name": "trusted"}},
    },
]


def _containers() -> Iterator[dict[str, Any]]:
    """Yield each container that runs the API's image."""
    for changes in SPECS:
        found = resource(**changes)
        found["spec"] = {name: value for name, value in found["spec"].items() if value is not None}
        community = parse(found)
        for child in children(community):
            body = child.manifest.get("spec", {})
            body = body.get("jobTemplate", {}).get("spec", body)
            for container in body.get("template", {}).get("spec", {}).get("containers", ()):
                if container["image"] == community.image and "args" in container:
                    yield container


@pytest.mark.parametrize("version", TABLE["image"])
def test_older_image_understands_all_that_this_operator_gives_it(version: str) -> None:
    """An unknown `BAPSANG_` variable or option ends a pod at its start: every rollout of every Community would stop."""
    known = TABLE["image"][version]
    given, arguments, commands = set(), set(), set()
    for container in _containers():
        given |= {variable["name"] for variable in container["env"]}
        command, *words = container["args"]
        commands.add(command)
        if command in known["commands"]:
            arguments |= {(command, word) for word in words if word.startswith("-")}
    assert {name for name in given if name.startswith("BAPSANG_")} <= set(known["settings"]), (
        f'put "{names.OPTIONAL}" before a setting that {version} does not know'
    )
    assert arguments <= {(name, option) for name, options in known["commands"].items() for option in options}
    # A worker that does not start holds nobody up: that image needs none for photos, and has no letters to send.
    assert commands - set(known["commands"]) == {"mail", "media"}
    # So the list above is long enough to mean something.
    assert {name for name in given if name.startswith(names.OPTIONAL)} == {
        *("OPTIONAL_BAPSANG_PUBLIC_URL", "OPTIONAL_BAPSANG_DATABASE_TLS_CA", "OPTIONAL_BAPSANG_REDIS_TLS_CA"),
        "OPTIONAL_BAPSANG_ORIGINALS_DAYS",
        *("OPTIONAL_BAPSANG_SMTP_URL", "OPTIONAL_BAPSANG_SMTP_TLS_CA", "OPTIONAL_BAPSANG_MAIL_FROM"),
    }


def test_what_is_optional_is_a_setting_of_this_image() -> None:
    """A typing error would otherwise be ignored by every image, this one included."""
    given = {variable["name"] for container in _containers() for variable in container["env"]}
    assert {name.removeprefix(names.OPTIONAL) for name in given if "BAPSANG_" in name} <= set(VARIABLES)


@pytest.mark.parametrize("version", TABLE["operator"])
def test_this_image_understands_all_that_an_older_operator_gives_it(version: str) -> None:
    given = TABLE["operator"][version]
    settings = Settings.from_environment(given["environment"])
    assert settings.issuer == settings.site == given["environment"]["BAPSANG_ISSUER"]
    for command, *words in given["arguments"]:
        COMMANDS[command].make_context(command, list(words))


@pytest.mark.parametrize("version", TABLE["image"])
def test_settings_and_options_stay(version: str) -> None:
    """Whoever runs the image without the operator upgrades it, too."""
    known = TABLE["image"][version]
    assert set(known["settings"]) <= set(VARIABLES)
    for command, options in known["commands"].items():
        assert set(options) <= {option for param in COMMANDS[command].params for option in param.opts}


@pytest.mark.parametrize("version", TABLE["image"])
def test_resource_of_an_older_version_means_the_same(version: str) -> None:
    """Fields only come: what was stored stays allowed, and its defaults stay what they were."""
    old = yaml.safe_load((ROOT / f"tests/fields-{version}.yaml").read_text())
    new = crd_fields.of_crd(ROOT / "charts/bapsang-operator/crds/communities.bapsang.dev.yaml")
    assert set(crd_fields.lost(old, new)) == ANNOUNCED
    assert len(old) > 150


def _with(path: str, **facts: Any) -> crd_fields.Fields:
    found = copy.deepcopy(FIELDS)
    found[path].update(facts)
    return found


FIELDS: crd_fields.Fields = {
    "spec": {"type": "object", "required": ["image"]},
    "spec.image": {"type": "string", "maxLength": 512},
    "spec.mode": {"type": "string", "enum": ["a", "b"], "default": "a"},
    "spec.count": {"type": "integer", "minimum": 0, "maximum": 9, "default": 1},
}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({path: facts for path, facts in FIELDS.items() if path != "spec.mode"}, "spec.mode is gone"),
        (_with("spec.count", type="string"), "spec.count: type"),
        (_with("spec.count", default=2), "spec.count: default"),
        (_with("spec.count", minimum=1), "spec.count: minimum"),
        (_with("spec.count", maximum=8), "spec.count: maximum"),
        (_with("spec.image", pattern="^a"), "spec.image: pattern"),
        (_with("spec.mode", enum=["a"]), "spec.mode: enum"),
        (_with("spec", required=["image", "mode"]), "spec.mode is required"),
        (_with("spec.count", maximum=10) | {"spec.new": {"type": "string", "default": "x"}}, ""),
        (_with("spec.mode", enum=["a", "b", "c"]), ""),
    ],
)
def test_what_a_schema_takes_away_is_found(changed: crd_fields.Fields, words: str) -> None:
    found = crd_fields.lost(FIELDS, changed)
    assert [line.startswith(words) for line in found] == ([True] if words else [])


def test_the_page_names_every_version_that_counts() -> None:
    rows = re.findall(r"^\| `(v\d+\.\d+\.\d+)`", PAGE, re.MULTILINE)
    assert set(rows) == set(TABLE["image"]) == set(TABLE["operator"])
