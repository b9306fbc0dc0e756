"""Waiting for an object to be ready: the loop, its end, and what a kind has to say to it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final

from ...rpc import Log, PluginError
from ..api import StatusError
from ..connection import UnreachableError
from ..objects import Kind, Object, name_of, namespace_of, owned_by, pluck, uid_of
from ..watching import EVENTS, Event, Inbox, Key

if TYPE_CHECKING:
    import threading

    from ..api import Api
    from ..discovery import Discovery
    from ..watching import Hub

# Seconds that an object may take to be ready or gone when nobody says otherwise; the official plugin's number.
DEFAULT_SECONDS: Final = 600.0
# Seconds between two times that what is wrong with a workload's pods is shown; the official plugin's number.
_TELL_SECONDS = 10.0
# Seconds between two looks at an object that may be read but not watched.
_LOOK_SECONDS = 1.0

POD: Final = Kind("", "v1", "Pod")


class NotReadyError(PluginError):
    """An object is there, but not as it should be.

    Attributes:
        object: how it was last seen.
        reasons: what is wrong, one by one.
    """

    def __init__(self, message: str, obj: Object, reasons: list[str]) -> None:
        """Keep what is wrong."""
        super().__init__(message)
        self.object, self.reasons = obj, reasons


class Status:
    """The status line of one resource, and its lasting messages: none of them is shown twice."""

    def __init__(self, log: Log, urn: str) -> None:
        """Log against the resource `urn`."""
        self._log, self._urn = log, urn
        self._told: set[tuple[str, str]] = set()

    def tell(self, message: str, severity: str = "INFO") -> None:
        """Show what is going on, for as long as it is."""
        if (severity, message) not in self._told:
            self._told.add((severity, message))
            self._log.send(message, urn=self._urn, severity=severity, ephemeral=True)

    def keep(self, message: str, severity: str = "WARNING") -> None:
        """Show a message that stays."""
        if (severity, message) not in self._told:
            self._told.add((severity, message))
            self._log.send(message, urn=self._urn, severity=severity)

    def clear(self) -> None:
        """Take the last status away."""
        self._log.send("", urn=self._urn, ephemeral=True)


@dataclass(frozen=True)
class Scene:
    """What is needed to wait for one object.

    Attributes:
        api: the API server.
        discovery: its kinds.
        hub: its watches.
        cancelled: set when the user has had enough.
        status: what the user sees.
        current: the object as it was just made, changed or read.
        previous: the object before it was changed; None when it was made.
        inputs: the inputs.
    """

    api: Api
    discovery: Discovery
    hub: Hub
    cancelled: threading.Event
    status: Status
    current: Object
    previous: Object | None = None
    inputs: Object = field(default_factory=dict)

    def path(self) -> str:
        """Give the object's path."""
        return self.discovery.find(Kind.of(self.current)).path(namespace_of(self.current), name_of(self.current))


class Awaiter(ABC):
    """What it means for an object of some kind to be ready.

    Attributes:
        object: the object as it was last seen.
        failure: set when it can never be ready any more.
    """

    # Seconds that it may take, unless the resource says otherwise; None for the ordinary.
    seconds: ClassVar[float | None] = None
    # Whether reading an object (refresh, import) also asks whether it is ready.
    reads: ClassVar[bool] = True

    def __init__(self, scene: Scene) -> None:
        """Wait within `scene`."""
        self.scene = scene
        self.object = scene.current
        self.failure = False
        self.events: list[str] = []

    def related(self) -> Mapping[Kind, list[Key]]:
        """Give the other objects that have a say in it."""
        return {}

    @abstractmethod
    def see(self, obj: Object) -> None:
        """Take note of the object as it is now."""

    def see_related(self, event: Event) -> None:  # noqa: B027 (most kinds have none)
        """Take note of one of the other objects."""

    @abstractmethod
    def ready(self) -> bool:
        """Say whether it is ready."""

    def reasons(self) -> list[str]:
        """Say what is wrong while it is not ready."""
        return []

    def tick(self) -> None:  # noqa: B027 (most kinds show it as it happens)
        """Show what is wrong so far; called every ten seconds."""

    def next_seconds(self) -> float | None:
        """Give the seconds until `ready` may be true without any event; None when it can't."""
        return None

    def at_the_end(self) -> bool:
        """Say whether an object that is not ready when the time is up, or the user's patience, will do."""
        return False

    def take(self, event: Event) -> None:
        """Sort an event: of the object itself, about it, or of another."""
        if event.kind == EVENTS:
            message = f"{event.object.get('reason')}: {event.object.get('message')}"
            self.events.append(message)
            self.scene.status.tell(message, "WARNING")
        elif event.kind == Kind.of(self.scene.current) and name_of(event.object) == name_of(self.scene.current):
            if self._is_this(event.object):
                self.object = event.object
                if event.change != "DELETED":
                    self.see(event.object)
        else:
            self.see_related(event)

    def _is_this(self, obj: Object) -> bool:
        """Tell the object from one of the same name before it, and from its own past."""
        mine = self.scene.current
        old = (pluck(obj, "metadata", "generation") or 0) < (pluck(mine, "metadata", "generation") or 0)
        return not old and (not uid_of(mine) or uid_of(obj) == uid_of(mine))


def await_ready(awaiter: Awaiter, seconds: float | None) -> Object:
    """Wait until an object is ready; give it as it is then.

    Raises:
        NotReadyError: it failed, took too long, or the user cancelled.
    """
    scene = awaiter.scene
    kind, namespace = Kind.of(scene.current), namespace_of(scene.current)
    limit = seconds if seconds is not None else awaiter.seconds or DEFAULT_SECONDS
    deadline = time.monotonic() + limit
    mine: dict[Kind, list[Key]] = {kind: [Key("name", name_of(scene.current))]}
    related = {**awaiter.related(), EVENTS: [Key("about", uid_of(scene.current))]}
    wants = {**mine, **{other: [*mine.get(other, []), *keys] for other, keys in related.items()}}
    awaiter.see(scene.current)
    with scene.hub.wanting(namespace, wants) as (inbox, watched):
        _loop(awaiter, inbox, deadline, watched=watched)
    return awaiter.object


def _loop(awaiter: Awaiter, inbox: Inbox, deadline: float, *, watched: bool) -> None:
    told = time.monotonic()
    while not awaiter.ready():
        if awaiter.failure:
            message = f"Resource '{name_of(awaiter.object)}' was created but failed to initialize"
            raise NotReadyError(message, awaiter.object, awaiter.reasons())
        if awaiter.scene.cancelled.is_set():
            if awaiter.at_the_end():
                return
            message = f'Resource operation was cancelled for "{name_of(awaiter.object)}"'
            raise NotReadyError(message, awaiter.object, [*awaiter.reasons(), *awaiter.events])
        now = time.monotonic()
        if now >= deadline:
            if awaiter.at_the_end():
                return
            message = f"'{name_of(awaiter.object)}' timed out waiting to be Ready"
            raise NotReadyError(message, awaiter.object, [*awaiter.reasons(), *awaiter.events])
        if now - told >= _TELL_SECONDS:
            awaiter.tick()
            told = now
        patience = min(deadline - now, told + _TELL_SECONDS - now, awaiter.next_seconds() or _TELL_SECONDS)
        event = inbox.get(patience if watched else min(patience, _LOOK_SECONDS))
        if event is not None:
            awaiter.take(event)
        elif not watched:
            _look(awaiter)


def _look(awaiter: Awaiter) -> None:
    try:
        found = awaiter.scene.api.get(awaiter.scene.path())
    except (StatusError, UnreachableError):
        return
    awaiter.take(Event(Kind.of(awaiter.scene.current), "MODIFIED", found))


def check_read(awaiter: Awaiter) -> None:
    """Ask once whether an object that was just read is ready.

    Raises:
        NotReadyError: it is not.
    """
    scene = awaiter.scene
    awaiter.see(scene.current)
    if awaiter.ready():
        scene.status.clear()
        return
    for kind, keys in ({} if awaiter.failure else awaiter.related()).items():
        for obj in _read_related(scene, kind, keys):
            awaiter.see_related(Event(kind, "ADDED", obj))
    if not awaiter.ready():
        message = f"Resource '{name_of(awaiter.object)}' was created but failed to initialize"
        raise NotReadyError(message, awaiter.object, awaiter.reasons())
    scene.status.clear()


def _read_related(scene: Scene, kind: Kind, keys: list[Key]) -> list[Object]:
    """Read the other objects that have a say; those that may not be read have none."""
    resource = scene.discovery.find(kind)
    namespace = namespace_of(scene.current)
    named = {"apiVersion": kind.api_version, "kind": kind.name}
    try:
        if all(key.by == "name" for key in keys):
            return [scene.api.get(resource.path(namespace, key.value)) for key in keys]
        return [{**named, **obj} for obj in scene.api.get(resource.collection(namespace)).get("items") or ()]
    except (StatusError, UnreachableError):
        return []


def read_owned(scene: Scene, kind: Kind, owner: Object) -> list[Object]:
    """Read the objects of a kind that belong to another; none when they may not be read."""
    found = _read_related(scene, kind, [Key("owner", uid_of(owner))])
    return [obj for obj in found if owned_by(obj, uid_of(owner))]


Make = Callable[[Scene], Awaiter]
