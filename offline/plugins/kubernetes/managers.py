"""Field managers: who owns which field, and taking over those of an object that was made without server-side apply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .difference import parse_path
from .objects import PATCH_FORCE, Object, is_set, pluck

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Under this name objects are made; the fields pass to the resource's own manager with the first change.
CREATOR: Final = "pulumi-kubernetes"
# (start of a manager's name, how it set the fields): those whose fields are taken over, as the official plugin does.
_TAKEN_OVER: Final = (
    ("kubectl", "Apply"),
    ("kubectl", "Update"),
    ("before-first-apply", "Update"),
    ("pulumi-kubernetes", "Update"),
    ("pulumi-resource-kubernetes", "Update"),
)
_OWN_OLD: Final = ("pulumi-resource-kubernetes", "pulumi-kubernetes", "pulumi-kubernetes.exe")


def take_over(live: Object, manager: str) -> list[Mapping[str, Any]]:
    """Give the JSON patch that makes `manager` the one who applied what others like it have set; [] for nothing."""
    entries = pluck(live, "metadata", "managedFields") or []
    mine = next((one for one in entries if one.get("manager") == manager and one.get("operation") == "Apply"), None)
    kept: list[Mapping[str, Any]] = []
    taken: list[Mapping[str, Any]] = []
    for entry in entries:
        if entry is mine:
            continue
        (taken if _is_taken_over(entry) else kept).append(entry)
    if not taken:
        return []
    if mine is None:
        mine = {**taken.pop(0), "manager": manager, "operation": "Apply"}
    fields = mine.get("fieldsV1") or {}
    for entry in taken:
        fields = _union(fields, entry.get("fieldsV1") or {})
    entries = [*kept, {**mine, "fieldsV1": fields}]
    return [{"op": "replace", "path": "/metadata/managedFields", "value": entries}]


def _is_taken_over(entry: Mapping[str, Any]) -> bool:
    if entry.get("subresource"):
        return False
    name, operation = str(entry.get("manager", "")), entry.get("operation")
    return any(name.startswith(start) and operation == wanted for start, wanted in _TAKEN_OVER)


def _union(one: Any, other: Any) -> Any:
    return {key: _union(one.get(key, {}), other.get(key, {})) for key in {**one, **other}}


def force(inputs: Object, live: Object | None, *, always: bool, preview: bool) -> bool:
    """Say whether an apply takes fields from other managers, instead of failing with the conflict."""
    if always or is_set(inputs, PATCH_FORCE):
        return True
    entries = pluck(live, "metadata", "managedFields") or []
    if not entries:
        return live is not None or preview
    made_here = any(one.get("operation") == "Update" and one.get("manager") in _OWN_OLD for one in entries)
    return preview and made_here


def without_ignored(inputs: Object, live: Object, paths: Iterable[str], manager: str) -> Object:
    """Copy inputs for an apply in which the given paths are to stay as they are.

    A field that only others own is left out; any other is applied as it is, as leaving it out would remove it.
    """
    entries = pluck(live, "metadata", "managedFields") or ()
    for text in paths:
        path = parse_path(text)
        owners = {entry.get("manager") for entry in entries if _owns(entry.get("fieldsV1"), path)}
        now = pluck(live, *path)
        if owners and manager not in owners:
            inputs = _changed(inputs, path, None)
        elif now is not None:
            inputs = _changed(inputs, path, now)
    return inputs


def _owns(fields: Any, path: tuple[str | int, ...]) -> bool:
    for step in path:
        if not isinstance(fields, dict) or f"f:{step}" not in fields:
            return False
        fields = fields[f"f:{step}"]
    return True


def _changed(obj: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """Copy an object with another value at a path; None takes it away."""
    step, rest = path[0], path[1:]
    if isinstance(step, int) and isinstance(obj, list) and step < len(obj):
        items = list(obj)
        items[step] = _changed(items[step], rest, value) if rest else value
        return items
    if not isinstance(obj, dict) or not isinstance(step, str):
        return obj
    if rest:
        if step not in obj and value is None:
            return obj
        return {**obj, step: _changed(obj.get(step, {}), rest, value)}
    return {**obj, step: value} if value is not None else {key: item for key, item in obj.items() if key != step}
