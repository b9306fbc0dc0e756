"""The names that a stack uses on a Docker host, and whether somebody else has them already."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

import pulumi

from .. import labels, state
from ..jenkins import casc
from ..settings import Problem, Settings, SettingsError
from ..settings.problems import duplicate
from ..state import DOCKER_CI, Resources
from .dind import volume_of
from .engine import Engine

OWNER: Final = "owner"
"""What the name of the Stash ends with that keeps the CI's random id. It is no secret: each label `owner` has it."""

KINDS: Final[Mapping[str, str]] = {
    "docker:index/container:Container": "container",
    "docker:index/volume:Volume": "volume",
    "docker:index/network:Network": "network",
}
"""The kinds of things that a stack names, by their types in Pulumi."""


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

    network: str = ""
    """A container's network from its first day on, without which it works for nobody."""


@dataclass(frozen=True)
class Own:
    """What tells that something on the engine is a CI's own."""

    project: str
    stack: str

    id: str | None
    """The random id in the stack's state, which is the label `owner` of what it makes; None before the first update."""

    names: frozenset[tuple[str, str]]
    """The kind and name of each container, volume and network in the state."""

    @classmethod
    def of(cls, project: str, stack: str, last: Resources) -> Self:
        """Read it from what the last update left of the CI."""
        named = [(KINDS[each["type"]], each.get("outputs") or {}) for each in last.values() if each["type"] in KINDS]
        roots = [urn.rpartition("::")[2] for urn, each in last.items() if each["type"] == DOCKER_CI]
        ends = tuple(f":Stash::{name}" for name in (OWNER, *(f"{root}-{OWNER}" for root in roots)))
        ids = [each["outputs"]["output"] for urn, each in last.items() if urn.endswith(ends)]
        return cls(project, stack, next(iter(ids), None), frozenset((kind, str(it.get("name"))) for kind, it in named))

    def made(self, kind: str, name: str, marks: Mapping[str, str] | None) -> bool:
        """Return whether the stack made what has this name and these labels.

        What an earlier version made has no owner: then the state has to know the name. Of a volume it counts who uses
        it, since no two have one name.
        """
        if kind != "volume" and (owner := (marks or {}).get(labels.OWNER)):
            return owner == self.id
        known = kind == "volume" or (kind, name) in self.names
        return known and labels.owner(marks) == f"{self.project}/{self.stack}"

    def same_project(self, marks: Mapping[str, str] | None) -> bool:
        """Return whether these labels are of a stack of the same project."""
        return (labels.owner(marks) or "").partition("/")[0] == self.project


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
    yield ManagedName("container", name, key)
    for agent in casc.agents(jenkins):
        yield ManagedName("container", f"{name}-{agent}", key, network=f"{name}-agents")
    if jenkins.agents:
        yield ManagedName("network", f"{name}-agents", key)
        yield ManagedName("volume", f"{name}-agents", key)
        yield ManagedName("volume", f"{name}-agents-secrets", key)
    if docker.access == "proxy":
        yield ManagedName("container", docker.proxy.container_name, "ci:docker.proxy.containerName")
        yield ManagedName("volume", docker.proxy.container_name, "ci:docker.proxy.containerName")
    if docker.access == "dind":
        name, key = docker.dind.container_name, "ci:docker.dind.containerName"
        yield ManagedName("container", name, key, network=name)
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


def claim(root: str, settings: Settings) -> None:
    """Raise SettingsError if another CI of this program has one of the names. Two on one home would spoil it."""
    claims, problems = state.claims(), list[Problem]()
    for name in of(settings):
        other = claims.setdefault((settings.docker.host, name.kind, name.name), root)
        if other != root:
            problems.append(duplicate(name.key, name.name, f"the CI {other!r} of this program", "give another name"))
    if problems:
        raise SettingsError(pulumi.get_stack(), problems)


def conflicts(
    names: Iterable[ManagedName], engine: Engine, containers: Sequence[Mapping[str, Any]], own: Own
) -> Iterator[Problem]:
    """Return a problem for each name under which the engine has something that the stack can't go on with.

    A volume keeps the labels of the stack that made it first, since Docker cannot change them. So what counts is who
    uses it: no two stacks may have containers on one volume, and an unused one may go to another stack of the project.

    A job with the engine's socket can give its container any name and label. So no label becomes part of a message.

    containers: all of the engine's. Raises EngineError.
    """
    for name in names:
        rivals = [
            entry["Id"][:12] for entry in containers if name.kind == "volume" and _rival(entry, name.name, own, engine)
        ]
        found, marks = _find(name, engine, containers)
        ours = own.made(name.kind, name.name, marks)
        what, rm = (rivals or [name.name])[0], "rm -f" if rivals or name.kind == "container" else f"{name.kind} rm"
        remove = f"remove it (`docker {rm} {what}`)"
        look = f"look at it (`docker inspect {what}`) and take down the stack that made it, which keeps its data"
        look += f" (`make down STACK={own.stack}` if you renamed this one), or {remove}"
        if rivals:
            wrong = f"is in use by the container {what}, whose labels say that another stack made it"
            yield Problem(name.key, "in_use", wrong, f"{look}, or give another name", name.name)
        elif found and ours and name.kind != "volume" and (name.kind, name.name) not in own.names:
            wrong = f"is the name of a {name.kind} that this stack made, but that its state does not know"
            instead = f"run `make recover STACK={own.stack}`, or {remove}: what it keeps is on volumes"
            yield Problem(name.key, "not_in_state", wrong, instead, name.name)
        elif found and not (ours or name.adopted or (name.retained and own.same_project(marks))):
            maker = "another stack or clone" if own.same_project(marks) else "no stack of this project"
            instead = f"{look if own.same_project(marks) else remove}, or {name.instead or 'give another name'}"
            wrong = f"is the name of a {name.kind} that {maker} made"
            yield Problem(name.key, "name_taken", wrong, instead, name.name)
        elif found and name.kind == "container":
            yield from _by_hand(name, next(entry for entry in containers if f"/{name.name}" in entry["Names"]))


def _by_hand(name: ManagedName, container: Mapping[str, Any]) -> Iterator[Problem]:
    """Return what somebody did to the stack's own container that Pulumi's plugin does not see."""
    networks = container.get("NetworkSettings", {}).get("Networks") or {}
    if container.get("State") == "paused":
        yield Problem(name.key, "by_hand", "is paused", f"run `docker unpause {name.name}`", name.name)
    elif container.get("State") == "running" and name.network and name.network not in networks:
        instead = f"run `docker rm -f {name.name}` and update again, which makes it anew"
        yield Problem(name.key, "by_hand", f"was disconnected from its network {name.network}", instead, name.name)


def _rival(container: Mapping[str, Any], volume: str, own: Own, engine: Engine) -> bool:
    """Return whether a container is another stack's and uses this volume.

    Containers of jobs belong to no stack, also those that have its labels from their image: a stack gives them to the
    container itself. One that never ran has not used the volume, whatever its labels say.
    """
    marks, name = container.get("Labels") or {}, container["Names"][0].removeprefix("/")
    if labels.owner(marks) is None or container.get("State") == "created" or own.made("container", name, marks):
        return False
    if not any(mount.get("Name") == volume for mount in container.get("Mounts", ())):
        return False
    return labels.owner(dict(marks.items() - engine.image_labels(container["ImageID"]).items())) is not None


def _find(
    name: ManagedName, engine: Engine, containers: Sequence[Mapping[str, Any]]
) -> tuple[bool, Mapping[str, str] | None]:
    """Return whether there is such a thing, and its labels."""
    if name.kind == "container":
        found = next((entry for entry in containers if f"/{name.name}" in entry.get("Names", ())), None)
    else:
        found = engine.volume(name.name) if name.kind == "volume" else engine.network(name.name)
    return found is not None, (found or {}).get("Labels")
