"""`podTemplate` of a Community: what users lay over the pods that the operator builds.

Every field is typed. What is not listed cannot be set, so pods stay `restricted` and what makes them work stays theirs; and
the depth of a resource stays bounded, since parsers give up on nested objects without an end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from bapsang_operator import names
from bapsang_operator.resource.affinity import AFFINITY
from bapsang_operator.resource.containers import container, exactly_one, named, numeric_id
from bapsang_operator.resource.core import Schema, rule
from bapsang_operator.resource.nodes import (
    amount,
    array,
    choice,
    integer,
    obj,
    object_name,
    rules,
    string_map,
    text,
)

_SELECTED: Final = ("app.kubernetes.io/", f"{names.GROUP}/")
_VOLUME_KINDS: Final = ("configMap", "secret", "emptyDir", "persistentVolumeClaim", "csi", "projected")


def _without(prefixes: tuple[str, ...], message: str) -> Schema:
    told = " && ".join(f"!key.startsWith('{prefix}')" for prefix in prefixes)
    return rule(
        f"self.all(key, {told})",
        lambda value, _old: not any(key.startswith(prefixes) for key in value),
        message,
    )


_ITEMS: Final = array(
    "Keys as files; all when absent.",
    16,
    obj(
        "One key.",
        {"key": text("Key.", 253, minLength=1), "path": text("File.", 253, minLength=1)},
        required=["key", "path"],
    ),
)
_SOURCE: Final = obj(
    "One source.",
    {
        "configMap": obj(
            "Files of a ConfigMap.",
            {"name": object_name("Name of the ConfigMap."), "items": _ITEMS},
            required=["name"],
        ),
        "secret": obj(
            "Files of a Secret.", {"name": object_name("Name of the Secret."), "items": _ITEMS}, required=["name"]
        ),
        "serviceAccountToken": obj(
            "A token of the pod's ServiceAccount.",
            {
                "audience": text("Whom it is for.", 253, minLength=1),
                "expirationSeconds": integer("How long it is valid.", 600, 86400, default=3600),
                "path": text("File.", 253, minLength=1),
            },
            required=["audience", "path"],
        ),
    },
    **rules(exactly_one("configMap", "secret", "serviceAccountToken")),
)


def _volume(taken: tuple[str, ...]) -> Schema:
    return obj(
        "A volume of a kind that restricted pods may have.",
        {
            "name": text("Name of the volume.", 63, minLength=1),
            "configMap": obj(
                "Files of a ConfigMap.",
                {"name": object_name("Name of the ConfigMap."), "items": _ITEMS},
                required=["name"],
            ),
            "secret": obj(
                "Files of a Secret.",
                {"secretName": object_name("Name of the Secret."), "items": _ITEMS},
                required=["secretName"],
            ),
            "emptyDir": obj(
                "A folder that goes with the pod.",
                {"medium": choice("Memory instead of the node's disk.", ["Memory"]), "sizeLimit": amount("Size.")},
            ),
            "persistentVolumeClaim": obj(
                "A claim in the namespace of the Community.",
                {"claimName": object_name("Name of the claim.")},
                required=["claimName"],
            ),
            "csi": obj(
                "A volume of a CSI driver, such as secrets-store.csi.k8s.io.",
                {
                    "driver": object_name("Name of the driver."),
                    "readOnly": {"type": "boolean", "description": "Whether it can be written."},
                    "volumeAttributes": string_map("Attributes.", 16),
                },
                required=["driver"],
            ),
            "projected": obj("Several sources in one folder.", {"sources": array("Sources.", 8, _SOURCE)}),
        },
        required=["name"],
        **rules(
            exactly_one(*_VOLUME_KINDS),
            rule(
                f"!(self.name in {list(taken)}) && (self.name != 'tmp' || has(self.emptyDir))",
                lambda value, _old: value["name"] not in taken and (value["name"] != "tmp" or "emptyDir" in value),
                f"{', '.join(taken) or 'tmp'} belong to the operator; of tmp emptyDir can be set",
                ".name",
            ),
        ),
    )


_TOLERATION: Final = obj(
    "One toleration; those of the operator stay.",
    {
        "key": text("Taint key; empty with operator Exists matches every taint.", 316),
        "operator": choice("How value is compared.", ["Exists", "Equal"], default="Equal"),
        "value": text("Taint value, for Equal.", 63),
        "effect": choice("Taint effect; every effect when absent.", ["NoSchedule", "PreferNoSchedule", "NoExecute"]),
        "tolerationSeconds": integer("Seconds until the pod goes, with effect NoExecute.", 0, 86400),
    },
    **rules(
        rule(
            "self.operator == 'Equal' ? has(self.key) && self.key != '' : !has(self.value) || self.value == ''",
            lambda value, _old: bool(value.get("key")) if value["operator"] == "Equal" else not value.get("value"),
            "operator Equal needs a key, operator Exists takes no value",
        ),
        rule(
            "!has(self.tolerationSeconds) || has(self.effect) && self.effect == 'NoExecute'",
            lambda value, _old: "tolerationSeconds" not in value or value.get("effect") == "NoExecute",
            "tolerationSeconds belongs to effect NoExecute",
        ),
    ),
)
_SPREAD: Final = obj(
    "How the pods are spread over the values of a label of nodes.",
    {
        "maxSkew": integer("Largest difference.", 1, 100, default=1),
        "topologyKey": text("Label of nodes.", 316, minLength=1),
        "whenUnsatisfiable": choice("Whether a pod waits.", ["DoNotSchedule", "ScheduleAnyway"]),
    },
    required=["topologyKey", "whenUnsatisfiable"],
)


def template(
    own: tuple[str, ...], folders: tuple[str, ...], volumes: tuple[str, ...], init: tuple[str, ...] = ()
) -> Schema:
    """Return the node of a `podTemplate` over pods with the containers `own` and `init`, their folders and volumes."""
    restart = choice("Always: a native sidecar, which starts before and ends after our containers.", ["Always"])
    return obj(
        "Laid over the pods: fields of a pod template that are merged into what the operator builds.",
        {
            "metadata": obj(
                "Metadata of the pods.",
                {
                    "labels": string_map(
                        "Labels of the pods.",
                        32,
                        63,
                        **rules(_without(_SELECTED, f"{' and '.join(_SELECTED)}… belong to the operator")),
                    ),
                    "annotations": string_map(
                        "Annotations of the pods.",
                        32,
                        **rules(_without(_SELECTED[1:], f"{_SELECTED[1]}… belongs to the operator")),
                    ),
                },
            ),
            "spec": obj(
                "Fields of the pods' spec.",
                {
                    "imagePullSecrets": array("Secrets for private registries.", 8, named("Secret"), key="name"),
                    "nodeSelector": string_map("Labels that a node must have.", 16, 63),
                    "tolerations": array("Tolerations beside the operator's.", 16, _TOLERATION),
                    "topologySpreadConstraints": array("Constraints, by topologyKey.", 8, _SPREAD, key="topologyKey"),
                    "affinity": AFFINITY,
                    "priorityClassName": object_name("PriorityClass of the pods."),
                    "runtimeClassName": object_name("RuntimeClass of the pods."),
                    "terminationGracePeriodSeconds": integer("Seconds until the kubelet kills.", 25, 3600),
                    "securityContext": obj(
                        "Numbers that the pods run under.",
                        {
                            "runAsUser": numeric_id("User."),
                            "runAsGroup": numeric_id("Group."),
                            "fsGroup": numeric_id("Group of volumes."),
                            "supplementalGroups": array("More groups.", 16, numeric_id("Group.")),
                        },
                    ),
                    "volumes": array("More volumes, by name.", 16, _volume(volumes), key="name"),
                    "initContainers": array(
                        "Containers that run before.", 8, container(init, folders, restartPolicy=restart), key="name"
                    ),
                    "containers": array("Containers, by name.", 8, container(own, folders), key="name"),
                },
            ),
        },
    )


#: Folders and volumes with the authorities of stores (`build.tls`), in pods of the API and of jobs.
AUTHORITIES: Final = (("/etc/bapsang/database-ca", "/etc/bapsang/redis-ca"), ("database-ca", "redis-ca"))
#: Containers of the jobs; each job has one of them.
JOBS: Final = ("migrate", "like-sync", "image-collector")


@dataclass(frozen=True)
class Jobs:
    """The pods of all jobs: migration, like-sync and image collector."""

    pod_template: Annotated[Mapping[str, Any], template(JOBS, (*AUTHORITIES[0], "/tmp"), AUTHORITIES[1])]  # noqa: S108
