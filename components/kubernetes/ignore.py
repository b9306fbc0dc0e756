"""What a folder's .dockerignore leaves of it, by the rules of Docker's documentation ("Build context")."""

import os
import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

FILE: Final = ".dockerignore"


def patterns(text: str) -> list[str]:
    """Give the patterns of a .dockerignore: cleaned, `!` in front of an exception, nothing that can't match."""
    found = []
    for line in text.splitlines():
        # Docker looks for the mark of a comment before it takes away the blanks.
        bare = "" if line.startswith("#") else line.strip()
        mark = "!" if bare.startswith("!") else ""
        cleaned = posixpath.normpath(bare[len(mark) :].strip() or ".").strip("/")
        if cleaned not in {"", "."} and cleaned.split("/")[0] != "..":
            found.append(f"{mark}{cleaned}")
    return found


def walk(folder: Path, ignored: Sequence[str], *, keep: Sequence[str]) -> Iterator[str]:
    """Give the paths in a folder that are not ignored: files, links and folders, in no special order.

    keep: paths in the folder that stay whatever is ignored.
    """
    # Imported here: 0.1 s that only a stack with a folder to pack should pay. docker's own walk passes over exceptions
    # with a wildcard inside ignored folders (`*` and `!**/*.go`), so only its patterns are taken.
    from docker.utils.build import Pattern  # noqa: PLC0415

    known = [Pattern(pattern) for pattern in ignored]

    def below(parent: str, matched: Sequence[bool]) -> Iterator[str]:
        for name in os.listdir(folder / parent):  # noqa: PTH208 - a name is all that is wanted
            path = posixpath.join(parent, name)
            # What is in a folder is matched with it, until a later pattern says otherwise.
            now = [above or pattern.match(path) for above, pattern in zip(matched, known, strict=True)]
            last = next((pattern for pattern, hit in zip(reversed(known), reversed(now), strict=True) if hit), None)
            out = last is not None and not last.exclusion
            if not out or path in keep:
                yield path
            place = folder / path
            if not place.is_dir() or place.is_symlink():
                continue
            kept = any(stays.startswith(f"{path}/") for stays in keep)
            if not out or kept or any(_may_be_in(path, pattern) for pattern in known):
                yield from below(path, now)

    yield from below("", [False] * len(known))


def _may_be_in(folder: str, exception: Any) -> bool:  # noqa: ANN401 - the library has no type for it
    if not exception.exclusion:
        return False
    from docker.utils.fnmatch import fnmatch  # noqa: PLC0415 - as above

    parts = folder.split("/")
    wanted = exception.dirs[: exception.dirs.index("**")] if "**" in exception.dirs else exception.dirs
    if len(wanted) == len(exception.dirs) <= len(parts):
        return False
    return all(fnmatch(part, pattern) for part, pattern in zip(parts, wanted, strict=False))
