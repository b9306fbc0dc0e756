"""What a program's inputs would change: the planned state, and its differences from the recorded one.

The rules are those of the official plugin's framework, in which nothing tells an unset value from a zero
one: null, "", 0, false and an empty list are equal.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from .schema import DEFAULTS, RESERVED, Field, Fields
from .values import UNKNOWN, has_unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Change = Literal["add", "update", "delete"]
_ZERO = {"text": "", "whole": 0, "flag": False}


@dataclass(frozen=True)
class _Place:
    """Where a value is, and whether a change of it makes a new resource."""

    path: str
    replaces: bool


@dataclass
class Differences:
    """The changed properties by path ("ports[0].external"); for each what happens, and whether it replaces."""

    paths: dict[str, tuple[Change, bool]] = field(default_factory=dict)

    def ignore(self, patterns: Iterable[str]) -> None:
        """Drop the changes under the given paths ("labels", "ports[*].external")."""
        for pattern in patterns:
            escaped = re.escape(pattern).replace(r"\*", r"[^.\[\]]+")
            ignored = re.compile(rf"{escaped}(?:[.\[].*)?")
            self.paths = {path: change for path, change in self.paths.items() if not ignored.fullmatch(path)}

    @property
    def replaces(self) -> list[str]:
        """The top-level properties that make a new resource."""
        return sorted({_top(path) for path, (_, replacing) in self.paths.items() if replacing})

    @property
    def properties(self) -> list[str]:
        """The top-level properties that change."""
        return sorted({_top(path) for path in self.paths})


def _top(path: str) -> str:
    return path.split(".", 1)[0].split("[", 1)[0]


def is_zero(value: Any) -> bool:
    """Say whether a value is as good as unset."""
    if value is UNKNOWN:
        return False
    if isinstance(value, dict):
        return all(is_zero(item) for key, item in value.items() if key != DEFAULTS)
    return value in (None, "", 0, False) or value == []


def plan(fields: Fields, inputs: Mapping[str, Any], prior: Mapping[str, Any] | None) -> dict[str, Any]:
    """Give the state that the inputs ask for.

    Args:
        fields: the properties there are.
        inputs: checked inputs.
        prior: the recorded state, or None for a resource that is to be made.

    Returns:
        Every property: the input; or for one that the engine fills in the recorded value, `UNKNOWN` when
        there is none; or its empty value.
    """
    planned: dict[str, Any] = {}
    for name, described in fields.items():
        value = inputs.get(name)
        if value is not None:
            planned[name] = complete(described, value, (prior or {}).get(name))
        elif described.computed or described.output:
            planned[name] = prior.get(name) if prior is not None else UNKNOWN
        else:
            planned[name] = described.empty()
    return planned


def complete(described: Field, value: Any, prior: Any = None) -> Any:
    """Fill in the parts of a nested value that the program left out, as the state has them."""
    if value is UNKNOWN:
        return value
    if described.kind == "object" and isinstance(value, dict):
        before = prior if isinstance(prior, dict) else {}
        return {name: _part(inner, value, before, name) for name, inner in described.fields.items()}
    if described.kind in ("list", "set") and described.item:
        before_items = prior if isinstance(prior, list) and described.kind == "list" else []
        return [
            complete(described.item, item, before_items[index] if index < len(before_items) else None)
            for index, item in enumerate(value)
        ]
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if key not in RESERVED}
    return value


def _part(described: Field, value: Mapping[str, Any], prior: Mapping[str, Any], name: str) -> Any:
    given = value.get(name)
    if given is not None:
        return complete(described, given, prior.get(name))
    if described.computed:
        return prior.get(name, UNKNOWN)
    return _ZERO.get(described.kind, [] if described.kind in ("list", "set") else None)


def compare(fields: Fields, old: Mapping[str, Any], new: Mapping[str, Any]) -> Differences:
    """Find what changes from a recorded state to a planned one."""
    found = Differences()
    for name, described in fields.items():
        if described.output:
            continue
        before, after = old.get(name), new.get(name)
        if described.same and not has_unknown(after) and described.same(before, after):
            continue
        _compare(described, before, after, _Place(name, described.replaces), found)
    return found


def _compare(described: Field, old: Any, new: Any, place: _Place, found: Differences) -> None:
    if _equal(described, old, new):
        return
    if new is UNKNOWN:
        found.paths[place.path] = ("add" if old is None else "update", place.replaces)
    elif described.kind in ("list", "set") and described.item and not (old and new):
        inner = described.kind == "list" and _inner_replaces(described.item, [*(old or ()), *(new or ())])
        found.paths[place.path] = (_change(old, new), place.replaces or inner)
    elif described.kind == "object" and old is not None:
        _compare_objects(described, old, new, place, found)
    elif described.kind == "list" and described.item:
        _compare_lists(described.item, old, new, place, found)
    elif described.kind == "set" and described.item:
        _compare_sets(described.item, old, new, place, found)
    elif described.kind == "map":
        _compare_maps(old or {}, new or {}, place, found)
    else:
        found.paths[place.path] = (_change(old, new), place.replaces)


def _change(old: Any, new: Any) -> Change:
    if old is None or old in ([], {}):
        return "add"
    return "delete" if new is None or new in ([], {}) else "update"


def _compare_objects(described: Field, old: Any, new: Any, place: _Place, found: Differences) -> None:
    before, after = old or {}, new or {}
    for name, inner in described.fields.items():
        at = _Place(f"{place.path}.{name}", inner.replaces)
        _compare(inner, before.get(name), after.get(name), at, found)


def _compare_lists(item: Field, old: list[Any], new: list[Any], place: _Place, found: Differences) -> None:
    for index in range(max(len(old), len(new))):
        path = f"{place.path}[{index}]"
        if index >= len(old):
            found.paths[path] = ("add", place.replaces or _inner_replaces(item, [new[index]]))
        elif index >= len(new):
            found.paths[path] = ("delete", place.replaces or _inner_replaces(item, [old[index]]))
        else:
            inner = item.replaces if item.kind == "object" else place.replaces
            _compare(item, old[index], new[index], _Place(path, inner), found)


def _compare_sets(item: Field, old: list[Any], new: list[Any], place: _Place, found: Differences) -> None:
    """Compare without order. The change of a count follows the set, that of an element the element's fields."""
    gone, come = _without(item, old, new), _without(item, new, old)
    by_count = place.replaces and len(old) != len(new)
    by_element = _inner_replaces(item, [value for _, value in (*gone, *come)]) if item.fields else place.replaces
    removed, added = {index for index, _ in gone}, {index for index, _ in come}
    for index in sorted(removed | added):
        change: Change = "update" if index in removed and index in added else "add" if index in added else "delete"
        found.paths[f"{place.path}[{index}]"] = (change, by_count or by_element)


def _compare_maps(old: Mapping[str, Any], new: Mapping[str, Any], place: _Place, found: Differences) -> None:
    for key in sorted({*old, *new} - RESERVED):
        if old.get(key) != new.get(key) or (key in old) != (key in new):
            change: Change = "add" if key not in old else "delete" if key not in new else "update"
            found.paths[f"{place.path}.{key}"] = (change, place.replaces)


def _inner_replaces(item: Field, values: Iterable[Any]) -> bool:
    if item.kind != "object":
        return item.replaces
    return any(
        inner.replaces and not is_zero(value.get(name))
        for value in values
        if isinstance(value, dict)
        for name, inner in item.fields.items()
    )


def _without(item: Field, values: list[Any], others: list[Any]) -> list[tuple[int, Any]]:
    """Give the values, with their index, that are not among the others; equal ones are paired off."""
    left = [canonical(item, other) for other in others]
    missing = []
    for index, value in enumerate(values):
        key = canonical(item, value)
        if key in left:
            left.remove(key)
        else:
            missing.append((index, value))
    return missing


def _equal(described: Field, old: Any, new: Any) -> bool:
    return canonical(described, old) == canonical(described, new)


def canonical(described: Field, value: Any) -> str:
    """Give a text that is the same for values that are equal."""
    return json.dumps(_canonical(described, value), sort_keys=True)


def _canonical(described: Field, value: Any) -> Any:
    if value is UNKNOWN:
        return {"unknown": True}
    if is_zero(value) and not (isinstance(value, dict) and described.kind == "map"):
        return None
    if described.kind == "object" and isinstance(value, dict):
        return {name: _canonical(inner, value.get(name)) for name, inner in described.fields.items()}
    if described.kind in ("list", "set") and described.item and isinstance(value, list):
        items = [_canonical(described.item, item) for item in value]
        return sorted(items, key=lambda item: json.dumps(item, sort_keys=True)) if described.kind == "set" else items
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if key not in RESERVED} or None
    return value
