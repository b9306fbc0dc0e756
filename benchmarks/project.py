"""Pulumi programs in a scratch folder: this project as a copy, and other programs with the same runtime beside it.

The copy has a backend of its own, so that neither the clone's state nor what it has deployed is touched.
"""

import dataclasses
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.model import BenchmarkError, Command

CLONE: Final = Path(__file__).resolve().parents[1]
_LEFT_OUT: Final = (".*", "tests", "docs", "__pycache__")
_NOT_OURS: Final = (
    *("PULUMI_ACCESS_TOKEN", "PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_STACK", "DOCKER_HOST", "KUBECONFIG"),
    *("PYTHONDONTWRITEBYTECODE", "MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "ARGS", "STACK"),
)
"""Variables that would take the copy to another backend, engine or cluster, hand the outer `make`'s options to the
inner one, or let Python compile the project in each run."""


@dataclasses.dataclass(frozen=True)
class Program:
    """A Pulumi program with one stack in a file backend of its own."""

    folder: Path
    stack: str
    env: dict[str, str]

    def pulumi(self, *words: str) -> Command:
        """Give one of Pulumi's commands for this stack."""
        line = ("pulumi", *words, "--stack", self.stack, "--non-interactive")
        return Command(words=line, cwd=self.folder, env=self.env)

    def up(self) -> Command:
        """Give `pulumi up` without a preview before it."""
        return self.pulumi("up", "--yes", "--skip-preview")

    def make(self, verb: str) -> Command:
        """Give one of the project's own verbs for this stack."""
        return Command(words=("make", verb, f"STACK={self.stack}", "YES=1"), cwd=self.folder, env=self.env)

    def export(self) -> dict[str, Any]:
        """Give the stack's state with its secrets in clear."""
        found: dict[str, Any] = json.loads(output(self.pulumi("stack", "export", "--show-secrets")))
        return found

    def load(self, state: Mapping[str, Any]) -> None:
        """Replace the stack's state."""
        output(self.pulumi("stack", "import"), json.dumps(state))

    @property
    def settings(self) -> Path:
        """The stack's file."""
        project = yaml.safe_load((self.folder / "Pulumi.yaml").read_text(encoding="utf-8"))
        return self.folder / str(project.get("stackConfigDir", ".")) / f"Pulumi.{self.stack}.yaml"

    def configure(self, config: Mapping[str, Any]) -> None:
        """Set keys of the stack's file; secrets and the salt in it stay."""
        found = yaml.safe_load(self.settings.read_text(encoding="utf-8")) if self.settings.exists() else {}
        found = merged(found or {}, {"config": config})
        self.settings.write_text(yaml.safe_dump(found, sort_keys=False), encoding="utf-8")


class Project:
    """A copy of the project in a scratch folder."""

    def __init__(self, scratch: Path, stack: str) -> None:
        """Copy the clone, and get the tool chain that a stack of it needs."""
        self._scratch, self.folder, self.config = scratch, scratch / "ci", config_of(stack)
        scratch.mkdir(exist_ok=True)
        shutil.copytree(CLONE, self.folder, ignore=shutil.ignore_patterns(*_LEFT_OUT), symlinks=True)
        (self.folder / ".venv").symlink_to((CLONE / ".venv").resolve())
        for file in self.folder.glob("stacks/*.yaml"):  # the passphrase that the salt belongs to stays in the clone
            file.write_text(re.sub(r"(?m)^encryptionsalt:.*\n", "", file.read_text(encoding="utf-8")), encoding="utf-8")
        script = f'found=$(.venv/bin/python -m ops env --stack {stack}) && eval "$found" && env -0'
        outer = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
        found = output(Command(words=("sh", "-c", script), cwd=self.folder, env=outer))
        self._env = dict(line.split("=", 1) for line in found.split("\0") if "=" in line)
        self._env.pop("PULUMI_CONFIG_PASSPHRASE_FILE", None)
        self._env["PULUMI_CONFIG_PASSPHRASE"] = "benchmarks"  # noqa: S105 - what it protects goes at the end
        self._env["PATH"] = f"{self.folder / '.venv' / 'bin'}:{self._env['PATH']}"

    def deploy(self, stack: str, config: Mapping[str, Any], secrets: Mapping[str, str] | None = None) -> Program:
        """Deploy a stack with the settings of the stack that was given, and these on top."""
        Program(self.folder, stack, {}).configure(merged(self.config, config))
        program = self._init(self.folder, stack)
        for key, value in (secrets or {}).items():
            output(program.pulumi("config", "set", "--secret", key), value)
        output(program.make("up"))
        return program

    def other(self, name: str, stack: str) -> Program:
        """Make a stack of another program, `programs/<name>.py`: the same project, runtime, options and backend."""
        folder = self._scratch / name
        folder.mkdir()
        ours = yaml.safe_load((self.folder / "Pulumi.yaml").read_text(encoding="utf-8"))
        text = {key: ours[key] for key in ("name", "runtime", "options")}
        (folder / "Pulumi.yaml").write_text(yaml.safe_dump(text), encoding="utf-8")
        shutil.copy(Path(__file__).with_name("programs") / f"{name}.py", folder / "__main__.py")
        (folder / ".venv").symlink_to((self.folder / ".venv").resolve())
        return self._init(folder, stack)

    def _init(self, folder: Path, stack: str) -> Program:
        state = folder.with_name(f"{folder.name}-state")
        state.mkdir(exist_ok=True)
        program = Program(folder, stack, {**self._env, "PULUMI_BACKEND_URL": state.as_uri()})
        output(Command(words=("pulumi", "stack", "init", stack), cwd=folder, env=program.env))
        return program


def config_of(stack: str) -> dict[str, Any]:
    """Give the config of one of the project's stacks, or of an example's. Raises BenchmarkError without one."""
    files = [path for folder in ("examples/stacks", "stacks") for path in (CLONE / folder).glob("*.yaml")]
    known = {path.name.removeprefix("Pulumi.").removesuffix(".yaml"): path for path in files}
    if stack not in known:
        raise BenchmarkError(f"there is no stack {stack!r}; give one of {', '.join(sorted(known))}")
    config: dict[str, Any] = yaml.safe_load(known[stack].read_text(encoding="utf-8"))["config"]
    return config


def output(command: Command, text: str = "") -> str:
    """Run a command that is not measured; give what it prints on stdout, or raise BenchmarkError with its end."""
    done = subprocess.run(  # noqa: S603 - our own commands, as lists of words
        list(command.words), cwd=command.cwd, env=command.env, input=text, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stdout + done.stderr)[-2000:]
        raise BenchmarkError(f"{' '.join(command.words)[:200]} ended with {done.returncode}:\n{said}")
    return done.stdout


def said(*words: str) -> str:
    """Give what a command prints; nothing where it fails or is not there."""
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout.strip()  # noqa: S603 - our own words
    except (OSError, subprocess.SubprocessError):
        return ""


def merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Give the base with more on top; mappings are merged, everything else is replaced."""
    found = dict(base)
    for key, value in more.items():
        both = isinstance(found.get(key), dict) and isinstance(value, dict)
        found[key] = merged(found[key], value) if both else value
    return found
