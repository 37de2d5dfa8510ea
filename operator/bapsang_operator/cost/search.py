"""Finds the cheapest designs: every combination is priced, the ones that hold are kept, and of these the Pareto front.

A bill is a sum of groups that depend on few fields each, so a design costs one addition here instead of a whole bill;
a test holds both equal.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from bapsang_operator.cost import bill, capacity
from bapsang_operator.cost.design import CHEAPEST, INSTANCES, Cdn, Design, Egress, Traffic, instance
from bapsang_operator.cost.photos import photos, uploads
from bapsang_operator.cost.prices import PriceBook
from bapsang_operator.cost.row import Group

_ZONES: Final = (2, 3)
_BASE_NODES_A_ZONE: Final = (1, 2, 3)
_COMMITMENTS: Final = (0.0, 0.30)
_DATABASES: Final = ("db.t4g.micro", "db.t4g.small", "db.t4g.medium", "db.m7g.large", "db.r7g.large")
_CACHES: Final = ("cache.t4g.micro", "cache.t4g.small")
_BOTH: Final = (False, True)


@dataclass(frozen=True)
class Candidate:
    """A design that holds: USD a month, and the share of the peak that it keeps without any spot node."""

    usd: float
    floor: float
    design: Design


@dataclass(frozen=True)
class Found:
    """`front`: no other candidate is cheaper and keeps at least as much; the cheapest first. `examined` of all that
    were priced, `holding` of those without a single point of failure that carry the peak without any one zone."""

    examined: int
    holding: int
    front: tuple[Candidate, ...]


@dataclass(frozen=True)
class _Option:
    """A choice for some fields: what its groups cost, and whether it holds whatever the other fields are."""

    changes: dict[str, Any]
    usd: float
    holds: bool


def search(traffic: Traffic, book: PriceBook, start: Design = CHEAPEST) -> Found:
    """Price every design of the space around `start`, whose fields stand where the space does not vary them."""
    examined = holding = 0
    best: dict[float, tuple[float, dict[str, Any]]] = {}
    shared = sum(row.usd for group in bill.FIXED for row in group(start, traffic, book))
    for zones in _ZONES:
        base = replace(start, zones=zones)
        stateful = _joined(
            _databases(base, traffic, book), _caches(base, traffic, book), _deliveries(base, traffic, book)
        )
        for nodes in _joined(_nodes(base, traffic, book), _ways_out(base, traffic, book)):
            floor = capacity.floor_share(replace(base, **nodes.changes), traffic)
            sound = nodes.holds and floor >= capacity.FLOOR_SHARE
            examined += len(stateful)
            if not sound:
                continue
            for rest in stateful:
                if rest.holds:
                    holding += 1
                    usd = shared + nodes.usd + rest.usd
                    if floor not in best or usd < best[floor][0]:
                        best[floor] = (usd, {"zones": zones, **nodes.changes, **rest.changes})
    return Found(examined, holding, tuple(_front(start, best)))


def _front(start: Design, best: dict[float, tuple[float, dict[str, Any]]]) -> Iterator[Candidate]:
    kept = 0.0
    for floor in sorted(best, key=lambda share: (best[share][0], -share)):
        if floor > kept:
            kept = floor
            yield Candidate(best[floor][0], floor, replace(start, **best[floor][1]))


def _joined(*parts: list[_Option]) -> list[_Option]:
    joined = []
    for choice in itertools.product(*parts):
        changes: dict[str, Any] = {}
        for option in choice:
            changes.update(option.changes)
        usd = sum(option.usd for option in choice)
        joined.append(_Option(changes, usd, all(option.holds for option in choice)))
    return joined


def _options(
    base: Design, traffic: Traffic, book: PriceBook, choices: Iterable[dict[str, Any]], *groups: Group
) -> list[_Option]:
    """Price what each choice changes. A choice holds when it adds no weak point to a design that has none."""
    sound = replace(CHEAPEST, zones=base.zones)
    found = []
    for changes in choices:
        design = replace(base, **changes)
        usd = sum(row.usd for group in groups for row in group(design, traffic, book))
        alone = replace(sound, **_fleet(traffic, sound), **changes)
        holds = not capacity.single_points(alone) and not capacity.shortfalls(alone, traffic)
        found.append(_Option(changes, usd, holds))
    return found


def _fleet(traffic: Traffic, design: Design) -> dict[str, Any]:
    """Return the burst nodes that a design needs for the traffic; what a choice of nodes does not override."""
    count = capacity.burst_nodes(traffic, design.zones, design.base_type, design.base_nodes, design.burst_type)
    return {"burst_nodes": count}


def _nodes(base: Design, traffic: Traffic, book: PriceBook) -> list[_Option]:
    kinds = [kind for kind in INSTANCES if f"ec2.{kind}" in book.prices]
    spots = [kind for kind in kinds if book.price(f"ec2.{kind}").spot is not None]
    choices = []
    for kind, burst, each, commitment in itertools.product(kinds, spots, _BASE_NODES_A_ZONE, _COMMITMENTS):
        count = each * base.zones
        needed = capacity.burst_nodes(traffic, base.zones, kind, count, burst)
        changes: dict[str, Any] = {"base_type": kind, "base_nodes": count, "burst_type": burst, "burst_nodes": needed}
        busy = traffic.peak_qps * traffic.cpu_ms_per_request / 1000
        cores = count * instance(kind).vcpu + needed * instance(burst).vcpu
        # A burstable spot node starts without credits: what it does above its baseline is billed from the first minute.
        hot = busy / cores if needed and instance(burst).baseline < 1 else None
        choices.append({**changes, "commitment": commitment, "peak_utilisation": hot})
    found = []
    for changes in choices:
        design = replace(base, **changes)
        usd = bill.total(bill.compute(design, traffic, book)) + bill.total(bill.balancer(design, traffic, book))
        found.append(_Option(changes, usd, capacity.carried_without_a_zone(design, traffic) >= traffic.peak_qps))
    return found


def _ways_out(base: Design, traffic: Traffic, book: PriceBook) -> list[_Option]:
    return _options(base, traffic, book, ({"egress": way} for way in Egress), bill.egress)


def _databases(base: Design, traffic: Traffic, book: PriceBook) -> list[_Option]:
    choices = (
        {"database": kind, "database_multi_az": multi, "database_replica": replica}
        for kind, multi, replica in itertools.product(_DATABASES, _BOTH, _BOTH)
    )
    return _options(base, traffic, book, choices, bill.database)


def _caches(base: Design, traffic: Traffic, book: PriceBook) -> list[_Option]:
    choices = (
        {"cache": kind, "cache_engine": engine, "cache_nodes": count}
        for kind, engine, count in itertools.product(_CACHES, ("redis", "valkey"), (1, 2))
    )
    return _options(base, traffic, book, choices, bill.cache)


def _deliveries(base: Design, traffic: Traffic, book: PriceBook) -> list[_Option]:
    choices = (
        {"cdn": cdn, "check_function": check, "compress": compress}
        for cdn, check, compress in itertools.product(Cdn, _BOTH, _BOTH)
    )
    return _options(base, traffic, book, choices, photos, uploads, bill.responses, bill.transfer)
