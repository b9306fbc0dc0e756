"""Waiting for what the annotation `pulumi.com/waitFor` names: conditions, or values at a JSONPath."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, ClassVar

from ...rpc import PluginError
from ..objects import Object, pluck
from .base import Awaiter, Scene

_STEP = re.compile(
    r"""\.([A-Za-z_$][\w$-]*) | \[\s*(?:'([^']*)'|"([^"]*)")\s*\] | \[\s*(\d+)\s*\]
      | \[\s*\?\s*\(?\s*@\.([\w.]+)\s*==\s*(?:'([^']*)'|"([^"]*)")\s*\)?\s*\]""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class _Where:
    """The elements of a list of which a field has a value: [?(@.type=="Ready")]."""

    field: tuple[str, ...]
    value: str


_Path = tuple[str | int | _Where, ...]


@dataclass(frozen=True)
class _Condition:
    text: str
    type: str
    status: str

    def holds(self, obj: Object) -> bool:
        for one in pluck(obj, "status", "conditions") or ():
            if str(one.get("type", "")).lower() != self.type.lower():
                continue
            seen = one.get("observedGeneration") or pluck(obj, "status", "observedGeneration")
            if seen is not None and seen < (pluck(obj, "metadata", "generation") or 0):
                return False
            return str(one.get("status", "")).lower() == self.status.lower()
        return False


@dataclass(frozen=True)
class _Value:
    text: str
    path: _Path
    value: str

    def holds(self, obj: Object) -> bool:
        seen = pluck(obj, "status", "observedGeneration")
        if seen is not None and seen < (pluck(obj, "metadata", "generation") or 0):
            return False
        found = _select(obj, self.path)
        if found is None:
            return False
        if isinstance(found, dict | list):
            if self.value:
                raise PluginError(f"pulumi.com/waitFor: {self.text} is not a single value")
            return True
        text = str(found).lower() if isinstance(found, bool) else str(found)
        return not self.value or text == self.value


def _select(obj: Any, path: _Path) -> Any:
    for step in path:
        if isinstance(step, _Where):
            elements = obj if isinstance(obj, list) else ()
            obj = next((one for one in elements if str(pluck(one, *step.field)) == step.value), None)
        else:
            obj = pluck(obj, step)
    return obj


def parse(text: str) -> list[_Condition | _Value]:
    """Read the annotation: one expression, or a JSON list of them, all of which must hold.

    Raises:
        PluginError: an expression that is none, with the ones there are.
    """
    try:
        given = json.loads(text)
    except ValueError:
        given = text
    expressions = given if isinstance(given, list) else [text]
    if not expressions:
        raise PluginError("pulumi.com/waitFor: at least one condition must be specified")
    return [_parse_one(str(expression)) for expression in expressions]


def _parse_one(text: str) -> _Condition | _Value:
    if text.startswith("condition="):
        type_, _, status = text.removeprefix("condition=").partition("=")
        return _Condition(text, type_, status or "True")
    found = re.fullmatch(r"jsonpath=\{\s*\$?(.*?)\s*\}(?:=(.+))?", text)
    if not found:
        expected = '"condition=Ready", "condition=Ready=False", "jsonpath={.status.phase}" or "jsonpath={...}=Running"'
        raise PluginError(f"pulumi.com/waitFor: {text!r} is no condition; write {expected}")
    return _Value(text, _parse_path(found[1], text), found[2] or "")


def _parse_path(path: str, text: str) -> _Path:
    steps: list[str | int | _Where] = []
    at = 0
    while at < len(path):
        step = _STEP.match(path, at)
        if not step:
            kinds = 'fields (.a), names (["a"]), indexes ([0]) and one filter ([?(@.type=="Ready")])'
            raise PluginError(f"pulumi.com/waitFor: the bundled plugin cannot read {text!r}; it knows {kinds}")
        name, quoted, double, index, field, value, other = step.groups()
        if index is not None:
            steps.append(int(index))
        elif field is not None:
            steps.append(_Where(tuple(field.split(".")), value if value is not None else other))
        else:
            steps.append(next(one for one in (name, quoted, double) if one is not None))
        at = step.end()
    return tuple(steps)


class CustomAwaiter(Awaiter):
    """An object is ready when all that its annotation names holds."""

    reads: ClassVar[bool] = False

    def __init__(self, scene: Scene, expressions: list[_Condition | _Value]) -> None:
        """Wait for the expressions."""
        super().__init__(scene)
        self._expressions = expressions

    def see(self, obj: Object) -> None:
        """Take it as it is: the question is asked of the newest."""
        self.object = obj

    def ready(self) -> bool:
        """Say whether all hold."""
        waiting = self.reasons()
        for text in waiting:
            self.scene.status.tell(text)
        return not waiting

    def reasons(self) -> list[str]:
        """Give what does not hold yet."""
        return [f"Waiting for {one.text}" for one in self._expressions if not one.holds(self.object)]
