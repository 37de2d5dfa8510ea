"""The policies find no fault in what we ship, and every fault that is put in."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from bapsang_aws import template
from bapsang_aws.policies import POLICIES, judge
from bapsang_aws.render import RefusedError, render

from .faults import Fault, all_faults

TEMPLATES = template.load_all()
SETS = {path.stem: template.parameters(path) for path in sorted((template.ROOT / "params").glob("*.json"))}
#: The sets as they are, and what none of them takes: other ways out, and the check function.
WORLDS = [
    *SETS.values(),
    {**SETS["lean"], "EgressMode": "nat-gateways", "CheckUploads": "true"},
    {**SETS["ha"], "EgressMode": "nat-instances"},
]
SOUND = [render(TEMPLATES, world) for world in WORLDS]


@pytest.mark.parametrize("name", ["dev", "lean", "ha"])
def test_what_is_shipped_breaks_no_policy(name: str) -> None:
    assert [str(found) for found in judge(render(TEMPLATES, SETS[name]))] == []


def test_no_false_alarm_in_any_permitted_variation() -> None:
    variations: list[dict[str, str]] = []
    for name, rule in TEMPLATES[template.MAIN]["Parameters"].items():
        variations += [{**one, name: str(value)} for one in WORLDS for value in rule.get("AllowedValues", ())]
    judged = 0
    for variation in variations:
        try:
            estate = render(TEMPLATES, variation)
        except RefusedError:
            continue
        judged += 1
        assert [str(found) for found in judge(estate)] == [], variation
    assert judged > 150


@dataclass(frozen=True)
class Verdict:
    """What became of a fault: whether any set deploys it, and the policies that saw it."""

    deployed: bool
    policies: frozenset[str]


def _try(fault: Fault) -> Verdict:
    changed, deployed = fault.inject(TEMPLATES), False
    resource = "." + fault.where.partition(":")[2]
    for world, before in zip(WORLDS, SOUND, strict=True):
        has = any(one.address.endswith(resource) for one in before.resources)
        if not has and fault.path != ("Condition",):
            continue  # this world has no such resource: nothing to render
        try:
            after = render(changed, world)
        except RefusedError:
            continue
        if after.resources != before.resources:
            deployed = True
            policies = frozenset(found.policy for found in judge(after))
            if policies:
                return Verdict(True, policies)
    return Verdict(deployed, frozenset())


@pytest.fixture(scope="module")
def verdicts() -> list[tuple[Fault, Verdict]]:
    return [(fault, _try(fault)) for fault in all_faults(TEMPLATES)]


def test_every_injected_fault_is_caught(verdicts: list[tuple[Fault, Verdict]]) -> None:
    deployed = [(fault, verdict) for fault, verdict in verdicts if verdict.deployed]
    assert len(deployed) >= 200
    assert [str(fault) for fault, verdict in deployed if not verdict.policies] == []


def test_every_policy_is_tripped_by_some_fault(verdicts: list[tuple[Fault, Verdict]]) -> None:
    """A policy that no fault trips guards nothing that we know of."""
    tripped = {policy for _, verdict in verdicts for policy in verdict.policies}
    assert sorted(set(POLICIES) - tripped) == []
    assert len(POLICIES) >= 40
