"""The names that a stack uses on a Docker host, and whether somebody else has them already."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from components import labels
from components.docker.dind import volume_of
from components.docker.engine import Engine
from components.jenkins import casc
from components.settings import Problem, Settings


@dataclass(frozen=True)
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


def of(settings: Settings) -> Iterator[ManagedName]:
    """Return every name that a stack uses on its host."""
    docker, jenkins, runner = settings.docker, settings.jenkins, settings.gitlab_runner
    if docker.prune is not None:
        yield ManagedName("container", docker.prune.container_name, "ci:docker.prune.containerName")
    if runner is not None:
        yield ManagedName("container", runner.container_name, "ci:gitlabRunner.containerName")
        return
    yield ManagedName(
        "volume",
        jenkins.home_volume,
        "ci:jenkins.homeVolume",
        retained=True,
        adopted=jenkins.adopt_home,
        instead="write adoptHome: true to run Jenkins on its data, or give another name",
    )
    name, key = jenkins.container_name, "ci:jenkins.containerName"
    for container in (name, *(f"{name}-{agent}" for agent in casc.agents(jenkins))):
        yield ManagedName("container", container, key)
    if jenkins.agents:
        yield ManagedName("network", f"{name}-agents", key)
        yield ManagedName("volume", f"{name}-agents", key)
        yield ManagedName("volume", f"{name}-agents-secrets", key)
    if docker.access == "proxy":
        yield ManagedName("container", docker.proxy.container_name, "ci:docker.proxy.containerName")
        yield ManagedName("volume", docker.proxy.container_name, "ci:docker.proxy.containerName")
    if docker.access == "dind":
        name, key = docker.dind.container_name, "ci:docker.dind.containerName"
        yield ManagedName("container", name, key)
        yield ManagedName("network", name, key)
        yield ManagedName("volume", volume_of(docker.dind, "images"), key, retained=True)
        yield ManagedName("volume", volume_of(docker.dind, "certificates"), key)


def twice(settings: Settings) -> Iterator[Problem]:
    """Return a problem for each name that two settings give to one kind of thing.

    Docker would take both for one volume, and remove a kept one with the other.
    """
    first: dict[tuple[str, str], ManagedName] = {}
    for name in sorted(of(settings), key=lambda name: not name.key.startswith("ci:jenkins")):
        other = first.setdefault((name.kind, name.name), name)
        if other is not name:
            wrong = f"makes the {name.kind} {name.name}, and so does {other.key}"
            yield Problem(name.key, "duplicate", wrong, "give another name, for example ci-docker")


def conflicts(
    names: Iterable[ManagedName], engine: Engine, containers: Sequence[Mapping[str, Any]], me: str
) -> Iterator[Problem]:
    """Return a problem for each name under which the engine has something of somebody else's.

    A volume keeps the labels of the stack that made it first, since Docker cannot change them. So what counts is who
    uses it: no two stacks may have containers on one volume, and an unused one may go to another stack of the project.

    containers: all of the engine's. me: this stack, as `project/stack`. Raises EngineError.
    """
    for name in names:
        user = next((entry for entry in containers if name.kind == "volume" and _rival(entry, name.name, me)), None)
        found, owner = _find(name, engine, containers)
        if user is not None:
            container, owner = user["Names"][0].removeprefix("/"), labels.owner(user["Labels"])
            wrong = f"is in use by the container {container} of the stack {owner}"
            free = _free(owner, me, f"docker rm -f {container}")
            yield Problem(name.key, "in_use", wrong, f"{free}, or give another name", name.name)
        elif found and owner != me and not name.adopted and not (name.retained and _same_project(owner, me)):
            whose = f"belongs to the stack {owner}" if owner else "no stack of this project made"
            free = _free(owner, me, f"docker {'rm -f' if name.kind == 'container' else f'{name.kind} rm'} {name.name}")
            yield Problem(
                name.key,
                "name_taken",
                f"is the name of a {name.kind} that {whose}",
                f"{free}, or {name.instead or 'give another name'}",
                name.name,
            )


def _same_project(owner: str | None, me: str) -> bool:
    return owner is not None and owner.partition("/")[0] == me.partition("/")[0]


def _free(owner: str | None, me: str, command: str) -> str:
    """Say how to free a name. A stack of this project keeps its data when it is taken down, a renamed one too."""
    if owner is not None and _same_project(owner, me):
        down = f"`make down STACK={owner.partition('/')[2]}`, or STACK={me.partition('/')[2]} if you renamed it to that"
        return f"take that stack down, which keeps its data ({down})"
    return f"remove it (`{command}`)"


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
