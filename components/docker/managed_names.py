"""What a stack makes on a host under a fixed name, and whether somebody else has that name already."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from components import labels
from components.docker.engine import Engine
from components.settings import Problem


@dataclass(frozen=True, kw_only=True)
class ManagedName:
    """A container, a volume or a network of the stack's own."""

    kind: Literal["container", "volume", "network"]
    name: str
    key: str
    """The setting that its name comes from, as typed: `ci:jenkins.containerName`."""

    instead: str
    """What to write where another has the name, or how to remove that."""


def conflicts(
    names: Sequence[ManagedName], engine: Engine, containers: Sequence[Mapping[str, Any]], me: str
) -> Iterator[Problem]:
    """Give a problem for each name under which the engine has something that this stack (`project/stack`) didn't make.

    `containers` are the engine's, as it lists them. Raises EngineError.
    """
    for one in names:
        found, owner = _find(one, engine, containers)
        if found and owner != me:
            who = f"belongs to the stack {owner}" if owner else "no stack of this project made"
            yield Problem(
                key=one.key, value=one.name, wrong=f"is a {one.kind} already, which {who}", instead=one.instead
            )


def _find(one: ManagedName, engine: Engine, containers: Sequence[Mapping[str, Any]]) -> tuple[bool, str | None]:
    """Say whether there is such a thing, and whose it is."""
    if one.kind == "container":
        found = next((entry for entry in containers if f"/{one.name}" in entry.get("Names", ())), None)
    else:
        found = engine.volume(one.name) if one.kind == "volume" else engine.network(one.name)
    return found is not None, labels.owner((found or {}).get("Labels"))
