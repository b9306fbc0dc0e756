"""Brings every way up, runs the plan, and takes everything away again."""

from __future__ import annotations

import dataclasses
import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from offline import archive, binaries, images
from ops.toolchain import console, docker_engine
from ops.toolchain.errors import Trouble
from tools.bench import machine, scratch
from tools.bench.cluster.node import Node
from tools.bench.engine import Engine, free_ports
from tools.bench.measure import Deadline
from tools.bench.programs import Programs
from tools.compare import cluster
from tools.compare.cluster import ClusterWays
from tools.compare.figures import Figures
from tools.compare.host import HostWays, trusted
from tools.compare.nested import why
from tools.compare.plan import Plan
from tools.compare.probes import Probes
from tools.compare.registry import Registry
from tools.compare.verdicts import DIND
from tools.compare.ways import AGAINST, CONTROLLER, DIND_IMAGE, PROXY_IMAGE

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Sequence

    from lab.lab import Lab
    from ops.clone import Clone
    from tools.compare.contexts import Context
    from tools.compare.ways import Way

BASE: Final = "library/ci-compare-base"
_STAND_INS: Final = {images.CONTROLLER: CONTROLLER, images.DIND: DIND_IMAGE, images.PROXY: PROXY_IMAGE}
"""The stand-in images, and the names that they have here."""
_CLEAN_SECONDS: Final = 120
"""How long an engine may take to remove what was built."""
_SHARE: Final = 1 / 5
"""What each context may take of the whole time before rounds beyond the least are left out."""


def measure(  # noqa: PLR0913 - each is a matter of its own
    clone: Clone,
    ways: Sequence[Way],
    contexts: Sequence[Context],
    deadline: Deadline,
    *,
    rounds: int,
    patience: float,
    keep: Callable[[Figures], None],
    former: Figures | None = None,
) -> None:
    """Measure and probe the ways.

    Args:
        clone: the clone whose stacks are deployed.
        ways: which.
        contexts: what is built.
        deadline: when to give up.
        rounds: how often each context is built.
        patience: seconds to wait, with everything deployed, for other work on the machine to end.
        keep: what is done with the figures.
        former: figures of which the builds' are kept, so that the ways are probed alone.

    Raises:
        Trouble: where there is no engine or no lab, where the usual way can't be had, or something fails later.
    """
    import lab as labs  # noqa: PLC0415 - the tests' packages

    host = docker_engine.DEFAULT_HOST
    docker_engine.ensure(host)
    images.ensure(host, _STAND_INS)
    lab = labs.ensure()
    with scratch.folder() as (root, steps):
        programs = Programs(root, clone)
        place = {
            "Docker engine": Engine(host).version(),
            "Kubernetes": f"{Node(lab.kubeconfig, lab.kubectl).version()}, one node (the lab)",
        }
        with console.step("deploying what is compared", "about 2 min"):
            deployment = Deployment(programs, host, lab, deadline, steps)
            able = deployment.deploy(ways)
        plan = dataclasses.replace(deployment.plan(), contexts=contexts)
        probes = Probes(plan, root / "host")
        with console.step("probing what each way's builds may do, which warms up, too", "about 1 min"):
            plan = dataclasses.replace(plan, ways=possible(able, probes.find, deployment.missing))
        tried = None
        for way in plan.ways:
            if way.name == DIND:
                with console.step("trying out what an engine in a container takes", "about 1 min"):
                    tried = plan.host.tried(way)
        if former:
            keep(former.model_copy(update={"found": probes.found, "nested": tried}))
            return
        if machine.busy():
            with console.step("waiting for other work on this machine to end", f"at most {patience:.0f} s"):
                machine.await_quiet(patience)
        about = machine.describe(programs.tools.origin, plugin="Docker plugin", place=place)
        if machine.busy():
            console.note(f"other work is going on (load {os.getloadavg()[0]:.1f}): the figures will be of both")
        idle = plan.idle()
        builds = plan.measure(rounds, deadline.seconds * _SHARE)
        about["load after"] = machine.load()
        sizes = plan.sizes(builds)
        # Before anything is taken away: whatever fails there, the figures are kept.
        keep(
            Figures(
                machine=about,
                builds=builds,
                sizes=sizes,
                idle=idle,
                found=probes.found,
                nested=tried,
                missing=deployment.missing,
            )
        )


class Deployment:
    """What is deployed for the comparison. All of it goes with the temporary folder."""

    def __init__(
        self, programs: Programs, host: str, lab: Lab, deadline: Deadline, steps: contextlib.ExitStack
    ) -> None:
        """Prepare what all ways need: images, the base in a registry, and that engines trust the registries."""
        engine, node = Engine(host), Node(lab.kubeconfig, lab.kubectl)
        for image, name in _STAND_INS.items():
            # An image of one name alone goes when another clone makes the first anew: it is removed by its id.
            for each in (name, f"{name}-kept"):
                engine.tag(image, each)
                steps.callback(engine.remove_image, each)
        address = f"{lab.node_address}:{cluster.NODE_PORT}"
        self._registry = Registry(host=address, ca=lab.ca, password=secrets.token_urlsafe(24))
        self._upstream = lab.upstream_tls
        self._base = _base(lab, programs.root)
        steps.enter_context(trusted((self._registry.host, self._upstream), lab.ca))
        self._host = HostWays(programs, host, _client(), deadline)
        steps.callback(self._host.close)
        self._cluster = ClusterWays(programs, lab, deadline, cores=machine.cores())
        names = (cluster.BUILDS, cluster.NAMESPACE)
        node.remove_namespaces(names)  # of a run that was killed
        steps.callback(node.remove_namespaces, names)
        self._lab, self._root, self._steps = lab, programs.root, steps
        self.missing: dict[str, str] = {}
        """By way: why it can't be had on this machine."""

    def plan(self) -> Plan:
        """Give a plan without any ways."""
        return Plan(ways=(), host=self._host, cluster=self._cluster, registry=self._registry, base=self._base)

    def deploy(self, ways: Sequence[Way]) -> list[Way]:
        """Bring up what can be; give those ways, in their order.

        Raises:
            Trouble: where not even the registry can be had.
        """
        in_cluster = [way for way in ways if way.platform == "kubernetes"]
        try:
            self._deploy_in_cluster(in_cluster)
        except Trouble:
            if len(in_cluster) == 1:
                raise
            # One of them, most likely: they are tried one by one, and the stack then has the others.
            in_cluster = possible(in_cluster, lambda way: self._deploy_in_cluster([way]), self.missing)
            self._deploy_in_cluster(in_cluster)
        on_host = [way for way in ways if way.platform == "docker"]
        on_host = possible(on_host, self._deploy_on_host, self.missing)
        able = {way.name for way in (*on_host, *in_cluster)}
        return [way for way in ways if way.name in able]

    def _deploy_in_cluster(self, ways: Sequence[Way]) -> None:
        self._cluster.deploy(ways, self._registry, self._base)

    def _deploy_on_host(self, way: Way) -> None:
        host = self._host
        host.remove(way)  # of a run that was killed
        if way.engine == "elsewhere":
            root = self._root / "elsewhere"
            root.mkdir()
            host.start_elsewhere(self._lab, root, self._steps)
        self._steps.callback(host.remove, way)
        http, agent = free_ports(2)
        host.deploy(way, (http, agent))
        host.log_in(way, self._registry, self._upstream)
        if way.engine == "host":  # any other goes with all that it has
            self._steps.callback(self._forget, way)

    def _forget(self, way: Way) -> None:
        # The time for measuring may be up.
        self._host.clear(way, self._registry, self._base, Deadline(_CLEAN_SECONDS))


def possible(ways: Sequence[Way], do: Callable[[Way], object], missing: dict[str, str]) -> list[Way]:
    """Do something with each way; give those with which it worked.

    Args:
        ways: the ways.
        do: what is done with one.
        missing: where to note, by way, why it did not work with the others.

    Raises:
        Trouble: where it does not work with the way that all others are held against.
    """
    found = []
    for way in ways:
        try:
            do(way)
            found.append(way)
        except Trouble as trouble:
            if way.name == AGAINST:
                raise
            console.note(f"{way.name} can't be compared here: {trouble}")
            missing[way.name] = why(str(trouble))
    return found


def _base(lab: Lab, root: Path) -> str:
    """Put the base into the registry that plays the public one: busybox, and a file that no image had before."""
    file = root / "base.tar"
    entries = [*images.userland(binaries.busybox()), archive.Entry("/base", content=secrets.token_hex(16))]
    config = {"Cmd": ["/bin/sh"], "Env": [images.PATH]}
    with file.open("wb") as out:
        archive.write(out, name=f"{BASE}:1", entries=entries, config=config, architecture=binaries.architecture())
    lab.push(file, f"{BASE}:1")
    return f"{lab.upstream_tls}/{BASE}:1"


def _client() -> Path:
    found = shutil.which("docker")
    return Path(found) if found else binaries.docker_cli()
