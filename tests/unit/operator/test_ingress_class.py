"""The class of an Ingress whose spec names none: asked for when it matters, and never lost to a policy."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from bapsang_operator.cluster.client import KubeError
from bapsang_operator.manifest import Key, Manifest
from bapsang_operator.unwatched.ingress_class import with_class

from .fake_kube import FakeKube
from .world import Cluster, children, community

INGRESS = Key("Ingress", "ns", "c-api")


class _WithDefault(FakeKube):
    """Gives new Ingresses a class."""

    async def apply(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        made = await super().apply(manifest, dry_run=dry_run)
        made["spec"].setdefault("ingressClassName", "default")
        return made


async def _class(kube: FakeKube, cluster: Cluster) -> Any:
    found = await with_class(kube, cluster.community, children(cluster.community), cluster.live)
    (child,) = [one for one in found if one.key == INGRESS]
    cluster.put(child.manifest)
    return child.manifest["spec"].get("ingressClassName")


def _cluster(**ingress: str) -> Cluster:
    cluster = Cluster(community(ingress=ingress))
    cluster.bring_up()
    return cluster


async def test_default_is_asked_for_once_and_then_known() -> None:
    kube, cluster = _WithDefault(), _cluster(className="other")
    cluster.community = community()
    assert await _class(kube, cluster) == "default"
    assert [verb for verb, _ in kube.asked] == ["dry-run"]
    assert await _class(kube, cluster) == "default"
    assert len(kube.asked) == 1
    cluster.community = community(ingress={"className": "named"})
    assert await _class(kube, cluster) == "named"
    assert len(kube.asked) == 1


async def test_ingress_that_never_named_a_class_is_left_as_it_is() -> None:
    kube, cluster = _WithDefault(), _cluster()
    cluster.live[INGRESS]["spec"]["ingressClassName"] = "default"  # by the apiserver
    assert await _class(kube, cluster) is None
    assert kube.asked == []
    del cluster.live[INGRESS]
    assert await _class(kube, cluster) is None


async def test_class_that_serves_stays_where_a_policy_refuses_to_tell_the_default() -> None:
    kube, cluster = FakeKube(), _cluster(className="other")
    cluster.community = community()
    before = copy.deepcopy(cluster.live)
    kube.fails = lambda _verb, _key: KubeError(403, "Forbidden", "no")
    assert await _class(kube, cluster) == "other"
    cluster.live = before
    kube.fails = lambda _verb, _key: KubeError(0, "NoAnswer", "refused")
    with pytest.raises(KubeError):
        await _class(kube, cluster)
