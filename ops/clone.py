"""Where things are in a clone of the project: what is committed, and what belongs to this clone alone (`.local/`)."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import yaml

from ops.toolchain.errors import Trouble

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file's mapping; empty for a file that is absent or empty.

    Raises:
        Trouble: when it is not YAML, or not a mapping.
    """
    try:
        found = yaml.load(path.read_text(), Loader=_Loader)  # noqa: S506 - it is the safe loader, in C where there is one
    except FileNotFoundError:
        return {}
    except (yaml.YAMLError, UnicodeDecodeError) as broken:
        raise Trouble(f"{path} is not YAML: {broken}", "Mend it, or get it back with: git checkout", code=2) from broken
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise Trouble(
            f"{path} holds a {type(found).__name__}; keys with values are expected.",
            "It begins with `config:`.",
            code=2,
        )
    return found


@dataclasses.dataclass(frozen=True)
class Clone:
    """One clone of the project."""

    root: Path
    """The folder of Pulumi.yaml."""

    @functools.cached_property
    def project(self) -> dict[str, Any]:
        """Pulumi.yaml."""
        found = read_yaml(self.root / "Pulumi.yaml")
        if "name" not in found:
            raise Trouble(
                f"{self.root / 'Pulumi.yaml'} is missing or has no name.", "Run this in the project's folder.", code=2
            )
        return found

    @property
    def name(self) -> str:
        """The project's name, which Pulumi keeps the stacks under."""
        return str(self.project["name"])

    @property
    def local(self) -> Path:
        """What belongs to this clone alone; ignored by git, closed to other users."""
        return self.root / ".local"

    @property
    def state(self) -> Path:
        """The file backend."""
        return self.local / "state"

    @property
    def passphrase(self) -> Path:
        """The file with the passphrase that the clone's secrets are encrypted with."""
        return self.local / "passphrase"

    @property
    def remembered(self) -> Path:
        """The file with the stack that `up` chose when none was named."""
        return self.local / "stack.json"

    def committed(self, stack: str) -> Path:
        """The stack's settings as they are in git."""
        return self.root / str(self.project.get("stackConfigDir", ".")) / f"Pulumi.{short(stack)}.yaml"

    def require(self, stack: str) -> None:
        """Raises Trouble when the stack has no committed file."""
        if not self.committed(stack).is_file():
            raise Trouble(
                f"There is no stack {stack!r}: {self.committed(stack).relative_to(self.root)} does not exist.",
                f"Stacks here: {', '.join(self.stacks()) or 'none'}. A new one begins as a copy of another's file.",
                code=2,
            )

    def overlay(self, stack: str) -> Path:
        """What this clone adds to the stack's settings: salt, generated password, what `set` was given."""
        return self.local / "stacks" / f"Pulumi.{short(stack)}.yaml"

    def effective(self, stack: str) -> Path:
        """The committed settings with the overlay on top: what Pulumi is given. Made anew for each run."""
        return self.local / "effective" / f"Pulumi.{short(stack)}.yaml"

    def made(self, stack: str) -> Path:
        """A copy of the effective file as it was made, to tell what Pulumi has changed in it since."""
        return self.local / "effective" / f"{short(stack)}.made.yaml"

    def stacks(self) -> list[str]:
        """The names of the committed stacks."""
        return sorted(
            path.name.split(".", 1)[1].removesuffix(".yaml")
            for path in self.committed("x").parent.glob("Pulumi.*.yaml")
        )

    def state_file(self, stack: str) -> Path:
        """Where the clone's own backend keeps a stack."""
        return self.state / ".pulumi" / "stacks" / self.name / f"{short(stack)}.json"


def short(stack: str) -> str:
    """A stack's name without its organization: `acme/ci/dev` is `dev`."""
    return stack.rsplit("/", 1)[-1]


def here() -> Clone:
    """The clone that this module is part of."""
    return Clone(Path(__file__).absolute().parents[1])
