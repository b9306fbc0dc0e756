"""The files of the clone's own backend, and how a state that was lost or damaged is found again.

Pulumi keeps more than one checkpoint of a stack: the state, `.bak` (one write before it), one in `backups/` and one in
`history/` for each update. A full disk, a bad block or a deleted file can take the state away; the others are then
still there.
"""

import datetime as dt
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ops.clone import Clone, short
from ops.toolchain import cache, console
from ops.toolchain.console import OpsError

OLDEST = dt.datetime.min.replace(tzinfo=dt.UTC)
"""The time of a checkpoint that has none: that of a stack on which no update was ever started."""


def lost(clone: Clone, stack: str) -> bool:
    """Whether the state is gone, but another checkpoint says that something is deployed."""
    found = [] if state_file(clone, stack).exists() else checkpoints(clone, stack)
    return bool(found and (found[0].get("latest") or {}).get("resources"))


def mend(clone: Clone, stack: str, problem: Callable[[Path], str]) -> list[str]:
    """Make a stack's state readable again. Call it only when no Pulumi is at work on the stack.

    Args:
        clone: the clone whose backend it is.
        stack: the stack's name.
        problem: what is wrong with a checkpoint, as a sentence without its stop; empty for nothing.

    Returns:
        What was done, one sentence each.

    Raises:
        OpsError: when files of a state are there, but no checkpoint is good, or the user does not want an older one; or
            when the disk is full. Nothing was changed then.
    """
    done = _restore(clone, stack, problem)
    # Pulumi does nothing while an unreadable lock is there, and it does not tell whose it is.
    locks = [path for path in lock_files(clone, stack) if _lock(path) is None]
    unfinished = [path for path in _files(clone, stack) if path.name.endswith(".tmp")]
    for path in (*locks, *unfinished):
        path.unlink()
    return [*done, *(f"removed the unreadable lock {path.name}" for path in locks)]


def _restore(clone: Clone, stack: str, problem: Callable[[Path], str]) -> list[str]:
    """Put the newest good checkpoint in the place of a state that is gone or damaged, which is kept aside."""
    state = state_file(clone, stack)
    wrong = problem(state) if state.exists() else ""
    if state.exists() and not wrong:
        return []
    backups = [path for path in _files(clone, stack) if path.suffix == ".bak"]
    damaged = [state] if state.exists() else []
    damaged += [path for path in backups if checkpoint(clone, stack, path) is None]
    whole = _newest_first(clone, stack)
    if not (whole or damaged):
        return []  # There never was such a stack, or `pulumi stack rm` has removed it.
    found = next(((when, path) for when, path in whole if path != state and not problem(path)), None)
    if found is None:
        raise OpsError(
            f"No good checkpoint of stack {stack} is left in {clone.state}. Nothing was changed. {wrong}".strip(),
            f"Put {state.name} back from your own copy of it. To start anew, move the file away; what is deployed "
            "stays and has to be removed by hand.",
        )
    when, source = found
    if wrong and not console.agreed(f"{wrong}. Put back the state of {when:%Y-%m-%d %H:%M:%S} UTC?"):
        raise OpsError(f"The state of stack {stack} was left as it is.", "To be asked again: make recover")
    restored = clone.state_file(stack)
    ready = restored.with_name(f"{restored.name}.restored")
    try:
        # All of it is on the disk before anything is moved. On a full disk this fails, and everything is as it was.
        cache.write(ready, read(source).decode(), mode=0o600)
    except OSError as failed:
        raise OpsError(
            f"The state can't be written to {ready.parent}: {failed.strerror}. Nothing was changed.",
            "Make room there, then: make recover",
        ) from failed
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%S%f")
    for path in damaged:
        path.replace(path.with_name(f"{path.name}.damaged-{stamp}"))
    ready.replace(restored)
    kept = f"; what was found is kept as {damaged[0].name}.damaged-{stamp}" if damaged else ""
    because = f", since {wrong}" if wrong else ""
    return [f"put back the state of {when:%Y-%m-%d %H:%M:%S} UTC from {source.relative_to(clone.state)}{because}{kept}"]


def checkpoints(clone: Clone, stack: str) -> list[dict[str, Any]]:
    """The whole checkpoints of a stack, the newest first."""
    return [checkpoint(clone, stack, path) or {} for _, path in _newest_first(clone, stack)]


def _newest_first(clone: Clone, stack: str) -> list[tuple[dt.datetime, Path]]:
    """The whole checkpoints of a stack, each with the time at which Pulumi made it."""
    found = []
    for path in _files(clone, stack):
        kept = path.suffix == ".bak" or path.parent.parent.parent.name in {"backups", "history"}
        content = checkpoint(clone, stack, path) if kept or path == state_file(clone, stack) else None
        if content is not None:
            found.append((_time(content), path))
    # A stack file that `pulumi stack init` has just written has no time: it is older than any with resources.
    return sorted(found, key=lambda each: each[0], reverse=True)


def checkpoint(clone: Clone, stack: str, path: Path) -> dict[str, Any] | None:
    """The checkpoint in a file; None where the file is not a whole checkpoint of this stack.

    Whole is: JSON, plain or compressed by gzip, with a version, this stack's full name, and either no deployment yet or
    one with a time and a list of resources whose URNs are all of this stack.
    """
    urn = f"urn:pulumi:{short(stack)}::{clone.name}::"
    try:
        found = json.loads(read(path))
        content: dict[str, Any] = found["checkpoint"]
        _time(content)
        resources = (content.get("latest") or {}).get("resources") or []
        whole = isinstance(found["version"], int) and content["stack"] == f"organization/{clone.name}/{short(stack)}"
        whole = whole and all(entry["urn"].startswith(urn) and entry["type"] for entry in resources)
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return content if whole else None


def _time(content: dict[str, Any]) -> dt.datetime:
    """When Pulumi made a checkpoint."""
    latest = content.get("latest")
    return dt.datetime.fromisoformat(latest["manifest"]["time"]).astimezone(dt.UTC) if latest else OLDEST


def read(path: Path) -> bytes:
    """What a checkpoint's file holds, without its compression."""
    data = path.read_bytes()
    return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data


def put(backend: Path, clone: Clone, stack: str, data: bytes) -> None:
    """Write a stack's state into a file backend, which is made if it is not there. A kill leaves no half of it."""
    path = backend / clone.state_file(stack).relative_to(clone.state)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without this file, Pulumi takes the folder for a backend of the oldest layout.
    (backend / ".pulumi" / "meta.yaml").write_text("version: 1\n")
    unfinished = path.with_name(f"{path.name}.tmp")
    unfinished.write_bytes(data)
    unfinished.replace(path)


def state_file(clone: Clone, stack: str) -> Path:
    """The file of the state, compressed or not; where there are two, Pulumi takes the one that was written last."""
    plain = clone.state_file(stack)
    there = [path for path in (plain, *(plain.with_name(plain.name + end) for end in (".gz", ".zst"))) if path.exists()]
    return max(there, key=lambda path: path.stat().st_mtime_ns, default=plain)


def lock_files(clone: Clone, stack: str) -> list[Path]:
    """The files of the locks on a stack."""
    return sorted((clone.state / ".pulumi" / "locks" / "organization" / clone.name / short(stack)).glob("*.json"))


def locks(clone: Clone, stack: str) -> list[dict[str, Any]]:
    """The locks on a stack that can be read: `pid`, `username`, `hostname`, `timestamp` each."""
    found = (_lock(path) for path in lock_files(clone, stack))
    return [lock for lock in found if lock is not None]


def _lock(path: Path) -> dict[str, Any] | None:
    """The lock in a file; None for a file that is none, or not all of one."""
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
        whole = all(isinstance(found[name], str) for name in ("username", "hostname", "timestamp"))
        return found if whole and type(found["pid"]) is int else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _files(clone: Clone, stack: str) -> Iterator[Path]:
    """Every file that the backend keeps of a stack."""
    name, root = short(stack), clone.state / ".pulumi"
    yield from sorted((root / "stacks" / clone.name).glob(f"{name}.json*"))
    for kind in ("history", "backups"):
        yield from sorted((root / kind / clone.name / name).glob("*"))
    yield from sorted((root / "locks" / "organization" / clone.name / name).glob("*"))
