"""The programs of the Docker platform's figures: this project, a bare one and an empty one."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any, Final

from ops import choice, stackfile
from ops.clone import read_yaml
from tools.bench import bare
from tools.bench.docker_words import DockerWords
from tools.bench.programs import Programs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from ops.clone import Clone
    from tools.bench.measure import Command, Deadline
    from tools.bench.programs import Program

STACK: Final = "bench"
"""The stack of the previews and of what has nothing to do."""
FIRST: Final = "first"
"""The stack that is brought up from nothing again and again."""
OURS, BARE, FIRST_UP, BY_HAND = "ci-bench-ours", "ci-bench-bare", "ci-bench-first", "ci-bench-hand"
"""The container and the volume of each: this project's, the bare program's, the first up's, `docker run`'s."""
IMAGE: Final = "ci-offline-bench:1"
"""A second name of the stand-in, which another clone of the project may make anew in the meantime. It begins like the
first, so that `make up` still takes it for a stand-in."""
NAMES: Final = (OURS, BARE, FIRST_UP, BY_HAND)


class Lab:
    """The temporary folder with all programs."""

    def __init__(self, root: Path, clone: Clone, base: str, ports: list[int]) -> None:
        """Copy the clone and get the tool chain.

        Args:
            root: an empty folder.
            clone: the clone that is measured.
            base: the stack whose settings are taken for the previews.
            ports: four free pairs of ports, for NAMES.
        """
        self.root = root
        self.base = base
        self._ports = {name: (ports[2 * place], ports[2 * place + 1]) for place, name in enumerate(NAMES)}
        self._programs = Programs(root, clone)
        self.outer = self._programs.outer
        self.tools = self._programs.tools
        self.ours = self._programs.configure(STACK, self._settings(clone, base, OURS))
        self.first = self._programs.configure(FIRST, self._settings(clone, "offline", FIRST_UP))
        self.bare: Program = self._programs.other("bare", STACK)
        self.empty: Program = self._programs.other("empty", STACK)
        (self.empty.folder / "__main__.py").write_text("import pulumi\n", encoding="utf-8")

    def make_up(self) -> Command:
        """Give `make up`, in the copy."""
        return self._programs.make_up(STACK)

    def write_bare(self, deadline: Deadline) -> None:
        """Write the bare program from what this project's stack has deployed."""
        deployment = self.ours.exported(deadline)
        text = bare.program(deployment, self._renames(OURS, BARE), DockerWords())
        (self.bare.folder / "__main__.py").write_text(text, encoding="utf-8")
        for context in _contexts(deployment["deployment"]["resources"]):
            shutil.copytree(self.ours.folder / context, self.bare.folder / context, dirs_exist_ok=True)

    def first_container(self, deadline: Deadline) -> tuple[dict[str, Any], str]:
        """Give the inputs of the container that the first up makes, named and published for BY_HAND, and its image."""
        text = json.dumps(self.first.exported(deadline)["deployment"]["resources"])
        resources = json.loads(bare.renamed(text, self._renames(FIRST_UP, BY_HAND)))
        by_type = {resource["type"].rpartition(":")[2]: bare.inputs(resource) for resource in resources}
        return by_type["Container"], str(by_type["RemoteImage"]["name"])

    def _renames(self, old: str, new: str) -> dict[str, str]:
        pairs = zip(self._ports[old], self._ports[new], strict=True)
        return {old: new, **{str(mine): str(other) for mine, other in pairs}}

    def _settings(self, clone: Clone, base: str, name: str) -> dict[str, Any]:
        http, agent = self._ports[name]
        mine: dict[str, str | int] = {"containerName": name, "homeVolume": name, "httpPort": http, "agentPort": agent}
        committed = read_yaml(clone.committed(base))
        if choice.stand_ins(committed):
            mine["image"] = IMAGE
        plain = {key: value for key, value in committed.items() if key not in stackfile.ENCRYPTION}
        return stackfile.merge(plain, {"config": {"ci:jenkins": mine}})


def _contexts(resources: Iterable[Mapping[str, Any]]) -> list[str]:
    """Give the folders, in the project, that images are built from."""
    builds = [(resource.get("inputs") or {}).get("build") for resource in resources]
    return [build["context"] for build in builds if isinstance(build, dict) and "context" in build]
