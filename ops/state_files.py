"""The files of the clone's own backend, and how a state that was lost or damaged is found again.

Pulumi keeps more than one checkpoint of a stack: the state, `.bak` (one write before it), one in `backups/` and one in
`history/` for each update. A full disk, a bad block or a deleted file can take the state away; the others are then
still there.
"""

import datetime as dt
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ops.clone import Clone, short
from setup import cache, console
from setup.console import OpsError

ASIDE = ".damaged-"
"""In the name of what recover put aside."""

STACK, STASH, PROVIDER = "pulumi:pulumi:Stack", "pulumi:index:Stash", "pulumi:providers:pulumi"
TYPES = re.compile(
    rf"{STACK}|{STASH}|{PROVIDER}|pulumi:providers:(?:docker|kubernetes)|(?:ci|docker|kubernetes):[\w./:-]+", re.ASCII
)
URN = re.compile(r"urn:pulumi:[\w./:@$-]+", re.ASCII)
"""The resources that the program makes, and has made since 0.1.0."""

PLAIN = ("platform", "images", "builds", "context", "namespace", "registryVolume")
"""The outputs that the program reads again. See components.kubernetes.history."""

SECRET = ("4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270")
"""How a state marks a value that is encrypted. Source: pulumi/pulumi, sdk/go/common/resource/sig.go."""


def lost(clone: Clone, stack: str) -> bool:
    """Whether the state is gone, but another checkpoint says that something is deployed."""
    found = [] if clone.state_file(stack).exists() else checkpoints(clone, stack)
    return bool(found and found[0][2].get("resources"))


def changed(clone: Clone, stack: str) -> bool:
    """Whether the state differs from both copies that the update which wrote it left: a flipped bit, for example.

    `pulumi state` and `pulumi stack import` change a state too, but they keep its time and leave the one before in
    `.bak`.
    """
    paths = _written(clone, stack)
    state, *copies = (checkpoint(clone, stack, each) for each in paths)
    before = checkpoint(clone, stack, paths[0].with_name(f"{paths[0].name}.bak"))
    if not state or len(copies) < 2 or not all(copies) or state in copies:  # noqa: PLR2004 - two copies
        return False
    times = {_time(each) for each in copies if each} | {_time(state)}
    return len(times) == 1 and not (before and {_time(before)} == times)


def _written(clone: Clone, stack: str) -> list[Path]:
    """Return the state, and the newest copies of it, which are the same bytes if one update has written all three."""
    names, folder = {"history": "*.checkpoint.json", "backups": "*.json"}, f"{clone.name}/{short(stack)}"
    newest = [sorted((clone.state / ".pulumi" / kind / folder).glob(name))[-1:] for kind, name in names.items()]
    return [clone.state_file(stack), *(path for paths in newest for path in paths)]


def vote(clone: Clone, stack: str) -> Path | None:
    """Write one more checkpoint where the state and both copies differ: of each byte, what two of the three have.

    Returns its file, which the caller removes; None where there is nothing to write.
    """
    paths = _written(clone, stack)
    texts = [path.read_bytes() for path in paths] if changed(clone, stack) else []
    if len({*texts}) != 3 or len({*map(len, texts)}) != 1:  # noqa: PLR2004 - a vote needs three
        return None
    path = paths[0].with_name(f"{paths[0].name}.voted")
    cache.write(path, bytes(sorted(each)[1] for each in zip(*texts, strict=True)).decode(errors="replace"), mode=0o600)
    return path


def mend(clone: Clone, stack: str, problem: Callable[[Path], str]) -> list[str]:
    """Make a stack's state readable again: put the newest good checkpoint in its place, and keep what was there aside.

    Call it only when no Pulumi is at work on the stack. Returns what was done, one sentence each. Raises OpsError when
    files of a state are there, but no checkpoint is good, or the user does not want an older one; OSError when the disk
    is full. Nothing was changed in either case.

    problem: what is wrong with a checkpoint, as a sentence without its stop; empty for nothing.
    """
    state, known = clone.state_file(stack), checkpoints(clone, stack)
    backups = [path for path in _files(clone, stack) if path.suffix == ".bak"]
    wrong = problem(state) if state.exists() else ""
    # Where there is none of them, there never was such a stack, or `pulumi stack rm` has removed it.
    if not wrong and (state.exists() or not (known or backups)):
        return []
    others = [each for each in known if each[1] != state]
    # Behind one that knows resources, one without any is from before a later `up`: it would forget what is deployed.
    usable = (each for each in others if (each is others[0] or each[2].get("resources")) and not problem(each[1]))
    found = next(usable, None)
    if found is None:
        raise OpsError(
            f"{wrong or 'The state is gone'}. No other checkpoint of stack {stack} in {clone.state} is good. "
            "Nothing was changed.",
            f"If {clone.passphrase} does not fit, put the right one back; else {state.name} from your "
            "own copy. To start anew, move it away; what is deployed stays and has to be removed by hand.",
        )
    when, source, _ = found
    shown = f"the state of {when:%Y-%m-%d %H:%M:%S} UTC"
    if wrong and not console.agreed(f"{wrong}. Put back {shown}?"):
        raise OpsError(f"The state of stack {stack} was left as it is.", f"To decide again: make recover STACK={stack}")
    ready = state.with_name(f"{state.name}.restored")
    # All of it is on the disk before anything is moved. On a full disk this fails, and everything is as it was.
    cache.write(ready, source.read_text(), mode=0o600)
    damaged = [state] if state.exists() else []
    damaged += [path for path in backups if checkpoint(clone, stack, path) is None]
    aside = f"{ASIDE}{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S%f}"
    for path in damaged:
        path.replace(path.with_name(path.name + aside))
    ready.replace(state)
    kept = f"; what was found is kept as {damaged[0].name}{aside}" if damaged else ""
    because = f", since {wrong}" if wrong else ""
    return [f"put back {shown} from {source.relative_to(clone.state)}{because}{kept}"]


def checkpoints(clone: Clone, stack: str) -> list[tuple[dt.datetime, Path, dict[str, Any]]]:
    """The whole checkpoints of a stack, the newest first: when Pulumi made it, its file, the deployment."""
    paths = [path for path in _files(clone, stack) if path.suffix != ".tmp" and ASIDE not in path.name]
    read = ((path, checkpoint(clone, stack, path)) for path in paths)
    found = [(_time(content), path, content) for path, content in read if content is not None]
    return sorted(found, key=lambda each: each[0], reverse=True)


def checkpoint(clone: Clone, stack: str, path: Path) -> dict[str, Any] | None:
    """The deployment in a checkpoint's file, empty if there was none yet; None for no whole checkpoint of this stack.

    Whole is: JSON with a version, this stack's full name, and either no deployment yet or one with a time and a list of
    resources whose URNs are all of this stack.
    """
    urn = f"urn:pulumi:{short(stack)}::{clone.name}::"
    try:
        found = json.loads(path.read_bytes())
        latest: dict[str, Any] = found["checkpoint"].get("latest") or {}
        _time(latest)
        whole = isinstance(found["version"], int)
        whole &= found["checkpoint"]["stack"] == f"organization/{clone.name}/{short(stack)}"
        whole &= all(entry["urn"].startswith(urn) and entry["type"] for entry in latest.get("resources") or [])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return latest if whole else None


def _time(latest: dict[str, Any]) -> dt.datetime:
    """When Pulumi made a deployment. None is older than any: `pulumi stack init` has just written its file."""
    made = dt.datetime.fromisoformat(latest["manifest"]["time"]) if latest else dt.datetime.min.replace(tzinfo=dt.UTC)
    return made.astimezone(dt.UTC)


def put(backend: Path, clone: Clone, stack: str, data: bytes) -> None:
    """Write a stack's state into a file backend, which is made if it is not there. A kill leaves no half of it."""
    # Without this file, Pulumi takes the folder for a backend of the oldest layout.
    cache.write(backend / ".pulumi" / "meta.yaml", "version: 1\n")
    cache.write(backend / clone.state_file(stack).relative_to(clone.state), data.decode(), mode=0o600)


def carried(clone: Clone, stack: str, path: Path) -> dict[str, Any]:
    """Return the state that a restore writes: what is kept of an archive's, and nothing else.

    Kept are the passwords and keys that were generated, which only the passphrase can have encrypted, and, of the
    stack's outputs, PLAIN. Containers and objects are not: their host or cluster may be another, and Pulumi removes
    what a state names, whoever has made it.

    Raises OpsError for a state that is damaged, or has a resource that no version of this program makes.
    """
    latest = checkpoint(clone, stack, path) or {}
    for each in latest.get("resources") or ():
        urn, kind = str(each["urn"]), str(each["type"])
        if not (URN.fullmatch(urn) and urn.split("::")[2].rpartition("$")[2] == kind and TYPES.fullmatch(kind)):
            raise OpsError(
                f"The archive's state has a resource that this program does not make: {ascii(urn)[1:-1][:200]}. "
                "Nothing was changed.",
                "Take another archive. Only `make backup` of this project should have written it.",
            )
    try:
        secrets = latest["secrets_providers"]
        made = {key: str(latest["manifest"][key]) for key in ("time", "magic", "version")}
        kept = {each["urn"]: each for each in _kept(latest["resources"])}
        needed = {each["parent"] for each in kept.values() if "parent" in each}
        needed |= {each["provider"].rpartition("::")[0] for each in kept.values() if "provider" in each}
        plain = "\\" not in json.dumps([*kept.values()])  # JSON writes with it what a terminal obeys
        if secrets["type"] == "passphrase" and needed <= kept.keys() and plain:
            secrets = {"type": "passphrase", "state": {"salt": str(secrets["state"]["salt"])}}
            latest = {"manifest": made, "secrets_providers": secrets, "resources": [*kept.values()][::-1]}
            name = f"organization/{clone.name}/{short(stack)}"
            return {"version": 3, "checkpoint": {"stack": name, "latest": latest}}
    except (KeyError, TypeError, ValueError, AttributeError):
        pass
    raise OpsError("The archive's state is damaged. Nothing was changed.", "Take another archive.")


def _kept(resources: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield what `carried` keeps of a list of resources, the last first."""
    needed = set[str]()
    for each in reversed(resources):
        kind, found = each["type"], each.get("outputs") or {}
        keys = ("urn", "type", "parent", *(("id", "provider") if kind in {STASH, PROVIDER} else ()))
        entry = {key: each[key] for key in keys if key in each}
        entry["custom"] = kind in {STASH, PROVIDER}
        if kind == STACK:
            entry["outputs"] = {key: found[key] for key in PLAIN if key in found}
        elif kind == STASH and found and all(map(_encrypted, found.values())) and not each.get("delete"):
            entry |= {"inputs": {"input": found["input"]}, "outputs": found}
        elif not (each["urn"] in needed and (kind == PROVIDER or kind.startswith("ci:"))):
            continue
        needed |= {each.get("parent"), str(each.get("provider")).rpartition("::")[0]}
        yield entry


def outputs(state: dict[str, Any]) -> dict[str, Any]:
    """Return the stack's outputs in what `carried` gives, to be changed in place; empty where it has none."""
    resources = state["checkpoint"]["latest"]["resources"]
    return next((each["outputs"] for each in resources if each["type"] == STACK), {})


def _encrypted(value: Any) -> bool:  # noqa: ANN401 - of a state
    return isinstance(value, dict) and value.keys() == {SECRET[0], "ciphertext"} and value[SECRET[0]] == SECRET[1]


def locks(clone: Clone, stack: str) -> list[Path]:
    """The files of the locks on a stack. A full disk leaves an empty `.json.<hex>.tmp`, which blocks like a lock."""
    return sorted((clone.state / ".pulumi" / "locks" / "organization" / clone.name / short(stack)).glob("*"))


def unfinished(clone: Clone, stack: str) -> list[Path]:
    """The files of writes that did not end, beside the stack's checkpoints."""
    return [path for path in _files(clone, stack) if path.suffix == ".tmp"]


def _files(clone: Clone, stack: str) -> Iterator[Path]:
    """Every file that the backend keeps of a stack, but for locks."""
    yield from sorted(clone.state_file(stack).parent.glob(f"{short(stack)}.json*"))
    for kind in ("history", "backups"):
        yield from sorted((clone.state / ".pulumi" / kind / clone.name / short(stack)).glob("*"))
