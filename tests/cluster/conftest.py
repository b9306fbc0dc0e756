"""The cluster that these tests run on, and the stack that most of them share."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from setup.console import OpsError
from tests.support import deployment
from tests.support.cluster import PASSWORD, Cluster, Stack, in_the_lab, of_yours
from tests.support.operated import Operated


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Give the lab's cluster, brought up if it is not there, or the one that KUBECONFIG names."""
    try:
        yours = os.environ.get("CI_TEST_CLUSTER") == "1"
        found = of_yours(Path(os.environ["KUBECONFIG"])) if yours else in_the_lab()
    except OpsError as trouble:
        pytest.skip(f"no lab on this machine: {trouble}")
    yield found
    found.api.rest_client.pool_manager.clear()  # its own `close` leaves the connections open


@pytest.fixture(scope="session")
def lab(cluster: Cluster) -> Any:
    """Give the lab, for what it alone has: an authority, servers in its network, and room for others' controllers."""
    if cluster.lab is None:
        pytest.skip("needs the lab's own servers and authority, and this is another cluster")
    return cluster.lab


Make = Callable[[], AbstractContextManager[Stack]]


@pytest.fixture(scope="session")
def new_stack(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Give what makes stacks that are not deployed yet, each in namespaces of its own, and in the end removes them."""

    @contextmanager
    def make() -> Iterator[Stack]:
        with_secrets = deployment.copy(tmp_path_factory.mktemp("cluster"), "kubernetes")
        made = Stack(with_secrets, cluster)
        made.deployment.secret("registryPassword", PASSWORD)
        yield made
        made.remove()

    return make


@pytest.fixture(scope="module")
def operated(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    """Give one that is not up yet, for the verbs."""
    made = Operated(tmp_path_factory.mktemp("verbs") / "clone", cluster)
    yield made
    made.remove()


@pytest.fixture(scope="module")
def stack(new_stack: Make) -> Iterator[Stack]:
    """Give a stack that is not deployed yet, in namespaces of its own; whatever it made is gone afterwards."""
    with new_stack() as made:
        yield made
