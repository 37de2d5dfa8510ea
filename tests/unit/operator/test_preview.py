"""`bapsang-operator plan`: what becomes of a Community, told without a cluster."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bapsang_operator import __main__, names
from bapsang_operator.build import secret
from bapsang_operator.manifest import Manifest
from bapsang_operator.offline import command, preview

from .world import children, community, resource

ROOT = Path(__file__).parents[3]
SAMPLES = sorted((ROOT / "manifests" / "samples").glob("*.yaml"))


class Run:
    """What one call of the command said."""

    def __init__(self, capfd: pytest.CaptureFixture[str], *files: Path | str) -> None:
        self.code = __main__.main(["plan", *map(str, files)])
        self.out, self.err = capfd.readouterr()
        self.communities = json.loads(self.out)["communities"]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    def run(*contents: Any) -> Run:
        files = []
        for number, content in enumerate(contents):
            files.append(tmp_path / f"{number}.yaml")
            text = content if isinstance(content, str) else yaml.safe_dump(content, allow_unicode=True)
            files[-1].write_text(text)
        return Run(capfd, *files)

    return run


def _plain(**changes: Any) -> Manifest:
    return {**resource(**changes), "metadata": {"name": "c", "namespace": "ns"}}


def _with(metadata: Any = None, **fields: Any) -> Manifest:
    return {**_plain(), "metadata": {"name": "c", "namespace": "ns", **(metadata or {})}, **fields}


@pytest.mark.parametrize("file", SAMPLES, ids=lambda file: file.stem)
def test_samples_are_planned(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = Run(capfd, file)
    assert (found.code, found.err) == (0, "")
    assert all(one["children"] and not one["dropped"] for one in found.communities)


def test_children_are_those_of_the_builders_and_the_generated_secrets(run: Any) -> None:
    (found,) = run(_plain(storage={"bucket": "media"}, api={"burst": {"headroom": 1}})).communities
    wanted = community(storage={"bucket": "media"}, api={"burst": {"headroom": 1}})
    made = {f"{one['kind']} {one['metadata']['name'].partition('-migrate-')[0]}" for one in found["children"]}
    built = {f"{child.key.kind} {child.key.name.partition('-migrate-')[0]}" for child in children(wanted)}
    assert made == built | {f"Secret {name}" for name in secret.generators(wanted)}


@pytest.mark.parametrize("external", [False, True])
def test_generated_secrets_are_shown_with_their_keys_and_without_values(external: bool) -> None:
    changes: Any = {
        "redis": {"mode": "external", "url": "redis://r"},
        "database": {"mode": "external", "writerSecretRef": {"name": "w"}},
    }
    found = preview.preview(_plain(**changes if external else {}))
    shown = {one["metadata"]["name"]: one["data"] for one in found.children if one["kind"] == "Secret"}
    generated = {name: dict.fromkeys(make(), "") for name, make in secret.generators(found.community).items()}
    assert shown == generated
    assert len(shown) == (1 if external else 3)


def test_same_input_gives_the_same_bytes(run: Any) -> None:
    one, other = _plain(), {**_plain(api={"arch": "arm64"}), "metadata": {"name": "a", "namespace": "ns"}}
    turned = {name: one[name] for name in reversed(one)}
    window = {"name": "w", "schedule": "* * * * *", "duration": "24h", "replicas": 9}
    written = (yaml.safe_dump_all([one, other]), yaml.safe_dump_all([turned, other], sort_keys=False))
    both = [run(text).out for text in written]
    assert both[0] == both[1]
    opened = run(_plain(prewarm=[window])).communities[0]["children"]
    assert opened == run(_plain()).communities[0]["children"]
    found = run(one, other).communities
    assert [one["community"] for one in found] == ["ns/a", "ns/c"]
    kinds = [(child["kind"], child["metadata"]["name"]) for child in found[0]["children"]]
    assert kinds == sorted(kinds)


def test_output_does_not_depend_on_hash_seed_locale_or_time_zone(tmp_path: Path) -> None:
    file = tmp_path / "밥.yaml"
    file.write_text(yaml.safe_dump(_plain(api={"env": [{"name": "A", "value": "밥상"}]})))
    command = [sys.executable, "-m", "bapsang_operator", "plan", str(file)]
    path = ":".join(sys.path)
    outputs = {
        subprocess.run(command, env={"PYTHONPATH": path, **more}, capture_output=True, check=True, timeout=60).stdout
        for more in (
            {"PYTHONHASHSEED": "1", "LC_ALL": "C", "PYTHONUTF8": "0"},
            {"PYTHONHASHSEED": "2", "LC_ALL": "C.UTF-8", "TZ": "Asia/Seoul"},
        )
    }
    assert len(outputs) == 1
    assert "밥상".encode() in outputs.pop()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"redis": {"mode": "external", "url": "redis://:pw@r:6379"}}, "spec.redis.url"),
        ({"redis": {"mode": "external"}}, "spec.redis.secretRef"),
        ({"api": {"burst": {"minReplicas": 3, "maxReplicas": 2}}}, "spec.api.burst.minReplicas"),
        ({"api": {"base": {"replicas": "two"}}}, "spec.api.base.replicas"),
        ({"api": {"base": {"replicas": 2.5}}}, "spec.api.base.replicas"),
        ({"api": {"env": [{"name": "A", "value": "1"}, None]}}, "spec.api.env[1]"),
        ({"image": None}, "spec.image"),
        ({"host": "밥상"}, "spec.host"),
        ({"api": []}, "spec.api"),
        ({"prewarm": {"a": 1}}, "spec.prewarm"),
    ],
)
def test_refusal_names_the_field(run: Any, changes: Any, field: str) -> None:
    found = run(_plain(**changes))
    assert (found.code, found.err) == (1, "")
    (one,) = found.communities
    assert [told["field"] for told in one["refused"]] == [field]
    assert one["refused"][0]["message"].startswith(f"{field}: ")
    assert "children" not in one


@pytest.mark.parametrize(
    ("manifest", "field"),
    [
        (_with(apiVersion="bapsang.dev/v1"), "apiVersion"),
        (_with(apiVersion=None), "apiVersion"),
        (_with(metadata={"name": None}), "metadata.name"),
        (_with(metadata={"name": "a" * 37}), "metadata.name"),
        (_with(metadata={"name": "a\n"}), "metadata.name"),
        (_with(metadata={"name": 7}), "metadata.name"),
        (_with(metadata={"namespace": "Ns"}), "metadata.namespace"),
        (_with(metadata={"namespace": ["ns"]}), "metadata.namespace"),
        (_with(metadata={"annotations": {"a b": "1"}}), "metadata.annotations"),
        (_with(metadata={"annotations": {"a": 1}}), "metadata.annotations"),
        (_with(metadata={"annotations": {"a": "1" * 300_000}}), "metadata.annotations"),
        (_with(metadata={"labels": {"a": "b c"}}), "metadata.labels"),
        (_with(metadata={"labels": ["a"]}), "metadata.labels"),
        ({**_with(), "metadata": "c"}, "metadata"),
        (_with(spec=None), "spec"),
        (_with(spec=[]), "spec"),
    ],
)
def test_refusal_of_what_is_around_the_spec_names_the_field(run: Any, manifest: Manifest, field: str) -> None:
    found = run(manifest)
    assert found.code == 1
    assert [told["field"] for told in found.communities[0]["refused"]] == [field]


def test_unknown_fields_and_nulls_are_dropped_as_the_apiserver_does(run: Any) -> None:
    changes = {"host": None, "replica": 3, "api": {"arch": None, "base": {"replicas": 3.0, "x": {}}}, "budget": None}
    (found,) = run(_plain(**changes)).communities
    assert found["dropped"] == ["spec.api.base.x", "spec.replica"]
    base = next(one for one in found["children"] if one["metadata"]["name"] == names.api_base("c"))
    assert base["spec"]["replicas"] == 3
    assert not [one for one in found["children"] if one["kind"] == "Ingress"]


def test_pause_is_told_and_children_are_those_after_it(run: Any) -> None:
    (found,) = run(_with(metadata={"annotations": {names.ANNOTATION_PAUSED: "a look"}})).communities
    assert found["paused"] == "a look"
    assert found["children"] == run(_plain()).communities[0]["children"]


def test_one_refused_community_does_not_hide_the_others(run: Any) -> None:
    found = run(
        yaml.safe_dump_all([_plain(), _plain(image=""), {"kind": "Namespace"}]), {"kind": "List", "items": [_plain()]}
    )
    assert found.code == 1
    assert [(one["file"][-6:], one["document"], "children" in one) for one in found.communities] == [
        ("0.yaml", 1, True),
        ("0.yaml", 2, False),
        ("1.yaml", 1, True),
    ]


def test_kind_of_another_group_is_none_of_ours(run: Any) -> None:
    found = run(yaml.safe_dump_all([_plain(), {"apiVersion": "bapsang.example/v1", "kind": "Community"}]))
    assert (found.code, len(found.communities)) == (0, 1)


@pytest.mark.parametrize("text", ["a: [", "- a", "words", "kind: Namespace", "", "a: &x [*x]"])
def test_file_that_holds_no_community_is_told_and_ends_with_2(run: Any, text: str) -> None:
    found = run(text)
    assert (found.code, found.communities) == (2, [])
    assert found.err.startswith("bapsang-operator: ")
    assert "Traceback" not in found.err


def test_unreadable_file_does_not_hide_the_others(run: Any, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    good = tmp_path / "good.yaml"
    good.write_text(yaml.safe_dump(_plain()))
    for bad in (tmp_path / "missing.yaml", tmp_path):
        found = Run(capfd, bad, good)
        assert (found.code, len(found.communities)) == (2, 1)
        assert str(bad) in found.err


def test_wrong_usage_ends_with_2() -> None:
    with pytest.raises(SystemExit) as ended:
        __main__.main(["plan"])
    assert ended.value.code == 2


def test_standard_input_is_read(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(_plain()).encode())))
    found = Run(capfd, "-")
    assert (found.code, found.communities[0]["file"], found.communities[0]["community"]) == (0, "-", "ns/c")


def test_bug_of_a_builder_refuses_one_community_without_a_traceback(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(*_: Any, **__: Any) -> Any:
        raise KeyError("secret")

    monkeypatch.setattr(command, "preview", raises)
    found = run(_plain())
    (told,) = found.communities[0]["refused"]
    assert (found.code, told["field"], found.err) == (1, "spec", "")
    assert "KeyError in test_preview.py" in told["message"]
    assert "secret" not in told["message"]
