"""Describing a resource's properties in a table, and what follows from it: checks, the planned state, differences.

The rules are those of the official plugin's framework, in which nothing tells an unset value from a zero one: null, "",
0, false and an empty list are equal. Types and values are not looked at: the program's settings and the classes of
pulumi_docker have seen to them, and the engine has the last word.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pulumi.runtime.proto.provider_pb2 import CheckFailure
from pulumi.runtime.proto.provider_pb2 import PropertyDiff as Diff

DEFAULTS = "__defaults"
"""Where inputs have the names of those that the program did not give."""


@dataclass(frozen=True)
class Field:
    """One property.

    Attributes:
        fields: the properties of the object that it is, or of each object in the list that it is.
        unordered: whether it is a list whose order means nothing.
        required: whether the program must give it.
        replaces: whether a change of it makes a new resource. Of no effect within an object.
        computed: whether the engine fills it in when the program does not.
        output: whether it is only an output.
        default: the value when the program gives none.
        only: the one value that is implemented, if there is but one.
    """

    fields: "Fields | None" = None
    unordered: bool = False
    required: bool = False
    replaces: bool = False
    computed: bool = False
    output: bool = False
    default: Any = None
    only: bool | None = None


Fields = Mapping[str, Field]


def replacing(fields: Fields) -> dict[str, Field]:
    """Give the same fields, each of which makes a new resource when it changes."""
    return {name: replace(described, replaces=True) for name, described in fields.items()}


def check(fields: Fields, given: Mapping[str, Any], path: str = "") -> tuple[dict[str, Any], list[CheckFailure]]:
    """Check inputs and fill in the defaults.

    Args:
        fields: the properties there are.
        given: the inputs as the program gives them; nulls count as not given.
        path: where these inputs are within the resource's.

    Returns:
        The inputs with defaults, and all failures, each property named as in "ports[0].internal". One that is not
        implemented is a failure: ignored, it would be a setting that does nothing.
    """
    inputs: dict[str, Any] = {}
    failures: list[CheckFailure] = []

    def fail(name: str, reason: str) -> None:
        failures.append(CheckFailure(property=path + name, reason=reason))

    for name, value in given.items():
        described = fields.get(name)
        if value is None or name.startswith("__"):
            continue
        if described is None or described.output:
            reason = f"the bundled plugin does not implement `{name}`, which no stack of this project uses"
            fail(name, f"{reason}: leave it out, or use the official plugin, which knows it")
            continue
        inputs[name], wrong = _check_value(described, value, path + name)
        failures += wrong
    for name, described in fields.items():
        if described.default is not None:
            inputs.setdefault(name, described.default)
        if described.required and name not in inputs:
            fail(name, f"the property `{name}` is required by the bundled plugin")
        if described.only not in (None, inputs.get(name)):
            fail(name, f"must be {str(described.only).lower()}: only the official plugin implements the other")
    return inputs, failures


def _check_value(described: Field, value: Any, path: str) -> tuple[Any, list[CheckFailure]]:
    if isinstance(value, list):
        checked = [_check_value(described, item, f"{path}[{index}]") for index, item in enumerate(value)]
        return [item for item, _ in checked], [one for _, wrong in checked for one in wrong]
    if isinstance(value, dict) and described.fields is not None:
        return check(described.fields, value, f"{path}.")
    return value, []


def plan(fields: Fields, inputs: Mapping[str, Any], prior: Mapping[str, Any]) -> dict[str, Any]:
    """Give the state that checked inputs ask for.

    Args:
        fields: the properties there are.
        inputs: checked inputs.
        prior: what stands for a property that the engine fills in: the recorded state, or `UNKNOWN` for each in the
            preview of a new resource.
    """
    filled = {name: prior.get(name) for name, described in fields.items() if described.computed or described.output}
    return {name: inputs[name] if name in inputs else filled.get(name) for name in fields}


def canonical(described: Field, value: Any) -> Any:
    """Give a value that is the same for values that are equal; None for one that is as good as unset."""
    if isinstance(value, list):
        items = [canonical(described, item) for item in value]
        return (sorted(items, key=json.dumps) if described.unordered else items) or None
    if isinstance(value, dict) and described.fields is not None:
        parts = {name: canonical(inner, value.get(name)) for name, inner in described.fields.items()}
        return parts if any(part is not None for part in parts.values()) else None
    return value or None


def compare(fields: Fields, old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, int]:
    """Find which properties change from a recorded state to a planned one, and how, as PropertyDiff has it."""
    found: dict[str, int] = {}
    for name, described in fields.items():
        before, after = canonical(described, old.get(name)), canonical(described, new.get(name))
        if before != after and not described.output:
            found[name] = Diff.ADD if before is None else Diff.DELETE if after is None else Diff.UPDATE
    return found


def refreshed(fields: Fields, inputs: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    """Bring recorded inputs up to date with a state that was read.

    A default that the state no longer shows is no default any more, as the drift belongs to the input then.
    """
    result = {}
    for name in fields.keys() & inputs.keys():
        same = canonical(fields[name], state.get(name)) == canonical(fields[name], inputs[name])
        result[name] = inputs[name] if same else state.get(name)
    return {**result, DEFAULTS: [name for name in inputs.get(DEFAULTS) or () if result.get(name) == inputs.get(name)]}
