"""The managed Redis: one StatefulSet with an append-only file.

Only the password is in the Secret, which is generated once; settings that a later version may change are arguments.
Beside Redis's own programs, the image must have a shell, sed, tail and grep.
"""

from __future__ import annotations

from bapsang_operator import names
from bapsang_operator.build import api, placement, pod, store, wiring
from bapsang_operator.build.child import Child
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import ANNOTATION_SECRETS, Component
from bapsang_operator.resource import Community, SecretRef, quantity

IMAGE = "redis:8.0"
PORT = 6379
#: Share of the memory limit that data may take; the rest is for rewriting the append-only file and for clients.
DATA_SHARE = 0.6
#: Starts Redis with the arguments that follow, on a log that ends with a whole transaction.
#:
#: A power loss may cut the log within a transaction. Redis 8.0 then takes away the command that was cut and keeps those
#: before it, without their EXEC: at the next start it carries them out, together with the transaction after them.
#: redis-check-aof cuts at the first thing that it does not understand, also in the middle of a log. So it may act only
#: when what it would take away is one transaction and nothing else: its MULTI comes first (the name is the third line
#: of a command), and there is no EXEC. All other damage is Redis's to mend or to refuse, and a person's to look at.
START = r"""
log=/data/appendonlydir
if [ -e $log/appendonly.aof.manifest ] && ! found=$(redis-check-aof $log/appendonly.aof.manifest 2>&1); then
  printf '%s\n' "$found"
  cr=$(printf '\r')
  where='s/^AOF analyzed: filename=\(.*\), size=.*, ok_up_to=\([0-9]*\),.*/\2 \1/p'
  last=$(printf '%s\n' "$found" | sed -n "$where" | tail -n 1)
  whole=${last%% *} file=$log/${last#* }
  marks=$([ -z "$last" ] || { tail -c "+$((whole + 1))" "$file"; printf .; } | grep -anxE "(MULTI|EXEC)$cr" | head -n 2)
  if [ "$marks" = "3:MULTI$cr" ]; then
    echo "Repairing $file: it ends within a transaction, which begins at byte $whole and is taken away."
    echo y | redis-check-aof --fix $log/appendonly.aof.manifest
  else
    echo "No transaction was cut off: the log is left to Redis as it is."
  fi
fi
exec redis-server "$@"
"""


def children(community: Community, digests: wiring.Digests) -> list[Child]:
    """Return claim, Service and StatefulSet."""
    name = names.redis(community.name)
    secrets = [SecretRef(name, key, "") for key in ("password", "redis.conf")]
    return [
        store.claim(community, name, Component.REDIS, community.redis.volume),
        store.service(community, name, Component.REDIS, PORT),
        store.stateful_set(
            community,
            name,
            Component.REDIS,
            pod.spec(
                pod.STORE_USER,
                [_container(community, name)],
                [
                    pod.secret_file("config", name, "redis.conf", "redis.conf"),
                    {"name": "data", "persistentVolumeClaim": {"claimName": name}},
                ],
                terminationGracePeriodSeconds=store.GRACE_SECONDS,
                **placement.on_demand(community),
            ),
            {ANNOTATION_SECRETS: api.checksum(secrets, digests)},
            wiring.missing(secrets, digests),
            community.redis.pod_template,
        ),
    ]


def config(password: str) -> str:
    """Return the configuration file that goes into the Secret."""
    return f"requirepass {password}\n"


def _arguments(memory: str | int) -> list[str]:
    limit = int(float(quantity.parse(memory)) * DATA_SHARE)
    return [
        "/etc/bapsang/redis.conf",
        *("--dir", "/data"),
        *("--port", str(PORT)),
        *("--save", ""),
        # A second of likes may be lost with the node, never more.
        *("--appendonly", "yes"),
        *("--appendfsync", "everysec"),
        *("--maxmemory", str(limit)),
        # Evicting a like set would lose likes silently: refuse writes instead.
        *("--maxmemory-policy", "noeviction"),
        # Likes of a post: four bytes each up to this size, from which on the API keeps a bitmap.
        *("--set-max-intset-entries", "50000"),
    ]


def _container(community: Community, secret: str) -> Manifest:
    ping = {"exec": {"command": ["redis-cli", "-e", "-h", "127.0.0.1", "ping"]}, "timeoutSeconds": 3}
    return {
        "name": "redis",
        "image": community.redis.image or IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-c", START, "redis"],
        "args": _arguments(community.redis.resources.limits["memory"]),
        # Read by redis-cli in the probes.
        "env": [pod.secret_env("REDISCLI_AUTH", secret, "password")],
        "ports": [{"name": Component.REDIS.value, "containerPort": PORT, "protocol": "TCP"}],
        "startupProbe": ping | {"periodSeconds": 1, "failureThreshold": 120},
        "readinessProbe": ping | {"periodSeconds": 5, "failureThreshold": 2},
        "livenessProbe": ping | {"periodSeconds": 10, "failureThreshold": 6},
        "resources": pod.resources(community.redis.resources),
        "securityContext": pod.container_security(),
        "terminationMessagePolicy": "File",
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/bapsang", "readOnly": True},
            {"name": "data", "mountPath": "/data"},
        ],
    }
