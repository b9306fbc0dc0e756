"""What a program's inputs would change of an object: the fields by their path, and which of them make a new one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal

from ..values import UNKNOWN
from .merge import same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .objects import Object

Change = Literal["add", "delete", "update"]
Path = tuple[str | int, ...]


class _Missing(Enum):
    MISSING = "missing"


# What stands for no value at all: a null is one.
MISSING: Final = _Missing.MISSING
_SPECIAL = re.compile(r'[."\[\]]')


@dataclass(frozen=True)
class Leaf:
    """One change: what it is, what stands there now and after it, and whether it makes a new object."""

    change: Change
    old: Any
    new: Any
    replaces: bool


@dataclass
class Differences:
    """The changes by path; `replaces` says whether a change at a path with a new value makes a new object."""

    replaces: Callable[[Path, Any], bool]
    leaves: dict[Path, Leaf] = field(default_factory=dict)

    def find(self, patch: Object, old: Object, new: Object) -> Differences:
        """Take up the changes of a merge patch.

        Args:
            patch: the merge patch from `old` to `new`.
            old: the live object, cut down to the fields of the former inputs.
            new: the new inputs.
        """
        self._map((), patch, old, new, in_list=False)
        return self

    def ignore(self, patterns: Iterable[str]) -> None:
        """Drop the changes at or below the given paths ("spec.replicas", 'metadata.labels["a.b"]', "a[*].b")."""
        for pattern in patterns:
            wanted = parse_path(pattern)
            self.leaves = {path: leaf for path, leaf in self.leaves.items() if not _within(path, wanted)}

    def _value(  # noqa: PLR0911 (one per case)
        self, path: Path, value: Any, old: Any, new: Any, *, in_list: bool
    ) -> None:
        if new is UNKNOWN:
            return self._take(path, "add" if old is MISSING else "update", old, new)
        if new is MISSING and (value is not None or old is MISSING):
            return None  # the server's own
        if value is None:
            return self._take(path, "delete", old, None)
        if old is MISSING:
            return self._take(path, "add", old, value)
        if isinstance(value, dict) and isinstance(old, dict):
            return self._map(path, value, old, new if isinstance(new, dict) else {}, in_list=in_list)
        if isinstance(value, list) and isinstance(old, list):
            return self._list(path, value, old, new if isinstance(new, list) else [])
        if not same(value, old):
            self._take(path, "update", old, value)
        return None

    def _map(self, path: Path, value: Object, old: Object, new: Object, *, in_list: bool) -> None:
        for key, item in value.items():
            self._value((*path, key), item, old.get(key, MISSING), new.get(key, MISSING), in_list=in_list)
        # A merge patch has lists whole, so what is missing in an element was removed from it.
        for key, item in old.items() if in_list else ():
            if key not in value:
                self._value((*path, key), None, item, new.get(key, MISSING), in_list=True)

    def _list(self, path: Path, value: list[Any], old: list[Any], new: list[Any]) -> None:
        for index in range(max(len(value), len(old))):
            before = old[index] if index < len(old) else MISSING
            wanted = new[index] if index < len(new) else None
            item = value[index] if index < len(value) else None
            self._value((*path, index), item, before, wanted, in_list=True)

    def _take(self, path: Path, change: Change, old: Any, new: Any) -> None:
        self.leaves[path] = Leaf(change, old, new, self.replaces(path, None if new is UNKNOWN else new))


def write_path(path: Path) -> str:
    """Write a path as the engine does: 'metadata.annotations["a.b"]', "spec.ports[0]"."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _SPECIAL.search(step):
            escaped = step.replace('"', '\\"')
            text += f'["{escaped}"]'
        else:
            text += f".{step}" if text else step
    return text


_STEP = re.compile(r'\["((?:[^"\\]|\\.)*)"\]|\[(\d+|\*)\]|\.?([^.\[\]]+)')


def parse_path(text: str) -> tuple[str | int, ...]:
    """Read a path as the engine writes one; "*" stands for any one step."""
    path: list[str | int] = []
    for quoted, index, name in _STEP.findall(text):
        if index:
            path.append(int(index) if index.isdigit() else "*")
        else:
            path.append(name or quoted.replace('\\"', '"'))
    return tuple(path)


def _within(path: Path, wanted: Path) -> bool:
    return len(path) >= len(wanted) and all(w in ("*", p) for p, w in zip(path, wanted, strict=False))
