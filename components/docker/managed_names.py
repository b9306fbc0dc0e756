"""The names that a stack uses on a Docker host, and whether somebody else has them already."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from components import labels
from components.docker.engine import Engine
from components.settings import Problem


@dataclass(frozen=True, kw_only=True)
class ManagedName:
    """A container, a volume or a network that a stack makes."""

    kind: Literal["container", "volume", "network"]
    name: str
    key: str
    """The setting that the name comes from, for example `ci:jenkins.containerName`."""

    retained: bool = False
    """A volume that outlives its stack. Any stack of the project that has no rival for it may go on with it."""

    adopted: bool = False
    """A volume that the settings allow to be anyone's."""

    instead: str = ""
    """What else to write where somebody else has the name."""


def conflicts(
    names: Sequence[ManagedName], engine: Engine, containers: Sequence[Mapping[str, Any]], me: str
) -> Iterator[Problem]:
    """Return a problem for each name under which the engine has something of somebody else's.

    A volume keeps the labels of the stack that made it first, since Docker cannot change them. So what counts is who
    uses it: no two stacks may have containers on one volume, and an unused one may go to another stack of the project.

    containers: all of the engine's. me: this stack, as `project/stack`. Raises EngineError.
    """
    for name in names:
        user = next((entry for entry in containers if name.kind == "volume" and _rival(entry, name.name, me)), None)
        if user is not None:
            owner = labels.owner(user["Labels"])
            yield Problem(
                name.key,
                "in_use",
                f"is the volume of the container {user['Names'][0].removeprefix('/')} of the stack {owner}",
                f"{_destroy(owner)} and keep its data, or give another name",
                name.name,
            )
            continue
        found, owner = _find(name, engine, containers)
        same_project = owner is not None and owner.partition("/")[0] == me.partition("/")[0]
        if found and owner != me and not name.adopted and not (name.retained and same_project):
            remove = f"docker {'rm -f' if name.kind == 'container' else f'{name.kind} rm'} {name.name}"
            yield Problem(
                name.key,
                "name_taken",
                f"is the name of a {name.kind} that "
                + (f"belongs to the stack {owner}" if owner else "no stack of this project made"),
                (_destroy(owner) if same_project else f"remove it (`{remove}`)")
                + f", or {name.instead or 'give another name'}",
                name.name,
            )


def _destroy(owner: str | None) -> str:
    return f"take that stack down (`make down STACK={(owner or '').partition('/')[2]}`)"


def _rival(container: Mapping[str, Any], volume: str, me: str) -> bool:
    """Return whether a container is another stack's and uses this volume. Containers of jobs belong to no stack."""
    owner = labels.owner(container.get("Labels"))
    return owner not in {None, me} and any(mount.get("Name") == volume for mount in container.get("Mounts", ()))


def _find(name: ManagedName, engine: Engine, containers: Sequence[Mapping[str, Any]]) -> tuple[bool, str | None]:
    """Return whether there is such a thing, and whose it is."""
    if name.kind == "container":
        found = next((entry for entry in containers if f"/{name.name}" in entry.get("Names", ())), None)
    else:
        found = engine.volume(name.name) if name.kind == "volume" else engine.network(name.name)
    return found is not None, labels.owner((found or {}).get("Labels"))
