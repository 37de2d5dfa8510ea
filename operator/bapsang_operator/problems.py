"""What is wrong with a Community, in sentences that a stranger understands: what, where and what to do.

The texts stay the same while a problem lasts (no counters, no pod names, no times), so that a lasting problem does not
write the status again and again.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from bapsang_operator import endings, names
from bapsang_operator.build import ingress, wiring
from bapsang_operator.child import Child, Manifest
from bapsang_operator.kinds import Key
from bapsang_operator.names import Component, Reason
from bapsang_operator.progress import MigrationState, Progress, job_condition
from bapsang_operator.resource import Community, SecretRef
from bapsang_operator.urls import FaultyUrl

#: A pod that waits for its volume is unschedulable for a moment: it is a problem only after this time.
UNSCHEDULABLE_AFTER: Final = timedelta(seconds=30)

_PULL: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
)
_CONFIG: Final = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_CRASH: Final = "CrashLoopBackOff"
_MESSAGE_LIMIT: Final = 240


@dataclass(frozen=True)
class Problem:
    """One thing that keeps a Community from being what its spec says."""

    reason: Reason
    message: str


def of_secrets(community: Community, missing: Iterable[SecretRef]) -> list[Problem]:
    """Return a problem for each missing secret or key of one."""
    return [
        Problem(
            Reason.SECRET_MISSING,
            f'{community}: {ref.field or "the operator"} needs key "{ref.key}" of {_holder(ref)}, which does not '
            f"exist in namespace {community.namespace}. Create it; what runs is left as it is until then.",
        )
        for ref in missing
    ]


def _holder(ref: SecretRef) -> str:
    name = ref.name.removeprefix(wiring.CONFIG_MAP)
    return f'secret "{name}"' if name == ref.name else f'ConfigMap "{name}"'


def of_faulty(community: Community, found: Iterable[FaultyUrl]) -> list[Problem]:
    """Return a problem for each Secret whose URL is refused by its form. The URL itself appears nowhere."""
    return [
        Problem(
            Reason.SECRET_INVALID,
            f'{community}: key "{fault.ref.key}" of secret "{fault.ref.name}" ({fault.ref.field or "generated"}) '
            f"{fault.text}. Correct it; what runs is left as it is until then.",
        )
        for fault in found
    ]


def of_foreign(community: Community, keys: Iterable[Key]) -> list[Problem]:
    """Return a problem for each object that has a child's name but is not ours."""
    return [
        Problem(
            Reason.FOREIGN_OBJECT,
            f'{key.kind} "{key.name}" in namespace {key.namespace} does not belong to {community} and is left alone. '
            "Rename or delete it, or give the Community another name.",
        )
        for key in keys
    ]


def of_rejection(key: Key, message: str) -> Problem:
    """Return the problem of a child that the apiserver refused. A claim holds up nothing: its volume serves as it is."""
    reason = Reason.VOLUME_NOT_AS_SPECIFIED if key.kind == "PersistentVolumeClaim" else Reason.CHILD_REJECTED
    return Problem(reason, f'{key.kind} "{key.name}" was refused by the apiserver: {shorten(message)}')


def of_failure(key: Key, message: str) -> Problem:
    """Return the problem of a child that could not be read or written for now, with the apiserver's words."""
    # Go names the port that it called from, another one each time: the status would be written at every attempt.
    text = shorten(re.sub(r"\S+:\d+->", "", message)).removesuffix(".")
    return Problem(Reason.CHILD_FAILED, f'{key.kind} "{key.name}" failed and is tried again: {text}.')


def of_exception(error: Exception) -> Problem:
    """Return the problem of a pass that raised. Type and place only: the text of an exception may hold what a Secret
    holds, and the log has the traceback."""
    where = traceback.extract_tb(error.__traceback__)
    place = f" in {Path(where[-1].filename).name}, line {where[-1].lineno}" if where else ""
    return Problem(
        Reason.INTERNAL_ERROR,
        f"The operator met an error that it does not know ({type(error).__name__}{place}). What runs stays in service, "
        "and the pass is tried again. It is a bug of the operator: report it with the traceback in its log.",
    )


def of_windows(faults: Iterable[str]) -> list[Problem]:
    """Return a problem for each window of spec.prewarm that never opens."""
    return [Problem(Reason.WINDOW_NEVER_OPENS, f"spec.prewarm: {fault}. Correct it.") for fault in faults]


def of_keda(lacking: str) -> Problem:
    """Return the problem of a Community that asks for KEDA, which cannot be used."""
    return Problem(
        Reason.KEDA_MISSING, f"spec.api.autoscaling.keda: {lacking}. Until then the burst tier follows CPU alone."
    )


def of_migration(community: Community, progress: Progress, pods: Iterable[Manifest]) -> list[Problem]:
    """Return the problem of a failed migration, with what is known of how its pod ended."""
    if progress.migration is not MigrationState.FAILED:
        return []
    job = progress.job
    last = next((text for pod in pods if _workload(community, job, pod) == f"Job {job}" for text in _ended(pod)), "")
    return [
        Problem(
            Reason.MIGRATION_FAILED,
            f"Job {job}: the database migration of image {community.image} failed{f' ({last})' if last else ''}. "
            "The running version stays in service. "
            f"Read kubectl -n {community.namespace} logs job/{job}; then set another image, correct the Secret of the "
            "database, or delete the Job to run it again.",
        )
    ]


def of_pods(community: Community, job: str, pods: Iterable[Manifest], now: datetime) -> list[Problem]:
    """Return what keeps containers from running, one problem for each workload and cause. `job`: of the migration."""
    found: dict[Problem, None] = {}
    for pod in pods:
        if "deletionTimestamp" in pod["metadata"]:
            continue
        workload = _workload(community, job, pod)
        if workload is not None:
            found |= dict.fromkeys(_of_pod(community, workload, pod, now))
    return list(found)


def of_rollout(community: Community, progress: Progress) -> list[Problem]:
    """Return a problem for each tier whose new pods did not become ready in time."""
    tiers = ((names.api_base(community.name), progress.base), (names.api_burst(community.name), progress.burst))
    return [
        Problem(
            Reason.ROLLOUT_STUCK,
            f"Deployment {name}: the new pods did not become ready in time; the old ones keep serving. "
            f"Read kubectl -n {community.namespace} describe deployment {name}.",
        )
        for name, tier in tiers
        if tier.stuck
    ]


def of_refused_pods(live: Iterable[Manifest]) -> list[Problem]:
    """Return a problem for each Deployment whose pods the apiserver refuses: a quota, a policy, a missing class."""
    return [
        Problem(
            Reason.PODS_REFUSED,
            f"Deployment {found['metadata']['name']}: the apiserver refuses its pods: {shorten(told['message'])}",
        )
        for found in live
        if found["kind"] == "Deployment" and (told := job_condition(found, "ReplicaFailure")) is not None
    ]


def of_drain(community: Community) -> list[Problem]:
    """Return the problem of pods that end while their load balancer may still send to them."""
    drain, needed = community.api.drain_seconds, ingress.seconds_until_silent(community)
    if drain >= needed:
        return []
    return [
        Problem(
            Reason.DRAIN_TOO_SHORT,
            f"spec.api.drainSeconds is {drain}, but the load balancer may send to a pod for {needed} s after its deletion "
            f"began, so requests can fail at every rollout. Lower {ingress.DEREGISTRATION_DELAY} in annotation "
            f"{ingress.ATTRIBUTES} of spec.ingress, or set spec.api.drainSeconds to at least {needed}.",
        )
    ]


def missing_secrets(children: Iterable[Child]) -> list[SecretRef]:
    """Return the missing secrets of all children, each once."""
    return list({(ref.name, ref.key): ref for child in children for ref in child.missing}.values())


def ranked(found: Iterable[Problem]) -> list[Problem]:
    """Return problems once each, causes before consequences (the order of `Reason`)."""
    order = list(Reason)
    return sorted(dict.fromkeys(found), key=lambda problem: order.index(problem.reason))


def shorten(message: Any) -> str:
    """Return the beginning of a text that somebody else wrote."""
    text = str(message).strip()
    return text if len(text) <= _MESSAGE_LIMIT else f"{text[: _MESSAGE_LIMIT - 1]}…"


def _workload(community: Community, migration: str, pod: Manifest) -> str | None:
    labels = pod["metadata"].get("labels", {})
    match labels.get(names.LABEL_COMPONENT):
        case Component.API:
            return f"Deployment {community.name}-api-{labels.get(names.LABEL_TIER)}"
        case Component.REDIS | Component.MYSQL as component:
            return f"StatefulSet {community.name}-{component}"
        case Component.MIGRATE:
            job = labels.get("batch.kubernetes.io/job-name")
            # The pods of an older migration are history.
            return f"Job {job}" if job == migration else None
        case Component.LIKE_SYNC:
            return f"CronJob {names.like_sync(community.name)}"
        case Component.IMAGE_COLLECTOR:
            return f"CronJob {names.image_collector(community.name)}"
    return None


def _of_pod(community: Community, workload: str, pod: Manifest, now: datetime) -> Iterator[Problem]:
    where = f"-n {community.namespace}"
    kind, _, name = workload.partition(" ")
    for container in _containers(pod):
        waiting = container.get("state", {}).get("waiting", {})
        reason = waiting.get("reason")
        if reason in _PULL:
            yield Problem(
                Reason.IMAGE_PULL_FAILED,
                f'{workload}: image "{container.get("image")}" cannot be pulled. Check its name and that the nodes may '
                f"pull it: kubectl {where} describe pod -l {names.LABEL_COMMUNITY}={community.name}.",
            )
        elif reason in _CONFIG:
            text = endings.hindrance(reason, str(waiting.get("message", "")))
            yield Problem(
                Reason.CONTAINER_CONFIG_ERROR,
                f"{workload}: container {container['name']} cannot be started: {text}. "
                f"Read kubectl {where} describe pod -l {names.LABEL_COMMUNITY}={community.name}.",
            )
        elif (ended := _crashed(container)) is not None:
            yield Problem(
                Reason.CONTAINER_CRASHING,
                f"{workload}: container {container['name']} crashes ({endings.sentence(ended)}). "
                f"Read kubectl {where} logs {kind.lower()}/{name} -c {container['name']} --previous.",
            )
    yield from _unschedulable(workload, pod, now)


def _unschedulable(workload: str, pod: Manifest, now: datetime) -> Iterator[Problem]:
    for condition in pod.get("status", {}).get("conditions", ()):
        if condition["type"] != "PodScheduled" or condition.get("reason") != "Unschedulable":
            continue
        if now - datetime.fromisoformat(pod["metadata"]["creationTimestamp"]) >= UNSCHEDULABLE_AFTER:
            text = shorten(condition.get("message", ""))
            yield Problem(Reason.UNSCHEDULABLE, f"{workload}: no node can take its pods: {text}")


def _containers(pod: Manifest) -> Iterator[Manifest]:
    status = pod.get("status", {})
    yield from status.get("initContainerStatuses", ())
    yield from status.get("containerStatuses", ())


def _crashed(container: Manifest) -> Manifest | None:
    """Return how a container that keeps crashing ended last; also while it is up between two crashes."""
    ended: Manifest = container.get("lastState", {}).get("terminated", {})
    is_waiting = container.get("state", {}).get("waiting", {}).get("reason") == _CRASH
    if is_waiting:
        return ended
    return ended if ended.get("exitCode") and not container.get("ready") else None


def _ended(pod: Manifest) -> Iterator[str]:
    for container in _containers(pod):
        ended = container.get("state", {}).get("terminated")
        if ended and ended.get("exitCode"):
            yield endings.sentence(ended)
