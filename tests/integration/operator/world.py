"""What the operator's integration tests act with: a client, the operator as a process, and stand-ins for controllers."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml
from tests.waiting import eventually

from bapsang_operator import credentials, names
from bapsang_operator.kinds import BY_NAME, CHILDREN, COMMUNITY, SECRET, Kind

from .controlplane import OPERATOR_NAMESPACE, OPERATOR_USER, PORT_TAKEN, free_port

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "charts/bapsang-operator"
CRD = CHART / "crds/communities.bapsang.dev.yaml"
#: Hides the official client, as in the operator's image: kopf would load it, a third of the time that a start takes.
HIDDEN = Path(__file__).parent / "hidden"
Object = dict[str, Any]


class Client:
    """Plain requests to an apiserver."""

    def __init__(self, kubeconfig: Path) -> None:
        found = credentials.from_kubeconfig(kubeconfig)
        headers = {"Authorization": f"Bearer {found.token}"} if found.token else {}
        self._http = httpx.Client(base_url=found.server, verify=found.tls, headers=headers, timeout=30)

    def close(self) -> None:
        self._http.close()

    def get(self, kind: Kind, namespace: str | None, name: str) -> Object | None:
        answer = self._http.get(kind.path(namespace, name))
        return None if answer.status_code == 404 else self._ok(answer)

    def list(self, kind: Kind, namespace: str) -> list[Object]:
        return [{**item, "kind": kind.name} for item in self._ok(self._http.get(kind.path(namespace)))["items"]]

    def create(self, kind: Kind, manifest: Object, **params: str) -> httpx.Response:
        return self._http.post(kind.path(manifest["metadata"].get("namespace")), json=manifest, params=params)

    def replace(self, kind: Kind, manifest: Object, **params: str) -> httpx.Response:
        metadata = manifest["metadata"]
        return self._http.put(kind.path(metadata["namespace"], metadata["name"]), json=manifest, params=params)

    def patch(
        self, kind: Kind, namespace: str | None, name: str, patch: Object, part: str = "", form: str = "merge"
    ) -> Object:
        """Patch as `kubectl patch` does; `form`: merge, or strategic-merge, which adds items to lists that have keys."""
        content = {"Content-Type": f"application/{form}-patch+json"}
        return self._ok(self._http.patch(kind.path(namespace, name) + part, content=json.dumps(patch), headers=content))

    def delete(self, kind: Kind, namespace: str | None, name: str) -> None:
        self._ok(self._http.delete(kind.path(namespace, name)))

    def delete_if_there(self, kind: Kind, namespace: str | None, name: str) -> None:
        answer = self._http.delete(kind.path(namespace, name))
        assert answer.is_success or answer.status_code == 404, answer.text

    def raw(self, path: str) -> Object:
        return self._ok(self._http.get(path))

    @staticmethod
    def _ok(answer: httpx.Response) -> Object:
        assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.text}"
        found: Object = answer.json()
        return found


NAMESPACE = Kind("Namespace", "", "v1", "namespaces")
CRDS = Kind("CustomResourceDefinition", "apiextensions.k8s.io", "v1", "customresourcedefinitions")
RBAC = "rbac.authorization.k8s.io"
CLUSTER_ROLES = Kind("ClusterRole", RBAC, "v1", "clusterroles")
CLUSTER_BINDINGS = Kind("ClusterRoleBinding", RBAC, "v1", "clusterrolebindings")
ROLES = Kind("Role", RBAC, "v1", "roles")
BINDINGS = Kind("RoleBinding", RBAC, "v1", "rolebindings")


def rules(namespaced: bool = False, *, keda: bool = False) -> list[Object]:
    """Return the chart's rules in namespaces with Communities, or the ones in the operator's own namespace."""
    if not namespaced:
        files = ["rules", *(["keda"] if keda else [])]
        return [rule for name in files for rule in yaml.safe_load((CHART / f"files/{name}.yaml").read_text())]
    text = re.sub(r"(?m)^\s*\{\{-.*\}\}\s*$", "", (CHART / "templates/role.yaml").read_text())
    role: Object = yaml.safe_load(re.sub(r"\{\{.*?\}\}", "x", text))
    return list(role["rules"])


def grant(client: Client) -> None:
    """Give the operator's account exactly the rights of the chart with everything on, in a namespace of the operator's own."""
    answer = client.create(NAMESPACE, {"metadata": {"name": OPERATOR_NAMESPACE}})
    assert answer.is_success, answer.text
    bind(client, CLUSTER_ROLES, CLUSTER_BINDINGS, None, rules(keda=True))
    bind(client, ROLES, BINDINGS, OPERATOR_NAMESPACE, rules(namespaced=True))


def bind(
    client: Client, kind: Kind, binding: Kind, namespace: str | None, found: list[Object], user: str = OPERATOR_USER
) -> None:
    """Give a user rights, in one namespace or everywhere."""
    metadata = {"name": f"test-{secrets.token_hex(4)}", "namespace": namespace}
    reference = {"apiGroup": kind.group, "kind": kind.name, "name": metadata["name"]}
    subjects = [{"kind": "User", "apiGroup": kind.group, "name": user}]
    for one, manifest in (
        (kind, {"metadata": metadata, "rules": found}),
        (binding, {"metadata": metadata, "roleRef": reference, "subjects": subjects}),
    ):
        answer = client.create(one, manifest)
        assert answer.is_success, answer.text


def install_crd(client: Client, file: Path = CRD) -> None:
    """Create a CRD, the chart's by default, unless it is there, and wait until it is served."""
    crd = yaml.safe_load(file.read_text())
    answer = client.create(CRDS, crd)
    assert answer.status_code in {201, 409}, answer.text

    def is_served() -> bool:
        found = client.get(CRDS, None, crd["metadata"]["name"])
        conditions = (found or {}).get("status", {}).get("conditions") or []
        return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)

    eventually(is_served)


def remove_crd(client: Client, name: str) -> None:
    """Delete a CRD with all its objects, and wait until it is gone."""
    client.delete(CRDS, None, name)
    eventually(lambda: client.get(CRDS, None, name) is None, 60, f"{name} gone")


@dataclass
class Operator:
    """The operator as a process of its own, with the rights of the chart."""

    kubeconfig: Path
    log: Path
    settings: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    path: tuple[str, ...] = ()  # more folders of modules
    python: str = sys.executable
    process: subprocess.Popen[bytes] | None = None
    port: int = 0

    def start(self) -> None:
        """Start the process and wait until it has listed every kind; whether it leads is another matter."""
        self.launch()
        eventually(self._is_ready, 90, f"operator ready: {self.log}")

    def launch(self) -> None:
        """Start the process."""
        self.port = free_port()
        environment = {key: value for key, value in os.environ.items() if not key.startswith("BAPSANG_")}
        environment |= {
            "KUBECONFIG": str(self.kubeconfig),
            "BAPSANG_ADMIN_PORT": str(self.port),
            "BAPSANG_RESYNC_SECONDS": "2",
            "MALLOC_ARENA_MAX": "1",  # as the image sets it
            **self.settings,
        }
        given = [path for path in (environment.get("PYTHONPATH"),) if path]
        environment["PYTHONPATH"] = os.pathsep.join([str(HIDDEN), *self.path, *given])
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self.python, "-m", "bapsang_operator", "run", *self.arguments],
                env=environment,
                stdout=log,
                stderr=log,
            )

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Wait until the process has ended by itself and return its exit code."""
        assert self.process is not None
        return self.process.wait(60)

    def end(self) -> None:
        """End the process as a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(5)

    def restart(self) -> None:
        self.rest()
        self.lead()

    def lead(self) -> None:
        """Start the process unless it runs, and wait until it leads."""
        if not self.runs:
            self.start()
        eventually(lambda: self.leads, 60, "it leads")

    def rest(self) -> None:
        """Let the process end unless it has."""
        if self.runs:
            assert self.stop() == 0

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def leads(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return "bapsang_operator_leader 1.0" in self.admin("/metrics").text.splitlines()
        return False

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def admin(self, path: str) -> httpx.Response:
        # Without certificates, whose loading would cost 70 ms of CPU.
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=30, verify=False)  # noqa: S501

    def writes(self) -> float:
        """Return how many changing requests the process has sent, its lease aside."""
        lines = self.admin("/metrics").text.splitlines()
        counted = [line for line in lines if line.startswith("bapsang_operator_writes_total{")]
        return sum(float(line.split()[-1]) for line in counted if 'kind="Lease"' not in line)

    def _is_ready(self) -> bool:
        if not self.runs:
            said = self.log.read_text()[-3000:]
            assert PORT_TAKEN in said.lower(), said
            self.launch()
        with contextlib.suppress(httpx.TransportError):
            return self.admin("/readyz").status_code == 200
        return False


class Namespace:
    """A namespace of a test's own, with verbs for what a user or a controller would do in it."""

    def __init__(self, client: Client, name: str = "") -> None:
        self.client = client
        self.name = name or f"test-{secrets.token_hex(4)}"
        self.jobs: set[tuple[str, str]] = set()  # name and uid of all that `play_controllers` met
        answer = client.create(NAMESPACE, {"metadata": {"name": self.name}})
        assert answer.is_success, answer.text

    def leave(self) -> None:
        """Delete all Communities. Nobody waits for their children, and the namespace goes with the apiserver."""
        for community in self.client.list(COMMUNITY, self.name):
            self.delete("Community", community["metadata"]["name"])

    def remove(self) -> None:
        """Delete all Communities, and the namespace once their children are gone."""
        self.leave()
        eventually(lambda: not self._owned(), 60, "children gone", pause=0.5)
        self.client.delete(NAMESPACE, None, self.name)

    def _owned(self) -> list[Object]:
        return [child for child in self.children().values() if child["metadata"].get("ownerReferences")]

    def community(self, name: str = "c", **spec: Any) -> Object:
        """Create a Community and return it."""
        manifest = resource(self.name, name, **spec)
        return Client._ok(self.client.create(COMMUNITY, manifest))

    def get(self, kind: str, name: str) -> Object | None:
        return self.client.get(BY_NAME[kind], self.name, name)

    def is_going(self, kind: str, name: str) -> bool:
        """Tell whether an object is being deleted."""
        found = self.get(kind, name)
        return found is not None and "deletionTimestamp" in found["metadata"]

    def patch(self, kind: str, name: str, patch: Object, part: str = "", form: str = "merge") -> Object:
        return self.client.patch(BY_NAME[kind], self.name, name, patch, part, form)

    def delete(self, kind: str, name: str) -> None:
        self.client.delete(BY_NAME[kind], self.name, name)

    def children(self) -> dict[tuple[str, str], Object]:
        kinds = [kind for kind in CHILDREN if kind.name != "Pod"] + [SECRET]
        found = [item for kind in kinds for item in self.client.list(kind, self.name)]
        return {(item["kind"], item["metadata"]["name"]): item for item in found}

    def versions(self) -> dict[tuple[str, str], str]:
        """Return the resourceVersion of everything, the Community included."""
        everything = list(self.children().values()) + self.client.list(COMMUNITY, self.name)
        return {(item["kind"], item["metadata"]["name"]): item["metadata"]["resourceVersion"] for item in everything}

    def condition(self, kind: str, name: str = "c") -> Object:
        status = (self.get("Community", name) or {}).get("status", {})
        return next((one for one in status.get("conditions", ()) if one["type"] == kind), {})

    def wait_for(self, condition: str, status: str, reason: str | None = None, name: str = "c") -> Object:
        """Wait until a condition has a status (and reason) and return it."""

        def probe() -> Object | None:
            found = self.condition(condition, name)
            return found if found.get("status") == status and reason in (None, found.get("reason")) else None

        what = f"{condition}={status} {reason or ''}"
        try:
            return eventually(probe, what=what)
        except AssertionError:
            raise AssertionError(f"{what}; is {json.dumps(self.get('Community', name), indent=1)[-4000:]}") from None

    def host(self, name: str = "c") -> str | None:
        """Return the host that the Ingress of a Community serves."""
        found = self.get("Ingress", names.api(name))
        return None if found is None else found["spec"]["rules"][0]["host"]

    def events(self, reason: str) -> list[Object]:
        found = self.client.list(BY_NAME["Event"], self.name)
        return [event for event in found if event["reason"] == reason]

    # What controllers would do.

    def finish_store(self, name: str) -> None:
        found = eventually(lambda: self.get("StatefulSet", name))
        generation = found["metadata"]["generation"]
        status = {"observedGeneration": generation, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1}
        self.patch("StatefulSet", name, {"status": status}, "/status")

    def finish_job(self, name: str, *, succeeded: bool = True, ago: float = 0) -> None:
        """End a Job, `ago` seconds before now."""
        eventually(lambda: self.get("Job", name))
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - ago))
        ends = [("SuccessCriteriaMet", "Complete"), ("FailureTarget", "Failed")][not succeeded]
        conditions = [{"type": kind, "status": "True", "lastTransitionTime": now} for kind in ends]
        status: Object = {"startTime": now, "conditions": conditions}
        if succeeded:
            status["completionTime"] = now
        self.patch("Job", name, {"status": status}, "/status")

    def finish_rollout(self, name: str) -> None:
        found = eventually(lambda: self.get("Deployment", name))
        count = found["spec"]["replicas"]
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), count)
        status = {"observedGeneration": found["metadata"]["generation"], **counts}
        self.patch("Deployment", name, {"status": status}, "/status")

    def finish(self, kind: str, name: str) -> None:
        """Do what the controller of a kind would do after a change."""
        match kind:
            case "StatefulSet":
                self.finish_store(name)
            case "Deployment":
                self.finish_rollout(name)
            case "Job":
                self.finish_job(name)

    def play_controllers(self) -> None:
        """Finish whatever has been begun: stores, migrations, rollouts."""
        for kind in ("StatefulSet", "Deployment", "Job"):
            for found in self.client.list(BY_NAME[kind], self.name):
                status = found.get("status", {})
                is_new = status.get("observedGeneration", 0) < found["metadata"]["generation"]
                if kind == "Job":
                    self.jobs.add((found["metadata"]["name"], found["metadata"]["uid"]))
                if not status.get("conditions") if kind == "Job" else is_new:
                    self.finish(kind, found["metadata"]["name"])

    def settle(self, name: str = "c") -> None:
        """Play the controllers until nothing of a Community is under way any more."""

        def is_settled() -> bool:
            self.play_controllers()
            found = self.get("Community", name) or {}
            told = self.condition("Progressing", name)
            is_current = told.get("observedGeneration") == found["metadata"]["generation"]
            return is_current and told["reason"] == "UpToDate"

        eventually(is_settled, 60, "it is up to date")

    def migration(self, other_than: str = "") -> str:
        """Wait for a migration Job and return its name."""

        def probe() -> str:
            jobs = [job["metadata"]["name"] for job in self.client.list(BY_NAME["Job"], self.name)]
            return next((job for job in jobs if "-migrate-" in job and job != other_than), "")

        return eventually(probe, what="a migration Job")

    def bring_up(self, name: str = "c") -> str:
        """Play the controllers until a Community is fully up; returns the name of its migration Job."""
        self.finish_store(names.mysql(name))
        self.finish_store(names.redis(name))
        job = self.migration()
        self.finish_job(job)
        self.finish_rollout(names.api_base(name))
        self.finish_rollout(names.api_burst(name))
        self.wait_for("Progressing", "False", "UpToDate", name)
        return job


def resource(namespace: str, name: str = "c", **spec: Any) -> Object:
    """Return a Community with all defaults but what is given, and a host of its own: another one's would be taken."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"image": "bapsang/api:0.1.0", "host": f"{name}.{namespace}.localhost", **spec},
    }


@contextlib.contextmanager
def client_of(kubeconfig: Path) -> Iterator[Client]:
    found = Client(kubeconfig)
    try:
        yield found
    finally:
        found.close()
