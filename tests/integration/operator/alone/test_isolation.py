"""What goes wrong with one Community stays with it: the others are looked after, and it says what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from tests.integration.operator.client import CRD, CRDS, Client, install_crd
from tests.integration.operator.controlplane import ControlPlane
from tests.integration.operator.namespace import Namespace, resource
from tests.integration.operator.process import Operator
from tests.waiting import eventually

from bapsang_operator.kinds import COMMUNITY

#: Loaded by the operator's process before anything else: a bug that meets one Community, with a secret in its words.
BUG = """
from bapsang_operator import build

children = build.children

def faulty(community, *rest, **more):
    if community.name == "bad" and community.like_sync.batch_size != 7:
        raise ValueError("password hunter2 in " + "x" * 5000)
    return children(community, *rest, **more)

build.children = faulty
"""


def _install_crd_of_before(client: Client) -> None:
    """Let the apiserver accept ports as a version did that knew no rule for them."""
    found: Any = client.get(CRDS, None, "communities.bapsang.dev")
    text = json.dumps(found["spec"])
    for version in found["spec"]["versions"]:
        storage = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["storage"]
        storage["properties"]["endpoint"].pop("x-kubernetes-validations")
    assert json.dumps(found["spec"]) != text
    client.patch(CRDS, None, found["metadata"]["name"], {"spec": found["spec"]})


def _create_with_old_port(client: Client, namespace: str) -> None:
    _install_crd_of_before(client)
    spec = {"storage": {"bucket": "media", "endpoint": "http://s3:70700"}}
    eventually(lambda: client.create(COMMUNITY, resource(namespace, "old", **spec)).is_success, what="accepted once")
    client.patch(CRDS, None, "communities.bapsang.dev", {"spec": yaml.safe_load(CRD.read_text())["spec"]})
    eventually(
        lambda: client.create(COMMUNITY, resource(namespace, "new", **spec), dryRun="All").status_code == 422,
        what="refused by now",
    )


def test_a_community_that_makes_the_operator_raise_stops_no_other(
    client: Client, control_plane: ControlPlane, namespace: Namespace, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(BUG)
    faulty = Operator(control_plane.operator, tmp_path / "log", path=(str(tmp_path),))
    try:
        faulty.start()
        _create_with_old_port(client, namespace.name)
        namespace.community("bad")
        told = namespace.wait_for(
            "Degraded", "True", "InternalError", "bad", saying=("ValueError in sitecustomize.py, line 8",)
        )["message"]
        assert "hunter2" not in json.dumps(namespace.get("Community", "bad"))
        assert len(told) < 500
        assert (namespace.get("Community", "bad") or {})["status"]["observedGeneration"] == -1
        assert "spec.storage.endpoint" in namespace.wait_for("Degraded", "True", "InvalidSpec", "old")["message"]
        # After the others have failed, and while they go on failing.
        namespace.community("c")
        namespace.bring_up("c")
        namespace.patch("Community", "c", {"spec": {"likeSync": {"batchSize": 9}}})
        eventually(lambda: '"9"' in json.dumps(namespace.get("CronJob", "c-like-sync")))
        assert faulty.runs
        assert len(namespace.events("InternalError")) == 1
        assert 'reconcile_seconds_count{result="internal_error"}' in faulty.admin("/metrics").text
        assert "Traceback" in faulty.log.read_text()
        # Past the bug, everything is as with any other Community.
        namespace.patch("Community", "bad", {"spec": {"likeSync": {"batchSize": 7}}})
        eventually(lambda: namespace.get("NetworkPolicy", "bad-api"))
        namespace.wait_for("Degraded", "False", "AsExpected", "bad")
    finally:
        faulty.rest()
        install_crd(client)
