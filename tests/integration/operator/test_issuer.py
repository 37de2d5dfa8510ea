"""Another address, the same tokens: the issuer stays through changes of the URL and of the operator's process."""

from __future__ import annotations

from typing import Any

from tests.waiting import eventually

from .client import Object
from .namespace import Namespace
from .process import Operator

TIERS = ("c-api-base", "c-api-burst")


def _environment(namespace: Namespace, tier: str) -> dict[str, Any]:
    (container,) = (namespace.get("Deployment", tier) or {})["spec"]["template"]["spec"]["containers"]
    return {variable["name"]: variable.get("value") for variable in container["env"]}


def _moved(namespace: Namespace, change: Object, url: str) -> None:
    """Change the address and check that both tiers serve it, with the issuer of the first day."""
    namespace.patch("Community", "c", {"spec": change})
    namespace.settle()
    first = f"http://c.{namespace.name}.localhost"
    for tier in TIERS:
        given = _environment(namespace, tier)
        assert given["BAPSANG_ISSUER"] == first
        assert given["BAPSANG_CORS_ORIGINS"].split(",")[0] == url
        assert given.get("OPTIONAL_BAPSANG_PUBLIC_URL", first) == url
    status = (namespace.get("Community", "c") or {})["status"]
    assert (status["issuer"], status["url"]) == (first, url)


def test_issuer_outlives_changes_of_the_address_and_the_process(namespace: Namespace, operator: Operator) -> None:
    namespace.community()
    namespace.bring_up()
    first, moved = f"http://c.{namespace.name}.localhost", f"new.{namespace.name}.localhost"
    _moved(namespace, {"publicUrl": "https://food.example.com"}, "https://food.example.com")
    operator.restart()
    _moved(namespace, {"publicUrl": None, "host": moved}, f"http://{moved}")
    _moved(namespace, {"ingress": {"tlsSecretName": "tls"}}, f"https://{moved}")
    # As v0.0.1 leaves it, which reports the URL alone; an upgrade comes together with a new address.
    operator.rest()
    namespace.patch("Community", "c", {"status": {"issuer": None, "url": first}}, "/status")
    _moved_by = {"publicUrl": "https://again.example.com"}
    namespace.patch("Community", "c", {"spec": _moved_by})
    operator.lead()
    _moved(namespace, _moved_by, "https://again.example.com")


def test_issuer_that_the_spec_names_counts(namespace: Namespace, operator: Operator) -> None:
    namespace.community(auth={"issuer": "https://auth.example.com"})
    namespace.bring_up()
    namespace.patch("Community", "c", {"spec": {"auth": {"issuer": "https://id.example.com"}}})
    eventually(lambda: _environment(namespace, TIERS[0])["BAPSANG_ISSUER"] == "https://id.example.com")
    namespace.settle()
    assert (namespace.get("Community", "c") or {})["status"]["issuer"] == "https://id.example.com"
