"""Driving the Pulumi CLI against a stack of its own, and looking at what it did."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docker.models.containers import Container

HERE = Path(__file__).resolve().parent
# Seconds that one run of the CLI may take; the slowest here takes 10.
PATIENCE = 120

# The operations that a preview may announce; a replacement is announced along with its parts.
CHANGES = ("create", "update", "delete", "replace")

UP = ("up", "--yes", "--skip-preview")

Entry = dict[str, Any]
Look = Callable[[str], Container]


@dataclass(frozen=True)
class Plugins:
    """A CLI, the environment in which it finds its plugins, and whether these are the bundled ones."""

    cli: Path
    environment: dict[str, str]
    bundled: bool


@dataclass
class Stack:
    """One project with one stack, its state in a folder of its own."""

    folder: Path
    plugins: Plugins
    host: str
    variables: dict[str, str] = field(default_factory=dict)
    started: bool = False

    def environment(self) -> dict[str, str]:
        """Give the environment of the CLI."""
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "DOCKER_"))},
            **self.plugins.environment,
            "PULUMI_BACKEND_URL": f"file://{self.folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "parity tests",
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            **self.variables,
        }

    def write(self, program: str | None = None, venv: str = sys.prefix, **settings: Any) -> None:
        """Write Pulumi.yaml and the program: the one of resources.json, or `program`."""
        (self.folder / "state").mkdir(parents=True, exist_ok=True)
        project = {"name": "parity", "runtime": {"name": "python", "options": {"virtualenv": venv}}, **settings}
        (self.folder / "Pulumi.yaml").write_text(json.dumps(project), encoding="utf-8")
        main = self.folder / settings.get("main", "__main__.py")
        main.parent.mkdir(parents=True, exist_ok=True)
        if program is None:
            shutil.copyfile(HERE / "program.py", main)
        else:
            main.write_text(program, encoding="utf-8")

    def declare(self, *entries: Entry) -> None:
        """Let the program declare `entries`, all with one explicit provider for the engine under test."""
        provider = {"type": "Provider", "name": "host", "props": {"host": self.host}}
        resources = [
            entry if entry["type"] == "Provider" else {**entry, "opts": {"provider": "host", **entry.get("opts", {})}}
            for entry in (provider, *entries)
        ]
        (self.folder / "resources.json").write_text(json.dumps(resources), encoding="utf-8")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the CLI, in a stack that is made the first time."""
        if not self.started:
            self.started = True
            self.pulumi("stack", "init", "test")
        return subprocess.Popen(
            [str(self.plugins.cli), *arguments, "--non-interactive"],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def pulumi(self, *arguments: str, status: int | None = 0) -> str:
        """Run the CLI to its end; give what it printed. Fails where it ends with another status; None: any but 0."""
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == status if status is not None else process.returncode, output
        return output

    def fails(self, *arguments: str) -> str:
        """Run the CLI, which must fail; with the bundled plugins it shows no traceback."""
        output = self.pulumi(*arguments, status=None)
        # The official language host shows that of the exec script when an update ends early.
        assert not (self.plugins.bundled and "Traceback" in output), output
        return output

    def up(self, *arguments: str) -> None:
        """Update without a preview."""
        self.pulumi(*UP, *arguments)

    def changes(self, *arguments: str) -> dict[str, str]:
        """Preview; give what would change, by the resource's name, leaving out the stack itself."""
        output = self.pulumi("preview", "--json", *arguments)
        found: dict[str, str] = {}
        for step in json.loads(output[output.index("{") :])["steps"]:
            name = step["urn"].split("::")[-1]
            if "pulumi:pulumi:Stack" not in step["urn"] and step["op"] in CHANGES:
                found[name] = step["op"]
        return found

    def exported(self) -> str:
        """Give the state as the CLI exports it."""
        return self.pulumi("stack", "export")

    def resources(self) -> dict[str, Any]:
        """Give the recorded resources by name."""
        deployment = json.loads(self.exported())["deployment"]
        return {resource["urn"].split("::")[-1]: resource for resource in deployment.get("resources", ())}


def printed(found: Container, command: str) -> str:
    """Run a command in a container; give what it printed."""
    output = found.exec_run(command).output
    assert isinstance(output, bytes)
    return output.decode()


def container(entry: str, base: str, **props: Any) -> Entry:
    """Describe a container of the image `base` that runs until it is stopped; `props` change it."""
    # Without the signal, `sleep` as the first process would wait to be killed.
    basic = {"image": base, "command": ["sleep", "600"], "destroy_grace_seconds": 1, "stop_signal": "SIGKILL"}
    return {"type": "Container", "name": entry, "props": {**basic, **props}}


def labels(**values: str) -> list[Entry]:
    """Give labels as a program writes them."""
    return [{"label": name, "value": value} for name, value in values.items()]
