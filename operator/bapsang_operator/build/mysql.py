"""The embedded MySQL, for development: one StatefulSet. Only the binaries of the image are relied on, and /bin/sh."""

from __future__ import annotations

from bapsang_operator import names
from bapsang_operator.build import api, placement, pod, store, wiring
from bapsang_operator.build.child import Child
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import ANNOTATION_SECRETS, Component
from bapsang_operator.resource import Community, SecretRef

IMAGE = "mysql:9.7"
PORT = 3306
DATABASE = "bapsang"
USER = "bapsang"
_DATA = "/var/lib/mysql/data"
_SOCKET = "/run/mysqld/mysqld.sock"

#: Fills an empty volume. The data folder appears by a rename, so a pod that is killed half-way starts afresh.
_INITIALISE = f"""set -eu
if [ -d {_DATA} ]; then exit 0; fi
rm -rf {_DATA}.new
mysqld --no-defaults --initialize-insecure --datadir={_DATA}.new --secure-file-priv=NULL
mv {_DATA}.new {_DATA}
"""


def children(community: Community, digests: wiring.Digests) -> list[Child]:
    """Return claim, Service and StatefulSet."""
    name = names.mysql(community.name)
    secrets = [SecretRef(name, "init.sql", "")]
    return [
        store.claim(community, name, Component.MYSQL, community.database.volume),
        store.service(community, name, Component.MYSQL, PORT),
        store.stateful_set(
            community,
            name,
            Component.MYSQL,
            pod.spec(
                pod.STORE_USER,
                [_server(community)],
                [
                    pod.secret_file("config", name, "init.sql", "init.sql"),
                    {"name": "data", "persistentVolumeClaim": {"claimName": name}},
                    pod.scratch("run", "16Mi"),
                    pod.scratch("tmp", "1Gi"),
                ],
                initContainers=[_initialiser(community)],
                terminationGracePeriodSeconds=store.GRACE_SECONDS,
                **placement.on_demand(community),
            ),
            {ANNOTATION_SECRETS: api.checksum(secrets, digests)},
            wiring.missing(secrets, digests),
            community.database.pod_template,
        ),
    ]


def init_sql(password: str, root_password: str) -> str:
    """Return what the server runs at every start, one statement a line; a changed password thus takes effect.

    root keeps to the local socket: `--initialize-insecure` makes no other root account.
    """
    statements = (
        f"CREATE DATABASE IF NOT EXISTS {DATABASE} CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci",
        f"CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{password}'",
        f"ALTER USER '{USER}'@'%' IDENTIFIED BY '{password}'",
        f"GRANT ALL PRIVILEGES ON {DATABASE}.* TO '{USER}'@'%'",
        f"ALTER USER 'root'@'localhost' IDENTIFIED BY '{root_password}'",
    )
    return "".join(f"{statement};\n" for statement in statements)


def _mounts() -> list[Manifest]:
    return [
        {"name": "data", "mountPath": "/var/lib/mysql"},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a volume of the pod's own
    ]


def _initialiser(community: Community) -> Manifest:
    return {
        "name": "initialise",
        "image": community.database.image or IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-c", _INITIALISE],
        "resources": pod.resources(community.database.resources),
        "securityContext": pod.container_security(),
        "terminationMessagePolicy": "File",
        "volumeMounts": _mounts(),
    }


def _server(community: Community) -> Manifest:
    # `ping` succeeds for any answer of the server, so the probes need no password.
    ping = {
        "exec": {"command": ["mysqladmin", "--no-defaults", f"--socket={_SOCKET}", "--user=root", "ping"]},
        "timeoutSeconds": 5,
    }
    return {
        "name": "mysql",
        "image": community.database.image or IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["mysqld"],
        "args": [
            "--no-defaults",
            f"--datadir={_DATA}",
            "--init-file=/etc/bapsang/init.sql",
            f"--socket={_SOCKET}",
            "--pid-file=/run/mysqld/mysqld.pid",
            f"--port={PORT}",
            "--mysqlx=OFF",
            "--secure-file-priv=NULL",
            "--skip-name-resolve",
            "--character-set-server=utf8mb4",
            "--collation-server=utf8mb4_0900_ai_ci",
            "--max-connections=200",
            "--innodb-buffer-pool-size=128M",
            # One server for development: nothing reads a binary log, and the instruments take 150 MiB.
            "--disable-log-bin",
            "--performance-schema=OFF",
        ],
        "ports": [{"name": Component.MYSQL.value, "containerPort": PORT, "protocol": "TCP"}],
        "startupProbe": ping | {"periodSeconds": 2, "failureThreshold": 150},
        "readinessProbe": ping | {"periodSeconds": 5, "failureThreshold": 2},
        "livenessProbe": ping | {"periodSeconds": 10, "failureThreshold": 6},
        "resources": pod.resources(community.database.resources),
        "securityContext": pod.container_security(),
        "terminationMessagePolicy": "File",
        "volumeMounts": [
            *_mounts(),
            {"name": "config", "mountPath": "/etc/bapsang", "readOnly": True},
            {"name": "run", "mountPath": "/run/mysqld"},
        ],
    }
