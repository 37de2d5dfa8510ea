"""The Tiltfile is executed with a Starlark interpreter and stand-ins that record what it asks of Tilt."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import starlark
import yaml

from bapsang_local import images
from bapsang_local.settings import CLUSTER

ROOT = Path(__file__).parents[3]
FUNCTIONS = (
    "allow_k8s_contexts",
    "blob",
    "docker_build",
    "encode_yaml",
    "fall_back_on",
    "helm",
    "k8s_kind",
    "k8s_resource",
    "k8s_yaml",
    "local_resource",
    "read_file",
    "read_yaml",
    "sync",
    "update_settings",
)
# Starlark passes JSON-like values only: each stand-in packs its arguments and hands over one string.
STAND_IN = "def {name}(*args, **kwargs):\n    return _called('{name}', _encode(args), _encode(kwargs))\n"


class Tilt:
    """Records calls by function name; answers as Tilt would where the Tiltfile uses the answer."""

    def __init__(self) -> None:
        self.calls: dict[str, list[tuple[list[Any], dict[str, Any]]]] = {}

    def applied(self) -> list[dict[str, Any]]:
        """Return what is applied as it stands in a file or in the Tiltfile."""
        texts = [entry["args"][0] for (entry,), _ in self.calls["k8s_yaml"] if isinstance(entry, dict)]
        files = [(ROOT / entry).read_text() for (entry,), _ in self.calls["k8s_yaml"] if isinstance(entry, str)]
        helm = [args[0] for args, _ in self.calls["helm"]]
        return [one for text in [*texts, *files] if text not in helm for one in yaml.safe_load_all(text)]

    def called(self, name: str, args: str, kwargs: str) -> Any:
        arguments, options = json.loads(args), json.loads(kwargs)
        self.calls.setdefault(name, []).append((arguments, options))
        if name == "read_file":
            return (ROOT / arguments[0]).read_text()
        if name == "read_yaml":
            return yaml.safe_load((ROOT / arguments[0]).read_text())
        if name == "encode_yaml":
            return {"step": name, "args": [yaml.safe_dump(arguments[0])]}
        if name in ("sync", "fall_back_on", "helm", "blob"):
            return {"step": name, "args": arguments}
        return None

    def images(self) -> dict[str, dict[str, Any]]:
        return {args[0]: {"context": args[1], **options} for args, options in self.calls["docker_build"]}


@pytest.fixture(scope="module")
def tilt() -> Tilt:
    recorder = Tilt()
    module = starlark.Module()
    called: Callable[..., Any] = recorder.called
    module.add_callable("_called", called)
    dialect = starlark.Dialect.extended()
    extensions = [starlark.LibraryExtension.Json]
    prelude = "_encode = json.encode\nTRIGGER_MODE_MANUAL = 'manual'\n" + "".join(
        STAND_IN.format(name=name) for name in FUNCTIONS
    )
    text = prelude + (ROOT / "Tiltfile").read_text()
    starlark.eval(module, starlark.parse("Tiltfile", text, dialect), starlark.Globals.extended_by(extensions))
    return recorder


def test_only_the_local_cluster_may_be_used(tilt: Tilt) -> None:
    allowed = [context for arguments, _ in tilt.calls["allow_k8s_contexts"] for context in arguments]
    assert allowed == [f"kind-{CLUSTER}"], "what kind calls the context of the cluster of `make cluster`"


def test_tilt_builds_just_the_images_of_the_project(tilt: Tilt) -> None:
    assert set(tilt.images()) == {image.name.partition(":")[0] for image in images.own()}


@pytest.mark.parametrize(
    ("image", "folder", "package"),
    [("bapsang/api", "api", "bapsang_api"), ("bapsang/operator", "operator", "bapsang_operator")],
)
def test_saved_files_of_both_packages_go_into_running_containers(
    tilt: Tilt, image: str, folder: str, package: str
) -> None:
    built = tilt.images()[image]
    assert built["context"] == "."
    assert built["only"] == [folder]
    assert built["dockerfile_contents"].startswith((ROOT / folder / "Dockerfile").read_text())
    steps = {step["step"]: step["args"] for step in built["live_update"]}
    assert steps["sync"] == [f"{folder}/{package}", f"/app/{package}"]
    assert (ROOT / folder / package / "__init__.py").exists()
    assert all((ROOT / name).exists() for name in steps["fall_back_on"][0])
    assert [step["step"] for step in built["live_update"]] == ["fall_back_on", "sync"], (
        "Tilt wants the first before any sync"
    )


def test_the_reloading_image_keeps_the_program_and_its_user(tilt: Tilt) -> None:
    for image, built in tilt.images().items():
        tail = built["dockerfile_contents"].rpartition("VOLUME /app")[2]
        assert built["build_args"] == {"PROGRAM": image.replace("/", "-")}
        assert "ENTRYPOINT" in tail
        assert built["dockerfile_contents"].rpartition("USER ")[2].startswith("65532")


def test_the_community_gets_the_image_that_tilt_built(tilt: Tilt) -> None:
    assert tilt.calls["k8s_kind"] == [
        (["Community"], {"api_version": "bapsang.dev/v1alpha1", "image_json_path": "{.spec.image}"})
    ]
    sample = [
        document
        for document in yaml.safe_load_all((ROOT / "manifests/samples/community.yaml").read_text())
        if document["kind"] == "Community"
    ]
    assert [document["spec"]["image"].partition(":")[0] for document in sample] == ["bapsang/api"]
    assert sample[0]["apiVersion"] == "bapsang.dev/v1alpha1"


def test_the_same_chart_and_sample_as_make_up(tilt: Tilt) -> None:
    given = [args[0] for args, _ in tilt.calls["k8s_yaml"]]
    files = [entry for entry in given if isinstance(entry, str)]
    assert "manifests/samples/community.yaml" in files
    assert all((ROOT / name).exists() for name in files)
    chart = next(entry for entry in given if isinstance(entry, dict) and entry["step"] == "helm")
    assert (ROOT / chart["args"][0] / "Chart.yaml").exists()


def test_every_named_resource_exists(tilt: Tilt) -> None:
    named = {args[0]: options for args, options in tilt.calls["k8s_resource"]}
    assert set(named) == {"bapsang-operator", "bapsang"}
    assert named["bapsang"]["extra_pod_selectors"] == [{"bapsang.dev/community": "bapsang"}]


def test_the_crd_is_registered_once_and_outlives_tilt_down(tilt: Tilt) -> None:
    """Tilt deletes what it has applied; with the CRD would go every Community of the cluster, with its data."""
    ((_, options),) = tilt.calls["helm"]
    assert options["skip_crds"] is True
    crd = yaml.safe_load((ROOT / "charts/bapsang-operator/crds/communities.bapsang.dev.yaml").read_text())
    (applied,) = (one for one in tilt.applied() if one["kind"] == crd["kind"])
    assert applied["metadata"].pop("annotations") == {"tilt.dev/down-policy": "keep"}
    assert applied == crd


def test_every_button_waits_for_its_click_and_is_a_target_of_the_makefile(tilt: Tilt) -> None:
    buttons = {args[0]: (args[1], options) for args, options in tilt.calls["local_resource"]}
    assert set(buttons) >= {"seed", "like-sync", "test-unit", "test-operator"}
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for name, (command, options) in buttons.items():
        assert command == f"make {name}"
        assert name in targets
        assert (options["auto_init"], options["trigger_mode"]) == (False, "manual")
        assert set(options["resource_deps"]) <= {"bapsang"}
