"""Why pods do not run: of the migration, of rollouts, of every workload. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from bapsang_operator import names
from bapsang_operator.manifest import Key, Manifest
from bapsang_operator.names import Component, Reason
from bapsang_operator.planning import workers
from bapsang_operator.planning.progress import MigrationState, Progress, job_condition
from bapsang_operator.problem import Problem, shorten
from bapsang_operator.problems import endings
from bapsang_operator.resource import Community

#: A pod that waits for its volume is unschedulable for a moment: it is a problem only after this time.
UNSCHEDULABLE_AFTER: Final = timedelta(seconds=30)

#: A worker that moves to a node which has yet to start is away for two minutes.
UNAVAILABLE_AFTER: Final = timedelta(minutes=3)

_PULL: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
)

_CONFIG: Final = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})

_CRASH: Final = "CrashLoopBackOff"


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
        if "deletionTimestamp" in pod["metadata"] or workers.has_unknown_command(pod):
            continue
        workload = _workload(community, job, pod)
        if workload is not None:
            found |= dict.fromkeys(_of_pod(community, workload, pod, now))
    return list(found)


def of_rollout(community: Community, progress: Progress) -> list[Problem]:
    """Return a problem for each Deployment whose new pods did not become ready in time."""
    tiers = (
        (names.api_base(community.name), progress.base),
        (names.api_burst(community.name), progress.burst),
        (names.media(community.name), progress.media),
        (names.mail(community.name), progress.mail),
    )
    return [
        Problem(
            Reason.ROLLOUT_STUCK,
            f"Deployment {name}: the new pods did not become ready in time; the old ones keep serving. "
            f"Read kubectl -n {community.namespace} describe deployment {name}.",
        )
        for name, tier in tiers
        if tier is not None and tier.stuck
    ]


def of_media(community: Community, live: Mapping[Key, Manifest], now: datetime) -> list[Problem]:
    """Return the problem of photo workers of which none has been available for minutes."""
    if not _lasts(unavailable_media(community, live), now):
        return []
    name, where = names.media(community.name), f"-n {community.namespace}"
    return [
        Problem(
            Reason.MEDIA_UNAVAILABLE,
            f"Deployment {name}: no pod is available, so photos of new posts stay PENDING. "
            f"Read kubectl {where} describe deployment {name} and kubectl {where} logs deployment/{name}.",
        )
    ]


def unavailable_media(community: Community, live: Mapping[Key, Manifest]) -> Manifest | None:
    """Return the Deployment of photo workers while none of them is available, be it for a moment; None while one is, or
    none is to be there."""
    if community.storage is None or community.hibernate or workers.are_unknown(live, Component.MEDIA):
        return None
    return _unavailable(community, names.media(community.name), live)


def of_mail(community: Community, live: Mapping[Key, Manifest], now: datetime) -> list[Problem]:
    """Return the problem of mail workers of which none has been ready for minutes."""
    if not _lasts(unavailable_mail(community, live), now):
        return []
    name, where = names.mail(community.name), f"-n {community.namespace}"
    return [
        Problem(
            Reason.MAIL_UNAVAILABLE,
            f"Deployment {name}: no pod is ready, so letters to users wait: none runs, or the mail server has not taken "
            f"a letter for 15 minutes. Read kubectl {where} describe deployment {name} and kubectl {where} logs "
            f"deployment/{name}.",
        )
    ]


def unavailable_mail(community: Community, live: Mapping[Key, Manifest]) -> Manifest | None:
    """Return the Deployment of mail workers while none of them is ready, as `unavailable_media`."""
    if community.mail is None or community.hibernate or workers.are_unknown(live, Component.MAIL):
        return None
    return _unavailable(community, names.mail(community.name), live)


def _unavailable(community: Community, name: str, live: Mapping[Key, Manifest]) -> Manifest | None:
    found = live.get(Key("Deployment", community.namespace, name))
    return found if found is not None and not found.get("status", {}).get("availableReplicas") else None


def _lasts(deployment: Manifest | None, now: datetime) -> bool:
    """Tell whether a Deployment has had no available pod for minutes."""
    since = next(
        (
            datetime.fromisoformat(one["lastTransitionTime"])
            for one in (deployment or {}).get("status", {}).get("conditions", ())
            if one["type"] == "Available" and one["status"] == "False" and "lastTransitionTime" in one
        ),
        now,
    )
    return now - since >= UNAVAILABLE_AFTER


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


def _workload(community: Community, migration: str, pod: Manifest) -> str | None:
    labels = pod["metadata"].get("labels", {})
    match labels.get(names.LABEL_COMPONENT):
        case Component.API:
            return f"Deployment {community.name}-api-{labels.get(names.LABEL_TIER)}"
        case Component.MEDIA:
            return f"Deployment {names.media(community.name)}"
        case Component.MAIL:
            return f"Deployment {names.mail(community.name)}"
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
    for container in container_statuses(pod):
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


def container_statuses(pod: Manifest) -> Iterator[Manifest]:
    """Yield the statuses of a pod's containers, init containers first."""
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
    for container in container_statuses(pod):
        ended = container.get("state", {}).get("terminated")
        if ended and ended.get("exitCode"):
            yield endings.sentence(ended)
