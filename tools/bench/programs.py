"""Pulumi programs in a temporary folder: this project as a copy, and others with the same runtime beside it.

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

from ops.clone import Clone
from ops.local import Workspace, secret_keys
from ops.toolchain import toolchain
from tools.bench.measure import Command, Deadline, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from ops.toolchain.toolchain import Toolchain

_LEFT_OUT: Final = ("tests", "docs", "__pycache__")
_NOT_OURS: Final = (
    "PYTHONDONTWRITEBYTECODE",
    *("PULUMI_ACCESS_TOKEN", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_STACK", "DOCKER_HOST", "KUBECONFIG"),
    *("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "ARGS", "STACK"),
)
"""Variables that would take the copy to another backend, engine or cluster, hand this `make`'s own options to the next,
or make Python compile this project anew in each run, as some build machines have it."""


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


class Programs:
    """The temporary folder with all programs."""

    def __init__(self, root: Path, clone: Clone) -> None:
        """Copy the clone into an empty folder, and get the tool chain."""
        self.root = root
        self._copy(clone.root)
        self.clone = Clone(root / "ours")
        self.outer = self._environment()
        self.tools: Toolchain = toolchain.ensure(self.outer)
        self._workspace = Workspace(self.clone, self.tools)

    def configure(self, stack: str, settings: Mapping[str, Any], secrets: Mapping[str, str] | None = None) -> Program:
        """Give one of this project's stacks these settings, as its committed file; what is secret in it is left out.

        Args:
            stack: which.
            settings: of a stack's file.
            secrets: what is set as a secret, by key. A password that the stack needs and that is not in it is made.
        """
        secret = secret_keys()
        config = {key: value for key, value in settings["config"].items() if key not in secret}
        text = yaml.safe_dump({**settings, "config": config})
        self.clone.committed(stack).write_text(text, encoding="utf-8")
        if secrets:
            self._workspace.prepare(stack, password=False)
            for key, value in secrets.items():
                self._workspace.set(stack, key, value, secret=True)
        return Program(
            pulumi=self.tools.pulumi,
            folder=self.clone.root,
            env=self._workspace.env,
            project=self.clone.name,
            stack=stack,
            state=self.clone.state,
            options=("--config-file", str(self._workspace.prepare(stack))),
        )

    def other(self, name: str, stack: str) -> Program:
        """Make a program with the same runtime, backend, passphrase and options as this project's, and its stack."""
        folder, state = self.root / name, self.root / f"{name}-state"
        folder.mkdir()
        state.mkdir()
        same = {key: self.clone.project[key] for key in ("runtime", "options")}
        (folder / "Pulumi.yaml").write_text(yaml.safe_dump({"name": f"ci-bench-{name}", **same}), encoding="utf-8")
        (folder / ".venv").symlink_to(sys.prefix)
        env = {**self._workspace.env, "PULUMI_BACKEND_URL": state.as_uri()}
        words = (str(self.tools.pulumi), "stack", "init", stack, "--non-interactive")
        run(Command(words=words, cwd=folder, env=env), Deadline(60))
        return Program(
            pulumi=self.tools.pulumi, folder=folder, env=env, project=f"ci-bench-{name}", stack=stack, state=state
        )

    def make_up(self, stack: str) -> Command:
        """Give `make up`, in the copy."""
        return Command(words=("make", "up", f"STACK={stack}", "YES=1"), cwd=self.clone.root, env=self.outer)

    def _copy(self, source: Path) -> None:
        def skip(_: str, names: list[str]) -> Iterable[str]:
            return [name for name in names if name.startswith(".") or name in _LEFT_OUT]

        shutil.copytree(source, self.root / "ours", ignore=skip, symlinks=True)
        (self.root / "ours" / ".venv").symlink_to(sys.prefix)

    def _environment(self) -> dict[str, str]:
        clone = Clone(self.root / "ours")
        env = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
        env["PULUMI_BACKEND_URL"] = clone.state.as_uri()
        env["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(clone.passphrase)
        env["PULUMI_CREDENTIALS_PATH"] = str(self.root / "credentials")  # nobody is logged in there
        (self.root / "credentials").mkdir()
        return env
