"""`spec.deletionPolicy`: what the real garbage collector takes when a Community goes, and what the next one goes on with."""

from __future__ import annotations

from tests.waiting import eventually

from bapsang_operator.kinds import COMMUNITY

from .client import NAMESPACE, Object
from .namespace import Namespace
from .process import Operator
from .test_quiet import rounds

DATA = {
    ("PersistentVolumeClaim", "c-mysql"),
    ("PersistentVolumeClaim", "c-redis"),
    ("Secret", "c-mysql"),
    ("Secret", "c-redis"),
    ("Secret", "c-signing-key"),
}
Found = dict[tuple[str, str], Object]


def _delete(namespace: Namespace, operator: Operator, left: set[tuple[str, str]]) -> Found:
    """Delete the Community while no operator runs, until the garbage collector has left what is given."""
    operator.rest()
    namespace.client.delete(COMMUNITY, namespace.name, "c")
    eventually(lambda: set(namespace.children()) == left, 60, f"only {left} are left")
    operator.lead()
    return namespace.children()


def _same(before: Found, after: Found) -> bool:
    """Whether what holds data are the same objects with the same values."""
    return all(
        before[key]["metadata"]["uid"] == after[key]["metadata"]["uid"]
        and before[key].get("data") == after[key].get("data")
        for key in DATA
    )


def _set_policy(namespace: Namespace, policy: str) -> None:
    namespace.patch("Community", "c", {"spec": {"deletionPolicy": policy}})
    owned = set() if policy == "Retain" else DATA

    def is_set() -> bool:
        found = namespace.children()
        marked = {key for key in DATA if "bapsang.dev/retained" in found[key]["metadata"]["labels"]}
        return {key for key in DATA if found[key]["metadata"].get("ownerReferences")} == owned == DATA - marked

    eventually(is_set, 60, f"owners and labels follow {policy}")


def test_next_community_goes_on_with_what_was_retained(namespace: Namespace, operator: Operator) -> None:
    namespace.community(deletionPolicy="Retain")
    job = namespace.bring_up()
    before = namespace.children()
    # The tokens that are out have the issuer of the first day, which goes with the status.
    namespace.patch("Community", "c", {"spec": {"publicUrl": "https://food.example.com"}})
    namespace.settle()
    assert _same(before, _delete(namespace, operator, DATA))

    namespace.community(deletionPolicy="Retain", publicUrl="https://food.example.com")
    assert namespace.bring_up() == job  # the database is the same one
    assert _same(before, namespace.children())
    found = namespace.get("Community", "c") or {}
    assert found["status"]["issuer"] == f"http://c.{namespace.name}.localhost"
    told = eventually(lambda: [one["message"] for one in namespace.events("RetainedAdopted")])
    expected = {f"{kind} {name} of an earlier Community of this name is in use." for kind, name in DATA}
    eventually(lambda: {one["message"] for one in namespace.events("RetainedAdopted")} == expected, what=str(told))
    assert namespace.condition("Degraded")["reason"] == "AsExpected"

    # One that does not retain takes it over as well, and along when it goes.
    _delete(namespace, operator, DATA)
    namespace.community()
    namespace.bring_up()
    assert _same(before, namespace.children())
    _delete(namespace, operator, set())


def test_policy_moves_owners_both_ways_and_then_rests(namespace: Namespace, operator: Operator) -> None:
    namespace.community()
    namespace.bring_up()
    before = namespace.children()
    # Adopted after a loss: that reference is not of server-side apply, which would leave it.
    operator.rest()
    for kind, name in DATA:
        namespace.patch(kind, name, {"metadata": {"ownerReferences": None}})
    operator.lead()
    eventually(lambda: all(namespace.children()[key]["metadata"].get("ownerReferences") for key in DATA), 60)
    for policy in ("Retain", "Delete", "Retain"):
        _set_policy(namespace, policy)
        namespace.settle()
        assert _same(before, namespace.children())
    assert namespace.events("RetainedAdopted") == []
    operator.restart()
    rounds(operator, 3)
    assert operator.writes() == 0
    _delete(namespace, operator, DATA)


def test_namespace_takes_along_what_is_retained(namespace: Namespace) -> None:
    namespace.community(deletionPolicy="Retain")
    namespace.bring_up()
    namespace.client.delete(NAMESPACE, None, namespace.name)
    eventually(lambda: namespace.children() == {}, 60, "nothing is left")
