"""A namespace of a test's own, with stand-ins for controllers and kubelet."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable
from typing import Any

from tests.waiting import eventually

from bapsang_operator import names
from bapsang_operator.kinds import BY_NAME, CHILDREN, COMMUNITY, SECRET

from .client import NAMESPACE, Client, Object


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

    def wait_for(
        self, condition: str, status: str, reason: str | None = None, name: str = "c", *, saying: Iterable[str] = ()
    ) -> Object:
        """Wait until a condition has a status (and reason), its message all that is asked for, and return it.

        A message is made of several watches, which do not arrive in order: what is expected of it belongs into
        `saying`, not into an assertion on what this returns.
        """

        def probe() -> Object | None:
            found = self.condition(condition, name)
            said = found.get("status") == status and all(part in found.get("message", "") for part in saying)
            return found if said and reason in (None, found.get("reason")) else None

        what = " ".join((f"{condition}={status} {reason or ''}", *saying))
        try:
            return eventually(probe, what=what)
        except AssertionError:
            raise AssertionError(f"{what}; is {json.dumps(self.get('Community', name), indent=1)[-4000:]}") from None

    def wait_for_message(self, condition: str, beginning: str, name: str = "c") -> None:
        """Wait until the message of a condition begins so."""
        eventually(lambda: self.condition(condition, name).get("message", "").startswith(beginning), what=beginning)

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

    def hold_up(self, name: str) -> None:
        """Give a StatefulSet a pod of an older revision that crashes, for which its controller waits."""
        found = eventually(lambda: self.get("StatefulSet", name))
        labels = found["spec"]["template"]["metadata"]["labels"] | {"controller-revision-hash": "old"}
        owner = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": name, "uid": found["metadata"]["uid"]}
        metadata = {"name": f"{name}-0", "namespace": self.name, "labels": labels, "ownerReferences": [owner]}
        pod = {"metadata": metadata, "spec": {"containers": [{"name": "a", "image": "a"}]}}
        Client._ok(self.client.create(BY_NAME["Pod"], pod))
        told = {"name": "a", "image": "a", "imageID": "", "ready": False, "restartCount": 3}
        self.patch("Pod", f"{name}-0", {"status": {"phase": "Running", "containerStatuses": [told]}}, "/status")
        self.patch("StatefulSet", name, {"status": {"currentRevision": "old", "updateRevision": "new"}}, "/status")

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

    def settle(self, name: str = "c", reason: str = "UpToDate") -> None:
        """Play the controllers until nothing of a Community is under way any more, for the reason given."""

        def is_settled() -> bool:
            self.play_controllers()
            found = self.get("Community", name) or {}
            told = self.condition("Progressing", name)
            is_current = told.get("observedGeneration") == found["metadata"]["generation"]
            return is_current and told["reason"] == reason

        eventually(is_settled, 60, f"it is {reason}")

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
        for part, worker in (("storage", names.media(name)), ("mail", names.mail(name))):
            if part in (self.get("Community", name) or {})["spec"]:
                self.finish_rollout(worker)
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
