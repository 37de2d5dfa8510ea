"""Every label, annotation, condition, reason and child name that the operator puts into a cluster.

Users script against these strings and alerts match on them, so they change only together with the resource's version.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

GROUP: Final = "bapsang.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "Community"
PLURAL: Final = "communities"

#: Field manager of every server-side apply; one name, because a manager must always send its complete set of fields.
MANAGER: Final = "bapsang-operator"

LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
LABEL_NAME: Final = "app.kubernetes.io/name"
LABEL_PART_OF: Final = "app.kubernetes.io/part-of"
LABEL_COMPONENT: Final = "app.kubernetes.io/component"
#: Name of the Community an object belongs to. Not `app.kubernetes.io/instance`: Argo CD prunes by that one.
LABEL_COMMUNITY: Final = "bapsang.dev/community"
#: On volume claims and Secrets that outlive their Community (`spec.deletionPolicy: Retain`); its uid.
LABEL_RETAINED: Final = "bapsang.dev/retained"
#: `base` or `burst`: tells the two API Deployments apart in their selectors.
LABEL_TIER: Final = "bapsang.dev/tier"

#: Server-side selector of every watch but those of Communities and Ingresses.
MANAGED_SELECTOR: Final = f"{LABEL_MANAGED_BY}={MANAGER}"

#: Hash of the manifest that was applied last; differs when a field was added, changed or dropped.
ANNOTATION_APPLIED: Final = "bapsang.dev/applied-hash"
#: The manifest that was applied last, packed (`record`): what a later leader puts back while a change waits.
ANNOTATION_RECORD: Final = "bapsang.dev/applied"
#: Hash of the secret values a pod template uses: rotating a secret rolls the pods that read it.
ANNOTATION_SECRETS: Final = "bapsang.dev/secrets-checksum"
#: On an Ingress: its class is the cluster's default, not the spec's.
ANNOTATION_DEFAULT_CLASS: Final = "bapsang.dev/default-class"
#: On a retained signing key: the issuer of the tokens that it signed, which the status takes with it.
ANNOTATION_ISSUER: Final = "bapsang.dev/issuer"
#: On a Job whose own containers have succeeded, however it ends for what a webhook has put beside them.
ANNOTATION_SUCCEEDED: Final = "bapsang.dev/succeeded"
#: On a Community: the operator leaves everything as it is. Any value but `false` will do, best the reason.
ANNOTATION_PAUSED: Final = "bapsang.dev/paused"

#: Node label and taint of spot capacity; the first is set by EKS managed node groups.
SPOT_NODE_LABEL: Final = "eks.amazonaws.com/capacityType"
SPOT_NODE_VALUE: Final = "SPOT"
SPOT_TAINT: Final = "bapsang.dev/capacity"
#: Labels by which those who make spot nodes mark them. They count besides `spec.api.spot.nodeSelector`.
SPOT_NODE_LABELS: Final = (
    (SPOT_NODE_LABEL, SPOT_NODE_VALUE),
    ("karpenter.sh/capacity-type", "spot"),
    ("cloud.google.com/gke-spot", "true"),
    ("cloud.google.com/gke-preemptible", "true"),
    ("kubernetes.azure.com/scalesetpriority", "spot"),
)
#: Taints that providers put on their spot nodes by themselves: AKS always, GKE with node auto-provisioning.
SPOT_NODE_TAINTS: Final = (("kubernetes.azure.com/scalesetpriority", "spot"), ("cloud.google.com/gke-spot", "true"))
#: On pods that autoscalers shall not move to save a node; drains by people go on.
ANNOTATIONS_STAY: Final = {
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    "karpenter.sh/do-not-disrupt": "true",
}

#: PriorityClass of placeholder pods; the chart brings it.
HEADROOM_PRIORITY_CLASS: Final = "bapsang-headroom"

#: Prefix of the API's own environment, which users cannot set through `spec.api.env`.
RESERVED_ENV_PREFIX: Final = "BAPSANG_"
#: Before the name of a setting that v0.0.1 did not know: an image that does not know it either ignores it, where it would
#: refuse to start with an unknown `BAPSANG_` name (docs/decisions/0010-road-to-v1.md).
OPTIONAL: Final = "OPTIONAL_"

#: Keys of a storage Secret, and the variables that AWS clients read: the two halves of an access key.
ACCESS_KEY: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")

#: Longest Community name: `<name>-image-collector` names a CronJob, and those end at 52 characters.
MAX_NAME: Final = 36

#: Seconds after the drain of an API pod until the kubelet kills: requests in flight get 10, closing 5, a busy node 2.
ENDING_SECONDS: Final = 17


class Component(StrEnum):
    """Values of the component label; each names one kind of pod."""

    API = "api"
    REDIS = "redis"
    MYSQL = "mysql"
    MIGRATE = "migrate"
    LIKE_SYNC = "like-sync"
    IMAGE_COLLECTOR = "image-collector"
    MAIL = "mail"
    MEDIA = "media"
    HEADROOM = "headroom"


class ConditionType(StrEnum):
    """Conditions of a Community, in the order in which they are shown."""

    READY = "Ready"
    PROGRESSING = "Progressing"
    DEGRADED = "Degraded"
    #: Only while it is True, as kstatus asks; so is the next one.
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    MIGRATED = "Migrated"
    DATABASE_READY = "DatabaseReady"
    REDIS_READY = "RedisReady"
    LIKE_SYNC_HEALTHY = "LikeSyncHealthy"
    #: Only with spec.mail.
    MAIL_READY = "MailReady"
    PREWARMED = "Prewarmed"
    PAUSED = "Paused"
    COST_WITHIN_BUDGET = "CostWithinBudget"
    NO_SINGLE_POINT_OF_FAILURE = "NoSinglePointOfFailure"
    SPOT_FLOOR_HELD = "SpotFloorHeld"


class Reason(StrEnum):
    """Reasons of conditions. The ones of Degraded are also the reasons of warning Events."""

    # Ready
    SERVING = "Serving"
    STARTING = "Starting"
    NO_PODS_AVAILABLE = "NoPodsAvailable"
    NO_ADDRESS = "NoAddress"
    HIBERNATED = "Hibernated"
    # Progressing
    UP_TO_DATE = "UpToDate"
    WAITING_FOR_DATABASE = "WaitingForDatabase"
    WAITING_FOR_REDIS = "WaitingForRedis"
    MIGRATING = "Migrating"
    ROLLING_OUT_BASE = "RollingOutBase"
    ROLLING_OUT_BURST = "RollingOutBurst"
    ROLLING_OUT_MEDIA = "RollingOutMedia"
    ROLLING_OUT_MAIL = "RollingOutMail"
    WAITING_FOR_DELETION = "WaitingForDeletion"
    BLOCKED = "Blocked"
    HIBERNATING = "Hibernating"
    # Degraded
    AS_EXPECTED = "AsExpected"
    INVALID_SPEC = "InvalidSpec"
    INTERNAL_ERROR = "InternalError"
    HOST_TAKEN = "HostTaken"
    GATEWAY_API_MISSING = "GatewayApiMissing"
    ROUTE_NOT_ACCEPTED = "RouteNotAccepted"
    SECRET_MISSING = "SecretMissing"  # noqa: S105 - a reason, no secret
    SECRET_INVALID = "SecretInvalid"  # noqa: S105 - a reason, no secret
    FOREIGN_OBJECT = "ForeignObject"
    CHILD_REJECTED = "ChildRejected"
    CHILD_FAILED = "ChildFailed"
    PODS_REFUSED = "PodsRefused"
    MIGRATION_FAILED = "MigrationFailed"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    CONTAINER_CONFIG_ERROR = "ContainerConfigError"
    CONTAINER_CRASHING = "ContainerCrashing"
    ROLLOUT_STUCK = "RolloutStuck"
    UNSCHEDULABLE = "Unschedulable"
    VOLUME_NOT_AS_SPECIFIED = "VolumeNotAsSpecified"
    AUTOSCALER_FAILED = "AutoscalerFailed"
    AUTOSCALER_CONFLICT = "AutoscalerConflict"
    MEDIA_UNAVAILABLE = "MediaUnavailable"
    MAIL_UNAVAILABLE = "MailUnavailable"
    LIKE_SYNC_FAILED = "LikeSyncFailed"
    WINDOW_NEVER_OPENS = "WindowNeverOpens"
    KEDA_MISSING = "KedaMissing"
    IMAGE_COLLECTOR_FAILED = "ImageCollectorFailed"
    DRAIN_TOO_SHORT = "DrainTooShort"
    DRAIN_TOO_LONG = "DrainTooLong"
    ON_SPOT_NODE = "OnSpotNode"
    # Migrated
    MIGRATION_SUCCEEDED = "MigrationSucceeded"
    MIGRATION_RUNNING = "MigrationRunning"
    MIGRATION_PENDING = "MigrationPending"
    # DatabaseReady, RedisReady, MailReady
    AVAILABLE = "Available"
    EMBEDDED_FOR_DEVELOPMENT = "EmbeddedForDevelopment"
    NOT_AVAILABLE = "NotAvailable"
    EXTERNAL = "External"
    NO_CREDENTIALS = "NoCredentials"
    # LikeSyncHealthy
    LAST_RUN_SUCCEEDED = "LastRunSucceeded"
    LAST_RUN_FAILED = "LastRunFailed"
    NOT_RUN_YET = "NotRunYet"
    SUSPENDED = "Suspended"
    # Prewarmed
    WINDOW_OPEN = "WindowOpen"
    NO_WINDOW_OPEN = "NoWindowOpen"
    FLOOR_NOT_RAISED = "FloorNotRaised"
    # Paused
    BY_ANNOTATION = "ByAnnotation"
    NOT_PAUSED = "NotPaused"
    # CostWithinBudget
    WITHIN_BUDGET = "WithinBudget"
    OVER_BUDGET = "OverBudget"
    NO_BUDGET = "NoBudget"
    PRICE_UNKNOWN = "PriceUnknown"
    # NoSinglePointOfFailure
    NOTHING_SINGLE = "NothingSingle"
    SINGLE_POINT = "SinglePoint"
    TOO_SMALL = "TooSmall"
    # SpotFloorHeld
    FLOOR_HELD = "FloorHeld"
    FLOOR_TOO_LOW = "FloorTooLow"


class EventReason(StrEnum):
    """Reasons of Events that tell of something other than a problem; problems use their `Reason`."""

    READY = "Ready"
    NOT_READY = "NotReady"
    ROLLOUT_STARTED = "RolloutStarted"
    ROLLOUT_COMPLETED = "RolloutCompleted"
    MIGRATION_SUCCEEDED = "MigrationSucceeded"
    CHILD_RESTORED = "ChildRestored"
    CHILD_REWRITTEN = "ChildRewritten"
    POD_REPLACED = "PodReplaced"
    RETAINED_ADOPTED = "RetainedAdopted"
    RECOVERED = "Recovered"
    HIBERNATED = "Hibernated"
    WINDOW_OPENED = "WindowOpened"
    WINDOW_CLOSED = "WindowClosed"
    PAUSED = "Paused"
    RESUMED = "Resumed"


def api(community: str) -> str:
    """Name of the Service, Ingress, HTTPRoute, ServiceAccount and NetworkPolicy of the API, and of the PodDisruptionBudget
    of base."""
    return f"{community}-api"


def api_base(community: str) -> str:
    """Name of the Deployment that is the on-demand floor."""
    return f"{community}-api-base"


def api_burst(community: str) -> str:
    """Name of the Deployment on spot capacity, of its autoscaler and of its PodDisruptionBudget."""
    return f"{community}-api-burst"


def redis(community: str) -> str:
    """Name of the StatefulSet, Service, Secret, volume claim, budget and NetworkPolicy of the managed Redis."""
    return f"{community}-redis"


def mysql(community: str) -> str:
    """Name of the StatefulSet, Service, Secret, volume claim, budget and NetworkPolicy of the embedded MySQL."""
    return f"{community}-mysql"


def signing_key(community: str) -> str:
    """Name of the Secret with the generated key that signs access tokens."""
    return f"{community}-signing-key"


def like_sync(community: str) -> str:
    """Name of the CronJob that writes likes from Redis to MySQL."""
    return f"{community}-like-sync"


def image_collector(community: str) -> str:
    """Name of the CronJob that deletes images nobody refers to."""
    return f"{community}-image-collector"


def media(community: str) -> str:
    """Name of the Deployment of photo workers, of its autoscaler and of its NetworkPolicy."""
    return f"{community}-media"


def mail(community: str) -> str:
    """Name of the Deployment of mail workers and of its NetworkPolicy."""
    return f"{community}-mail"


def headroom(community: str) -> str:
    """Name of the Deployment of placeholder pods."""
    return f"{community}-headroom"


def jobs(community: str) -> str:
    """Name of the NetworkPolicy of migration, like-sync and image-collector pods."""
    return f"{community}-jobs"


def migration(community: str, digest: str) -> str:
    """Name of the Job that migrates one database for one image; `digest` is `build.migration.digest`."""
    return f"{community}-migrate-{digest}"
