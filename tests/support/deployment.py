"""A copy of the project with a backend of its own, deployed by the real CLI with whatever plugins the machine has."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import docker
import yaml
from docker.models.containers import Container

from setup import toolchain
from tests.support.names import PREFIX
from tests.support.verbs import copy_project

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

    seconds: float = 300
    """How long one command may take."""

    deployed: Any = None
    """What the stack's file said when it was deployed last."""

    @property
    def state_folder(self) -> Path:
        """The backend."""
        return self.root.parent / "state"

    @property
    def file(self) -> Path:
        """The stack's own file."""
        return self.root / "stacks" / f"Pulumi.{self.name}.yaml"

    def configure(self, **keys: Any) -> None:
        """Write the stack's file, keeping its salt and secrets. Keys are without `ci:`."""
        old = self._content()
        kept = {
            key: value
            for key, value in old.get("config", {}).items()
            if isinstance(value, dict) and "'secure'" in repr(value)
        }
        config = {**kept, **{f"ci:{key}": value for key, value in keys.items()}}
        self.file.write_text(yaml.safe_dump({**old, "config": config}))

    def settle(self, **keys: Any) -> None:
        """Write the stack's file, and deploy if it says another thing than what was deployed last."""
        self.configure(**keys)
        if self.deployed != self._content():
            self.up()

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
            timeout=self.seconds,
            check=False,
        )
        text = done.stdout + done.stderr
        self.said.append(text)
        assert done.returncode == status if status is not None else done.returncode != 0, text
        return text

    def up(self) -> dict[str, int]:
        """Deploy; give how many resources were created, updated, replaced, left the same."""
        changes = self._changes("up", "--yes", "--skip-preview")
        self.deployed = self._content()
        return changes

    def preview(self) -> dict[str, int]:
        """Preview; give the same counts."""
        return self._changes("preview")

    def destroy(self) -> None:
        """Destroy what is deployed."""
        self.pulumi("destroy", "--yes", "--skip-preview")

    def outputs(self, *words: str) -> dict[str, Any]:
        """Give the stack's outputs; with `--show-secrets`, the secret ones in clear."""
        found: dict[str, Any] = json.loads(self.pulumi("stack", "output", "--json", *words))
        return found

    def state(self) -> str:
        """Give the stack's state as it is exported."""
        return self.pulumi("stack", "export")

    def resources(self) -> list[str]:
        """Give the names of the resources in the state, without the stack itself and its provider."""
        found = json.loads(self.state())["deployment"].get("resources", [])
        own = ("pulumi:pulumi:Stack", "pulumi:providers:docker", "pulumi:providers:kubernetes")
        return [entry["urn"].rpartition("::")[2] for entry in found if entry["type"] not in own]

    def shown(self, container: Container) -> dict[str, str]:
        """Give all that shows the stack and its container to whoever looks, by where it is seen."""
        environment: Any = container.exec_run(["env"])
        return {
            "docker inspect": json.dumps(container.attrs),
            "docker inspect of the image": json.dumps(container.image.attrs if container.image else {}),
            "the container's log": container.logs().decode(),
            "its environment": environment.output.decode(),
            "its processes": json.dumps(container.top()),
            "the state": self.state(),
            "the outputs": json.dumps(self.outputs()),
            "what Pulumi printed": "".join(self.said),
            "the stack's file": self.file.read_text(),
            **{str(path): path.read_text(errors="replace") for path in self.state_folder.rglob("*") if path.is_file()},
        }

    def _content(self) -> dict[str, Any]:
        return yaml.safe_load(self.file.read_text()) or {} if self.file.exists() else {}

    def _changes(self, *words: str) -> dict[str, int]:
        folder = self.root / ".events"
        folder.unlink(missing_ok=True)
        env = {**self.env, "PULUMI_DEBUG_COMMANDS": "true"}
        replace(self, env=env).pulumi(*words, "--event-log", str(folder))
        events = [json.loads(line) for line in folder.read_text().splitlines()]
        [*_, summary] = [event["summaryEvent"] for event in events if "summaryEvent" in event]
        return dict(summary.get("resourceChanges") or {})


def copy(tmp: Path, platform: str = "docker") -> Deployment:
    """Copy the project and make its stack. Fails where the machine has no CLI: `make test` gets it first."""
    tools = toolchain.find(platform)
    assert tools is not None, "no Pulumi CLI with its plugins on this machine; `make test` gets them"
    env = {**tools.env, "PULUMI_CONFIG_PASSPHRASE": "not-a-secret"}
    env.pop("PULUMI_CONFIG_PASSPHRASE_FILE", None)
    made = Deployment(copy_project(tmp / "project"), env)
    made.state_folder.mkdir()
    env["PULUMI_BACKEND_URL"] = made.state_folder.as_uri()
    made.pulumi("stack", "init", "--no-select")
    return made


@contextmanager
def of_jenkins(tmp: Path, engine: docker.DockerClient, home: str) -> Iterator[Deployment]:
    """Give a copy for a real Jenkins, which takes minutes to start. In the end, destroy it and remove its home."""
    deployment = copy(tmp)
    deployment.seconds = 600
    try:
        yield deployment
    finally:
        deployment.destroy()
        engine.volumes.get(home).remove()
