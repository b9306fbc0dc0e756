"""The Kubernetes ways: this project's stack on the lab's node, and builds as the very Jobs that it declares."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Any, Final

from components.kubernetes import results
from components.kubernetes.context import FILE, pack_inline
from ops import stackfile
from ops.clone import read_yaml
from ops.cluster import Cluster, Place
from ops.toolchain.errors import Trouble
from tools.bench import bare
from tools.bench.cluster.words import manifests
from tools.bench.measure import run
from tools.compare.contexts import CONTEXTS, FIRST
from tools.compare.meter import Scope, measuring
from tools.compare.ways import Built

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lab.lab import Lab
    from tools.bench.measure import Deadline
    from tools.bench.programs import Program, Programs
    from tools.compare.registry import Registry
    from tools.compare.ways import Way

STACK: Final = "compare"
NAMESPACE: Final = "ci-bench-compare"
BUILDS: Final = f"{NAMESPACE}-builds"
NODE_PORT: Final = 31990
"""Of 30000 to 32767, and none that `make bench` takes."""
_LOOK_SECONDS: Final = 0.05
_JOBS: Final = f"/apis/batch/v1/namespaces/{BUILDS}/jobs"
_MAPS: Final = f"/api/v1/namespaces/{BUILDS}/configmaps"
_PODS: Final = f"/api/v1/namespaces/{BUILDS}/pods"
MEMORY_MIB: Final = 4096
"""A build's limit: more than any takes, so that none is held back by it."""


class ClusterWays:
    """The stack, and what it declares for each way and context."""

    def __init__(self, programs: Programs, lab: Lab, deadline: Deadline, *, cores: int) -> None:
        """Take where the project's copy is, and the lab, which is up.

        Args:
            programs: the temporary folder with the project's copy.
            lab: the node.
            deadline: when to give up.
            cores: how many processors a build may use: all, as on a Docker host.
        """
        self._programs, self._lab, self._deadline, self._cores = programs, lab, deadline, cores
        self._api = Cluster(Place(kubeconfig=lab.kubeconfig, context=None, lab=True))
        self._declared: dict[str, dict[str, Any]] = {}
        self._count = 0

    def deploy(self, ways: Sequence[Way], registry: Registry, base: str) -> Program:
        """Bring the stack up: the registry, and for each way a build for each context, so that each has its own cache.

        All are given the same small context at first, and build it: what does not work shows here.

        Raises:
            Trouble: when it can't be.
        """
        small = FIRST.files(base=base, run="deployed", last="deployed")
        builds = [self._build(way, context.name, small) for way in ways for context in CONTEXTS]
        certificate, key = self._lab.certificate(
            "compare", f"registry.{NAMESPACE}.svc", "localhost", self._lab.node_address
        )
        plain = self._together(ways)
        settings = {
            "config": {
                "ci:kubernetes": {
                    "kubeconfig": str(self._lab.kubeconfig),
                    "namespace": NAMESPACE,
                    "trustedCaFile": str(self._lab.ca),
                },
                "ci:registry": {
                    "image": self._lab.images["registry"],
                    "nodePort": NODE_PORT,
                    "tls": {"certificateFile": str(certificate)},
                    "storageGib": 10,
                },
                "ci:builds": builds,
            }
        }
        secrets = {"ci:registryPassword": registry.password, "ci:registryTlsKey": key.read_text(encoding="utf-8")}
        program = self._programs.configure(STACK, stackfile.merge(plain, settings), secrets)
        run(program.command("up", "--yes", "--skip-preview"), self._deadline)
        deployment = program.exported(self._deadline)
        for build in builds:
            self._declared[build["name"]] = manifests(deployment, [build["name"]])
        return program

    def _together(self, ways: Sequence[Way]) -> dict[str, Any]:
        """Give the settings of all ways' stacks in one, without their registries: every way pushes to the same one."""
        found: dict[str, Any] = {}
        for way in ways:
            committed = read_yaml(self._programs.clone.committed(way.stack))
            found = stackfile.merge(found, {"config": committed["config"]})
        del found["config"]["ci:registry"]
        return found

    def _build(self, way: Way, context: str, files: Mapping[str, str]) -> dict[str, Any]:
        name = f"{way.name}-{context}"
        return {
            "name": name,
            "builder": way.name,
            "context": {"inline": dict(files)},
            "destinations": [f"{name}:1"],
            "resources": {"cpuMillicores": 1000 * self._cores, "memoryMib": MEMORY_MIB},
        }

    def scope(self) -> Scope:
        """Give where pods' work is counted."""
        return Scope(parent=f"{self._lab.layout.cgroup}/kubepods", children=("pod*", "*/pod*"))

    def build(self, way: Way, context: str, files: Mapping[str, str]) -> Built:
        """Build once, by the Job that the stack declares, with other files.

        Timed from the Job's creation to when it is complete. The context lies ready in its ConfigMap, as it does for a
        Job of the stack.

        Raises:
            Trouble: when it fails, with the end of its log, or is not done in time.
        """
        items = self._renamed(f"{way.name}-{context}")
        [context_map] = [item for item in items if item["kind"] == "ConfigMap"]
        [job] = [item for item in items if item["kind"] == "Job"]
        context_map["binaryData"] = {FILE: pack_inline(files).text}
        name = job["metadata"]["name"]
        self._api.ask(_MAPS, method="POST", body=context_map)
        try:
            with measuring(self.scope()) as usage:
                begun = time.monotonic()
                self._api.ask(_JOBS, method="POST", body=job)
                self._await(name)
                seconds = time.monotonic() - begun
            pods = self._pods(name)
            digest = results.digest(pods)
            if digest is None:
                raise Trouble(f"The build {name} tells no digest.")
            return Built(seconds=seconds, cpu=usage.cpu, peak=usage.peak, digest=digest)
        finally:
            self._remove(name)

    def _renamed(self, build: str) -> list[dict[str, Any]]:
        """Give the Job and its context under a new name, which stands wherever the old one stood."""
        self._count += 1
        items = self._declared[build]["items"]
        [old] = {item["metadata"]["name"] for item in items}
        new = f"{build}-{self._count:012}"
        found: list[dict[str, Any]] = json.loads(bare.renamed(json.dumps(items), {old: new}))
        return found

    def _await(self, job: str) -> None:
        while True:
            status = self._api.ask(f"{_JOBS}/{job}").get("status") or {}
            ended = {entry["type"] for entry in status.get("conditions") or () if entry["status"] == "True"}
            if "Complete" in ended:
                return
            if "Failed" in ended:
                raise Trouble(f"The build {job} failed: {self._said(job)}")
            self._deadline.left()
            time.sleep(_LOOK_SECONDS)

    def _said(self, job: str) -> str:
        with contextlib.suppress(IndexError, KeyError):
            states = [state["state"]["terminated"] for state in self._pods(job)[0]["status"]["containerStatuses"]]
            return " ".join(str(state.get("message", ""))[-800:] for state in states)
        return "no pod of it is left"

    def _pods(self, job: str) -> list[dict[str, Any]]:
        return self._api.items(_PODS, labelSelector=f"batch.kubernetes.io/job-name={job}")

    def _remove(self, job: str) -> None:
        for path in (f"{_JOBS}/{job}", f"{_MAPS}/{job}"):
            with contextlib.suppress(Trouble):
                self._api.ask(path, method="DELETE", body={"propagationPolicy": "Background"})
        while self._pods(job):  # the next build is to have the machine for itself
            self._deadline.left()
            time.sleep(_LOOK_SECONDS)

    def facts(self, way: Way) -> dict[str, Any]:
        """Give the spec of a way's pod, as the cluster was given it."""
        [job] = [item for item in self._declared[f"{way.name}-{CONTEXTS[0].name}"]["items"] if item["kind"] == "Job"]
        spec: dict[str, Any] = job["spec"]["template"]["spec"]
        return spec
