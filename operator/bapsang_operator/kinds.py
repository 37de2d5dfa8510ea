"""The kinds of objects the operator deals with: where each lives in the API and what is done to it.

Watches, requests and the chart's RBAC all follow this table; a test compares it with the chart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from bapsang_operator import names


@dataclass(frozen=True)
class Kind:
    """One kind. `deletable` ones are deleted when no longer wanted; nothing that holds data ever is. `everybodys` ones
    are watched whoever made them, the others by our label."""

    name: str
    group: str
    version: str
    plural: str
    deletable: bool = False
    everybodys: bool = False

    @property
    def selector(self) -> str:
        """The label selector of lists and watches; empty for none."""
        return "" if self.everybodys else names.MANAGED_SELECTOR

    @property
    def api_version(self) -> str:
        """`apiVersion` as manifests spell it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None, name: str = "") -> str:
        """Return the URL path of the collection or of one object; `namespace` None is the whole cluster."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        # One segment each, whatever they hold: `../../x/secrets/y` would be another namespace's.
        scope = f"/namespaces/{quote(namespace, safe='')}" if namespace is not None else ""
        return f"{root}{scope}/{self.plural}" + (f"/{quote(name, safe='')}" if name else "")


COMMUNITY: Final = Kind(names.KIND, names.GROUP, names.VERSION, names.PLURAL, everybodys=True)
CONFIG_MAP: Final = Kind("ConfigMap", "", "v1", "configmaps")
SECRET: Final = Kind("Secret", "", "v1", "secrets")
EVENT: Final = Kind("Event", "", "v1", "events")
POD: Final = Kind("Pod", "", "v1", "pods")
LEASE: Final = Kind("Lease", "coordination.k8s.io", "v1", "leases")
#: Read by name for its labels, where the operator has rights in the whole cluster.
NODE: Final = Kind("Node", "", "v1", "nodes")

#: KEDA's, which may be absent: applied and read by name where the spec asks for it, never watched.
SCALED_OBJECT: Final = Kind("ScaledObject", "keda.sh", "v1alpha1", "scaledobjects", deletable=True)

#: The Gateway API's, which may be absent: followed apart from the watches (`informer/routes.py`), which need every kind. Whoever made
#: them, as Ingresses.
HTTP_ROUTE: Final = Kind("HTTPRoute", "gateway.networking.k8s.io", "v1", "httproutes", deletable=True, everybodys=True)

#: Kinds that the operator applies, in the order in which they are applied.
CHILDREN: Final = (
    Kind("ServiceAccount", "", "v1", "serviceaccounts"),
    Kind("NetworkPolicy", "networking.k8s.io", "v1", "networkpolicies"),
    Kind("PersistentVolumeClaim", "", "v1", "persistentvolumeclaims"),
    Kind("Service", "", "v1", "services"),
    Kind("StatefulSet", "apps", "v1", "statefulsets"),
    Kind("Job", "batch", "v1", "jobs", deletable=True),
    Kind("Deployment", "apps", "v1", "deployments", deletable=True),
    Kind("HorizontalPodAutoscaler", "autoscaling", "v2", "horizontalpodautoscalers", deletable=True),
    Kind("PodDisruptionBudget", "policy", "v1", "poddisruptionbudgets"),
    Kind("CronJob", "batch", "v1", "cronjobs", deletable=True),
    # Whoever made it: a host that somebody else's serves is taken.
    Kind("Ingress", "networking.k8s.io", "v1", "ingresses", deletable=True, everybodys=True),
)

#: Kinds that scale the burst tier; of one Community, one of them at a time.
AUTOSCALERS: Final = frozenset({"HorizontalPodAutoscaler", SCALED_OBJECT.name})

#: Kinds by which users come in from outside; whoever has one for a host, has the host.
WAYS_IN: Final = frozenset({"Ingress", HTTP_ROUTE.name})

#: Kinds that are watched beside Communities: the children, and their pods for why they do not run.
WATCHED: Final = (*CHILDREN, POD)

BY_NAME: Final = {
    kind.name: kind for kind in (COMMUNITY, CONFIG_MAP, SECRET, EVENT, POD, LEASE, SCALED_OBJECT, HTTP_ROUTE, *CHILDREN)
}
