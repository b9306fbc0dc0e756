"""JSON merge patches (RFC 7386), and cutting a live object down to the fields that a program gave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .objects import Object


def same(old: Any, new: Any) -> bool:
    """Compare two JSON values: numbers by value, but true is not 1."""
    if isinstance(old, bool) or isinstance(new, bool):
        return old is new
    if isinstance(old, int | float) and isinstance(new, int | float):
        return old == new
    if type(old) is not type(new):
        return False
    if isinstance(old, dict):
        return old.keys() == new.keys() and all(same(old[key], new[key]) for key in old)
    if isinstance(old, list):
        return len(old) == len(new) and all(same(one, other) for one, other in zip(old, new, strict=True))
    return bool(old == new)


def merge_patch(old: Object, new: Object) -> Object:
    """Give the merge patch that turns `old` into `new`: null removes, lists are replaced as a whole."""
    patch: Object = {}
    for key, value in new.items():
        if key not in old:
            patch[key] = value
        elif isinstance(value, dict) and isinstance(old[key], dict):
            inner = merge_patch(old[key], value)
            if inner:
                patch[key] = inner
        elif not same(old[key], value):
            patch[key] = value
    return patch | {key: None for key in old if key not in new}


def prune(live: Any, shape: Any) -> Any:
    """Cut a live value down to the fields of `shape`; list elements are matched by their place.

    Where the two differ in type the live value stays whole, as that is a difference to be seen.
    """
    if isinstance(live, dict) and isinstance(shape, dict):
        return {key: prune(value, shape[key]) for key, value in live.items() if key in shape}
    if isinstance(live, list) and isinstance(shape, list):
        if live and shape and type(live[0]) is not type(shape[0]):
            return live
        return [prune(value, wanted) for value, wanted in zip(live, shape, strict=False)]
    return live
