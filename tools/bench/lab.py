"""The programs that are measured, in a temporary folder: this project, a bare one and an empty one.

This project is a copy of the clone, so that neither its state nor what it has deployed is touched.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any, Final

import yaml

from ops import choice, stackfile
from ops.clone import Clone, read_yaml
from ops.local import SECRET_KEYS, Workspace
from tools.bench import bare
from tools.bench.measure import Command, Deadline, run
from tools.toolchain import toolchain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from tools.toolchain.toolchain import Toolchain

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

_LEFT_OUT: Final = ("tests", "docs", "__pycache__")
_NOT_OURS: Final = (
    "PYTHONDONTWRITEBYTECODE",
    *("PULUMI_ACCESS_TOKEN", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_STACK", "DOCKER_HOST"),
    *("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "ARGS", "STACK"),
)
"""Variables that would take the copy to another backend or engine, hand this `make`'s own options to the next, or make
Python compile this project anew in each run, as some build machines have it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
    """A Pulumi program with one stack in a file backend of its own."""

    pulumi: Path
    folder: Path
    env: Mapping[str, str]
    project: str
    stack: str
    state: Path
    options: tuple[str, ...] = ()

    def command(self, verb: str, *words: str) -> Command:
        """Give one of Pulumi's commands for this stack."""
        common = ("--stack", self.stack, "--non-interactive", "--color", "never", *self.options)
        return Command(words=(str(self.pulumi), *verb.split(), *common, *words), cwd=self.folder, env=self.env)

    def exported(self, deadline: Deadline) -> dict[str, Any]:
        """Give the stack's state with its secrets in clear, as `pulumi stack export` prints it."""
        words = (str(self.pulumi), "stack", "export", "--stack", self.stack, "--show-secrets")
        found: dict[str, Any] = json.loads(run(Command(words=words, cwd=self.folder, env=self.env), deadline).output)
        return found

    def save(self, label: str) -> None:
        """Keep the stack's state as it is now, under a name."""
        kept = self.state / "kept" / label / self.stack
        kept.mkdir(parents=True)
        for file in self._files():
            shutil.copy2(file, kept)

    def restore(self, label: str) -> None:
        """Put the stack's state back as it was kept under a name."""
        for file in self._files():
            file.unlink()
        shutil.copytree(self.state / "kept" / label / self.stack, self._home(), dirs_exist_ok=True)

    def _home(self) -> Path:
        return self.state / ".pulumi" / "stacks" / self.project

    def _files(self) -> list[Path]:
        return list(self._home().glob(f"{self.stack}.*"))


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
        self._copy(clone.root)
        self._clone = Clone(root / "ours")
        self._write_stack(clone, base, STACK, OURS)
        self._write_stack(clone, "offline", FIRST, FIRST_UP)
        self.outer = self._environment()
        self.tools: Toolchain = toolchain.ensure(self.outer)
        self._workspace = Workspace(self._clone, self.tools)
        self.ours = self._our_stack(STACK)
        self.first = self._our_stack(FIRST)
        self.bare = self._other("bare")
        self.empty = self._other("empty")
        (self.empty.folder / "__main__.py").write_text("import pulumi\n", encoding="utf-8")

    def make_up(self) -> Command:
        """Give `make up`, in the copy."""
        return Command(words=("make", "up", f"STACK={STACK}", "YES=1"), cwd=self._clone.root, env=self.outer)

    def write_bare(self, deadline: Deadline) -> None:
        """Write the bare program from what this project's stack has deployed."""
        deployment = self.ours.exported(deadline)
        text = bare.program(deployment, self._renames(OURS, BARE))
        (self.bare.folder / "__main__.py").write_text(text, encoding="utf-8")
        for context in _contexts(deployment["deployment"]["resources"]):
            shutil.copytree(self._clone.root / context, self.bare.folder / context, dirs_exist_ok=True)

    def first_container(self, deadline: Deadline) -> tuple[dict[str, Any], str]:
        """Give the inputs of the container that the first up makes, named and published for BY_HAND, and its image."""
        text = json.dumps(self.first.exported(deadline)["deployment"]["resources"])
        resources = json.loads(bare.renamed(text, self._renames(FIRST_UP, BY_HAND)))
        by_type = {resource["type"].rpartition(":")[2]: bare.inputs(resource) for resource in resources}
        return by_type["Container"], str(by_type["RemoteImage"]["name"])

    def _renames(self, old: str, new: str) -> dict[str, str]:
        pairs = zip(self._ports[old], self._ports[new], strict=True)
        return {old: new, **{str(mine): str(other) for mine, other in pairs}}

    def _copy(self, source: Path) -> None:
        def skip(_: str, names: list[str]) -> Iterable[str]:
            return [name for name in names if name.startswith(".") or name in _LEFT_OUT]

        shutil.copytree(source, self.root / "ours", ignore=skip, symlinks=True)
        (self.root / "ours" / ".venv").symlink_to(sys.prefix)

    def _write_stack(self, clone: Clone, base: str, stack: str, name: str) -> None:
        http, agent = self._ports[name]
        mine: dict[str, str | int] = {"containerName": name, "homeVolume": name, "httpPort": http, "agentPort": agent}
        committed = read_yaml(clone.committed(base))
        if choice.needs_stand_in(committed):
            mine["image"] = IMAGE
        plain = {key: value for key, value in committed.items() if key not in stackfile.ENCRYPTION}
        settings = stackfile.merge(plain, {"config": {"ci:jenkins": mine}})
        settings["config"] = {key: value for key, value in settings["config"].items() if key not in SECRET_KEYS}
        self._clone.committed(stack).write_text(yaml.safe_dump(settings), encoding="utf-8")

    def _environment(self) -> dict[str, str]:
        env = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
        env["PULUMI_BACKEND_URL"] = self._clone.state.as_uri()
        env["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(self._clone.passphrase)
        env["PULUMI_CREDENTIALS_PATH"] = str(self.root / "credentials")  # nobody is logged in there
        (self.root / "credentials").mkdir()
        return env

    def _our_stack(self, stack: str) -> Program:
        effective = self._workspace.prepare(stack)
        return Program(
            pulumi=self.tools.pulumi,
            folder=self._clone.root,
            env=self._workspace.env,
            project=self._clone.name,
            stack=stack,
            state=self._clone.state,
            options=("--config-file", str(effective)),
        )

    def _other(self, name: str) -> Program:
        """Make a program with the same runtime, backend, passphrase and options as this project's, and its stack."""
        folder, state = self.root / name, self.root / f"{name}-state"
        folder.mkdir()
        state.mkdir()
        same = {key: self._clone.project[key] for key in ("runtime", "options")}
        (folder / "Pulumi.yaml").write_text(yaml.safe_dump({"name": f"ci-bench-{name}", **same}), encoding="utf-8")
        (folder / ".venv").symlink_to(sys.prefix)
        env = {**self._workspace.env, "PULUMI_BACKEND_URL": state.as_uri()}
        words = (str(self.tools.pulumi), "stack", "init", STACK, "--non-interactive")
        run(Command(words=words, cwd=folder, env=env), Deadline(60))
        return Program(
            pulumi=self.tools.pulumi, folder=folder, env=env, project=f"ci-bench-{name}", stack=STACK, state=state
        )


def _contexts(resources: Iterable[Mapping[str, Any]]) -> list[str]:
    """Give the folders, in the project, that images are built from."""
    builds = [(resource.get("inputs") or {}).get("build") for resource in resources]
    return [build["context"] for build in builds if isinstance(build, dict) and "context" in build]
