"""Which paths of a folder a .dockerignore leaves in, by the rules of Docker's documentation ("Build context")."""

import fnmatch
import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

FILE: Final = ".dockerignore"

_SEGMENT: Final = re.compile(r"\\(.)|\[\^|\*\*+")


class Pattern:
    """One pattern as a small state machine over the names of a path.

    A state is a position in the pattern. Each name of a path moves the set of states on, so the time for one name is
    at most the pattern's length, whatever the pattern. A regular expression of many `**/` would take exponential time.
    """

    def __init__(self, text: str) -> None:
        """Read a cleaned pattern; `!` in front makes it an exception."""
        self.exception = text.startswith("!")
        segments = text.removeprefix("!").split("/")
        self._end = 2 * len(segments)
        # State 2n: the next name is matched with segment n. State 2n + 1: inside the `**` of segment n.
        self._moves: dict[int, list[tuple[re.Pattern[str], int]]] = {}
        self._skips: set[int] = set()
        for index, segment in enumerate(segments):
            here, inside, following = 2 * index, 2 * index + 1, 2 * index + 2
            if segment == "**" and following != self._end:
                self._skips.add(here)
            head, stars, tail = segment.partition("**")
            self._moves[here] = [(_compiled(segment), following)]
            if stars:
                self._moves[here].append((_compiled(f"{head}*"), inside))
                self._moves[inside] = [(_compiled("*"), inside), (_compiled(f"*{tail}"), following)]
        self.start = self._with_skips({0})

    def step(self, states: frozenset[int], name: str) -> frozenset[int]:
        """Return the states after one more name."""
        moves = (move for state in states for move in self._moves.get(state, ()))
        return self._with_skips({following for regex, following in moves if regex.match(name)})

    def matches(self, states: frozenset[int]) -> bool:
        """Return whether the names so far are a match."""
        return self._end in states

    def _with_skips(self, states: set[int]) -> frozenset[int]:
        for state in sorted(self._skips):
            if state in states:
                states.add(state + 2)  # `**/` also matches no folder at all
        return frozenset(states)


def _compiled(segment: str) -> re.Pattern[str]:
    """Compile a segment in Go's syntax: a letter behind a backslash is itself, `[^a]` is any letter but a."""

    def to_python(found: re.Match[str]) -> str:
        if found[1] is not None:
            return f"[{found[1]}]" if found[1] in "*?[" else found[1]
        return "[!" if found[0] == "[^" else "*"

    return re.compile(fnmatch.translate(_SEGMENT.sub(to_python, segment)))


def patterns(text: str) -> list[Pattern]:
    """Return the patterns of a .dockerignore, without comments and without patterns that can match nothing."""
    found = []
    for line in text.splitlines():
        # Docker looks for the mark of a comment before it strips the line.
        bare = "" if line.startswith("#") else line.strip()
        mark = "!" if bare.startswith("!") else ""
        cleaned = posixpath.normpath(bare[len(mark) :].strip() or ".").strip("/")
        if cleaned not in {"", "."} and cleaned.split("/")[0] != "..":
            found.append(Pattern(f"{mark}{cleaned}"))
    return found


def walk(folder: Path, ignored: Sequence[Pattern], *, keep: Sequence[str]) -> Iterator[str]:
    """Yield the paths in a folder that are not ignored: files, links and folders, a folder before its content.

    keep: paths in the folder that are never ignored.
    """

    def below(parent: str, matched: Sequence[bool], states: Sequence[frozenset[int]]) -> Iterator[str]:
        for name in sorted(os.listdir(folder / parent)):  # noqa: PTH208 - only the name is needed
            path = posixpath.join(parent, name)
            now = [pattern.step(state, name) for pattern, state in zip(ignored, states, strict=True)]
            # A folder's content is matched with the folder, until a later pattern says otherwise.
            hits = [
                above or pattern.matches(state) for above, pattern, state in zip(matched, ignored, now, strict=True)
            ]
            last = next((pattern for pattern, hit in zip(reversed(ignored), reversed(hits), strict=True) if hit), None)
            out = last is not None and not last.exception
            if not out or path in keep:
                yield path
            place = folder / path
            if not place.is_dir() or place.is_symlink():
                continue
            kept = any(stays.startswith(f"{path}/") for stays in keep)
            excepted = any(pattern.exception and state for pattern, state in zip(ignored, now, strict=True))
            if not out or kept or excepted:
                yield from below(path, hits, now)

    yield from below("", [False] * len(ignored), [pattern.start for pattern in ignored])
