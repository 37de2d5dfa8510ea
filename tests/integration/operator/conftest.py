"""An apiserver, the operator and a fresh namespace for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bapsang_local.programs import module_folder
from bapsang_local.programs import table as module_table
from bapsang_local.settings import from_environment

from .client import Client, client_of, grant, install_crd, remove_crd
from .cluster import Site, cluster
from .controlplane import ControlPlane, programs, running
from .namespace import Namespace
from .process import Operator


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane of the tests' own: on the local cluster, the operator that runs there would interfere."""
    found = programs()
    if found is None:
        pytest.fail("etcd and kube are not built here: run `make test-tools` first, or set BAPSANG_TEST_KUBE_BIN.")

    def prepare(kubeconfig: Path) -> None:
        with client_of(kubeconfig) as admin:
            install_crd(admin)

    with running(found, tmp_path_factory.mktemp("control-plane"), prepare) as plane:
        yield plane


@pytest.fixture(scope="session")
def client(control_plane: ControlPlane) -> Iterator[Client]:
    with client_of(control_plane.admin) as found:
        install_crd(found)
        yield found


@pytest.fixture(scope="session")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A second control plane, with controllers and scheduler: on the other one the tests play them."""
    with cluster(tmp_path_factory.mktemp("cluster")) as plane:
        yield plane


@pytest.fixture(scope="session")
def cluster_client(shared_cluster: ControlPlane) -> Iterator[Client]:
    with client_of(shared_cluster.admin) as found:
        yield found


@pytest.fixture
def site(cluster_client: Client) -> Iterator[Site]:
    """A namespace and nodes of the test's own on the shared cluster."""
    found = Site(cluster_client)
    yield found
    found.leave()


@pytest.fixture
def namespace(client: Client) -> Iterator[Namespace]:
    found = Namespace(client)
    yield found
    found.leave()


@pytest.fixture(scope="module")
def up(client: Client, main_operator: Operator) -> Iterator[Namespace]:
    """A namespace with a Community that serves, for the tests of a module that leave it serving."""
    main_operator.lead()
    found = Namespace(client)
    found.community()
    found.bring_up()
    yield found
    found.leave()


@pytest.fixture(scope="session")
def keda_crd() -> Path:
    """KEDA's own definition of ScaledObjects."""
    module = module_table()["keda"]
    folder = module_folder(module.module, module.version, from_environment())
    return folder / "config/crd/bases/keda.sh_scaledobjects.yaml"


@pytest.fixture(scope="module")
def keda(control_plane: ControlPlane, client: Client, keda_crd: Path) -> Iterator[None]:
    """ScaledObjects are served until the end of the module; KEDA itself does not run."""
    install_crd(client, keda_crd)
    yield
    remove_crd(client, "scaledobjects.keda.sh")


@pytest.fixture(scope="session")
def routes_crd() -> Path:
    """The Gateway API's own definition of HTTPRoutes, of the standard channel."""
    module = module_table()["gateway-api"]
    folder = module_folder(module.module, module.version, from_environment())
    return folder / "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"


@pytest.fixture(scope="module")
def gateway_api(client: Client, routes_crd: Path) -> Iterator[None]:
    """HTTPRoutes are served until the end of the module; no controller of Gateways runs."""
    install_crd(client, routes_crd)
    yield
    remove_crd(client, "httproutes.gateway.networking.k8s.io")


@pytest.fixture(scope="session")
def main_operator(
    control_plane: ControlPlane, client: Client, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    """An operator with exactly the rights of the chart, where a missing verb fails the tests; it does not run yet."""
    grant(client)
    log = tmp_path_factory.mktemp("operator") / "operator.log"
    settings = {"BAPSANG_KEDA": "true", "BAPSANG_GATEWAY": "true", "BAPSANG_RESYNC_SECONDS": "1"}
    found = Operator(control_plane.operator, log, settings)
    yield found
    found.rest()


@pytest.fixture
def operator(main_operator: Operator) -> Operator:
    """The operator of all tests but those in `alone/`: it leads."""
    main_operator.lead()
    return main_operator
