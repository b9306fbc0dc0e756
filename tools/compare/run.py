"""Brings every way up, runs the plan, and takes everything away again."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.lab import upstream
from tools.bench import machine, scratch
from tools.bench.cluster.node import Node
from tools.bench.engine import Engine, free_ports
from tools.bench.programs import Programs
from tools.compare import cluster
from tools.compare.cluster import ClusterWays
from tools.compare.figures import Figures
from tools.compare.host import IMAGE, HostWays, trusted
from tools.compare.plan import Plan
from tools.compare.probes import Probes
from tools.compare.registry import Registry
from tools.compare.verdicts import DIND
from tools.offline import archive, binaries, images
from tools.toolchain import console, docker_engine

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Sequence

    from ops.clone import Clone
    from tests.lab.lab import Lab
    from tools.bench.measure import Deadline
    from tools.compare.contexts import Context
    from tools.compare.ways import Way

BASE: Final = "library/ci-compare-base"
_SHARE: Final = 1 / 5
"""What each context may take of the whole time before rounds beyond the least are left out."""


def measure(
    clone: Clone, ways: Sequence[Way], contexts: Sequence[Context], deadline: Deadline, *, rounds: int
) -> Figures:
    """Measure and probe the ways.

    Raises:
        Trouble: where there is no engine or no lab, or something fails.
    """
    from tests import lab as labs  # noqa: PLC0415 - the tests' packages

    host = docker_engine.DEFAULT_HOST
    docker_engine.ensure(host)
    images.ensure(host)
    lab = labs.ensure()
    with scratch.folder() as (root, steps):
        programs = Programs(root, clone)
        place = {
            "Docker engine": Engine(host).version(),
            "Kubernetes": f"{Node(lab.kubeconfig, lab.kubectl).version()}, one node (the lab)",
        }
        about = machine.describe(programs.tools.origin, plugin="Docker plugin", place=place)
        plan = _deployed(programs, host, lab, ways, contexts, deadline, steps)
        with console.step("building once by each way, to warm up", "about 1 min"):
            plan.warm_up()
        idle = plan.idle()
        builds = plan.measure(rounds, deadline.seconds * _SHARE)
        sizes = plan.sizes()
        with console.step("probing what each way's builds may do", "about 1 min"):
            probes = Probes(plan, root / "host")
            found = {way.name: probes.find(way) for way in ways}
        inner = next((way for way in ways if way.name == DIND), None)
        with console.step("trying out what an engine in a container takes", "about 1 min"):
            tried = plan.host.tried(inner) if inner else None
        return Figures(machine=about, builds=builds, sizes=sizes, idle=idle, found=found, nested=tried)


def _deployed(  # noqa: PLR0913, PLR0917 - each is another matter
    programs: Programs,
    host: str,
    lab: Lab,
    ways: Sequence[Way],
    contexts: Sequence[Context],
    deadline: Deadline,
    steps: contextlib.ExitStack,
) -> Plan:
    """Deploy the stacks, and have them taken away in the end."""
    engine = Engine(host)
    engine.tag(images.CONTROLLER, IMAGE)
    steps.callback(engine.remove_image, IMAGE)
    registry = Registry(host=f"{lab.node_address}:{cluster.NODE_PORT}", ca=lab.ca, password=secrets.token_urlsafe(24))
    base = _base(lab, programs.root)
    steps.enter_context(trusted((registry.host, lab.upstream_tls), lab.ca))
    on_host = HostWays(programs, host, _client(), deadline)
    steps.callback(on_host.close)
    in_cluster = ClusterWays(programs, lab, deadline, cores=machine.cores())
    node = Node(lab.kubeconfig, lab.kubectl)
    names = (cluster.BUILDS, cluster.NAMESPACE)
    node.remove_namespaces(names)  # of a run that was killed
    steps.callback(node.remove_namespaces, names)
    with console.step("deploying what is compared", "about 2 min"):
        in_cluster.deploy([way for way in ways if way.platform == "kubernetes"], registry, base)
        docker_ways = [way for way in ways if way.platform == "docker"]
        ports = free_ports(2 * len(docker_ways))
        for place, way in enumerate(docker_ways):
            on_host.remove(way)
            steps.callback(on_host.remove, way)
            on_host.deploy(way, (ports[2 * place], ports[2 * place + 1]))
            on_host.log_in(way, registry, lab.upstream_tls)
            steps.callback(on_host.clear, way, registry, base)
    return Plan(ways=ways, host=on_host, cluster=in_cluster, registry=registry, base=base, contexts=contexts)


def _base(lab: Lab, root: Path) -> str:
    """Put the base into the registry that plays the public one: busybox, and a file that no image had before."""
    file = root / "base.tar"
    entries = [*images.userland(binaries.busybox()), archive.Entry("/base", content=secrets.token_hex(16))]
    config = {"Cmd": ["/bin/sh"], "Env": [images.PATH]}
    with file.open("wb") as out:
        archive.write(out, name=f"{BASE}:1", entries=entries, config=config, architecture=binaries.architecture())
    upstream.push(file, f"http://{lab.upstream}", BASE, "1")
    return f"{lab.upstream_tls}/{BASE}:1"


def _client() -> Path:
    found = shutil.which("docker")
    return Path(found) if found else binaries.docker_cli()
