"""Where things are in a clone of the project, and which stack a verb acts on when none is named."""

import contextlib
import dataclasses
import functools
import re
from pathlib import Path
from typing import Any

import yaml

from setup import cache
from setup.console import OpsError

USUAL = "dev"
"""The stack that a verb acts on by default."""

STACK_FILE = frozenset({"config", "encryptionsalt", "encryptedkey", "environment", "secretsprovider"})
"""What Pulumi reads in a stack's file. Source: its workspace.ProjectStack."""

STAND_IN = "offline"
"""The stack that takes its place where Jenkins' image can't be pulled."""


@dataclasses.dataclass(frozen=True)
class Clone:
    """One clone of the project."""

    root: Path
    """The folder of Pulumi.yaml."""

    @functools.cached_property
    def project(self) -> dict[str, Any]:
        """Pulumi.yaml."""
        try:
            found = dict(yaml.safe_load((self.root / "Pulumi.yaml").read_text()))
            return {**found, "name": str(found["name"])}
        except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as failed:
            raise OpsError(
                f"Pulumi.yaml can't be read: {failed}", "Get it back: git checkout Pulumi.yaml", code=2
            ) from failed

    @property
    def name(self) -> str:
        """The project's name, under which Pulumi keeps the stacks."""
        return str(self.project["name"])

    @property
    def local(self) -> Path:
        """What belongs to this clone alone. Ignored by git, closed to other users."""
        return self.root / ".local"

    @property
    def state(self) -> Path:
        """The file backend."""
        return self.local / "state"

    @property
    def passphrase(self) -> Path:
        """The file with the passphrase that encrypts the secrets of the file backend's stacks."""
        return self.local / "passphrase"

    def file(self, stack: str) -> Path:
        """The stack's own file, which Pulumi writes to and its owner commits."""
        return self.root / str(self.project.get("stackConfigDir", ".")) / f"Pulumi.{short(stack)}.yaml"

    def example(self, stack: str) -> Path:
        """The example that a stack's file is copied from when the stack is first used."""
        return self.root / "examples" / "stacks" / f"Pulumi.{short(stack)}.yaml"

    def require(self, stack: str) -> None:
        """Raise OpsError when the stack has neither a file nor an example, or a name that Pulumi does not take."""
        if not re.fullmatch(r"(?:[A-Za-z0-9_.-]+/){0,2}[A-Za-z0-9_.-]{1,100}", stack):
            instead = "Give letters, digits, '_', '.' or '-', 100 at most, for example prod."
            raise OpsError(f"{stack[:80]!r} is not a name for a stack.", instead, code=2)
        if not self.file(stack).is_file() and not self.example(stack).is_file():
            files = [path for each in (self.file, self.example) for path in each("x").parent.glob("Pulumi.*.yaml")]
            known = sorted({path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in files})
            raise OpsError(
                f"There is no stack {stack!r}: {self.file(stack).relative_to(self.root)} does not exist.",
                f"Stacks here: {', '.join(known)}. A new one begins as a copy of another's file.",
                code=2,
            )

    def require_readable(self, stack: str) -> None:
        """Raise OpsError for what Pulumi reads in a stack's file in another way than its author meant."""
        path = self.file(stack)
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        shown = path.relative_to(self.root)
        for key in re.findall(r"(?m)^([\w:.-]+):(?=\s|$)", text):
            if key not in STACK_FILE:
                instead = f"Write it as {key if ':' in key else f'ci:{key}'} under config:, indented, or remove it."
                raise OpsError(f"{shown}: Pulumi reads no {key} outside of config.", instead, code=2)
        with contextlib.suppress(yaml.YAMLError):  # Pulumi names the line
            for token in yaml.scan(text):
                plain = token.value if isinstance(token, yaml.ScalarToken) and token.plain else ""
                if re.fullmatch(r"(?i)[-+]?\.(?:inf|nan)", plain):
                    line = token.start_mark.line + 1
                    raise OpsError(
                        f"{shown}, line {line}: {plain} is no number that JSON has.", "Give another.", code=2
                    )
                if re.fullmatch(r"[-+]?0o?[0-9_]+", plain):
                    instead = f"Write it without the 0 in front, or in quotes: '{plain}'."
                    raise OpsError(f"{shown}: Pulumi reads {plain} as an octal number.", instead, code=2)

    def state_file(self, stack: str) -> Path:
        """Where the file backend keeps a stack."""
        return self.state / ".pulumi" / "stacks" / self.name / f"{short(stack)}.json"

    @property
    def chosen(self) -> str:
        """The stack that a verb without a name acts on: `dev`, or `offline` once `up` has chosen that."""
        return STAND_IN if (self.local / "use-offline").exists() and self.file(STAND_IN).is_file() else USUAL

    def choose(self, stack: str) -> None:
        """Let later verbs act on this stack, if it is one of the two that take each other's place.

        Any other has to be named each time: nobody is to take `prod` down because it was the last one that came up.
        """
        if stack == STAND_IN:
            cache.write(self.local / "use-offline", "")
        elif stack == USUAL:
            (self.local / "use-offline").unlink(missing_ok=True)

    def make(self, verb: str, stack: str) -> str:
        """The `make` command that runs a verb on a stack."""
        return f"make {verb}" if stack == self.chosen else f"make {verb} STACK={stack}"


def short(stack: str) -> str:
    """A stack's name without its organization: `acme/ci/dev` is `dev`."""
    return stack.rsplit("/", 1)[-1]


def here() -> Clone:
    """The clone that this module is part of."""
    return Clone(Path(__file__).absolute().parents[1])
