"""Waiting for an object to be gone."""

from __future__ import annotations

import time

from ..api import StatusError
from ..connection import UnreachableError
from ..objects import Kind, Object, name_of, namespace_of, pluck, uid_of
from ..watching import EVENTS, Key
from .base import DEFAULT_SECONDS, NotReadyError, Scene

# Seconds between two looks at an object that may not be watched, or whose watch may have missed its end.
_LOOK_SECONDS = 2.0


def await_deleted(scene: Scene, seconds: float | None) -> None:
    """Wait until an object is gone, or has given way to another of the same name.

    Raises:
        NotReadyError: it took too long, or the user cancelled; says which finalizers are left.
    """
    deadline = time.monotonic() + (seconds if seconds is not None else DEFAULT_SECONDS)
    wants = {
        Kind.of(scene.current): [Key("name", name_of(scene.current))],
        EVENTS: [Key("about", uid_of(scene.current))],
    }
    with scene.hub.wanting(namespace_of(scene.current), wants) as (inbox, _):
        left = scene.current
        looked = 0.0
        while True:
            if time.monotonic() - looked >= _LOOK_SECONDS:
                found = _look(scene)
                if found is None:
                    return
                left, looked = found or left, time.monotonic()
            now = time.monotonic()
            if scene.cancelled.is_set() or now >= deadline:
                raise _still_there(scene, left)
            event = inbox.get(min(deadline - now, looked + _LOOK_SECONDS - now))
            if event is None or uid_of(event.object) != uid_of(scene.current):
                continue
            if event.change == "DELETED":
                return
            left = event.object
            for condition in pluck(left, "status", "conditions") or ():
                if condition.get("status") == "True" and condition.get("message"):
                    scene.status.tell(condition["message"])


def _look(scene: Scene) -> Object | None:
    """Read the object: None when it is gone, nothing when nobody can say."""
    try:
        found = scene.api.get(scene.path())
    except StatusError as error:
        return None if error.not_found else {}
    except UnreachableError:
        return {}
    mine = uid_of(scene.current)
    return None if mine and uid_of(found) != mine else found


def _still_there(scene: Scene, left: Object) -> NotReadyError:
    finalizers = ", ".join(pluck(left, "metadata", "finalizers") or ())
    reason = f"finalizers might be preventing deletion ({finalizers})"
    scene.status.keep(reason)
    message = "context canceled" if scene.cancelled.is_set() else "timed out waiting for the condition"
    return NotReadyError(message, left, [reason])
