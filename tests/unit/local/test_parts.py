"""The table of parts agrees with the manifests, the Dockerfiles and the operator that use the names in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from bapsang_local import images, programs
from bapsang_local.from_packages import built_images
from bapsang_local.settings import LOCAL, ROOT, Settings

TABLE = {image.name: image for image in images.table()}


def addon_images() -> dict[str, set[str]]:
    """Return the images of the add-ons, each with the nodes that its pods may run on."""
    found = {}
    for file in (LOCAL / "addons").glob("*.yaml"):
        for text in file.read_text().split("\n---\n"):
            for name in re.findall(r"image: \"?([^\s\",]+)", text):
                if 'nodeSelector: {node-role.kubernetes.io/control-plane: ""}' in text:
                    found[name] = {"control-plane"}
                else:
                    anywhere = "tolerations: [{operator: Exists}]" in text
                    found[name] = {"control-plane", "on-demand"} | ({"spot"} if anywhere else set())
    return found


def test_every_image_is_built_in_just_one_way() -> None:
    for image in TABLE.values():
        assert sum(bool(way) for way in (image.debian, image.folder, image.program, image.dockerfile)) == 1, image.name


def test_addons_use_images_of_the_table_only_and_they_reach_every_node_that_may_run_them() -> None:
    assert addon_images() == {name: set(TABLE[name].nodes) for name in addon_images()}


def test_no_image_is_called_latest() -> None:
    for name in TABLE:
        tag = name.rpartition("/")[2].partition(":")[2]
        assert tag
        assert tag != "latest", "the kubelet would ask a registry for it at every start"


def test_bases_come_before_what_is_built_on_them() -> None:
    seen: set[str] = set()
    for image in TABLE.values():
        if image.folder:
            dockerfile = (LOCAL / "images" / image.folder / "Dockerfile").read_text()
            bases = set(re.findall(r"^FROM (\S+:\S+)", dockerfile, re.MULTILINE))
            assert bases <= seen, image.name
        seen.add(image.name)


def test_programs_of_images_are_in_the_table_in_the_version_of_the_tag() -> None:
    for image in TABLE.values():
        if image.program:
            assert image.name.endswith(f":v{programs.table()[image.program].version}")


def test_kubernetes_has_one_version_everywhere() -> None:
    version = programs.parts()["kubernetes"]["version"]
    assert {programs.table()[name].version for name in ("kube", "kubeadm")} == {version}
    minor = version.rpartition(".")[0]
    assert f":v{minor}." in programs.parts()["kubernetes"]["node_image"], "its patch is the one that kind released"


@pytest.mark.parametrize("name", ["api", "operator"])
def test_our_images_have_the_version_of_the_project(name: str) -> None:
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    assert TABLE[f"bapsang/{name}:{version[1]}"].dockerfile == f"{name}/Dockerfile"


def test_a_changed_program_or_dockerfile_makes_another_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(home=tmp_path, context=None, ingress_port=1, images="auto")
    redis = TABLE["redis:8.0"]
    before = built_images.inputs(redis, settings)
    assert built_images.inputs(redis, settings) == before
    (tmp_path / "images" / "redis").mkdir(parents=True)
    (tmp_path / "images" / "redis" / "Dockerfile").write_text("FROM scratch\n")
    monkeypatch.setattr(built_images, "LOCAL", tmp_path)
    assert built_images.inputs(redis, settings) != before


def test_a_changed_base_makes_other_images_of_all_that_is_built_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(home=tmp_path, context=None, ingress_port=1, images="auto")
    built_on = [image for image in TABLE.values() if image.folder]
    before = [built_images.inputs(image, settings) for image in built_on]
    monkeypatch.setattr(built_images, "SLIM", {})
    assert all(old != built_images.inputs(image, settings) for old, image in zip(before, built_on, strict=True))


def test_addon_manifests_are_valid_yaml_with_names() -> None:
    for file in (LOCAL / "addons").glob("*.yaml"):
        for document in yaml.safe_load_all(file.read_text()):
            assert document["metadata"]["name"]


def test_the_ingress_definitions_are_those_of_its_version() -> None:
    text = (LOCAL / "addons" / "crds" / "contour.yaml").read_text()
    assert text.startswith(f"# Contour {programs.table()['contour'].version},")
    defined = {found["spec"]["names"]["plural"] for found in yaml.safe_load_all(text)}
    rules = next(
        found["rules"]
        for found in yaml.safe_load_all((LOCAL / "addons" / "contour.yaml").read_text())
        if found["kind"] == "ClusterRole"
    )
    watched = {name for rule in rules for name in rule["resources"] if "projectcontour.io" in rule["apiGroups"]}
    assert defined == {name.partition("/")[0] for name in watched}
