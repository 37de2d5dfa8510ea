"""Containers of a `podTemplate`: what users set on those of the operator, and additional ones."""

from __future__ import annotations

from typing import Final

from bapsang_operator import names
from bapsang_operator.resource.core import Schema, rule
from bapsang_operator.resource.nodes import amount, array, choice, integer, matches, obj, object_name, rules, text

#: Variables of our containers, beside those that begin with `BAPSANG_`.
_TAKEN_ENV: Final = "REDISCLI_AUTH"
_PULL: Final = ["Always", "IfNotPresent", "Never"]
IMAGE_RULE: Final = matches(
    r"^[a-zA-Z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
    r"(:[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?$",
    "must be an image reference, such as registry.example:5000/redis:8.0 or redis@sha256:… with 64 digits",
)
_PATH_RULE: Final = matches(
    r"^(/[.]?[A-Za-z0-9_][A-Za-z0-9._-]*)+$", "must be an absolute path without .., : and a / at its end"
)


def exactly_one(*fields: str) -> Schema:
    """Return a rule that one of the fields is there and no other of them."""
    listed = ", ".join(f"has(self.{name})" for name in fields)
    return rule(
        f"[{listed}].filter(one, one).size() == 1",
        lambda value, _old: sum(name in value for name in fields) == 1,
        f"needs exactly one of {', '.join(fields)}",
    )


def numeric_id(description: str) -> Schema:
    """Return the schema of the number of a user or a group; never root's."""
    return integer(description, 1, 2**31 - 1)


def _key_ref(kind: str) -> Schema:
    return obj(
        f"One key of a {kind} in the namespace of the Community.",
        {"name": object_name(f"Name of the {kind}."), "key": text("Key within it.", 253, minLength=1)},
        required=["name", "key"],
    )


def named(kind: str) -> Schema:
    """Return the schema of a reference to an object by its name."""
    return obj(
        f"A {kind} in the namespace of the Community.", {"name": object_name(f"Name of the {kind}.")}, required=["name"]
    )


_ENV: Final = obj(
    "One variable: either value or valueFrom.",
    {
        "name": text(
            "Name of the variable; those of the operator cannot be set.",
            128,
            **rules(
                matches("^[A-Za-z_][A-Za-z0-9_]*$", "must be letters, digits and _, and not begin with a digit"),
                rule(
                    f"!self.startsWith('{names.RESERVED_ENV_PREFIX}') && self != '{_TAKEN_ENV}'",
                    lambda value, _old: not value.startswith(names.RESERVED_ENV_PREFIX) and value != _TAKEN_ENV,
                    f"names beginning with BAPSANG_ and {_TAKEN_ENV} belong to the operator",
                ),
            ),
        ),
        "value": text("Literal value.", 4096),
        "valueFrom": obj(
            "Where the value is read from.",
            {
                "secretKeyRef": _key_ref("Secret"),
                "configMapKeyRef": _key_ref("ConfigMap"),
                "fieldRef": obj(
                    "A field of the pod.",
                    {"fieldPath": text("Its path, such as status.podIP.", 256, minLength=1)},
                    required=["fieldPath"],
                ),
            },
            **rules(exactly_one("secretKeyRef", "configMapKeyRef", "fieldRef")),
        ),
    },
    required=["name"],
    **rules(exactly_one("value", "valueFrom")),
)
_ENV_FROM: Final = obj(
    "All keys of a Secret or ConfigMap as variables.",
    {
        "prefix": text("Put before each key.", 128),
        "secretRef": named("Secret"),
        "configMapRef": named("ConfigMap"),
    },
    **rules(exactly_one("secretRef", "configMapRef")),
)
_MOUNT: Final = obj(
    "Where a volume of the pod is mounted.",
    {
        "name": text("Name of the volume.", 63, minLength=1),
        "mountPath": text("Where it is in the container.", 256, **rules(_PATH_RULE)),
        "subPath": text("A path within the volume.", 256),
        "readOnly": {"type": "boolean", "description": "Whether it can be written."},
    },
    required=["name", "mountPath"],
)
_PORT: Final = obj(
    "A port that the container listens on.",
    {
        "name": text("Name of the port.", 15, minLength=1),
        "containerPort": integer("Number of the port.", 1, 65535),
        "protocol": choice("Protocol.", ["TCP", "UDP", "SCTP"], default="TCP"),
    },
    required=["containerPort"],
)
_RESOURCES: Final = obj(
    "Compute resources of the container.",
    {
        "requests": obj("What the scheduler reserves.", {"cpu": amount("CPU cores."), "memory": amount("Memory.")}),
        "limits": obj("What it may use at most.", {"cpu": amount("CPU cores."), "memory": amount("Memory.")}),
    },
)
_OWN_FIELDS: Final = ("image", "command", "args", "ports", "securityContext")


def container(own: tuple[str, ...], folders: tuple[str, ...], **more: Schema) -> Schema:
    """Return the node of a container; `own` are the names of those that the operator builds, `folders` theirs."""
    is_own = f"self.name in {list(own)}"
    without = " && ".join(f"!has(self.{name})" for name in _OWN_FIELDS)
    return obj(
        "A container: one that the operator builds, by its name, or another one.",
        {
            "name": text("Name of the container.", 63, minLength=1),
            "image": text("Image; of additional containers only.", 512, **rules(IMAGE_RULE)),
            "imagePullPolicy": choice("When the image is pulled.", _PULL),
            "command": array("Command; of additional containers only.", 32, text("A word.", 4096)),
            "args": array("Arguments; of additional containers only.", 64, text("A word.", 4096)),
            "env": array("Variables; those of our containers stay.", 64, _ENV, key="name"),
            "envFrom": array("Variables from Secrets and ConfigMaps.", 8, _ENV_FROM),
            "volumeMounts": array("Mounted volumes.", 16, _MOUNT, key="mountPath"),
            "resources": _RESOURCES,
            "ports": array("Ports; of additional containers only.", 8, _PORT, key="containerPort protocol"),
            "securityContext": obj(
                "Of additional containers only; they get no privilege and no capability.",
                {
                    "runAsUser": numeric_id("User."),
                    "runAsGroup": numeric_id("Group."),
                    "readOnlyRootFilesystem": {
                        "type": "boolean",
                        "description": "Whether only volumes can be written.",
                    },
                },
            ),
            **more,
        },
        required=["name"],
        **rules(
            rule(
                f"!({is_own}) || ({without})",
                lambda value, _old: value["name"] not in own or not any(name in value for name in _OWN_FIELDS),
                f"{', '.join(_OWN_FIELDS)} of this container belong to the operator",
            ),
            rule(
                f"{is_own} || has(self.image)",
                lambda value, _old: value["name"] in own or "image" in value,
                f"an additional container needs an image; those of the operator here: {', '.join(own) or 'none'}",
                ".image",
            ),
            *(
                rule(
                    f"!({is_own}) || !has(self.volumeMounts) || self.volumeMounts.all(mount, "
                    f"!(mount.mountPath + '/').startsWith('{folder}/') && "
                    f"!'{folder}/'.startsWith(mount.mountPath + '/'))",
                    lambda value, _old, folder=folder: (  # type: ignore[misc]
                        value["name"] not in own
                        or not any(
                            f"{mount['mountPath']}/".startswith(f"{folder}/")
                            or f"{folder}/".startswith(f"{mount['mountPath']}/")
                            for mount in value.get("volumeMounts", ())
                        )
                    ),
                    f"{folder} belongs to the operator",
                    ".volumeMounts",
                )
                for folder in folders
            ),
        ),
    )
