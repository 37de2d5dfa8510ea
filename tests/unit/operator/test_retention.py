"""What outlives its Community (`spec.deletionPolicy`), and who has it afterwards."""

from __future__ import annotations

import copy

import pytest

from bapsang_operator import names
from bapsang_operator.build import meta, secret
from bapsang_operator.manifest import Key
from bapsang_operator.offline.preview import preview
from bapsang_operator.planning import plan
from bapsang_operator.resource import Community, parse
from bapsang_operator.unwatched.secrets import Secrets

from .fake_kube import FakeKube
from .world import Cluster, community, resource

UP = Cluster(community())
UP.bring_up()
SECRETS = [Key("Secret", "ns", name) for name in ("c-signing-key", "c-redis", "c-mysql")]


@pytest.mark.parametrize(("kind", "name"), [("PersistentVolumeClaim", "c-mysql"), ("Deployment", "c-api-base")])
@pytest.mark.parametrize("policy", ["Delete", "Retain"])
@pytest.mark.parametrize("is_owned", [False, True])
def test_owner_is_put_on_or_off_as_the_deletion_policy_says(kind: str, name: str, policy: str, is_owned: bool) -> None:
    wanted = community(deletionPolicy=policy)
    live = copy.deepcopy(UP.at(kind, name))
    other, own = {"uid": "x"}, meta.owner(wanted)
    live["metadata"] |= {"resourceVersion": "7", "ownerReferences": [other, own] if is_owned else [other]}
    patch = plan.reowned(wanted, live)
    is_to_be_owned = policy == "Delete" or kind == "Deployment"
    if is_owned == is_to_be_owned:
        assert patch is None
        return
    references = [other, own] if is_to_be_owned else [other]
    assert patch == {"metadata": {"resourceVersion": "7", "ownerReferences": references}}
    live["metadata"] |= patch["metadata"]
    assert plan.reowned(wanted, live) is None


def test_claim_of_an_earlier_community_is_told_only_where_it_was_retained() -> None:
    cluster = Cluster(community(deletionPolicy="Retain"))
    cluster.bring_up()
    assert cluster.plan().retained == []
    cluster.community = _another("Retain")
    assert {key.name for key in cluster.plan().retained} == {"c-redis", "c-mysql"}
    assert {key.kind for key in cluster.plan().retained} == {"PersistentVolumeClaim"}


def test_plan_shows_what_would_stay() -> None:
    for policy, kinds in (("Delete", []), ("Retain", ["PersistentVolumeClaim"] * 2 + ["Secret"] * 3)):
        children = preview(resource(deletionPolicy=policy)).children
        assert [one["kind"] for one in children if "ownerReferences" not in one["metadata"]] == kinds
        assert [one["kind"] for one in children if names.LABEL_RETAINED in one["metadata"]["labels"]] == kinds


def _another(policy: str, host: str = "c.example.com") -> Community:
    """Return another Community of the same name."""
    found = resource(deletionPolicy=policy, host=host)
    found["metadata"]["uid"] = "22222222-2222-2222-2222-222222222222"
    return parse(found)


def _owned(kube: FakeKube) -> list[Key]:
    return [key for key in SECRETS if kube.objects_by_key[key]["metadata"].get("ownerReferences")]


async def test_secrets_follow_the_policy_without_another_write_or_word() -> None:
    kube = FakeKube()
    for policy in ("Delete", "Retain", "Delete", "Retain"):
        wanted = community(deletionPolicy=policy)
        secrets = Secrets(kube, lambda: 0.0, 30)
        kept = await secrets.ensure(wanted)
        assert (kept.adopted, kept.retained, kept.failed) == ([], [], {})
        assert _owned(kube) == (SECRETS if policy == "Delete" else [])
        for key in SECRETS:
            found = kube.objects_by_key[key]["metadata"]
            for name, value in secret.metadata(wanted, key.name)["labels"].items():
                assert found["labels"][name] == value
            assert (names.LABEL_RETAINED in found["labels"]) == (policy == "Retain")
        writes = len(kube.writes)
        await secrets.ensure(wanted)
        assert len(kube.writes) == writes


async def test_paused_community_keeps_the_owners_that_its_secrets_have() -> None:
    kube = FakeKube()
    await Secrets(kube, lambda: 0.0, 30).ensure(community())
    await Secrets(kube, lambda: 0.0, 30).ensure(community(deletionPolicy="Retain"), create=False)
    assert _owned(kube) == SECRETS


@pytest.mark.parametrize("policy", ["Delete", "Retain"])
async def test_retained_secrets_are_the_next_communitys_with_their_values_and_issuer(policy: str) -> None:
    kube = FakeKube()
    await Secrets(kube, lambda: 0.0, 30).ensure(community(deletionPolicy="Retain"))
    before = {key: kube.objects_by_key[key]["data"] for key in SECRETS}
    second = _another(policy, host="moved.example.com")
    kept = await Secrets(kube, lambda: 0.0, 30).ensure(second)
    assert (kept.retained, kept.adopted, kept.terminating) == (SECRETS, [], [])
    assert kept.issuer == "http://c.example.com"
    assert {key: kube.objects_by_key[key]["data"] for key in SECRETS} == before
    assert _owned(kube) == (SECRETS if policy == "Delete" else [])
    again = await Secrets(kube, lambda: 0.0, 30).ensure(second)
    assert (again.retained, again.issuer) == ([], "http://c.example.com")
