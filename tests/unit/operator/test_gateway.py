"""The HTTPRoute: what is made, what its Gateways' answers mean for conditions and for the Ingress, and whose a host is."""

from __future__ import annotations

from typing import Any

import pytest

from bapsang_operator import build, names
from bapsang_operator.conditions import ready as readiness
from bapsang_operator.conditions.condition import Condition
from bapsang_operator.manifest import Key, Manifest, key_of
from bapsang_operator.planning import plan, progress, route
from bapsang_operator.problem import Problem
from bapsang_operator.problems import gateway
from bapsang_operator.resource import parse

from .test_hosts import HOST, LATE, LATER, _holder, _store, ingress_of, named
from .world import AllDigests, Cluster, children, community, condition_of, resource, status_of

ROUTE, INGRESS = Key("HTTPRoute", "ns", "c-api"), Key("Ingress", "ns", "c-api")
TWO: Manifest = {"parentRefs": [{"name": "public", "namespace": "infra"}, {"name": "own", "sectionName": "https"}]}
ONE: Manifest = {"parentRefs": TWO["parentRefs"][:1]}
YES = [{"type": kind, "status": "True"} for kind in ("Accepted", "ResolvedRefs")]


def told(ref: Manifest, *conditions: Manifest) -> Manifest:
    return {"parentRef": ref, "controllerName": "example.com/c", "conditions": list(conditions)}


def no(kind: str = "Accepted", message: str = "not allowed") -> Manifest:
    return {"type": kind, "status": "False", "reason": "Refused", "message": message}


def up(spec: Manifest = TWO, *entries: Manifest) -> Cluster:
    """Return a Community that serves by a route to whose status Gateways have written `entries`."""
    cluster = Cluster(community(gateway=spec))
    cluster.bring_up()
    cluster.live[ROUTE]["status"] = {"parents": list(entries)}
    return cluster


def ready(cluster: Cluster, found: list[Problem] | None = None) -> tuple[str, str, str]:
    one = condition_of(status_of(cluster, {"image": "before"}, found), "Ready")
    return one["status"], one["reason"], one["message"]


def refusals(cluster: Cluster) -> list[str]:
    parents = route.parents(cluster.community, children(cluster.community), cluster.live)
    return [problem.message for problem in gateway.refusals(cluster.community, parents)]


PUBLIC, OWN = TWO["parentRefs"]


def test_route_that_a_gateway_has_accepted_serves() -> None:
    cluster = up(TWO, told(PUBLIC, *YES), told(OWN, *YES))
    assert ready(cluster) == ("True", "Serving", "Users are served at https://c.example.com.")
    assert refusals(cluster) == []


@pytest.mark.parametrize(
    "ref",
    [
        {"name": "public", "namespace": "infra", "group": "gateway.networking.k8s.io", "kind": "Gateway"},
        {"name": "public", "namespace": "infra"},
    ],
)
def test_reference_in_a_status_may_leave_out_what_goes_without_saying(ref: Manifest) -> None:
    assert ready(up(ONE, told(ref, *YES)))[0] == "True"


@pytest.mark.parametrize(
    "ref",
    [
        {"name": "public", "namespace": "ns"},
        {"name": "public"},
        {"name": "other", "namespace": "infra"},
        {"name": "public", "namespace": "infra", "sectionName": "http"},
        {"name": "public", "namespace": "infra", "port": 80},
        {"name": "public", "namespace": "infra", "kind": "Service"},
    ],
)
def test_answer_about_another_parent_is_none(ref: Manifest) -> None:
    assert ready(up(ONE, told(ref, *YES)))[:2] == ("False", "RouteNotAccepted")


def test_reference_without_a_namespace_is_to_that_of_the_community() -> None:
    own = {"parentRefs": [{"name": "own"}]}
    assert ready(up(own, told({"name": "own", "namespace": "ns"}, *YES)))[0] == "True"
    assert ready(up(own, told({"name": "own"}, *YES)))[0] == "True"


def test_gateway_that_says_nothing_is_named_in_ready_alone() -> None:
    cluster = up(TWO, told(PUBLIC, *YES))
    status, reason, message = ready(cluster)
    assert (status, reason) == ("True", "Serving")
    assert "Gateway ns/own, listener https" in message
    assert refusals(cluster) == []
    status, reason, message = ready(up(TWO))
    assert (status, reason) == ("False", "RouteNotAccepted")
    assert "Gateway infra/public, ns/own, listener https" in message


@pytest.mark.parametrize("conditions", [[no()], [YES[0], no("ResolvedRefs")], [no("ResolvedRefs"), YES[0]]])
def test_refusal_is_told_in_the_words_of_the_controller(conditions: list[Manifest]) -> None:
    cluster = up(TWO, told(PUBLIC, *YES), told(OWN, *conditions))
    assert ready(cluster)[0] == "True", "the other one serves"
    (message,) = refusals(cluster)
    assert "Gateway ns/own, listener https" in message
    assert "Refused: not allowed" in message
    both = up(TWO, told(PUBLIC, *conditions), told(OWN, *conditions))
    assert ready(both)[:2] == ("False", "RouteNotAccepted")
    assert len(refusals(both)) == 2


def test_of_two_controllers_for_one_reference_one_is_enough() -> None:
    cluster = up(ONE, told(PUBLIC, no()), told(PUBLIC, *YES))
    assert ready(cluster)[0] == "True"
    assert refusals(cluster) == []


@pytest.mark.parametrize("conditions", [[], [{"type": "Accepted", "status": "Unknown", "reason": "Pending"}]])
def test_answer_that_is_pending_is_neither_yes_nor_no(conditions: list[Manifest]) -> None:
    cluster = up(ONE, told(PUBLIC, *conditions))
    assert ready(cluster)[:2] == ("False", "RouteNotAccepted")
    assert refusals(cluster) == []


def moving(*entries: Manifest, **spec: Any) -> tuple[Cluster, plan.Plan]:
    """Return a Community that has had an Ingress and asks for a route since, and what is planned once it is there."""
    cluster = Cluster(community())
    cluster.bring_up()
    # By http as before: another URL would roll the pods, which is not the matter here.
    cluster.community = community(gateway={**ONE, "scheme": "http", **spec})
    cluster.step()
    cluster.live[ROUTE]["status"] = {"parents": list(entries)}
    return cluster, cluster.step()


def test_ingress_stays_until_a_gateway_has_accepted_the_route() -> None:
    for entries in ([], [told(PUBLIC, no())]):
        cluster, planned = moving(*entries)
        assert INGRESS in cluster.live
        assert planned == plan.Plan(), "and nothing is written again and again"
        status, _, message = ready(cluster)
        assert status == "True"
        assert "by the Ingress alone: no" in message
    cluster, _ = moving(told(PUBLIC, *YES))
    assert INGRESS not in cluster.live
    assert ready(cluster)[2] == "Users are served at http://c.example.com."


def test_ingress_that_is_kept_is_made_and_changed_as_without_a_gateway() -> None:
    cluster, _ = moving(told(PUBLIC, *YES), keepIngress=True)
    assert {ROUTE, INGRESS} <= cluster.live.keys()
    alone = build.children(community(gateway={**ONE, "keepIngress": True}), AllDigests())
    assert INGRESS in {child.key for child in alone}
    assert next(child for child in alone if child.key == INGRESS) == next(
        child for child in children(community()) if child.key == INGRESS
    )


def test_new_community_with_a_gateway_has_no_ingress_also_where_no_route_can_be_made() -> None:
    wanted = community(gateway=ONE)
    for has_routes in (True, False):
        kinds = {child.key.kind for child in build.children(wanted, AllDigests(), has_routes=has_routes)}
        assert "Ingress" not in kinds
        assert ("HTTPRoute" in kinds) is has_routes


def test_without_the_gateway_api_nobody_is_served_unless_an_ingress_is_there_still() -> None:
    cluster = Cluster(community(gateway=ONE))
    cluster.bring_up()
    wanted = build.children(cluster.community, AllDigests(), has_keda=True)
    assert route.parents(cluster.community, wanted, cluster.live) is None

    def found() -> Condition:
        seen = progress.observe(cluster.community, wanted, cluster.live)
        return readiness.condition(
            cluster.community, seen, None, has_served=True, is_host_taken=False, is_route_missing=True
        )

    assert (found().status, found().reason) == ("False", "GatewayApiMissing")
    cluster.put(build.ingress.ingress(cluster.community, "c.example.com").manifest)
    assert found().status == "True"


def test_community_without_a_host_has_no_route() -> None:
    found = resource(gateway=ONE)
    del found["spec"]["host"]
    assert "HTTPRoute" not in {child.key.kind for child in children(parse(found))}
    assert route.spared(parse(found), {}) == frozenset()


@pytest.mark.parametrize(
    ("changes", "url"),
    [
        ({"gateway": ONE}, "https://c.example.com"),
        ({"gateway": {**ONE, "scheme": "http"}, "ingress": {"tlsSecretName": "t"}}, "http://c.example.com"),
        ({"gateway": ONE, "publicUrl": "https://c.example.com:8443"}, "https://c.example.com:8443"),
    ],
)
def test_url_is_that_of_the_gateway(changes: dict[str, Any], url: str) -> None:
    assert community(**changes).url == url


def test_drain_is_not_compared_with_the_load_balancer_of_an_ingress_that_is_not_wanted() -> None:
    alb = {"ingress": {"className": "alb"}}
    assert build.ingress.seconds_until_silent(community(**alb)) > 0
    assert build.ingress.seconds_until_silent(community(**alb, gateway={**ONE, "keepIngress": True})) > 0
    assert build.ingress.seconds_until_silent(community(**alb, gateway=ONE)) == 0


# Whose a host is.


def route_of(owner: Manifest, *, host: str | None = None, created: str = LATE) -> Manifest:
    """Return the live HTTPRoute of a Community, for its host or one that it had before."""
    found = parse(owner)
    assert found.gateway is not None
    manifest = build.route.route(found, host or str(found.host), found.gateway).manifest
    more = {"uid": "r", "resourceVersion": "1", "creationTimestamp": created}
    return manifest | {"metadata": manifest["metadata"] | more}


def foreign(*rules: Manifest, parents: list[Manifest] | None = None, hosts: list[str] | None = None) -> Manifest:
    """Return somebody else's HTTPRoute."""
    metadata = {"name": "theirs", "namespace": "other", "uid": "f", "resourceVersion": "1", "creationTimestamp": LATE}
    spec: Manifest = {"parentRefs": [PUBLIC] if parents is None else parents, "rules": list(rules)}
    spec |= {"hostnames": [HOST] if hosts is None else hosts}
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": metadata, "spec": spec}


def test_live_route_counts_as_a_live_ingress_does() -> None:
    older, newer = named("old"), named("new", LATE, gateway=ONE)
    assert _holder(newer, older, route_of(newer)) is None
    assert _holder(older, newer, route_of(newer)) == "Community ns/new"
    # Of a route and an Ingress, the older one.
    both = (route_of(newer, created=LATE), ingress_of(older, created=LATER))
    assert _holder(newer, older, *both) is None
    assert _holder(older, newer, *both) == "Community ns/new"


def test_route_that_somebody_makes_with_the_label_of_an_older_community_takes_no_host() -> None:
    waits, serving = named("waits", namespace="a"), named("serving", LATER, namespace="b", gateway=ONE)
    theirs = foreign(ALL)
    theirs["metadata"] |= {"namespace": "a", "labels": {names.LABEL_COMMUNITY: "waits"}}
    mine = route_of(serving, created=LATER)
    assert _holder(serving, waits, mine, theirs) is None
    assert _holder(waits, serving, mine, theirs) == "Community b/serving"


def test_community_whose_host_is_taken_makes_no_route_and_keeps_that_of_its_former_host() -> None:
    holder, waits = named("holder"), named("waits", LATE, gateway=ONE)
    wanted = parse(waits)
    store = _store(holder, waits, ingress_of(holder), route_of(waits, created=LATER))
    left = {child.key.kind for child in store.hosts.give_way(wanted, children(wanted))}
    assert left.isdisjoint({"HTTPRoute", "Ingress"})
    store = _store(holder, waits, ingress_of(holder), route_of(waits, host="former.example.com"))
    (kept,) = (
        child.manifest for child in store.hosts.give_way(wanted, children(wanted)) if child.key.kind == "HTTPRoute"
    )
    assert kept["spec"]["hostnames"] == ["former.example.com"]


MINE = named("c", gateway={"parentRefs": [{"name": "public", "namespace": "infra", "sectionName": "https"}]})
ALL: Manifest = {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": [{"name": "b"}]}


@pytest.mark.parametrize(
    "rules", [[], [{}], [ALL], [{"matches": [{}]}], [{"matches": [{"path": {"value": "/x"}}]}, ALL]]
)
def test_foreign_route_that_takes_the_whole_host_holds_it_unless_ours_was_there(rules: list[Manifest]) -> None:
    assert _holder(MINE, foreign(*rules)) == "HTTPRoute other/theirs"
    assert _holder(MINE, foreign(*rules), route_of(MINE)) is None


@pytest.mark.parametrize(
    "rule",
    [
        {"matches": [{"path": {"type": "PathPrefix", "value": "/page"}}]},
        {"matches": [{"path": {"type": "Exact", "value": "/"}}]},
        {"matches": [{"path": {"type": "PathPrefix", "value": "/"}, "headers": [{"name": "a", "value": "b"}]}]},
        {"matches": [{"method": "OPTIONS"}]},
        {**ALL, "filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}]},
    ],
)
def test_part_of_a_host_or_a_redirect_is_no_claim(rule: Manifest) -> None:
    assert _holder(MINE, foreign(rule)) is None


@pytest.mark.parametrize(
    ("ref", "is_same"),
    [
        ({"name": "public", "namespace": "infra"}, True),
        ({"name": "public", "namespace": "infra", "sectionName": "https"}, True),
        ({"name": "public", "namespace": "infra", "sectionName": "http"}, False),
        ({"name": "public"}, False),
        ({"name": "internal", "namespace": "infra"}, False),
    ],
)
def test_foreign_route_at_another_listener_is_another_way_in(ref: Manifest, is_same: bool) -> None:
    assert (_holder(MINE, foreign(ALL, parents=[ref])) is not None) is is_same


def test_foreign_route_and_foreign_ingress_stand_in_the_way_of_their_own_kind_alone() -> None:
    theirs = ingress_of(named("x"))
    theirs["metadata"] |= {"name": "theirs", "labels": {}, "ownerReferences": []}
    assert _holder(named("c"), foreign(ALL)) is None
    assert _holder(MINE, theirs) is None
    both = named("c", gateway={**MINE["spec"]["gateway"], "keepIngress": True})
    assert _holder(both, theirs) == "Ingress ns/theirs"
    assert _holder(both, foreign(ALL)) == "HTTPRoute other/theirs"


def test_route_without_a_host_claims_none() -> None:
    assert _holder(MINE, foreign(ALL, hosts=[])) is None
    assert _holder(MINE, foreign(ALL, hosts=["*.example.com"])) is None


def test_route_outlives_the_sight_of_its_namespace() -> None:
    """What runs there may serve its host still, and nobody else gets that because we do not see it."""
    serving = named("serving", gateway=ONE)
    store = _store(serving, route_of(serving), named("other", LATE, namespace="b"))
    store.leave("ns")
    assert store.find(key_of(route_of(serving))) is not None
    assert store.hosts.holder(parse(named("other", LATE, namespace="b"))) is None, "another kind, of nobody's Community"
    claims = named("other", LATE, namespace="b", gateway=ONE)
    assert store.hosts.holder(parse(claims)) is not None
