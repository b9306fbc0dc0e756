"""What a resource's inputs are after its state was read again, or when it is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .diff import canonical, is_zero
from .schema import DEFAULTS, RESERVED, Field, Fields

if TYPE_CHECKING:
    from collections.abc import Mapping


def refreshed(fields: Fields, inputs: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    """Bring recorded inputs up to date with a state that was read: only those that there were are kept.

    A default that the state no longer shows is no default any more, as the drift belongs to the input then.
    """
    result: dict[str, Any] = {}
    defaults = set(inputs.get(DEFAULTS) or ())
    for name, value in inputs.items():
        if name in RESERVED or name not in fields or name not in state:
            continue
        result[name] = _refreshed_value(fields[name], value, state[name])
        if canonical(fields[name], result[name]) != canonical(fields[name], value):
            defaults.discard(name)
    if DEFAULTS in inputs:
        result[DEFAULTS] = sorted(defaults & result.keys())
    return result


def _refreshed_value(described: Field, value: Any, state: Any) -> Any:
    if described.kind == "object" and isinstance(value, dict) and isinstance(state, dict):
        return refreshed(described.fields, value, state)
    if described.kind in ("list", "set") and described.item and isinstance(value, list) and isinstance(state, list):
        return _refreshed_items(described, described.item, value, state)
    if described.kind == "map" and isinstance(value, dict) and isinstance(state, dict):
        return {key: state[key] for key in value if key in state}
    return state


def _refreshed_items(described: Field, item: Field, values: list[Any], state: list[Any]) -> list[Any]:
    if described.kind == "list":
        return [_refreshed_value(item, value, now) for value, now in zip(values, state, strict=False)]
    left = list(state)
    result = []
    for value in values:
        same = next((now for now in left if canonical(item, now) == canonical(item, value)), None)
        if same is not None:
            left.remove(same)
            result.append(_refreshed_value(item, value, same))
    return result


def imported(fields: Fields, state: Mapping[str, Any]) -> dict[str, Any]:
    """Make the inputs of a resource that was read by its id alone: all that is neither default nor zero."""
    result: dict[str, Any] = {}
    for name, described in fields.items():
        value = state.get(name)
        if described.output or value is None:
            continue
        value = _imported_value(described, value)
        ordinary = value == described.default if described.default is not None else is_zero(value)
        if described.required or not ordinary:
            result[name] = value
    result[DEFAULTS] = []
    return result


def _imported_value(described: Field, value: Any) -> Any:
    if described.kind == "object" and isinstance(value, dict):
        return imported(described.fields, value)
    if described.kind in ("list", "set") and described.item and isinstance(value, list):
        return [_imported_value(described.item, item) for item in value]
    return value
