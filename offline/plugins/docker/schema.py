"""Describing a resource's properties in a table, and what follows from it: checks, the planned state, differences.

The rules are those of the official plugin's framework, in which nothing tells an unset value from a zero one: null, "",
0, false and an empty list are equal.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from .values import UNKNOWN, has_unknown

# Gives what is wrong with a value, in words, or None.
Rule = Callable[[Any], str | None]
Change = Literal["add", "update", "delete"]

DEFAULTS = "__defaults"
"""Where inputs have the names of those that the program did not give."""

_TYPES: dict[str, type] = {
    "text": str,
    "whole": int,
    "flag": bool,
    "list": list,
    "set": list,
    "map": dict,
    "object": dict,
}
_WORDS = {str: "a string", int: "a whole number", bool: "a boolean", list: "a list", dict: "a map"}


@dataclass(frozen=True)
class Field:
    """One property.

    Attributes:
        kind: its type; "set" is a list whose order means nothing.
        item: what a list or set holds; None for a map, which holds strings.
        fields: the properties of an object.
        required: whether the program must give it.
        replaces: whether a change of it makes a new resource. Of no effect within an object.
        computed: whether the engine fills it in when the program does not.
        output: whether it is only an output.
        default: the value when the program gives none.
        rule: what else must hold of a value.
    """

    kind: Literal["text", "whole", "flag", "list", "set", "map", "object"]
    item: "Field | None" = None
    fields: "Mapping[str, Field]" = field(default_factory=dict)
    required: bool = False
    replaces: bool = False
    computed: bool = False
    output: bool = False
    default: Any = None
    rule: Rule | None = None


Fields = Mapping[str, Field]


text = partial(Field, "text")
"""Describes a string."""
whole = partial(Field, "whole")
"""Describes a whole number."""
flag = partial(Field, "flag")
"""Describes a boolean."""
listing = partial(Field, "list")
"""Describes a list of an item."""
unordered = partial(Field, "set")
"""Describes a list of an item whose order means nothing."""
mapping = partial(Field, "map")
"""Describes a map of strings."""


def record(fields: Fields, **traits: Any) -> Field:
    """Describe an object."""
    return Field("object", fields=fields, **traits)


def replacing(fields: Fields) -> dict[str, Field]:
    """Give the same fields, each of which makes a new resource when it changes."""
    return {name: replace(described, replaces=True) for name, described in fields.items()}


def only(*, allowed: bool, **traits: Any) -> Field:
    """Describe a boolean of which only one value is implemented."""
    reason = f"must be {str(allowed).lower()}: the bundled plugin implements nothing else, the official one does"
    return flag(rule=lambda value: None if value is allowed else reason, **traits)


def one_of(*values: str) -> Rule:
    """Accept these values."""
    return lambda value: None if value in values else f"must be one of {', '.join(values)}, and is {value!r}"


def at_least(least: int) -> Rule:
    """Accept numbers from here on."""
    return lambda value: None if value >= least else f"must be at least {least}, and is {value}"


@dataclass(frozen=True)
class Failure:
    """What is wrong with one input. `path` is as the program writes it: "ports[0].internal"."""

    path: str
    reason: str


def check(fields: Fields, given: Mapping[str, Any], path: str = "") -> tuple[dict[str, Any], list[Failure]]:
    """Check inputs and fill in the defaults.

    Args:
        fields: the properties there are.
        given: the inputs as the program gives them; nulls count as not given.
        path: where these inputs are within the resource's.

    Returns:
        The inputs with defaults, the names of those under `__defaults`, and all failures. A property that is
        not implemented is one: ignored, it would be a setting that does nothing.
    """
    inputs: dict[str, Any] = {}
    failures: list[Failure] = []
    for name, value in given.items():
        described = fields.get(name)
        if value is None or name.startswith("__"):
            continue
        if described is None or described.output:
            reason = f"the bundled plugin does not implement `{name}`, which no stack of this project uses"
            failures.append(Failure(path + name, f"{reason}: leave it out, or use the official plugin, which knows it"))
            continue
        inputs[name], wrong = _check_value(described, value, path + name)
        failures += wrong
    missing = {name: described for name, described in fields.items() if inputs.get(name) is None}
    defaults = {name: described.default for name, described in missing.items() if described.default is not None}
    for name, described in missing.items():
        if described.required:
            failures.append(Failure(path + name, f"the property `{name}` is required by the bundled plugin"))
    return {**inputs, **defaults, DEFAULTS: sorted(defaults)}, failures


def _check_value(described: Field, value: Any, path: str) -> tuple[Any, list[Failure]]:
    if value == UNKNOWN:
        return value, []
    wanted = _TYPES[described.kind]
    fits = isinstance(value, wanted) and (wanted is not int or not isinstance(value, bool))
    if not fits:
        is_now = _WORDS.get(type(value), "a number")
        return value, [Failure(path, f"must be {_WORDS[wanted]}, and is {is_now}")]
    failures: list[Failure] = []
    if described.kind == "object":
        value, failures = check(described.fields, value, f"{path}.")
    elif described.item:
        checked = [_check_value(described.item, item, f"{path}[{index}]") for index, item in enumerate(value)]
        value, failures = [item for item, _ in checked], [one for _, wrong in checked for one in wrong]
    if not failures and described.rule and not has_unknown(value) and (reason := described.rule(value)):
        failures.append(Failure(path, reason))
    return value, failures


def plan(fields: Fields, inputs: Mapping[str, Any], prior: Mapping[str, Any]) -> dict[str, Any]:
    """Give the state that checked inputs ask for.

    Args:
        fields: the properties there are.
        inputs: checked inputs.
        prior: what stands for a property that the engine fills in: the recorded state, or `UNKNOWN` for each in the
            preview of a new resource.
    """
    return {name: _planned(described, inputs.get(name), prior.get(name)) for name, described in fields.items()}


def _planned(described: Field, value: Any, prior: Any = None) -> Any:
    if value is None:
        return prior if described.computed or described.output else None
    if described.kind == "object" and isinstance(value, dict):
        return {name: _planned(inner, value.get(name)) for name, inner in described.fields.items()}
    if described.item and isinstance(value, list):
        return [_planned(described.item, item) for item in value]
    return value


def canonical(described: Field, value: Any) -> Any:
    """Give a value that is the same for values that are equal; None for one that is as good as unset."""
    if described.kind == "object" and isinstance(value, dict):
        parts = {name: canonical(inner, value.get(name)) for name, inner in described.fields.items()}
        return parts if any(part is not None for part in parts.values()) else None
    if described.item and isinstance(value, list):
        items = [canonical(described.item, item) for item in value]
        return (sorted(items, key=json.dumps) if described.kind == "set" else items) or None
    return value or None


def compare(fields: Fields, old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Change]:
    """Find which properties change from a recorded state to a planned one, and how."""
    found: dict[str, Change] = {}
    for name, described in fields.items():
        before, after = canonical(described, old.get(name)), canonical(described, new.get(name))
        if before != after and not described.output:
            found[name] = "add" if before is None else "delete" if after is None else "update"
    return found


def refreshed(fields: Fields, inputs: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    """Bring recorded inputs up to date with a state that was read.

    Without inputs, as for an import, they are all that is neither default nor zero. A default that the state no longer
    shows is no default any more, as the drift belongs to the input then.
    """
    settable = {name: described for name, described in fields.items() if not described.output}
    result: dict[str, Any] = {}
    for name, described in settable.items():
        now = canonical(described, state.get(name))
        if not inputs and (described.required or now != canonical(described, described.default)):
            result[name] = state.get(name)
        elif name in inputs:
            result[name] = inputs[name] if now == canonical(described, inputs[name]) else state.get(name)
    kept = [name for name in inputs.get(DEFAULTS) or () if result.get(name) == inputs.get(name)]
    return {**result, DEFAULTS: kept}
