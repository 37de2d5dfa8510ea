"""Secrets as each Community sees them."""

from __future__ import annotations

from bapsang_operator.keep import Keep
from bapsang_operator.spec import Community, parse

from .fake_kube import FakeKube
from .world import resource

KEY = "prod-signing-key"


def _named(name: str, **changes: object) -> Community:
    found = resource(**changes)
    found["metadata"] |= {"name": name, "uid": f"uid-of-{name}"}
    return parse(found)


async def test_secret_that_another_community_reads_as_well_stays_its_owners() -> None:
    prod = _named("prod")
    staging = _named("staging", auth={"signingKeySecretRef": {"name": KEY, "key": "signing-key.pem"}})
    kube = FakeKube()
    keep = Keep(kube, lambda: 0.0, 30)
    assert not (await keep.ensure(prod)).foreign
    later = Keep(kube, lambda: 0.0, 30)
    assert (KEY, "signing-key.pem") in (await later.ensure(staging)).digests
    kept = await later.ensure(prod)
    assert kept.foreign == []
    assert (KEY, "signing-key.pem") in kept.digests


async def test_forgotten_community_leaves_the_others_secrets_known() -> None:
    kube = FakeKube()
    keep = Keep(kube, lambda: 0.0, 30)
    for name in ("a", "b"):
        await keep.ensure(_named(name))
    keep.forget("uid-of-a")
    asked = len(kube.asked)
    await keep.ensure(_named("b"))
    assert len(kube.asked) == asked
    await keep.ensure(_named("a"))
    assert len(kube.asked) > asked
