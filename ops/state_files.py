"""The files of the clone's own backend, as far as a Pulumi that was killed leaves them broken.

Pulumi writes a state to a file beside the old one and renames it, so the state itself is whole whenever the power stays
on. But the library that it writes with (gocloud's fileblob) keeps a second file with attributes beside each, which it
empties and then fills. A death in between leaves it empty, and every later command ends with `failed to load
checkpoint: EOF`. Without that file nothing is missing: its attributes are a type and a checksum.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from ops.clone import short

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ops.clone import Clone

ATTRIBUTES = ".attrs"
UNFINISHED = ".tmp"


def broken(clone: Clone, stack: str) -> bool:
    """Whether the state can't be read. True for a moment in the life of a Pulumi that is at work, too."""
    return any(True for _ in _bad_attributes(clone, stack)) or _is_bad(clone.state_file(stack))


def mend(clone: Clone, stack: str) -> list[str]:
    """Make a stack's state readable again, once it is sure that no Pulumi is at work on it. Says what was done."""
    done = []
    bad = list(_bad_attributes(clone, stack))
    for path in bad:
        path.unlink()
    if bad:
        done.append(f"removed {len(bad)} half-written files of attributes beside the state")
    locks = clone.state / ".pulumi" / "locks"
    for path in _files(clone, stack):
        # A lock that can't be read would be nobody's, and Pulumi does not take it away either.
        if path.name.endswith(UNFINISHED) or (path.is_relative_to(locks) and _is_bad(path)):
            path.unlink()
    state = clone.state_file(stack)
    backup = state.with_name(f"{state.name}.bak")
    if _is_bad(state) and backup.is_file() and not _is_bad(backup):
        aside = state.with_name(f"{state.name}.broken")
        state.replace(aside)
        shutil.copyfile(backup, state)
        done.append(f"put back the state of one step before; the broken one is {aside}")
    return done


def _files(clone: Clone, stack: str) -> Iterator[Path]:
    """Every file that the backend keeps of a stack."""
    name, root = short(stack), clone.state / ".pulumi"
    yield from sorted((root / "stacks" / clone.name).glob(f"{name}.json*"))
    for kind in ("history", "backups"):
        yield from sorted((root / kind / clone.name / name).glob("*"))
    yield from sorted((root / "locks" / "organization" / clone.name / name).glob("*"))


def _bad_attributes(clone: Clone, stack: str) -> Iterator[Path]:
    return (path for path in _files(clone, stack) if path.name.endswith(ATTRIBUTES) and _is_bad(path))


def _is_bad(path: Path) -> bool:
    """Whether a file is there and holds no JSON."""
    try:
        json.loads(path.read_bytes())
    except FileNotFoundError:
        return False
    except ValueError:
        return True
    return False
