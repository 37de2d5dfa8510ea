"""How far the live objects have come: which stores are ready, whether the migration ran, what is rolled out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from bapsang_operator import names
from bapsang_operator.build import migration
from bapsang_operator.build.child import Child, Gate
from bapsang_operator.kinds import SCALED_OBJECT
from bapsang_operator.manifest import Key, Manifest
from bapsang_operator.names import Component
from bapsang_operator.planning import drift, workers
from bapsang_operator.resource import Community

Live = Mapping[Key, Manifest]


class MigrationState(StrEnum):
    """`status.migration.state`."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@dataclass(frozen=True)
class Tier:
    """One Deployment: a tier of the API, the photo workers or the mail workers.

    `current`: it was given the wanted manifest. `replaced`: no pod of an older template is left. `rolled_out`: and all
    of them are available, as `kubectl rollout status` has it. `stuck`: the rollout ran out of time. `pods`: the number
    that is wanted or still there.
    """

    exists: bool = False
    current: bool = False
    replaced: bool = False
    rolled_out: bool = False
    stuck: bool = False
    wanted: int = 0
    pods: int = 0
    ready: int = 0
    available: int = 0
    image: str | None = None


@dataclass(frozen=True)
class Progress:
    """What the live objects show. `database_ready` and `redis_ready` are None where an external one is not observed.

    `media`, `mail`: the photo and the mail workers; None where there are none to be: without storage, or without
    spec.mail, or with an image that has none.
    `floor`: the fewest burst pods that the live autoscaler allows; None when there is none.
    `addressed`: whether the live Ingress has an address; None when there is to be no Ingress, and none waits for the
    HTTPRoute that takes its place.
    `unrolled`: the StatefulSets whose pod does not run, or has never been ready with, what was applied last.
    `job`: name of the migration Job. `migrated`: the database has what the image needs; also while the Job of an
    operator before this one vouches for it.
    """

    database_ready: bool | None
    redis_ready: bool | None
    job: str
    migration: MigrationState
    migrated: bool
    base: Tier
    burst: Tier
    media: Tier | None = None
    mail: Tier | None = None
    floor: int | None = None
    addressed: bool | None = None
    unrolled: tuple[Key, ...] = ()

    def passed(self, gate: Gate) -> bool:
        """Tell whether everything up to and including `gate` has happened."""
        return gate < self.first_closed()

    def first_closed(self) -> int:
        """Return the first gate that is closed; a number beyond the last gate when none is."""
        if self.database_ready is False:
            return Gate.DATABASE
        if self.redis_ready is False or not self.migrated:
            return Gate.MIGRATION
        if not (self.base.current and self.base.rolled_out):
            return Gate.BASE
        return Gate.BASE + 1


def observe(community: Community, children: list[Child], live: Live) -> Progress:
    """Return how far the live objects are on their way to `children`."""
    wanted = {child.key: child.digest for child in children}

    def tier(name: str) -> Tier:
        return _tier(Key("Deployment", community.namespace, name), wanted, live)

    def store(name: str) -> bool:
        return _store_ready(Key("StatefulSet", community.namespace, name), wanted, live)

    job = next(child.key for child in children if _is_migration(child.manifest))
    state = _migration(live.get(job))
    has_media = community.storage is not None and not workers.are_unknown(live, Component.MEDIA)
    has_mail = community.mail is not None and not workers.are_unknown(live, Component.MAIL)
    return Progress(
        database_ready=_database_ready(community, store, live) if community.database.embedded else None,
        redis_ready=store(names.redis(community.name)) if community.redis.managed else None,
        job=job.name,
        migration=state,
        migrated=state is MigrationState.SUCCEEDED
        or (state is not MigrationState.FAILED and _was_migrated(community, children, live)),
        base=tier(names.api_base(community.name)),
        burst=tier(names.api_burst(community.name)),
        media=tier(names.media(community.name)) if has_media else None,
        mail=tier(names.mail(community.name)) if has_mail else None,
        floor=_floor(community, live),
        addressed=_addressed(community, wanted, live),
        unrolled=tuple(key for key in wanted if key.kind == "StatefulSet" and not _is_rolled_out(live.get(key))),
    )


def _addressed(community: Community, wanted: Collection[Key], live: Live) -> bool | None:
    key = Key("Ingress", community.namespace, names.api(community.name))
    if key not in wanted and (community.gateway is None or key not in live):
        return None
    return bool(live.get(key, {}).get("status", {}).get("loadBalancer", {}).get("ingress"))


def _floor(community: Community, live: Live) -> int | None:
    name = names.api_burst(community.name)
    for kind, bound in ((SCALED_OBJECT.name, "minReplicaCount"), ("HorizontalPodAutoscaler", "minReplicas")):
        found = live.get(Key(kind, community.namespace, name))
        if found is not None and bound in found["spec"]:
            return int(found["spec"][bound])
    return None


def claim_uid(community: Community, live: Live) -> str:
    """Return the uid of the embedded MySQL's volume claim: whether this is still the database that was migrated."""
    claim = live.get(Key("PersistentVolumeClaim", community.namespace, names.mysql(community.name)))
    return str(claim["metadata"]["uid"]) if community.database.embedded and claim is not None else ""


def job_condition(job: Manifest, kind: str) -> Manifest | None:
    """Return the condition of a Job or Deployment when it is True."""
    for condition in job.get("status", {}).get("conditions", ()):
        if condition["type"] == kind and condition["status"] == "True":
            found: Manifest = condition
            return found
    return None


def has_succeeded(job: Manifest) -> bool:
    """Tell whether a Job has done its work."""
    marked = names.ANNOTATION_SUCCEEDED in job["metadata"].get("annotations", {})
    return marked or job_condition(job, "Complete") is not None


def _is_migration(manifest: Manifest) -> bool:
    is_job: bool = manifest["kind"] == "Job"
    return is_job and manifest["metadata"]["labels"][names.LABEL_COMPONENT] == Component.MIGRATE


def _was_migrated(community: Community, children: list[Child], live: Live) -> bool:
    """Tell whether an operator before this one has migrated, and the pods of base already have the secrets that they should.

    Its Job is named by the image alone. Without this an upgrade of the operator would hold up every change until the
    same migration has run once more.
    """
    if community.database.verified or community.redis.verified:
        return False  # that Job has verified no server
    job = live.get(
        Key("Job", community.namespace, names.migration(community.name, migration.earlier_digest(community)))
    )
    if _migration(job) is not MigrationState.SUCCEEDED:
        return False
    key = Key("Deployment", community.namespace, names.api_base(community.name))
    wanted = next(child.manifest for child in children if child.key == key)
    found = live.get(key)
    return found is not None and _secrets(found) == _secrets(wanted)


def _secrets(deployment: Manifest) -> str | None:
    annotations: dict[str, str] = deployment["spec"]["template"]["metadata"].get("annotations") or {}
    return annotations.get(names.ANNOTATION_SECRETS)


def _database_ready(community: Community, store: Callable[[str], bool], live: Live) -> bool:
    # Without its claim the database is about to be another one.
    return bool(claim_uid(community, live)) and store(names.mysql(community.name))


def _migration(job: Manifest | None) -> MigrationState:
    if job is None:
        return MigrationState.PENDING
    if has_succeeded(job):
        return MigrationState.SUCCEEDED
    if job_condition(job, "Failed"):
        return MigrationState.FAILED
    # Without a pod it runs nothing: the apiserver may refuse its pods, or the controller be away.
    begun = any(job.get("status", {}).get(count) for count in ("active", "failed", "terminating"))
    return MigrationState.RUNNING if begun else MigrationState.PENDING


def _is_observed(live: Manifest) -> bool:
    status: Manifest = live.get("status", {})
    return bool(status.get("observedGeneration", 0) >= live["metadata"].get("generation", 0))


def _store_ready(key: Key, wanted: Mapping[Key, str], live: Live) -> bool:
    found = live.get(key)
    if found is None or not _is_observed(found) or drift.applied_digest(found) != wanted.get(key):
        return False
    status = found.get("status", {})
    # updatedReplicas as well: while a rotated password rolls, the pod with the old one is still ready.
    return bool(status.get("readyReplicas", 0) >= 1 and status.get("updatedReplicas", 0) >= 1)


def _is_rolled_out(found: Manifest | None) -> bool:
    # The controller calls the new revision the current one once its pod has been ready.
    status = (found or {}).get("status", {})
    return found is None or (_is_observed(found) and status.get("currentRevision") == status.get("updateRevision"))


def stuck_pods(live: Live) -> list[Manifest]:
    """Return the pods of StatefulSets that keep their own successor from being made: they are of an older revision, and
    the controller waits until they are ready, which they will not become (kubernetes/kubernetes#67250)."""
    sets = {found["metadata"]["uid"]: found for key, found in live.items() if key.kind == "StatefulSet"}
    return [found for key, found in live.items() if key.kind == "Pod" and _is_stuck_pod(found, sets)]


def _is_stuck_pod(pod: Manifest, sets: Mapping[str, Manifest]) -> bool:
    metadata, status = pod["metadata"], pod.get("status", {})
    owner = next((sets[ref["uid"]] for ref in metadata.get("ownerReferences", ()) if ref["uid"] in sets), None)
    if owner is None or not _is_observed(owner) or "deletionTimestamp" in metadata:
        return False
    newest = owner.get("status", {}).get("updateRevision")
    if newest is None or metadata.get("labels", {}).get("controller-revision-hash") in (None, newest):
        return False
    if any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions", ())):
        return False
    # Its first start is given the time that its probes give it: a large log is read for a minute.
    containers = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    return status.get("phase") != "Running" or any(one.get("restartCount") for one in containers)


def _tier(key: Key, wanted: Mapping[Key, str], live: Live) -> Tier:
    found = live.get(key)
    if found is None:
        return Tier()
    status, replicas = found.get("status", {}), found["spec"].get("replicas", 1)
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    containers = found["spec"]["template"]["spec"]["containers"]
    replaced = _is_observed(found) and status.get("replicas", 0) <= updated
    return Tier(
        exists=True,
        current=drift.applied_digest(found) == wanted.get(key),
        replaced=replaced,
        rolled_out=replaced and updated >= replicas and available >= updated,
        stuck=_is_stuck(status),
        wanted=replicas,
        pods=max(replicas, status.get("replicas", 0)),
        ready=status.get("readyReplicas", 0),
        available=available,
        image=next((container.get("image") for container in containers if container.get("name") == "api"), None),
    )


def _is_stuck(status: Manifest) -> bool:
    return any(
        condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded"
        for condition in status.get("conditions", ())
    )
