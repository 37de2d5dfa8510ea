"""One spec, one result: an Ingress whose class the spec names no more is as a new one would be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.waiting import eventually

from bapsang_operator.kinds import Kind

from .client import Client
from .namespace import Namespace

pytestmark = pytest.mark.usefixtures("operator")
CLASSES = Kind("IngressClass", "networking.k8s.io", "v1", "ingressclasses")


@pytest.fixture
def default_class(client: Client) -> Iterator[str]:
    """The class that the cluster gives to an Ingress that names none."""
    annotations = {"ingressclass.kubernetes.io/is-default-class": "true"}
    metadata = {"name": "the-default", "annotations": annotations}
    answer = client.create(CLASSES, {"metadata": metadata, "spec": {"controller": "example.com/ingress"}})
    assert answer.is_success, answer.text
    yield "the-default"
    client.delete(CLASSES, None, "the-default")


def _class(namespace: Namespace) -> Any:
    return (namespace.get("Ingress", "c-api") or {"spec": {}})["spec"].get("ingressClassName")


def _name(namespace: Namespace, name: str | None) -> None:
    namespace.patch("Community", "c", {"spec": {"ingress": {"className": name}}})
    eventually(lambda: (namespace.get("Community", "c") or {}).get("status", {}).get("observedGeneration", 0) > 1)


def test_class_that_is_named_no_more_becomes_the_clusters_default(namespace: Namespace, default_class: str) -> None:
    namespace.community(ingress={"className": "other"})
    eventually(lambda: _class(namespace) == "other")
    before = namespace.get("Ingress", "c-api") or {}
    _name(namespace, None)
    eventually(lambda: _class(namespace) == default_class)
    assert (namespace.get("Ingress", "c-api") or {})["metadata"]["uid"] == before["metadata"]["uid"]
    # As made anew, and from then on like that.
    namespace.delete("Ingress", "c-api")
    eventually(lambda: _class(namespace) == default_class, 60)
    namespace.patch("Community", "c", {"spec": {"host": f"d.{namespace.name}.localhost"}})
    eventually(lambda: namespace.host() == f"d.{namespace.name}.localhost")
    assert _class(namespace) == default_class


def test_class_that_is_the_default_as_well_is_never_taken_away(namespace: Namespace, default_class: str) -> None:
    namespace.community(ingress={"className": default_class})
    eventually(lambda: _class(namespace) == default_class)
    generation = (namespace.get("Ingress", "c-api") or {})["metadata"]["generation"]
    _name(namespace, None)
    namespace.wait_for("Progressing", "True", "WaitingForDatabase")
    found = namespace.get("Ingress", "c-api") or {}
    assert (found["spec"]["ingressClassName"], found["metadata"]["generation"]) == (default_class, generation)


def test_without_a_default_an_ingress_has_the_class_that_its_spec_names(namespace: Namespace) -> None:
    namespace.community(ingress={"className": "other"})
    eventually(lambda: _class(namespace) == "other")
    _name(namespace, None)
    eventually(lambda: namespace.get("Ingress", "c-api") and _class(namespace) is None)
