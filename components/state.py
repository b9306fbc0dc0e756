"""Reads the stack's state: what the last update left, also before the first registration of a run."""

import functools
import time
from collections.abc import Mapping
from typing import Any, Final

import pulumi
from pulumi.runtime import invoke
from pulumi.runtime.settings import get_monitor

_READ: Final = "pulumi:pulumi:readStackResourceOutputs"
"""A function of the engine. Returns each resource of the state by URN."""

_TRIES: Final = 20
_PAUSE_SECONDS: Final = 0.05
"""A file backend can't be read while the engine writes the state, which it does at the start of an update."""

Resources = Mapping[str, Mapping[str, Any]]
"""Each resource's `type` and `outputs`, by its URN."""


def resources() -> Resources:
    """Return the resources of the state; none before the first update.

    The engine reads its whole state for this, so it is asked once in a run.
    """
    return _read(get_monitor())


@functools.lru_cache(maxsize=1)
def _read(_: object) -> Resources:
    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    found: Resources = (_ask({"stackName": name}) or {}).get("outputs") or {}
    return found


def _ask(question: Mapping[str, Any]) -> Any:  # noqa: ANN401 - what the engine answers
    for left in reversed(range(_TRIES)):
        try:
            return invoke(_READ, dict(question)).value
        except Exception as error:  # the SDK's own class
            if not left or "failed to load checkpoint" not in str(error):
                raise
            time.sleep(_PAUSE_SECONDS)
    raise AssertionError
