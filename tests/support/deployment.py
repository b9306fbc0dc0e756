"""A copy of the project with a backend of its own, deployed by the real CLI with whatever plugins the machine has."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ops.toolchain import toolchain
from tests.support.names import PREFIX

ROOT = Path(__file__).parent.parent.parent
STACK = PREFIX
"""Unlike any stack of the machine's own: labels and the name of a built image have it."""


@dataclass
class Deployment:
    """One stack in a copy of the project."""

    root: Path
    env: Mapping[str, str]
    said: list[str] = field(default_factory=list)
    """All that Pulumi has printed, for a search for what it should not have."""

    name: str = STACK
    """The stack's."""

    def configure(self, **keys: Any) -> None:
        """Write the stack's file, keeping its salt and secrets. Keys are without `ci:`."""
        path = self.root / "stacks" / f"Pulumi.{self.name}.yaml"
        old = yaml.safe_load(path.read_text()) if path.exists() else {}
        kept = {
            key: value for key, value in old.get("config", {}).items() if isinstance(value, dict) and "secure" in value
        }
        config = {**kept, **{f"ci:{key}": value for key, value in keys.items()}}
        path.write_text(yaml.safe_dump({**old, "config": config}))

    def secret(self, key: str, value: str) -> None:
        """Set a secret the way a user does, its value on stdin."""
        self.pulumi("config", "set", "--secret", f"ci:{key}", stdin=value)

    def pulumi(self, *words: str, stdin: str = "", status: int | None = 0) -> str:
        """Run the CLI; give what it printed. Fails where it ends with another status; None takes any but 0."""
        done = subprocess.run(
            [
                shutil.which("pulumi", path=self.env["PATH"]) or "pulumi",
                *words,
                "--stack",
                self.name,
                "--non-interactive",
            ],
            cwd=self.root,
            env=dict(self.env),
            input=stdin,
            text=True,
            capture_output=True,
            timeout=300,
            check=False,
        )
        text = done.stdout + done.stderr
        self.said.append(text)
        assert done.returncode == status if status is not None else done.returncode != 0, text
        return text

    def up(self) -> dict[str, int]:
        """Deploy; give how many resources were created, updated, replaced, left the same."""
        return self._changes("up", "--yes", "--skip-preview")

    def preview(self) -> dict[str, int]:
        """Preview; give the same counts."""
        return self._changes("preview")

    def destroy(self) -> None:
        """Destroy what is deployed."""
        self.pulumi("destroy", "--yes")

    def outputs(self) -> dict[str, Any]:
        """Give the stack's outputs."""
        found: dict[str, Any] = json.loads(self.pulumi("stack", "output", "--json"))
        return found

    def state(self) -> str:
        """Give the stack's state as it is exported."""
        return self.pulumi("stack", "export")

    def resources(self) -> list[str]:
        """Give the names of the resources in the state, without the stack itself and its provider."""
        found = json.loads(self.state())["deployment"].get("resources", [])
        own = ("pulumi:pulumi:Stack", "pulumi:providers:docker", "pulumi:providers:kubernetes")
        return [entry["urn"].rpartition("::")[2] for entry in found if entry["type"] not in own]

    def _changes(self, *words: str) -> dict[str, int]:
        folder = self.root / ".events"
        folder.unlink(missing_ok=True)
        env = {**self.env, "PULUMI_DEBUG_COMMANDS": "true"}
        Deployment(self.root, env, self.said, self.name).pulumi(*words, "--event-log", str(folder))
        events = [json.loads(line) for line in folder.read_text().splitlines()]
        [*_, summary] = [event["summaryEvent"] for event in events if "summaryEvent" in event]
        return dict(summary.get("resourceChanges") or {})


def copy(tmp: Path, platform: str = "docker") -> Deployment:
    """Copy the project and make its stack. Fails where the machine has no CLI: `make test` gets it first."""
    tools = toolchain.find(platform)
    assert tools is not None, "no Pulumi CLI with its plugins on this machine; `make test` gets them"
    root = tmp / "project"
    leave = shutil.ignore_patterns(
        ".git", ".local", ".mypy_cache", ".ruff_cache", ".pytest_cache", "__pycache__", "tests"
    )
    shutil.copytree(ROOT, root, symlinks=True, ignore=leave)
    state = tmp / "state"
    state.mkdir()
    env = {**tools.env, "PULUMI_BACKEND_URL": state.as_uri(), "PULUMI_CONFIG_PASSPHRASE": "not-a-secret"}
    env.pop("PULUMI_CONFIG_PASSPHRASE_FILE", None)
    made = Deployment(root, env)
    made.pulumi("stack", "init", "--no-select")
    return made
