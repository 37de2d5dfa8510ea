"""Whose a host is: every case of the rule, and that neither the order of events nor a restart changes the answer."""

from __future__ import annotations

import itertools
import pickle
import secrets
from typing import Any

import pytest

from bapsang_operator import build, names
from bapsang_operator.conditions import events
from bapsang_operator.informer.store import CommunityKey, Store
from bapsang_operator.manifest import Key, Manifest, key_of
from bapsang_operator.planning.hosts import Hosts
from bapsang_operator.problem import Problem
from bapsang_operator.problems import host
from bapsang_operator.resource import Community, parse

from .world import AllDigests, Cluster, condition_of, resource, status_of

HOST = "food.example.com"
EARLY, LATE, LATER = (f"2026-11-0{day}T10:00:00Z" for day in (1, 2, 3))


def named(name: str, created: str = EARLY, *, namespace: str = "ns", host: str = HOST, **spec: Any) -> Manifest:
    """Return a Community that names the host."""
    found = resource(host=host, **spec)
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{namespace}-{name}", "creationTimestamp": created}
    return found | {"metadata": found["metadata"] | metadata}


def ingress_of(owner: Manifest, *, host: str | None = None, created: str = LATE) -> Manifest:
    """Return the live Ingress of a Community, for its host or one that it had before."""
    community = parse(owner | {"spec": owner["spec"] | ({"host": host} if host else {})})
    manifest = build.ingress.ingress(community, str(community.host)).manifest
    more = {"uid": "i", "resourceVersion": "1", "creationTimestamp": created}
    return manifest | {"metadata": manifest["metadata"] | more}


def _foreign(path: str | None = "/", kind: str = "Prefix", host: str = HOST, **spec: Any) -> Manifest:
    """Return somebody else's Ingress."""
    rule: Manifest = {"host": host}
    if path is not None:
        rule["http"] = {"paths": [{"path": path, "pathType": kind}]}
    metadata = {"name": "theirs", "namespace": "other", "uid": "f", "resourceVersion": "1", "creationTimestamp": LATE}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata,
        "spec": {"rules": [rule], **spec},
    }


def _store(*objects: Manifest, told: list[CommunityKey] | None = None) -> Store:
    found = Store((told if told is not None else []).append)
    for one in objects:
        found.put(one)
    return found


def _holder(wanted: Manifest, *objects: Manifest) -> str | None:
    """Return what keeps a Community from its host, the same in whatever order the objects were seen."""
    answers = {
        (claim := _store(*order).hosts.holder(parse(wanted))) and claim.whose
        for order in itertools.permutations([wanted, *objects])
    }
    assert len(answers) == 1
    return answers.pop()


def test_older_community_has_the_host() -> None:
    older, newer = named("z", EARLY), named("a", LATE)
    assert _holder(older, newer) is None
    assert _holder(newer, older) == "Community ns/z"


def test_names_decide_between_communities_of_the_same_second() -> None:
    first, second = named("z", namespace="a"), named("a", namespace="b")
    assert _holder(first, second) is None
    assert _holder(second, first) == "Community a/z"


def test_live_ingress_counts_more_than_age() -> None:
    older, newer = named("old", EARLY), named("new", LATE)
    assert _holder(newer, older, ingress_of(newer)) is None
    assert _holder(older, newer, ingress_of(newer)) == "Community ns/new"


def test_of_two_live_ingresses_that_of_the_older_community_stays() -> None:
    older, newer = named("old", EARLY), named("new", LATE)
    both = (ingress_of(older), ingress_of(newer))
    assert _holder(older, newer, *both) is None
    assert _holder(newer, older, *both) == "Community ns/old"


def test_of_two_live_ingresses_the_older_one_stays_whatever_the_age_of_its_community() -> None:
    older, newer = named("old", EARLY), named("new", LATE)
    both = (ingress_of(older, created=LATER), ingress_of(newer, created=LATE))
    assert _holder(newer, older, *both) is None
    assert _holder(older, newer, *both) == "Community ns/new"


@pytest.mark.parametrize("name", ["anything", "waits-api"])
def test_ingress_that_somebody_makes_with_the_label_of_an_older_community_takes_no_host(name: str) -> None:
    waits, serving = named("waits", EARLY, namespace="a"), named("serving", LATE, namespace="b")
    theirs = _foreign()
    theirs["metadata"] |= {"name": name, "namespace": "a", "labels": {names.LABEL_COMMUNITY: "waits"}}
    theirs["metadata"] |= {"creationTimestamp": LATER}
    assert _holder(serving, waits, ingress_of(serving), theirs) is None
    assert _holder(waits, serving, ingress_of(serving), theirs) == "Community b/serving"


def test_nothing_that_is_done_by_hand_takes_a_host_from_the_one_that_is_known_to_serve() -> None:
    waits, serving = named("waits", EARLY, namespace="a"), named("serving", LATE, namespace="b")
    store = _store(waits, serving, ingress_of(waits, host="other.example.com", created=EARLY), ingress_of(serving))
    assert store.hosts.holder(parse(serving)) is None
    # The one that waits has an older Ingress, which somebody edits; then the one that serves loses its own.
    edited = ingress_of(waits, created=EARLY)
    store.put(edited | {"metadata": edited["metadata"] | {"resourceVersion": "2"}})
    assert store.hosts.holder(parse(serving)) is None
    store.gone(key_of(ingress_of(serving)))
    assert store.hosts.holder(parse(serving)) is None
    assert store.hosts.holder(parse(waits)) is not None


def test_ingress_that_somebody_deletes_or_edits_is_not_lost_to_an_older_community_that_waits() -> None:
    older, serving = named("old", EARLY), named("serving", LATE)
    for damage in (None, ingress_of(serving, host="edited.example.com")):
        store = _store(older, serving, ingress_of(serving))
        if damage is None:
            store.gone(key_of(ingress_of(serving)))
        else:
            store.put(damage | {"metadata": damage["metadata"] | {"resourceVersion": "2"}})
        assert store.hosts.holder(parse(serving)) is None
        assert store.hosts.holder(parse(older)) is not None
        moved = named("serving", LATE, host="other.example.com")
        store.put(moved | {"metadata": moved["metadata"] | {"resourceVersion": "3"}})
        assert store.hosts.holder(parse(older)) is None


def test_one_that_had_to_remove_its_ingress_is_not_taken_for_the_one_that_served() -> None:
    holder, older, newer = named("holder", EARLY), named("older", LATE), named("newer", "2026-11-03T10:00:00Z")
    for order in itertools.permutations([holder, older, newer, ingress_of(holder), ingress_of(newer)]):
        store = _store(*order)
        store.gone(key_of(ingress_of(newer)))
        store.gone(key_of(ingress_of(holder)))
        store.gone(key_of(holder))
        assert store.hosts.holder(parse(older)) is None


def test_other_hosts_are_nobodys_concern() -> None:
    wanted = named("c", LATE)
    assert _holder(wanted, named("other", host="other.example.com"), _foreign(host="other.example.com")) is None
    assert _holder(wanted, named("below", host=f"a.{HOST}"), _foreign(host="*.example.com")) is None


@pytest.mark.parametrize("spelling", ["Food.Example.COM", f"{HOST}.", "FOOD.EXAMPLE.COM."])
def test_spelling_of_a_host_makes_no_other_host(spelling: str) -> None:
    assert _holder(named("c", LATE), named("old", host=spelling)) == "Community ns/old"
    assert _holder(named("c", LATE), _foreign(host=spelling)) == "Ingress other/theirs"


def test_community_that_is_being_deleted_claims_nothing_but_its_live_ingress_does() -> None:
    going, wanted = named("going"), named("c", LATE)
    going["metadata"]["deletionTimestamp"] = LATE
    assert _holder(wanted, going) is None
    assert _holder(wanted, going, ingress_of(going)) == "Ingress ns/going-api"
    assert _holder(wanted, ingress_of(going), ingress_of(wanted)) is None


def test_ingress_of_a_community_that_has_moved_holds_its_former_host_until_it_is_changed() -> None:
    moved, wanted = named("moved", host="other.example.com"), named("c", LATE)
    assert _holder(wanted, moved, ingress_of(moved, host=HOST)) == "Ingress ns/moved-api"
    assert _holder(wanted, moved, ingress_of(moved)) is None


@pytest.mark.parametrize(("path", "kind"), [("/", "Prefix"), (None, ""), ("/*", "ImplementationSpecific")])
def test_foreign_ingress_that_takes_the_whole_host_holds_it_unless_ours_was_there(path: str | None, kind: str) -> None:
    wanted, theirs = named("c"), _foreign(path, kind)
    assert _holder(wanted, theirs) == "Ingress other/theirs"
    assert _holder(wanted, theirs, ingress_of(wanted)) is None


@pytest.mark.parametrize(
    ("path", "kind"), [("/page", "Prefix"), ("/", "Exact"), ("/bucket/*", "ImplementationSpecific")]
)
def test_path_that_somebody_adds_to_a_host_is_no_claim(path: str, kind: str) -> None:
    assert _holder(named("c"), _foreign(path, kind)) is None


def test_foreign_ingress_of_another_class_is_another_way_in() -> None:
    wanted = named("c", ingress={"className": "alb"})
    assert _holder(wanted, _foreign(ingressClassName="internal")) is None
    assert _holder(wanted, _foreign(ingressClassName="alb")) == "Ingress other/theirs"
    assert _holder(named("c"), _foreign(ingressClassName="internal")) == "Ingress other/theirs"
    annotations = {"kubernetes.io/ingress.class": "internal"}
    old = _foreign()
    old["metadata"]["annotations"] = annotations
    assert _holder(wanted, old) is None
    ours = named("c", ingress={"annotations": annotations})
    assert _holder(ours, _foreign(ingressClassName="alb")) is None
    assert _holder(ours, old) == "Ingress other/theirs"


def test_community_without_a_host_waits_for_nobody() -> None:
    wanted = named("c")
    del wanted["spec"]["host"]
    assert _holder(wanted, _foreign(), named("old")) is None


def _listed(*objects: Manifest) -> tuple[Store, list[CommunityKey]]:
    """Return a store that knows the whole cluster, and whom it has called since."""
    told: list[CommunityKey] = []
    store = _store(*objects, told=told)
    store.listed.add(None)
    told.clear()
    return store, told


def test_everybody_who_waits_is_called_when_the_holder_goes_and_nobody_when_nothing_changes() -> None:
    holder, waiting = named("holder"), named("waiting", LATE, namespace="b")
    store, told = _listed(holder, waiting, ingress_of(holder), named("elsewhere", host="other.example.com"))
    store.put(holder | {"metadata": holder["metadata"] | {"resourceVersion": "2"}, "status": {"url": "x"}})
    assert told == []
    store.drop(holder | {"metadata": holder["metadata"] | {"resourceVersion": "3"}})
    assert told == [CommunityKey("b", "waiting")]
    store.gone(key_of(ingress_of(holder)))
    assert told == [CommunityKey("b", "waiting")] * 2
    assert store.hosts.holder(parse(waiting)) is None


def test_change_of_host_calls_those_who_wait_for_the_former_and_the_new_one() -> None:
    holder, waiting = named("holder"), named("waiting", LATE)
    store, told = _listed(holder, waiting, named("next", LATE, host="next.example.com"))
    moved = named("holder", host="next.example.com")
    store.put(moved | {"metadata": moved["metadata"] | {"resourceVersion": "2"}})
    assert sorted(told) == [CommunityKey("ns", "next"), CommunityKey("ns", "waiting")]


def test_nobody_is_called_before_its_namespace_has_been_listed() -> None:
    store, told = _listed(named("waiting", LATE))
    store.listed = {"elsewhere"}
    store.put(named("holder"))
    assert told == []


def test_store_keeps_of_foreign_ingresses_only_that_they_are_there() -> None:
    store = _store(_foreign(tls=[{"secretName": secrets.token_hex(50_000)}]))
    assert len(pickle.dumps(store)) < 10_000
    store.prune("Ingress", None, 10, set())
    assert store.hosts.holder(parse(named("c"))) is None


def test_nothing_is_remembered_of_hosts_that_nobody_claims() -> None:
    found = Hosts()
    community = Key(names.KIND, "ns", "c")
    found.put(community, named("c"), community)
    found.put(community, named("c", host="other.example.com"), community)
    live = ingress_of(named("c", host="other.example.com"))
    found.put(key_of(live), live, community)
    found.drop(community, community)
    found.drop(key_of(live), community)
    assert vars(found) == vars(Hosts())


def _children(community: Community, known: Hosts) -> dict[str, Any]:
    found = known.give_way(community, build.children(community, AllDigests()))
    return {child.key.kind: child.manifest["spec"] for child in found if child.key.kind == "Ingress"}


def test_one_that_gives_way_has_no_ingress_but_keeps_the_one_of_its_former_host() -> None:
    wanted = parse(named("c"))
    assert _children(wanted, _store(named("c")).hosts) == {}
    assert _children(wanted, _store(named("c"), ingress_of(named("c"))).hosts) == {}
    former = _children(wanted, _store(named("c"), ingress_of(named("c"), host="former.example.com")).hosts)
    assert former["Ingress"]["rules"][0]["host"] == "former.example.com"


def _of_taken(holder: Manifest) -> Problem:
    claim = _store(named("c", LATE), holder).hosts.holder(parse(named("c", LATE)))
    assert claim is not None
    return host.problem(parse(named("c", LATE)), claim)


def test_holder_is_named_to_those_who_may_know_it() -> None:
    assert 'Community "old"' in _of_taken(named("old")).message
    elsewhere = _of_taken(named("secret-project", namespace="secret-team")).message
    assert HOST in elsewhere
    assert "secret" not in elsewhere


def test_community_whose_host_is_taken_serves_nobody_and_is_not_up_to_date() -> None:
    cluster = Cluster(parse(named("c")))
    cluster.bring_up()
    before = status_of(cluster)
    assert condition_of(before, "Ready")["status"] == "True"
    found = status_of(cluster, before, [_of_taken(named("old"))])
    told = [condition_of(found, kind) for kind in ("Ready", "Progressing", "Degraded")]
    assert [(one["status"], one["reason"]) for one in told] == [(s, "HostTaken") for s in ("False", "False", "True")]
    warnings = [str(event.reason) for event in events.transitions(before, found) if event.type == "Warning"]
    assert warnings == ["NotReady", "HostTaken"]
    cluster.at("Deployment", "c-api-burst")["status"]["updatedReplicas"] = 0
    still = status_of(cluster, found, [_of_taken(named("old"))])
    assert condition_of(still, "Progressing")["reason"] == "HostTaken", "a pod that comes or goes is no rollout"


def test_operator_of_single_namespaces_says_that_it_did_not_compare_hosts_elsewhere() -> None:
    def told(community: Community, *, sees_all: bool, found: list[Problem] | None = None) -> str:
        message: str = condition_of(status_of(Cluster(community), found=found, sees_all=sees_all), "Degraded")[
            "message"
        ]
        return message

    words = "was not compared with namespaces that the operator does not watch"
    wanted, without = parse(named("c")), named("c")
    del without["spec"]["host"]
    assert words in told(wanted, sees_all=False)
    assert words in told(wanted, sees_all=False, found=[_of_taken(named("old"))])
    assert words not in told(wanted, sees_all=True)
    assert words not in told(parse(without), sees_all=False)
