"""The comparison's own parts on a real engine and a real registry: a build is measured, and what it may do is found."""

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import docker
import pytest

from components import labels
from offline import binaries, images
from ops.toolchain import docker_engine
from tests.support.cluster import Cluster
from tools.bench.measure import Deadline
from tools.compare import elsewhere, meter
from tools.compare.contexts import CONTEXTS, STEPS
from tools.compare.host import HostWays, controller, stack, trusted
from tools.compare.plan import Plan
from tools.compare.probes import Probes
from tools.compare.registry import Registry
from tools.compare.ways import Way

if TYPE_CHECKING:
    from tools.bench.programs import Programs
    from tools.compare.cluster import ClusterWays

WAY = Way(name="smoke", platform="docker")
"""The socket, under a name that no comparison has which may be going on beside."""


@pytest.fixture(scope="module")
def plan(cluster: Cluster) -> Iterator[Plan]:
    """Give a plan of one way: a container with the socket, as the stack's controller has it."""
    lab = cluster.lab
    if lab is None:
        pytest.skip("no lab: the engine of this machine must trust a registry, and that is arranged with the lab's own")
    host = docker_engine.DEFAULT_HOST
    docker_engine.ensure(host)
    images.ensure(host)
    registry = Registry(host=lab.upstream_tls, ca=lab.ca, password="none is asked for")
    found = shutil.which("docker")
    client = Path(found) if found else binaries.docker_cli()
    ways = HostWays(cast("Programs", None), host, client, Deadline(300))
    base = f"{lab.upstream_tls}/library/busybox:1"
    ways.remove(WAY)
    socket = docker_engine.DEFAULT_HOST.removeprefix("unix://")
    with trusted((registry.host,), lab.ca):
        with contextlib.closing(docker.DockerClient(base_url=host)) as sdk:
            sdk.containers.run(
                images.CONTROLLER,
                ["while :; do sleep 60 & wait $!; done"],
                entrypoint=["/bin/sh", "-c"],
                name=controller(WAY),
                detach=True,
                init=True,
                group_add=[str(Path(socket).stat().st_gid)],
                cap_drop=["ALL"],
                volumes=[f"{socket}:/var/run/docker.sock"],
                labels={labels.STACK: stack(WAY)},
            )
        try:
            ways.log_in(WAY, registry, lab.upstream_tls)
            yield Plan(ways=[WAY], host=ways, cluster=cast("ClusterWays", None), registry=registry, base=base)
            ways.clear(WAY, registry, base)
        finally:
            ways.remove(WAY)
            ways.close()


def test_a_round_measures_three_builds_and_pushes_each(plan: Plan) -> None:
    taken = plan.round(WAY, CONTEXTS[0])
    assert set(taken) == {f"{step} {name}" for step in STEPS for name in ("seconds", "cpu", "peak")}
    assert min(taken.values()) > 0
    pushed = [plan.registry.config("smoke-tiny", step) for step in STEPS]
    assert pushed[0] == pushed[1] != pushed[2]
    size = plan.registry.size("smoke-tiny", STEPS[-1])
    assert size.unpacked > size.packed > 0
    assert size.layers == 3  # the base, the files, the last file


def test_whoever_has_the_socket_reads_the_hosts_files_and_shares_its_cache(plan: Plan, tmp_path: Path) -> None:
    probes = Probes(plan, tmp_path / "probe")
    probes.find(WAY)
    found = probes.found[WAY.name]
    assert (found.reads_host, found.shares_cache) == (True, True)
    [holder] = found.holders
    assert (holder.user, holder.dropped, holder.socket) == ("jenkins", ("ALL",), True)
    assert found.step.uid == 0  # a RUN step is the host's root, in a container


def test_what_stands_of_a_way_while_nothing_is_built_is_its_engine(plan: Plan) -> None:
    scope: Any = plan.host.scope(WAY)
    assert scope.processes
    assert meter.idle(scope) > 10


def test_the_engine_that_stands_for_one_elsewhere_takes_nobody_without_a_certificate(
    plan: Plan, cluster: Cluster, tmp_path: Path
) -> None:
    assert cluster.lab is not None
    with contextlib.closing(docker.DockerClient(base_url=docker_engine.DEFAULT_HOST)) as sdk:
        network = sdk.networks.get("bridge").attrs
    with elsewhere.running(cluster.lab, tmp_path, network) as other:
        settings = other.settings()["tcp"]
        assert settings["host"] == other.address
        words = ["docker", "--host", other.address, "--tlsverify", "--tlscacert", settings["caFile"]]
        known = ["--tlscert", settings["certificateFile"], "--tlskey", settings["keyFile"]]
        asked = {
            name: subprocess.run([*words, *more, "version"], capture_output=True, text=True, check=False, timeout=60)
            for name, more in (("known", known), ("unknown", []))
        }
        assert asked["known"].returncode == 0
        # The server's own alert for a client without one. Older engines say the first.
        assert re.search("remote error: tls: (bad certificate|certificate required)", asked["unknown"].stderr)
        assert len(other.processes) == 2
    assert subprocess.run([*words, *known, "version"], check=False, capture_output=True, timeout=60).returncode != 0
