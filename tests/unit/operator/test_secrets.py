"""Secrets as each Community sees them."""

from __future__ import annotations

import base64
import hashlib

import pytest

from bapsang_operator import build
from bapsang_operator.cluster.client import KubeError
from bapsang_operator.manifest import Key
from bapsang_operator.resource import Community, parse
from bapsang_operator.unwatched.secrets import Secrets

from .fake_kube import FakeKube
from .world import resource

KEY = "prod-signing-key"
SECRET = Key("Secret", "ns", "c-mysql")


def _named(name: str, **changes: object) -> Community:
    found = resource(**changes)
    found["metadata"] |= {"name": name, "uid": f"uid-of-{name}"}
    return parse(found)


async def test_secret_that_another_community_reads_as_well_stays_its_owners() -> None:
    prod = _named("prod")
    staging = _named("staging", auth={"signingKeySecretRef": {"name": KEY, "key": "signing-key.pem"}})
    kube = FakeKube()
    secrets = Secrets(kube, lambda: 0.0, 30)
    assert not (await secrets.ensure(prod)).foreign
    later = Secrets(kube, lambda: 0.0, 30)
    assert (KEY, "signing-key.pem") in (await later.ensure(staging)).digests
    kept = await later.ensure(prod)
    assert kept.foreign == []
    assert (KEY, "signing-key.pem") in kept.digests


async def test_forgotten_community_leaves_the_others_secrets_known() -> None:
    kube = FakeKube()
    secrets = Secrets(kube, lambda: 0.0, 30)
    for name in ("a", "b"):
        await secrets.ensure(_named(name))
    secrets.forget("uid-of-a")
    asked = len(kube.asked)
    await secrets.ensure(_named("b"))
    assert len(kube.asked) == asked
    await secrets.ensure(_named("a"))
    assert len(kube.asked) > asked


async def test_secret_that_lost_its_owner_gets_it_back_with_its_values() -> None:
    kube = FakeKube()
    community = _named("c")
    await Secrets(kube, lambda: 0.0, 30).ensure(community)
    live = kube.objects_by_key[SECRET]
    before = dict(live["data"])
    del live["metadata"]["ownerReferences"]
    secrets = Secrets(kube, lambda: 0.0, 30)
    assert not (await secrets.ensure(community, create=False)).adopted  # a Community that is paused
    assert (await secrets.ensure(community)).adopted == [SECRET]
    owned = kube.objects_by_key[SECRET]
    assert (owned["data"], owned["metadata"]["ownerReferences"][0]["uid"]) == (before, community.uid)
    writes = len(kube.writes)
    assert (await secrets.ensure(community)).adopted == []
    assert len(kube.writes) == writes


async def test_secret_whose_owner_cannot_be_set_is_used_and_told_without_a_word_of_the_webhook() -> None:
    kube = FakeKube()
    community = _named("c")
    await Secrets(kube, lambda: 0.0, 30).ensure(community)
    del kube.objects_by_key[SECRET]["metadata"]["ownerReferences"]
    kube.fails = lambda verb, _key: KubeError(403, "Forbidden", "it holds geheim") if verb == "merge" else None
    secrets = Secrets(kube, lambda: 0.0, 30)
    for _ in range(2):
        kept = await secrets.ensure(community)
        assert ("c-mysql", "url") in kept.digests
        assert kept.adopted == []
        (told,) = kept.failed.values()
        assert told.message == 'Secret "c-mysql" failed and is tried again: its owner could not be set.'
    kube.fails = lambda verb, _key: KubeError(0, "NoAnswer", "refused") if verb == "merge" else None
    with pytest.raises(KubeError):
        await secrets.ensure(community)


async def test_config_map_is_read_by_name_and_its_failure_holds_up_what_reads_it() -> None:
    ref = {"name": "m", "key": "level"}
    variables = [{"name": "A", "valueFrom": {"configMapKeyRef": ref}}]
    community = _named("c", api={"env": variables})
    data = {"data": {"level": "one"}, "binaryData": {"logo": "YQ=="}}
    kube = FakeKube({"kind": "ConfigMap", "metadata": {"name": "m", "namespace": "ns"}, **data})
    kept = await Secrets(kube, lambda: 0.0, 30).ensure(community)
    assert {name: kept.digests["configmap/m", name] for name in ("level", "logo")} == {
        name: hashlib.sha256(value).hexdigest() for name, value in (("level", b"one"), ("logo", b"a"))
    }
    denied = KubeError(403, "Forbidden", "configmaps is forbidden")
    kube.fails = lambda _verb, key: denied if key.kind == "ConfigMap" else None
    kept = await Secrets(kube, lambda: 0.0, 30).ensure(community)
    assert [key.kind for key in kept.failed] == ["ConfigMap"]
    held = {child.key.name for child in build.children(community, kept.digests) if child.missing}
    assert held == {"c-api-base", "c-api-burst"}


def _rotated(kube: FakeKube, name: str, **values: str) -> dict[str, str]:
    """Change keys of a generated Secret and return all values from before."""
    data = kube.objects_by_key[Key("Secret", "ns", name)]["data"]
    before = {key: base64.b64decode(value).decode() for key, value in data.items()}
    data |= {key.replace("_", "-"): base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return before


@pytest.mark.parametrize(
    ("name", "changed", "followers"),
    [
        ("c-redis", {"password": "geheim1234"}, {"url", "redis.conf"}),
        ("c-mysql", {"password": "geheim1234"}, {"url", "init.sql"}),
        ("c-mysql", {"root_password": "geheim1234"}, {"init.sql"}),
    ],
)
async def test_password_that_is_changed_alone_is_copied_into_the_keys_that_hold_it(
    name: str, changed: dict[str, str], followers: set[str]
) -> None:
    kube, community = FakeKube(), _named("c")
    await Secrets(kube, lambda: 0.0, 30).ensure(community)
    before = _rotated(kube, name, **changed)
    secrets = Secrets(kube, lambda: 0.0, 30)
    kept = await secrets.ensure(community)
    assert kept.renewed == [Key("Secret", "ns", name)]
    after = _rotated(kube, name)
    assert {key for key in after if after[key] != before[key]} == {
        *followers,
        *(key.replace("_", "-") for key in changed),
    }
    old = before[next(iter(changed)).replace("_", "-")]
    assert all(after[key] == before[key].replace(old, "geheim1234") for key in followers)
    assert all((name, key) in kept.digests for key in after)
    writes = len(kube.writes)
    assert (await secrets.ensure(community)).renewed == []
    assert len(kube.writes) == writes


@pytest.mark.parametrize("password", ["geheim1234\n", "kurz", "geheim'1234", ""])
async def test_password_that_could_not_stand_in_the_other_keys_is_told_and_reaches_no_pod(password: str) -> None:
    kube, community = FakeKube(), _named("c")
    await Secrets(kube, lambda: 0.0, 30).ensure(community)
    _rotated(kube, "c-redis", password=password)
    kept = await Secrets(kube, lambda: 0.0, 30).ensure(community)
    assert kept.withheld == [Key("Secret", "ns", "c-redis")]
    assert not [key for key in kept.digests if key[0] == "c-redis"]
    (fault,) = kept.faulty
    assert (fault.ref.name, fault.ref.key) == ("c-redis", "password")
    assert "letters and digits" in fault.text
    assert "geheim" not in fault.text


async def test_secret_without_a_password_of_its_own_is_used_as_it_is() -> None:
    kube, community = FakeKube(), _named("c")
    await Secrets(kube, lambda: 0.0, 30).ensure(community)
    del kube.objects_by_key[Key("Secret", "ns", "c-mysql")]["data"]["root-password"]
    kept = await Secrets(kube, lambda: 0.0, 30).ensure(community)
    assert (kept.renewed, kept.withheld) == ([], [])
    assert ("c-mysql", "url") in kept.digests


async def test_values_that_agree_are_never_touched_whatever_they_are() -> None:
    kube, community = FakeKube(), _named("c")
    await Secrets(kube, lambda: 0.0, 30).ensure(community)
    mine = "g'heim@"
    _rotated(kube, "c-redis", password=mine, url=f"redis://:{mine}@elsewhere", **{"redis.conf": f"requirepass {mine}"})
    kept = await Secrets(kube, lambda: 0.0, 30).ensure(community)
    assert (kept.renewed, kept.withheld) == ([], [])


async def test_copies_that_a_webhook_refuses_or_a_pause_holds_up_reach_no_pod() -> None:
    kube, community = FakeKube(), _named("c")
    await Secrets(kube, lambda: 0.0, 30).ensure(community)
    _rotated(kube, "c-redis", password="geheim1234")
    secrets = Secrets(kube, lambda: 0.0, 30)
    paused = await secrets.ensure(community, create=False)
    assert (paused.withheld, paused.failed) == ([Key("Secret", "ns", "c-redis")], {})
    kube.fails = lambda verb, _key: KubeError(403, "Forbidden", "it holds geheim1234") if verb == "merge" else None
    kept = await secrets.ensure(community)
    assert not [key for key in kept.digests if key[0] == "c-redis"]
    (told,) = kept.failed.values()
    assert "its other keys could not be given the changed password" in told.message
    assert "geheim" not in told.message
    kube.fails = lambda _verb, _key: None
    assert (await secrets.ensure(community)).renewed
