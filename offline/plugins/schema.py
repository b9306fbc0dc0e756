"""Describing a resource's properties in a table, and checking a program's inputs against it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from .values import UNKNOWN, has_unknown

Kind = Literal["text", "whole", "flag", "list", "set", "map", "object"]
# Gives what is wrong with a value, in words, or None.
Rule = Callable[[Any], str | None]
# Says whether a change from an old to a new value is none, although they differ.
Same = Callable[[Any, Any], bool]

DEFAULTS = "__defaults"
# Keys of the engine and of the official plugin's state, which are no properties.
RESERVED = frozenset({DEFAULTS, "__meta", "__pulumi_raw_state_delta", "__internal", "__inputs", "id"})


@dataclass(frozen=True)
class Field:
    """One property.

    Attributes:
        kind: its type; "set" is a list whose order means nothing.
        item: what a list, set or map holds.
        fields: the properties of an object.
        required: whether the program must give it.
        replaces: whether a change of it makes a new resource.
        computed: whether the engine fills it in when the program does not.
        output: whether it is only an output.
        default: the value when the program gives none.
        rule: what else must hold of a value.
        same: when a difference is no change.
        at: where the engine's API has it, if it is there as it is: "Config.User", "HostConfig.Dns".
        unit: how many of the API's units are one of the property's.
    """

    kind: Kind
    item: Field | None = None
    fields: Mapping[str, Field] = field(default_factory=dict)
    required: bool = False
    replaces: bool = False
    computed: bool = False
    output: bool = False
    default: Any = None
    rule: Rule | None = None
    same: Same | None = None
    at: str = ""
    unit: int = 1

    def empty(self) -> Any:
        """Give the value of this property in the state when nobody has set it."""
        return [] if self.kind in ("list", "set") and self.item and self.item.kind == "object" else None


Fields = Mapping[str, Field]


def text(**traits: Any) -> Field:
    """Describe a string."""
    return Field("text", **traits)


def whole(**traits: Any) -> Field:
    """Describe a whole number."""
    return Field("whole", **traits)


def flag(**traits: Any) -> Field:
    """Describe a boolean."""
    return Field("flag", **traits)


def listing(item: Field, **traits: Any) -> Field:
    """Describe a list."""
    return Field("list", item=item, **traits)


def unordered(item: Field, **traits: Any) -> Field:
    """Describe a list whose order means nothing."""
    return Field("set", item=item, **traits)


def mapping(**traits: Any) -> Field:
    """Describe a map of strings."""
    return Field("map", item=text(), **traits)


def record(fields: Fields, **traits: Any) -> Field:
    """Describe an object."""
    return Field("object", fields=fields, **traits)


def replacing(fields: Fields) -> dict[str, Field]:
    """Give the same fields, each of which makes a new resource when it changes."""
    return {name: replace(described, replaces=True) for name, described in fields.items()}


@dataclass(frozen=True)
class Failure:
    """What is wrong with one input. `path` is as the program writes it: "ports[0].internal"."""

    path: str
    reason: str


_WORDS = {"text": "a string", "whole": "a whole number", "flag": "a boolean", "list": "a list", "set": "a list"}
_WORDS |= {"map": "a map", "object": "an object"}


def check(fields: Fields, given: Mapping[str, Any], path: str = "") -> tuple[dict[str, Any], list[Failure]]:
    """Check inputs and fill in the defaults.

    Args:
        fields: the properties there are.
        given: the inputs as the program gives them; nulls count as not given.
        path: where these inputs are within the resource's.

    Returns:
        The inputs with defaults, the names of those under `__defaults`, and all failures: a property that is
        not there or not implemented is one, with the nearest name.
    """
    inputs: dict[str, Any] = {}
    failures: list[Failure] = []
    for name, value in given.items():
        if name in RESERVED or value is None:
            continue
        described = fields.get(name)
        if described is None or described.output:
            failures.append(Failure(path + name, _unknown_name(fields, name)))
            continue
        inputs[name], wrong = _check_value(described, value, path + name)
        failures += wrong
    defaults = []
    for name, described in fields.items():
        if name in inputs:
            continue
        if described.required:
            failures.append(Failure(path + name, f"the property `{name}` is required, and missing"))
        elif described.default is not None:
            inputs[name] = described.default
            defaults.append(name)
    inputs[DEFAULTS] = sorted(defaults)
    return inputs, failures


def _unknown_name(fields: Fields, name: str) -> str:
    inputs = [known for known, described in fields.items() if not described.output]
    near = difflib.get_close_matches(name, inputs, n=1)
    hint = f"; did you mean `{near[0]}`?" if near else ""
    return f"the property `{name}` is not implemented by the bundled plugin (it would be ignored){hint}"


def _check_value(described: Field, value: Any, path: str) -> tuple[Any, list[Failure]]:
    if value is UNKNOWN:
        return value, []
    converted, fits = _convert(described.kind, value)
    if not fits:
        return value, [Failure(path, f"must be {_WORDS[described.kind]}, and is {_type_name(value)}")]
    value = converted
    failures: list[Failure] = []
    if described.kind == "object":
        value, failures = check(described.fields, value, f"{path}.")
    elif described.kind in ("list", "set") and described.item:
        checked = [_check_value(described.item, item, f"{path}[{index}]") for index, item in enumerate(value)]
        value, failures = [item for item, _ in checked], [one for _, wrong in checked for one in wrong]
    elif described.kind == "map" and described.item:
        pairs = {
            key: _check_value(described.item, item, f"{path}.{key}")
            for key, item in value.items()
            if key not in RESERVED
        }
        value = {key: item for key, (item, _) in pairs.items()}
        failures = [one for _, wrong in pairs.values() for one in wrong]
    if not failures and described.rule and not has_unknown(value) and (reason := described.rule(value)):
        failures.append(Failure(path, reason))
    return value, failures


def _convert(kind: Kind, value: Any) -> tuple[Any, bool]:  # noqa: PLR0911 (one per type)
    """Fit a value to a type as loosely as the official plugin does: "1" for 1, and "true" for true."""
    if kind == "text":
        if isinstance(value, bool):
            return str(value).lower(), True
        return (str(value), True) if isinstance(value, str | int) else (value, False)
    if kind == "whole":
        if isinstance(value, str) and value.lstrip("-").isdigit():
            return int(value), True
        return value, isinstance(value, int) and not isinstance(value, bool)
    if kind == "flag":
        if value in ("true", "false"):
            return value == "true", True
        return value, isinstance(value, bool)
    return value, isinstance(value, list if kind in ("list", "set") else dict)


def _type_name(value: Any) -> str:
    names = {str: "a string", bool: "a boolean", int: "a number", float: "a number", list: "a list"}
    return names.get(type(value), "an object")
