"""Reads the stack's state: what the last update left, also before the first registration of a run."""

import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


_STACK: Final = "pulumi:pulumi:Stack"

DOCKER_CI: Final = "ci:docker:DockerCi"
KUBERNETES_CI: Final = "ci:kubernetes:KubernetesCi"
"""The types of the root components. Each has everything of one CI."""

NAME: Final = "ci"
"""The name of the root component of this project's own program. The names of all in it begin with `ci-`."""

_ROOTS: Final = frozenset((DOCKER_CI, KUBERNETES_CI))


@dataclass(frozen=True)
class Last:
    """What the last update left of one CI."""

    outputs: Mapping[str, Any]
    """The outputs of its last successful update; none before that."""

    resources: Resources


def of_root(name: str) -> Last:
    """Return what the last update left of the CI whose root component has this name; nothing before the first.

    Up to 0.1.0 a stack had no root component and was one CI. What such a stack left is that of any root component,
    until an update has moved all of it into one.
    """
    state = resources()
    roots = {urn: _name(urn) for urn in state if _types(urn)[-1] in _ROOTS}
    outermost = {_types(urn)[0] for urn in state}
    former = any(kind.startswith(("ci:docker:", "ci:kubernetes:")) for kind in outermost - _ROOTS)

    def owner(urn: str) -> str | None:
        if _ROOTS.isdisjoint(_types(urn)):
            return name if former else None
        # "a-b-host" is of the root "a-b" if there is one, and else of "a".
        names = (root for root in roots.values() if f"{_name(urn)}-".startswith(f"{root}-"))
        return max(names, key=len, default=None)

    outputs = next((state[urn].get("outputs") or {} for urn, root in roots.items() if root == name), {})
    if not any(state[urn].get("outputs") for urn in roots) and (former or roots or name == NAME):
        # The first update with a root component is not done, or failed; or a restore has put back only what it keeps.
        exports = next((each.get("outputs") or {} for each in state.values() if each.get("type") == _STACK), {})
        outputs = exports if {"platform", "images"} <= exports.keys() else {}
    return Last(outputs, {urn: each for urn, each in state.items() if owner(urn) == name})


def claims() -> dict[tuple[str, ...], str]:
    """Return what the root components of this run have so far that no two may have, each with the root's name."""
    return _claims(get_monitor())


@functools.lru_cache(maxsize=1)
def _claims(_: object) -> dict[tuple[str, ...], str]:
    return {}


def _types(urn: str) -> Sequence[str]:
    """Return the type of a resource behind those of its parents."""
    return urn.split("::", 3)[2].split("$")


def _name(urn: str) -> str:
    return urn.split("::", 3)[3]


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
