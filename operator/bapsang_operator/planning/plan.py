"""What to write next: pure comparison of the children a Community should have with those that live.

The plan of a Community whose children are as they should be is empty, and planning against what a plan applied yields
nothing; tests hold both.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum, auto
from typing import Final

from bapsang_operator import names
from bapsang_operator.build import meta
from bapsang_operator.build.child import Child
from bapsang_operator.kinds import AUTOSCALERS, BY_NAME
from bapsang_operator.manifest import Key, Manifest, digest, key_of
from bapsang_operator.names import Component
from bapsang_operator.planning import drift
from bapsang_operator.planning.progress import Live, MigrationState, Progress, stuck_pods
from bapsang_operator.planning.sidecars import Finished, finished
from bapsang_operator.resource import Community


class Cause(StrEnum):
    """Why a child is applied."""

    MISSING = auto()
    CHANGED = auto()
    DRIFTED = auto()


class Ownership(StrEnum):
    """Whose a live object is."""

    OURS = auto()
    #: Owned by a deleted Community of the same name; the garbage collector is about to remove it.
    EARLIER = auto()
    FOREIGN = auto()


#: Kinds without which data would be lost or unreadable.
_OF_DATA: Final = frozenset({"PersistentVolumeClaim", "Secret"})


@dataclass(frozen=True)
class Apply:
    """One child to apply. `fields` are the edited paths of a drifted one."""

    manifest: Manifest
    cause: Cause
    fields: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scale:
    """A Deployment whose count is not ours, but must leave zero or go there, which its autoscaler never does."""

    live: Manifest
    replicas: int


@dataclass(frozen=True)
class Adjust:
    """Fields of `spec` to set at once on an object whose other changes must wait."""

    live: Manifest
    fields: Manifest


@dataclass
class Plan:
    """What to write, and what stands in the way.

    `adopts` go with the Community and should not, or the other way round: `reowned` has the patch. `retained` come from
    an earlier Community of this name.
    `replaces` are pods to delete so that their StatefulSet makes the next ones, those of `finished` so that their Job ends.
    `held` children wait for a gate or a secret, `terminating` ones for an earlier object to go, `foreign` ones have a
    name that somebody else's object bears.
    """

    applies: list[Apply] = field(default_factory=list)
    deletes: list[Manifest] = field(default_factory=list)
    scales: list[Scale] = field(default_factory=list)
    adjusts: list[Adjust] = field(default_factory=list)
    adopts: list[Manifest] = field(default_factory=list)
    retained: list[Key] = field(default_factory=list)
    replaces: list[Manifest] = field(default_factory=list)
    finished: list[Finished] = field(default_factory=list)
    held: list[Child] = field(default_factory=list)
    terminating: list[Key] = field(default_factory=list)
    foreign: list[Key] = field(default_factory=list)


def ownership(community: Community, live: Manifest) -> Ownership:
    """Tell whose `live` is. An object without any controller is ours when it carries our labels (its owner reference
    was edited away), so that it is restored; everything else is never touched."""
    metadata = live["metadata"]
    controller = next((ref for ref in metadata.get("ownerReferences", ()) if ref.get("controller")), None)
    if controller is None:
        found = metadata.get("labels", {})
        ours = (found.get(names.LABEL_MANAGED_BY), found.get(names.LABEL_COMMUNITY)) == (names.MANAGER, community.name)
        return Ownership.OURS if ours else Ownership.FOREIGN
    if controller["uid"] == community.uid:
        return Ownership.OURS
    if (controller["kind"], controller["name"]) == (names.KIND, community.name):
        return Ownership.EARLIER
    return Ownership.FOREIGN


def reowned(community: Community, live: Manifest) -> Manifest | None:
    """Return the patch after which an object of ours has the owner it is to have; None when it has.

    An object may have lost its owner (restored from a backup, or left by `--cascade=orphan`). What holds data has none
    where `spec.deletionPolicy` says so.
    """
    metadata = live["metadata"]
    if "deletionTimestamp" in metadata or ownership(community, live) is not Ownership.OURS:
        return None
    references = metadata.get("ownerReferences", [])
    others = [ref for ref in references if ref["uid"] != community.uid]
    if community.retains and live["kind"] in _OF_DATA:
        if others == references:
            return None
    elif any(ref.get("controller") for ref in references):
        return None
    else:
        others.append(meta.owner(community))
    return {"metadata": {"resourceVersion": metadata["resourceVersion"], "ownerReferences": others}}


def is_inherited(community: Community, live: Manifest) -> bool:
    """Tell whether an object of ours was retained when an earlier Community of this name was deleted."""
    return bool(live["metadata"].get("labels", {}).get(names.LABEL_RETAINED, community.uid) != community.uid)


def make(
    community: Community,
    children: list[Child],
    live: Live,
    progress: Progress,
    applied: Mapping[Key, Manifest],
    baselines: Mapping[Key, drift.Baseline] | None = None,
    spared: Collection[Key] = (),
) -> Plan:
    """Return the plan. `applied` holds what was applied last: while a change must wait, edits by hand are undone to
    that, so that a failed migration does not leave the running version unguarded. `baselines` hold what webhooks made
    of it, which is left as it is. `spared` objects stay although they are not wanted any more."""
    plan = Plan()
    for child in children:
        _consider(plan, community, child, live, progress, applied, (baselines or {}).get(child.key))
    wanted = {child.key for child in children}
    # One autoscaler stays until the other one may take its place, and no longer: two would fight over one Deployment.
    # By kind, because a held Deployment has the same name.
    awaited = {child.key.name for child in plan.held if child.key.kind in AUTOSCALERS}
    plan.deletes = [
        found
        for key, found in live.items()
        if key not in wanted
        and key not in spared
        and key.name not in awaited
        and _is_orphan(community, key, found, progress)
    ]
    plan.scales = _scales(community, live)
    applied_now = {key_of(apply.manifest) for apply in plan.applies}
    plan.adopts = [
        found
        for key, found in live.items()
        if key not in applied_now and (key in wanted or _is_migration(found)) and reowned(community, found)
    ]
    plan.retained = [key for key in applied_now if key in live and is_inherited(community, live[key])]
    plan.finished = finished(live)
    plan.replaces = stuck_pods(
        {
            key: found
            for key, found in live.items()
            if key.kind == "Pod" or ownership(community, found) is Ownership.OURS
        }
    )
    return plan


def _scales(community: Community, live: Live) -> list[Scale]:
    """Return how the burst tier and the photo workers are put to sleep and woken: an autoscaler leaves a Deployment of no
    pods alone."""
    scaled = {names.api_burst(community.name): community.api.burst.min_replicas}
    if community.storage is not None:
        scaled[names.media(community.name)] = community.media.min_replicas
    found = []
    for name, fewest in scaled.items():
        one = live.get(Key("Deployment", community.namespace, name))
        if one is None or ownership(community, one) is not Ownership.OURS or "deletionTimestamp" in one["metadata"]:
            continue
        if (one["spec"].get("replicas", 1) == 0) != community.hibernate:
            found.append(Scale(one, 0 if community.hibernate else fewest))
    return found


def _consider(
    plan: Plan,
    community: Community,
    child: Child,
    found: Live,
    progress: Progress,
    applied: Mapping[Key, Manifest],
    baseline: drift.Baseline | None,
) -> None:
    live = found.get(child.key)
    if live is not None:
        whose = ownership(community, live)
        if whose is Ownership.FOREIGN:
            plan.foreign.append(child.key)
            return
        if whose is Ownership.EARLIER or "deletionTimestamp" in live["metadata"]:
            plan.terminating.append(child.key)
            return
    if not _is_held(plan, child, live, found, progress):
        _compare(plan, child.manifest, child.digest, live, baseline)
        return
    plan.held.append(child)
    ungated = {name: value for name, value in child.manifest.get("spec", {}).items() if name in _UNGATED}
    before = applied.get(child.key)
    if before is not None:
        manifest = {**before, "spec": {**before["spec"], **ungated}} if ungated else before
        _compare(plan, manifest, digest(manifest), live, baseline)
    elif live is not None:
        # Nothing tells what was applied before the change that waits: an older operator has kept no record.
        differing = {name: value for name, value in ungated.items() if live["spec"].get(name) != value}
        if differing:
            plan.adjusts.append(Adjust(live, differing))


#: Fields of `spec` that no gate holds: going to sleep, waking, growing and suspending a job wait for nothing.
_UNGATED: Final = frozenset({"replicas", "suspend"})


def _is_held(plan: Plan, child: Child, live: Manifest | None, found: Live, progress: Progress) -> bool:
    """Tell whether a change must wait; putting back what was edited by hand never does."""
    if live is not None and drift.applied_digest(live) == child.digest:
        return False
    if live is None and child.requires is not None and child.requires not in found:
        return child.requires not in {key_of(apply.manifest) for apply in plan.applies}
    return bool(child.missing) or not progress.passed(child.gate)


def _compare(
    plan: Plan, manifest: Manifest, digest: str, live: Manifest | None, baseline: drift.Baseline | None
) -> None:
    if live is None:
        plan.applies.append(Apply(manifest, Cause.MISSING))
    elif drift.applied_digest(live) != digest:
        # A Job cannot be changed, and a migration that ran or runs must not be: its name says what it does.
        if manifest["kind"] != "Job":
            plan.applies.append(Apply(manifest, Cause.CHANGED))
    else:
        fields = drift.differing_fields(manifest, live, baseline)
        if fields:
            plan.applies.append(Apply(manifest, Cause.DRIFTED, tuple(fields)))


def _is_migration(live: Manifest) -> bool:
    labels = live["metadata"].get("labels", {})
    return bool(live["kind"] == "Job" and labels.get(names.LABEL_COMPONENT) == Component.MIGRATE)


def _is_orphan(community: Community, key: Key, live: Manifest, progress: Progress) -> bool:
    metadata = live["metadata"]
    if not BY_NAME[key.kind].deletable or "deletionTimestamp" in metadata:
        return False
    if not any(ref["uid"] == community.uid for ref in metadata.get("ownerReferences", ())):
        return False
    if _is_migration(live):
        # An older migration goes only when a newer one is through: until then it tells what happened.
        return progress.migration is MigrationState.SUCCEEDED
    return True
