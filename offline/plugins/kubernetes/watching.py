"""Watching objects: one list and one watch for each kind and namespace, however many wait for something in it."""

from __future__ import annotations

import queue
import threading
import time
import weakref
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from .api import Api, StatusError
from .connection import UnreachableError
from .objects import Kind, Object, name_of, pluck, uid_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .discovery import Discovery

Change = Literal["ADDED", "MODIFIED", "DELETED"]
# Seconds until a broken watch is begun again: the first time, and at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
# Seconds that the first list may take before whoever waits for it goes on with what there is.
_FIRST_LIST_SECONDS = 30.0
EVENTS: Final = Kind("", "v1", "Event")


@dataclass(frozen=True)
class Key:
    """Which objects of a kind are wanted: by name, by an owner's UID, by the UID that an event is about; else all."""

    by: Literal["name", "owner", "about", "all"]
    value: str = ""


@dataclass(frozen=True)
class Event:
    """What happened to an object."""

    kind: Kind
    change: Change
    object: Object


def keys_of(obj: Object) -> set[Key]:
    """Give the keys under which an object is wanted."""
    keys = {Key("all"), Key("name", name_of(obj))}
    keys |= {Key("owner", str(owner.get("uid"))) for owner in pluck(obj, "metadata", "ownerReferences") or ()}
    about = pluck(obj, "involvedObject", "uid")
    return keys | {Key("about", about)} if about else keys


class Inbox:
    """Where the events for one who waits arrive. An empty event is a call to look up: the wait was cancelled."""

    def __init__(self) -> None:
        """Start empty."""
        self._queue: queue.SimpleQueue[Event | None] = queue.SimpleQueue()

    def put(self, event: Event | None) -> None:
        """Add an event."""
        self._queue.put(event)

    def get(self, seconds: float) -> Event | None:
        """Wait for the next event; None when there is none in time, or when the wait was cancelled."""
        try:
            return self._queue.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return None


class _Informer:
    """Keeps a copy of all objects of one kind in one namespace, and tells those who want one of each change."""

    def __init__(self, api: Api, kind: Kind, path: str, cancelled: threading.Event) -> None:
        self._api, self._kind, self._path, self._cancelled = api, kind, path, cancelled
        # Only warnings are shown, and a busy namespace has thousands of other events.
        self._query: Mapping[str, str] = {"fieldSelector": "type=Warning"} if kind == EVENTS else {}
        self._lock = threading.Lock()
        self._objects: dict[str, Object] = {}
        self._wanted: dict[Key, list[Inbox]] = {}
        self.listed = threading.Event()
        self.refused = False
        threading.Thread(target=self._run, daemon=True, name=f"watch {path}").start()

    def add(self, key: Key, inbox: Inbox) -> None:
        with self._lock:
            self._wanted.setdefault(key, []).append(inbox)
            for obj in self._objects.values():
                if key in keys_of(obj):
                    inbox.put(Event(self._kind, "ADDED", obj))

    def remove(self, key: Key, inbox: Inbox) -> None:
        with self._lock:
            self._wanted[key].remove(inbox)
            if not self._wanted[key]:
                del self._wanted[key]

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        version = ""
        while not self._cancelled.is_set():
            try:
                if not version:
                    version = self._list()
                for found in self._api.watch(self._path, self._query, version):
                    obj = found["object"]
                    version = str(pluck(obj, "metadata", "resourceVersion") or version)
                    if found["type"] != "BOOKMARK":
                        self._take(found["type"], obj)
                pause = _FIRST_PAUSE
            except StatusError as error:
                version = "" if error.gone or not self.listed.is_set() else version
                if error.forbidden:
                    self.refused = True
                    self.listed.set()
                    return
                self._cancelled.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            except UnreachableError:
                self._cancelled.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _list(self) -> str:
        """Read everything, and tell what changed since the last time."""
        found = self._api.get(self._path, {**self._query, "resourceVersion": "0"})
        named = {"apiVersion": self._kind.api_version, "kind": self._kind.name}  # a list's elements name neither
        now = {uid_of(obj): {**named, **obj} for obj in found.get("items") or ()}
        for uid in [uid for uid in self._objects if uid not in now]:
            self._take("DELETED", self._objects[uid])
        for obj in now.values():
            self._take("ADDED", obj)
        self.listed.set()
        return str(pluck(found, "metadata", "resourceVersion") or "0")

    def _take(self, change: Change, obj: Object) -> None:
        with self._lock:
            if change == "DELETED":
                self._objects.pop(uid_of(obj), None)
            else:
                self._objects[uid_of(obj)] = obj
            inboxes = {inbox for key in keys_of(obj) for inbox in self._wanted.get(key, ())}
            for inbox in inboxes:
                inbox.put(Event(self._kind, change, obj))


class Hub:
    """All watches of one cluster."""

    def __init__(self, api: Api, discovery: Discovery, cancelled: threading.Event) -> None:
        """Watch through `api` until `cancelled` is set."""
        self._api, self._discovery, self._cancelled = api, discovery, cancelled
        self._lock = threading.Lock()
        self._informers: dict[str, _Informer] = {}
        self._inboxes: weakref.WeakSet[Inbox] = weakref.WeakSet()

    @contextmanager
    def wanting(self, namespace: str, wants: Mapping[Kind, list[Key]]) -> Iterator[tuple[Inbox, bool]]:
        """Receive the events of the wanted objects of a namespace; begins with an event for each that is there.

        Args:
            namespace: "" for kinds that belong to none.
            wants: the wanted objects by kind. Of a kind that may not be listed and watched no event comes.

        Yields:
            The inbox, and whether the first kind may be watched.
        """
        inbox = Inbox()
        with self._lock:
            self._inboxes.add(inbox)
        informers = {kind: self._informer(kind, namespace) for kind in wants}
        deadline = time.monotonic() + _FIRST_LIST_SECONDS
        for informer in informers.values():
            # In short steps, since a cancelled wait may find an informer that has given up, or that hangs.
            while not informer.listed.wait(0.1) and not self._cancelled.is_set() and time.monotonic() < deadline:
                pass
        taken = [(informers[kind], key) for kind, keys in wants.items() for key in keys]
        for informer, key in taken:
            informer.add(key, inbox)
        try:
            yield inbox, not next(iter(informers.values())).refused
        finally:
            for informer, key in taken:
                informer.remove(key, inbox)

    def wake(self) -> None:
        """Make everyone who waits look up, to see that the wait was cancelled."""
        with self._lock:
            for inbox in self._inboxes:
                inbox.put(None)

    def _informer(self, kind: Kind, namespace: str) -> _Informer:
        path = self._discovery.find(kind).collection(namespace)
        with self._lock:
            if path not in self._informers:
                self._informers[path] = _Informer(self._api, kind, path, self._cancelled)
            return self._informers[path]
