"""Rows of the six `podTemplate`: for each leaf another value, what stands around it, and where in the pods it arrives."""

from __future__ import annotations

from typing import Any, Final

from bapsang_operator.manifest import Manifest

_ENV: Final[dict[str, tuple[Any, Manifest]]] = {
    "name": ("B", {"name": "A", "value": "1"}),
    "value": ("2", {"name": "A", "value": "1"}),
    **{
        f"valueFrom.{ref}.{field}": (to, {"name": "A", "valueFrom": {ref: {"name": "m", "key": "k"}}})
        for ref in ("secretKeyRef", "configMapKeyRef")
        for field, to in (("name", "n"), ("key", "l"))
    },
    "valueFrom.fieldRef.fieldPath": (
        "status.hostIP",
        {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
    ),
}
_MOUNT: Final[Manifest] = {"name": "v", "mountPath": "/v"}
#: Leaves of a container, with what stands around them in it.
_CONTAINER: Final[dict[str, tuple[Any, Manifest]]] = {
    "name": ("other", {}),
    "image": ("registry.example:5000/b@sha256:" + "0" * 64, {}),
    "imagePullPolicy": ("Always", {}),
    "command[]": ("b", {"command": ["a"]}),
    "args[]": ("b", {"args": ["a"]}),
    **{f"env[].{leaf}": (to, {"env": [given]}) for leaf, (to, given) in _ENV.items()},
    "envFrom[].prefix": ("B_", {"envFrom": [{"secretRef": {"name": "a"}}]}),
    "envFrom[].secretRef.name": ("b", {"envFrom": [{"secretRef": {"name": "a"}}]}),
    "envFrom[].configMapRef.name": ("b", {"envFrom": [{"configMapRef": {"name": "a"}}]}),
    "volumeMounts[].name": ("w", {"volumeMounts": [_MOUNT]}),
    "volumeMounts[].mountPath": ("/w", {"volumeMounts": [_MOUNT]}),
    "volumeMounts[].subPath": ("sub", {"volumeMounts": [_MOUNT]}),
    "volumeMounts[].readOnly": (True, {"volumeMounts": [_MOUNT]}),
    **{
        f"resources.{kind}.{what}": (value, {})
        for kind in ("requests", "limits")
        for what, value in (("cpu", "70m"), ("memory", "70Mi"))
    },
    "ports[].name": ("web", {"ports": [{"name": "http", "containerPort": 81}]}),
    "ports[].containerPort": (82, {"ports": [{"containerPort": 81}]}),
    "ports[].protocol": ("UDP", {"ports": [{"containerPort": 81}]}),
    "securityContext.runAsUser": (7, {}),
    "securityContext.runAsGroup": (7, {}),
    "securityContext.readOnlyRootFilesystem": (True, {}),
}
_ITEM: Final[Manifest] = {"key": "k", "path": "p"}
_SOURCES: Final[dict[str, tuple[Any, Manifest]]] = {
    **{
        f"{kind}.{leaf}": (to, {kind: {"name": "a", "items": [_ITEM]}})
        for kind in ("configMap", "secret")
        for leaf, to in (("name", "b"), ("items[].key", "l"), ("items[].path", "q"))
    },
    **{
        f"serviceAccountToken.{leaf}": (to, {"serviceAccountToken": {"audience": "a", "path": "p"}})
        for leaf, to in (("audience", "b"), ("expirationSeconds", 700), ("path", "q"))
    },
}
_VOLUME: Final[dict[str, tuple[Any, Manifest]]] = {
    "name": ("w", {"emptyDir": {}}),
    **{
        f"{kind}.{leaf}": (to, {kind: {name: "a", "items": [_ITEM]}})
        for kind, name in (("configMap", "name"), ("secret", "secretName"))
        for leaf, to in ((name, "b"), ("items[].key", "l"), ("items[].path", "q"))
    },
    "emptyDir.medium": ("Memory", {"emptyDir": {}}),
    "emptyDir.sizeLimit": ("1Gi", {"emptyDir": {}}),
    "persistentVolumeClaim.claimName": ("b", {"persistentVolumeClaim": {"claimName": "a"}}),
    **{
        f"csi.{leaf}": (to, {"csi": {"driver": "a.b"}})
        for leaf, to in (("driver", "c.d"), ("readOnly", True), ("volumeAttributes", {"a": "b"}))
    },
    **{
        f"projected.sources[].{leaf}": (to, {"projected": {"sources": [given]}})
        for leaf, (to, given) in _SOURCES.items()
    },
}
_TOLERATION: Final[Manifest] = {"key": "a", "operator": "Equal", "value": "b", "effect": "NoExecute"}
_SPREAD: Final[Manifest] = {"topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}
_REQUIRED, _PREFERRED = (f"{word}DuringSchedulingIgnoredDuringExecution" for word in ("required", "preferred"))
_EXPRESSION: Final[Manifest] = {"key": "a", "operator": "In", "values": ["b"]}
_NODES: Final[Manifest] = {"matchExpressions": [_EXPRESSION]}
_PODS: Final[Manifest] = {"topologyKey": "rack", "labelSelector": {"matchLabels": {"a": "b"}}}
_OF_NODES = {"matchExpressions[].key": "c", "matchExpressions[].operator": "NotIn", "matchExpressions[].values[]": "c"}
_OF_PODS: Final[Manifest] = {"topologyKey": "row", "labelSelector.matchLabels": {"a": "c"}}
#: Leaves of `affinity`, with what stands around them in it.
_AFFINITY: Final[dict[str, tuple[Any, Manifest]]] = {
    **{
        f"nodeAffinity.{_REQUIRED}.nodeSelectorTerms[].{leaf}": (
            to,
            {"nodeAffinity": {_REQUIRED: {"nodeSelectorTerms": [_NODES]}}},
        )
        for leaf, to in _OF_NODES.items()
    },
    **{
        f"nodeAffinity.{_PREFERRED}[].{leaf}": (
            to,
            {"nodeAffinity": {_PREFERRED: [{"weight": 1, "preference": _NODES}]}},
        )
        for leaf, to in {"weight": 2, **{f"preference.{leaf}": to for leaf, to in _OF_NODES.items()}}.items()
    },
    **{
        f"{kind}.{_REQUIRED}[].{leaf}": (to, {kind: {_REQUIRED: [_PODS]}})
        for kind in ("podAffinity", "podAntiAffinity")
        for leaf, to in _OF_PODS.items()
    },
    **{
        f"{kind}.{_PREFERRED}[].{leaf}": (to, {kind: {_PREFERRED: [{"weight": 1, "podAffinityTerm": _PODS}]}})
        for kind in ("podAffinity", "podAntiAffinity")
        for leaf, to in {"weight": 2, **{f"podAffinityTerm.{leaf}": to for leaf, to in _OF_PODS.items()}}.items()
    },
}
#: Leaves of a `podTemplate` outside of containers: the value, what stands around it, and where it arrives in the template.
_LEAVES: Final[dict[str, tuple[Any, Manifest, str]]] = {
    "metadata.labels": ({"a": "b"}, {}, "metadata.labels.a"),
    "metadata.annotations": ({"a": "b"}, {}, "metadata.annotations.a"),
    "spec.imagePullSecrets[].name": ("s", {"spec": {"imagePullSecrets": [{"name": "r"}]}}, "spec.imagePullSecrets[s]"),
    "spec.nodeSelector": ({"pool": "b"}, {}, "spec.nodeSelector.pool"),
    **{
        f"spec.tolerations[].{leaf}": (to, {"spec": {"tolerations": [given]}}, "spec.tolerations")
        for leaf, to, given in (
            ("key", "c", _TOLERATION),
            ("operator", "Exists", {"key": "a", "operator": "Equal"}),
            ("value", "c", _TOLERATION),
            ("effect", "NoSchedule", _TOLERATION),
            ("tolerationSeconds", 5, _TOLERATION),
        )
    },
    **{
        f"spec.topologySpreadConstraints[].{leaf}": (
            to,
            {"spec": {"topologySpreadConstraints": [_SPREAD]}},
            "spec.topologySpreadConstraints",
        )
        for leaf, to in (("maxSkew", 2), ("topologyKey", "row"), ("whenUnsatisfiable", "ScheduleAnyway"))
    },
    **{
        f"spec.affinity.{leaf}": (to, {"spec": {"affinity": given}}, "spec.affinity")
        for leaf, (to, given) in _AFFINITY.items()
    },
    "spec.priorityClassName": ("high", {}, "spec.priorityClassName"),
    "spec.runtimeClassName": ("gvisor", {}, "spec.runtimeClassName"),
    "spec.terminationGracePeriodSeconds": (100, {}, "spec.terminationGracePeriodSeconds"),
    "spec.securityContext.runAsUser": (7, {}, "spec.securityContext.runAsUser"),
    "spec.securityContext.runAsGroup": (7, {}, "spec.securityContext.runAsGroup"),
    "spec.securityContext.fsGroup": (7, {}, "spec.securityContext.fsGroup"),
    "spec.securityContext.supplementalGroups[]": (
        7,
        {"spec": {"securityContext": {"supplementalGroups": [6]}}},
        "spec.securityContext.supplementalGroups",
    ),
    **{
        f"spec.volumes[].{leaf}": (to, {"spec": {"volumes": [{"name": "v", **given}]}}, "spec.volumes")
        for leaf, (to, given) in _VOLUME.items()
    },
    **{
        f"spec.{field}[].{leaf}": (
            to,
            {"spec": {field: [{"name": "extra", "image": "a", **given}]}},
            f"spec.{field}[{to if leaf == 'name' else 'extra'}].{leaf.split('[')[0]}",
        )
        for field in ("containers", "initContainers")
        for leaf, (to, given) in _CONTAINER.items()
    },
    "spec.initContainers[].restartPolicy": (
        "Always",
        {"spec": {"initContainers": [{"name": "extra", "image": "a"}]}},
        "spec.initContainers[extra].restartPolicy",
    ),
}


def leaves(part: str) -> dict[str, tuple[Any, Manifest, str]]:
    """Return the leaves of the `podTemplate` of a part by their path: value, spec around it, place in the pod template."""
    return {
        f"{part}.podTemplate.{leaf}": (to, {part: {"podTemplate": given}} if given else {}, place)
        for leaf, (to, given, place) in _LEAVES.items()
    }


def _full(own: str) -> Manifest:
    """A `podTemplate` with every field."""
    variables = [
        {"name": "LITERAL", "value": ""},
        {"name": "OF_POD", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "OF_SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
    ]
    more: Manifest = {
        "imagePullPolicy": "Always",
        "env": variables,
        "envFrom": [{"prefix": "X_", "configMapRef": {"name": "m"}}],
        "volumeMounts": [
            {"name": "token", "mountPath": "/token", "readOnly": True},
            {"name": "keys", "mountPath": "/keys", "readOnly": False, "subPath": "a"},
        ],
        "resources": {"requests": {"cpu": "1000m", "memory": "0.5Gi"}, "limits": {"memory": "1024Mi"}},
    }
    sidecar: Manifest = {
        "name": "extra",
        "image": "proxy:1",
        "command": ["proxy"],
        "args": ["--port", "81"],
        "ports": [{"name": "proxy", "containerPort": 8181}],
        "securityContext": {"runAsUser": 7, "runAsGroup": 7, "readOnlyRootFilesystem": False},
        **more,
    }
    token = {"serviceAccountToken": {"audience": "vault", "path": "token"}}
    spec: Manifest = {
        "imagePullSecrets": [{"name": "registry"}, {"name": "mirror"}],
        "nodeSelector": {"pool": "food"},
        "tolerations": [
            {"key": "pool", "value": "food", "effect": "NoSchedule"},
            {"key": "gone", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0},
        ],
        "topologySpreadConstraints": [
            {"topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"},
            {"topologyKey": "rack", "whenUnsatisfiable": "ScheduleAnyway", "maxSkew": 2},
        ],
        "affinity": {
            "nodeAffinity": {
                _REQUIRED: {"nodeSelectorTerms": [_NODES, _NODES]},
                _PREFERRED: [{"weight": 1, "preference": _NODES}],
            },
            **{
                kind: {_REQUIRED: [_PODS], _PREFERRED: [{"weight": 1, "podAffinityTerm": _PODS}]}
                for kind in ("podAffinity", "podAntiAffinity")
            },
        },
        "terminationGracePeriodSeconds": 120,
        "securityContext": {"runAsUser": 7, "runAsGroup": 7, "fsGroup": 7, "supplementalGroups": [8, 9]},
        "volumes": [
            {"name": "token", "projected": {"sources": [token, {"secret": {"name": "s"}}]}},
            {"name": "keys", "secret": {"secretName": "s", "items": [_ITEM]}},
            {"name": "words", "configMap": {"name": "m"}},
            {"name": "cache", "emptyDir": {"medium": "Memory", "sizeLimit": "1024Mi"}},
            {"name": "claim", "persistentVolumeClaim": {"claimName": "x"}},
            {"name": "vault", "csi": {"driver": "a.b", "readOnly": False, "volumeAttributes": {"a": "b"}}},
        ],
        "initContainers": [{**sidecar, "name": "before", "restartPolicy": "Always", "ports": []}],
        "containers": [{"name": own, **more}, sidecar],
    }
    return {"metadata": {"labels": {"team": "food"}, "annotations": {"sidecar.istio.io/inject": "false"}}, "spec": spec}


#: A spec that uses every field of every `podTemplate`.
FULL: Final[Manifest] = {
    "api": {"podTemplate": _full("api"), "burst": {"headroom": 1}},
    "redis": {"podTemplate": _full("redis")},
    "database": {"podTemplate": _full("mysql")},
    "jobs": {"podTemplate": _full("migrate")},
    "media": {"podTemplate": _full("media")},
    "storage": {"bucket": "media"},
}
