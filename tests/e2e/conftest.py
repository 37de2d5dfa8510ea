"""The running platform (`make up`): its cluster, its sample Community, and Communities of the tests' own."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
import yaml
from tests import waiting

from bapsang_local import deploy, engine, lock, s3, smoke
from bapsang_local.cluster import Cluster
from bapsang_local.failure import Failure
from bapsang_local.settings import COMMUNITY, COMMUNITY_NAMESPACE, HOST, OPERATOR_NAMESPACE, Settings, from_environment
from bapsang_local.smoke import Client

from .mailbox import Mailbox
from .reading import Reader, reading

Found = TypeVar("Found")
OPERATOR = "deployment/bapsang-operator"
#: `spec.api` of the tests' own Community. Contour hears of an endpoint at once, and each rollout waits for the drain; the
#: test that holds endpoints back for longer takes the default drain.
BASE, BURST, DRAIN_SECONDS = 2, 2, 3
API = {
    "base": {"replicas": BASE},
    "burst": {"minReplicas": BURST, "maxReplicas": BURST},
    "drainSeconds": DRAIN_SECONDS,
    "rateLimits": {"enabled": False},  # all users of the tests come from one address
}


def eventually(look: Callable[[], Found], seconds: float, *, what: str) -> Found:
    """Wait for something of the platform, which may well not answer for a while."""
    return waiting.eventually(look, seconds, what, pause=0.2, errors=(Failure, OSError, AssertionError))


def pytest_itemcollected(item: pytest.Item) -> None:
    """Nodes that restart and images that are pulled take minutes."""
    item.add_marker(pytest.mark.timeout(600))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests measured on the way, and save it; nothing is asserted on it."""
    passed = [report for report in terminalreporter.getreports("passed") if report.when == "call"]
    figures = [found for report in passed for found in report.user_properties]
    if figures:
        terminalreporter.section("figures")
        for name, value in figures:
            terminalreporter.write_line(f"{name:<60} {value}")
        kept = [{"name": name, "value": value} for name, value in figures]
        result = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "figures": kept}
        path = from_environment().home / "e2e-figures.json"
        path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
        terminalreporter.write_line(f"saved in {path}")


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str, str], None]:
    """Return a function that keeps a figure (name, value with unit), to be printed at the end."""
    return record_property


@dataclass(slots=True)
class Community:
    """One Community of the cluster, by name; everything is read anew at each call."""

    cluster: Cluster
    reader: Reader
    namespace: str
    name: str
    host: str

    def get(self, kind: str, name: str | None = None) -> dict[str, Any]:
        """Return a child (or, for `community`, the resource itself). Raises Failure when there is none."""
        return self.reader.get(kind, name or self.name, self.namespace)

    def items(self, kinds: str, labels: str = "") -> list[dict[str, Any]]:
        """Return its objects of these kinds that have more labels (`tier=burst,…`) as well."""
        own = f"bapsang.dev/community={self.name}"
        return self.reader.items(kinds, self.namespace, labels=f"{own},{labels}" if labels else own)

    def condition(self, kind: str) -> dict[str, Any]:
        conditions = self.get("community").get("status", {}).get("conditions", [])
        return next((condition for condition in conditions if condition["type"] == kind), {})

    def patch(self, spec: dict[str, Any]) -> None:
        self.cluster.kubectl(
            "patch", "community", self.name, "-n", self.namespace, "--type=merge", "-p", json.dumps({"spec": spec})
        )

    def run_now(self, task: str) -> None:
        """Run a CronJob (`like-sync`, `image-collector`) to its end without waiting for its minute."""
        smoke.run_now(self.cluster, self.namespace, f"{self.name}-{task}")

    def wait_ready(self, seconds: float = 240) -> None:
        def ready() -> bool:
            community = self.get("community")
            found = {condition["type"]: condition for condition in community.get("status", {}).get("conditions", [])}
            current = community["metadata"]["generation"]
            return all(
                found.get(kind, {}).get("status") == wanted and found[kind]["observedGeneration"] == current
                for kind, wanted in (("Ready", "True"), ("Progressing", "False"), ("Paused", "False"))
            )

        eventually(ready, seconds, what=f"{self.name} is ready: {self.get('community').get('status')}")


@dataclass(slots=True)
class People:
    """Users of a community, who come through the ingress."""

    port: int
    host: str
    made: list[Client] = field(default_factory=list)

    def join(self) -> Client:
        """Sign up somebody new, log in and return the client."""
        tag = secrets.token_hex(4)
        client = Client(self.port, host=self.host)
        body = {"email": f"{tag}@example.com", "password": "Bapsang-2026", "nickname": tag, "profileImageKey": None}
        answer = client.call("POST", "/api/v1/auth/users", body)
        assert answer.status == 201, answer.body
        answer = client.call("POST", "/api/v1/auth/tokens", {"email": body["email"], "password": body["password"]})
        assert answer.status == 201, answer.body
        client.token = answer.headers["authorization"].removeprefix("Bearer ")
        self.made.append(client)
        return client

    def post(self, author: Client) -> str:
        body = {"title": "점심", "content": f"김치찌개 {secrets.token_hex(4)}", "postImageKey": None}
        answer = author.call("POST", "/api/v1/posts", body)  # the same again would be held back
        assert answer.status == 201, answer.body
        post_id: str = answer.json()["postId"]
        return post_id


@pytest.fixture(scope="session")
def settings() -> Settings:
    return from_environment()


@pytest.fixture(scope="session")
def cluster(settings: Settings) -> Cluster:
    """The running cluster. `make test` brings it up beside the first tests, so this waits for a `make up` that is at work."""
    with lock.alone(settings):
        docker = engine.find()
    if docker is None or not settings.kubeconfig.exists():
        pytest.fail("No local cluster runs: run `make up` first.")
    return Cluster(docker, settings, settings.bin / "kubectl")


@pytest.fixture(scope="session")
def reader(cluster: Cluster) -> Iterator[Reader]:
    with reading(cluster.settings.kubeconfig) as found:
        yield found


@pytest.fixture(scope="session")
def sample(cluster: Cluster, reader: Reader) -> Community:
    """The Community that `make up` left running."""
    community = Community(cluster, reader, COMMUNITY_NAMESPACE, COMMUNITY, "bapsang.localhost")
    community.wait_ready(60)
    return community


@pytest.fixture(scope="session")
def people(settings: Settings) -> People:
    return People(settings.ingress_port, "bapsang.localhost")


@pytest.fixture(scope="session")
def mailbox(settings: Settings) -> Mailbox:
    return Mailbox(settings.ingress_port, f"mail.{HOST}")


@pytest.fixture(scope="session")
def other_image(cluster: Cluster, sample: Community) -> str:
    """Return another name of the API's image, present on the workers: a new image without another build."""
    current: str = sample.get("community")["spec"]["image"]
    name = "bapsang/api:0.1.0-e2e-next"
    for node in ("bapsang-worker", "bapsang-worker2"):
        cluster.engine.docker(
            "exec", node, "ctr", "-n", "k8s.io", "images", "tag", "--force", f"docker.io/{current}", f"docker.io/{name}"
        )
    return name


@pytest.fixture(scope="session")
def make_community(cluster: Cluster, settings: Settings, sample: Community) -> Iterator[Callable[..., Community]]:
    """Return a function that makes a Community like the sample in a namespace of its own; it is gone afterwards."""
    namespaces: list[str] = []
    image = sample.get("community")["spec"]["image"]

    def make(**spec: Any) -> Community:
        tag = secrets.token_hex(3)
        namespace = f"e2e-{tag}"
        community = Community(cluster, sample.reader, namespace, "table", f"{tag}.bapsang.localhost")
        documents = list(yaml.safe_load_all(deploy.sample_text(settings, image)))
        wanted = next(document for document in documents if document["kind"] == "Community")
        wanted["metadata"] = {"name": community.name, "namespace": namespace}
        wanted["spec"]["api"] |= API
        wanted["spec"] |= {
            "host": community.host,
            "publicUrl": f"http://{community.host}:{settings.ingress_port}",
            # Without the sample's retries: they would hide what is wrong with the end of a pod.
            "ingress": {"className": wanted["spec"]["ingress"]["className"]},
        }
        wanted["spec"]["storage"] |= spec.pop("storage", {})
        del wanted["spec"]["mail"]  # a worker that nobody looks at
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        home = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}}
        namespaces.append(namespace)
        cluster.kubectl("apply", "--server-side", "-f", "-", input=yaml.safe_dump(home).encode())
        s3.give_credentials(cluster, namespace)
        cluster.kubectl("apply", "--server-side", "-f", "-", input=yaml.safe_dump(wanted).encode())
        return community

    try:
        yield make
    finally:
        for namespace in namespaces:
            cluster.kubectl("delete", "namespace", namespace, "--wait=false", "--ignore-not-found")


@pytest.fixture(scope="session")
def own(make_community: Callable[..., Community]) -> Community:
    """A ready Community of the tests' own. Each leaves it ready, with API; the last of them, test_teardown.py, deletes it."""
    made = make_community()
    made.wait_ready()
    return made


@pytest.fixture(scope="session")
def keyless(make_community: Callable[..., Community]) -> Community:
    """A Community whose Secret for the bucket is missing, until a test mends that; test_teardown.py deletes its namespace."""
    return make_community(storage={"secretName": "none-such"})


@pytest.fixture
def operator_stopped(cluster: Cluster, reader: Reader) -> Iterator[Callable[[], None]]:
    """Return a function that stops the operator; it runs again after the test."""

    def stop() -> None:
        cluster.kubectl("scale", OPERATOR, "-n", OPERATOR_NAMESPACE, "--replicas=0")
        eventually(lambda: not reader.items("pods", OPERATOR_NAMESPACE), 60, what="the operator is gone")

    yield stop
    cluster.kubectl("scale", OPERATOR, "-n", OPERATOR_NAMESPACE, "--replicas=2")
    cluster.kubectl("rollout", "status", OPERATOR, "-n", OPERATOR_NAMESPACE, "--timeout=90s")
