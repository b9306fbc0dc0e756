"""The programs of the Kubernetes platform's figures: this project's stacks, and bare programs like them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

from ops import stackfile
from ops.clone import read_yaml
from tools.bench import bare
from tools.bench.cluster.words import KubernetesWords
from tools.bench.programs import Programs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from ops.clone import Clone
    from tools.bench.measure import Command
    from tools.bench.programs import Program

BASE: Final = "lab"
"""The stack whose settings are taken: the cluster's images, and a registry with its mirror."""
SIZES: Final = (1, 20, 100)
"""How many builds the stacks of the previews have."""
MANY: Final = "many"
"""The stack that has one build, and is given twenty more again and again."""
_PORTS: Final = 31900
"""The first of the nodes' ports that the registries take. A NodePort is one of 30000 to 32767."""
_MEMORY_MIB: Final = 512
_CPU_MILLICORES: Final = 500


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pair:
    """This project's stack, and the bare program with its resources."""

    builds: int
    ours: Program
    bare: Program


class Stacks:
    """The temporary folder with all programs."""

    def __init__(self, root: Path, clone: Clone, kubeconfig: Path) -> None:
        """Copy the clone and get the tool chain.

        Args:
            root: an empty folder.
            clone: the clone that is measured.
            kubeconfig: of the cluster that all of it is deployed to.
        """
        self.root = root
        self._programs = Programs(root, clone)
        self.tools = self._programs.tools
        self.outer = self._programs.outer
        self._base = read_yaml(clone.committed(BASE))
        self._kubeconfig = kubeconfig
        self.pairs = {size: self._pair(f"n{size:03}", builds(size)) for size in SIZES}
        self.many = self._pair(MANY, builds(1))

    def namespaces(self) -> Iterator[str]:
        """Give every namespace that the programs make."""
        for stack in (*(f"n{size:03}" for size in SIZES), MANY):
            for side in "ob":
                yield namespace(stack, side)
                yield builds_namespace(stack, side)

    def make_up(self) -> Command:
        """Give `make up` of the stack MANY, in the copy."""
        return self._programs.make_up(MANY)

    def configure(self, stack: str, given: Sequence[Mapping[str, Any]]) -> Program:
        """Give one of this project's stacks these builds."""
        plain = {key: value for key, value in self._base.items() if key not in stackfile.ENCRYPTION}
        settings = {
            "config": {
                "ci:kubernetes": {
                    "kubeconfig": str(self._kubeconfig),
                    "namespace": namespace(stack, "o"),
                    # The same however many builds there are: a change of it would be one more thing to do.
                    "quota": {"cpuMillicores": 200 * _CPU_MILLICORES, "memoryMib": 200 * _MEMORY_MIB},
                },
                "ci:registry": {"nodePort": self._port(stack), "storageGib": 1},
                "ci:builds": list(given),
            }
        }
        return self._programs.configure(stack, stackfile.merge(plain, settings))

    def write_bare(self, pair: Pair, deployment: Mapping[str, Any]) -> None:
        """Write the bare program from what this project's stack has deployed."""
        stack, port = pair.ours.stack, self._port(pair.ours.stack)
        renames = {namespace(stack, "o"): namespace(stack, "b"), str(port): str(port + 50)}
        text = bare.program(deployment, renames, KubernetesWords())
        (pair.bare.folder / "__main__.py").write_text(text, encoding="utf-8")

    def _pair(self, stack: str, given: Sequence[Mapping[str, Any]]) -> Pair:
        ours = self.configure(stack, given)
        return Pair(builds=len(given), ours=ours, bare=self._programs.other(f"bare-{stack}", stack))

    @staticmethod
    def _port(stack: str) -> int:
        return _PORTS + [*(f"n{size:03}" for size in SIZES), MANY].index(stack)


def namespace(stack: str, side: str) -> str:
    """Give the registry's namespace; `o` is this project's, `b` the bare program's. All have the same length."""
    return f"bench-{side}-{stack}"


def builds_namespace(stack: str, side: str) -> str:
    """Give the builds' namespace."""
    return f"{namespace(stack, side)}-builds"


def builds(count: int, *, first: int = 0) -> list[dict[str, Any]]:
    """Give the settings of small builds, each with a context of its own: two files, a base image, one layer."""
    return [
        build(f"b{number:03}", "FROM alpine:latest\nCOPY a.txt /a.txt\n", str(number))
        for number in range(first, first + count)
    ]


def build(name: str, dockerfile: str, text: str = "", trigger: str = "") -> dict[str, Any]:
    """Give the settings of one build with an inline context."""
    return {
        "name": name,
        "context": {"inline": {"Dockerfile": dockerfile, "a.txt": f"{text}\n"}},
        "destinations": [f"{name}:1"],
        "resources": {"cpuMillicores": _CPU_MILLICORES, "memoryMib": _MEMORY_MIB},
        "trigger": trigger,
    }
