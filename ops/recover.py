"""`recover`: after a Pulumi that was killed (kill -9, out of memory, power), or a state file that was damaged.

What such a death leaves behind, as tried with the CLI: a lock; the plugins, orphaned but alive and perhaps still at
work; operations that the state calls pending; and a container that exists but is in no state, so that the next `up`
fails on its name. `pulumi cancel` and `pulumi refresh --clear-pending-creates` see to the first and the third only, and
`--import-pending-creates` does not take a container in. So the half-made container is removed, if it is ours: `up`
makes it anew, and what it had to keep is on its volume. In a cluster nothing is in the way: the provider takes over
what is there already, so a build that was running is waited for and not run twice. And the state itself may have become
unreadable, see `state_files`.
"""

import contextlib
import json
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import docker.errors
import psutil

from components import labels
from components.docker import managed_names
from ops import cluster, engine, state_files
from ops.clone import short
from ops.stack import MISFIT, Stack, unprepared
from setup import console
from setup.console import OpsError
from setup.engine import ERRORS

CONTAINER = "docker:index/container:Container"
PATIENCE_SECONDS = 10
"""How long an orphaned plugin may take to end by itself when asked to, before it is made to."""


def recover(named: str | None) -> int:
    """Bring a stack back to where `up` works. Doing it to a healthy stack changes nothing. Returns an exit status.

    Raises OpsError when a Pulumi is still at work on the stack, or a container in the way is not ours.
    """
    stack = unprepared(named)
    clone, name = stack.clone, stack.name
    locks = state_files.locks(clone, name) if stack.owns_backend else []
    if who := running(stack):
        raise OpsError(
            f"Pulumi is working on stack {name}: {who}",
            f"Wait for it. If that machine is gone for good: {stack.plain('cancel')}",
        )
    done = _mend(stack) if stack.owns_backend else []
    if not stack.exists():
        console.note(f"Nothing to recover: stack {name} was never deployed from here.")
        return 0
    stack.require_salt()
    if stack.platform == "kubernetes":
        # A state is put right against what is really there, so a cluster has to answer.
        cluster.require(stack)
    if orphans := orphaned_plugins(clone.root):
        _end(orphans)
        done.append(f"ended {len(orphans)} plugins that a killed Pulumi had left running")
    if locks or not stack.owns_backend:
        _unlock(stack, locks)
        done.append("removed the lock")
    deployment = stack.deployment()
    if stack.platform == "docker":
        done += remove_forgotten(stack, deployment)
    if pending := deployment.get("pending_operations"):
        stack.get_plugins()
        # Once more through Pulumi, so that the state tells what is really there.
        if status := stack.run("refresh", "--yes", "--clear-pending-creates", "--suppress-outputs"):
            return status
        done.append(f"cleared {len(pending)} half-done operations")
    for line in done:
        console.note(f"- {line}")
    console.note(f"Now deploy: {stack.make('up')}" if done else f"Nothing to recover: stack {name} is in order.")
    return 0


def _mend(stack: Stack) -> list[str]:
    """Remove what writes left that did not end, and mend the state. Returns what was done, one sentence each."""
    left = [each for each in state_files.unfinished(stack.clone, stack.name) if not holder(each)]
    for path in left:
        path.unlink()
    done = [f"removed {len(left)} files of writes that did not end"] if left else []
    voted = state_files.vote(stack.clone, stack.name)
    try:
        return done + state_files.mend(stack.clone, stack.name, lambda path: damage(stack, path))
    finally:
        if voted:
            voted.unlink()


def _unlock(stack: Stack, locks: list[Path]) -> None:
    for lock in locks:
        lock.unlink()
    if stack.owns_backend:
        return
    if not console.agreed(f"Cancel whatever holds the lock of stack {stack.name}?"):
        raise OpsError(
            f"The lock of stack {stack.name} was left as it is.", "See who holds it, then run recover again."
        )
    stack.ask("cancel", "--yes")


def running(stack: Stack) -> str:
    """Who works on a stack right now, as a sentence; empty if nobody does, or another backend knows it."""
    locks = state_files.locks(stack.clone, stack.name) if stack.owns_backend else []
    return next(filter(None, map(holder, locks)), "")


def holder(path: Path) -> str:
    """Who still holds a lock, or writes a file, as a sentence; empty if that process is gone."""
    try:
        lock = json.loads(path.read_bytes())
        pid, host = int(lock["pid"]), lock["hostname"]
        who = f"process {pid} of {lock['username']}@{host}, since {lock['timestamp']}. To end it there: kill -INT {pid}"
    except (OSError, ValueError, KeyError, TypeError):
        # Empty: a Pulumi is just writing it, or has left it so on a full disk.
        return next((f"process {each.pid} writes {path}" for each in psutil.process_iter() if _writes(each, path)), "")
    # Nobody can tell from here whether another machine's process lives. The kernel uses a number again after a while:
    # only a process that is a Pulumi counts.
    return who if host != socket.gethostname() or _pulumi(pid) else ""


def _writes(process: psutil.Process, path: Path) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(_pulumi(process.pid)) and str(path) in {each.path for each in process.open_files()}
    return False


def remains(stack: Stack) -> str:
    """What a Pulumi that was killed left of its work on a stack, as the end of a sentence; empty if nothing."""
    clone, name = stack.clone, stack.name
    if not stack.owns_backend:
        return ""
    if locks := state_files.locks(clone, name):
        return "" if any(map(holder, locks)) else "the lock of a Pulumi that was killed"
    if state_files.lost(clone, name):
        return "checkpoints, but no state any more"
    state = clone.state_file(name)
    if state.exists() and (wrong := damage(stack, state)):
        return "another passphrase than this one" if MISFIT in wrong else "a state that is damaged"
    try:
        stack.require_salt()
    except OpsError:
        return f"another passphrase in {clone.file(name).name}"
    latest = state_files.checkpoint(clone, name, state) or {}
    return "operations that were not finished" if latest.get("pending_operations") else ""


def damage(stack: Stack, path: Path) -> str:
    """What is wrong with a checkpoint, as a sentence without its stop; empty for nothing.

    It may be cut. A flipped bit makes it another than its copies. It may leave a secret that does not decrypt, or a
    reference to nothing: Pulumi itself is asked, with a copy in a backend of its own. An import looks at all of it.
    """
    clone, name = stack.clone, stack.name
    latest = state_files.checkpoint(clone, name, path)
    if latest is None:
        return f"The state of stack {name} can't be read"
    if path == clone.state_file(name) and state_files.changed(clone, name):
        return f"The state of stack {name} is not what its last update wrote"
    try:
        with copied(stack, path) as asked:
            deployment = {"version": json.loads(path.read_bytes())["version"], "deployment": latest}
            asked.ask("stack", "import", stdin=json.dumps(deployment) if latest else '{"version": 3}')
    except OpsError as failed:
        if MISFIT in failed.what:
            return f"The passphrase in {stack.passphrase} is not that of stack {name} ({MISFIT})"
        return f"The state of stack {name} can't be used ({' '.join(failed.what.split())[:300]})"
    return ""


@contextlib.contextmanager
def copied(stack: Stack, path: Path) -> Iterator[Stack]:
    """The stack with a copy of a checkpoint as its state, in a backend of its own."""
    with tempfile.TemporaryDirectory(prefix="ci-ops-") as folder:
        state_files.put(Path(folder), stack.clone, stack.name, path.read_bytes())
        env = {**stack.env, "PULUMI_BACKEND_URL": Path(folder).as_uri()}
        yield Stack(stack.clone, stack.name, stack.tools._replace(env=env))


def orphaned_plugins(root: Path) -> list[psutil.Process]:
    """The Pulumi plugins that were started in a clone, where Pulumi starts them, and whose Pulumi is gone."""
    here = [each for each in psutil.process_iter(["cwd", "ppid"]) if each.info["cwd"] == str(root.resolve())]
    plugins = [each for each in here if _pulumi(each.pid).startswith(("pulumi-resource-", "pulumi-language-"))]
    return [each for each in plugins if not _pulumi(each.info["ppid"])]


def _pulumi(pid: int) -> str:
    """The name of a process that is Pulumi or one of its plugins, as `pulumi-resource-docker`; else empty."""
    with contextlib.suppress(psutil.Error, ValueError, OverflowError):
        # A plugin that is a script comes after its interpreter: `python -I .pulumi-resource-docker`.
        names = [Path(word).name.removeprefix(".") for word in psutil.Process(pid).cmdline()[:3]]
        return next((name for name in names if name == "pulumi" or name.startswith("pulumi-")), "")
    return ""


def _end(processes: list[psutil.Process]) -> None:
    """Ask processes to end, wait, and make those end that did not."""
    for end in (psutil.Process.terminate, psutil.Process.kill):
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                end(process)
        processes = psutil.wait_procs(processes, timeout=PATIENCE_SECONDS)[1]


def remove_forgotten(stack: Stack, deployment: Mapping[str, Any]) -> list[str]:
    """Remove the containers and networks that the stack made and its state does not know. Returns what was removed.

    Theirs is a name of the settings or of a half-done create, and the label with the random id of the state. What they
    had to keep is on volumes. Raises OpsError if there are half-done operations, and the engine does not answer.
    """
    resources = {each["urn"]: each for each in deployment.get("resources") or []}
    own = managed_names.Own.of(stack.clone.name, short(stack.name), resources)
    creates = [each["resource"] for each in deployment.get("pending_operations") or [] if each["type"] == "creating"]
    kinds = managed_names.KINDS
    half_made = {(kinds[each["type"]], each.get("inputs", {}).get("name")) for each in creates if each["type"] in kinds}
    ids, done = {each.get("id") for each in resources.values()}, []
    try:
        names = half_made | {(each.kind, each.name) for each in managed_names.of(stack.settings)}
        with contextlib.closing(engine.client(stack.settings)) as there:
            for kind, name in sorted(names if own.id else ()):
                with contextlib.suppress(docker.errors.NotFound):
                    thing: Any = getattr(there, f"{kind}s").get(name)
                    marks = (thing.attrs["Config"] if kind == "container" else thing.attrs).get("Labels") or {}
                    if kind != "volume" and thing.id not in ids and marks.get(labels.OWNER) == own.id:
                        thing.remove(**({"force": True} if kind == "container" else {}))
                        how = "half-made" if (kind, name) in half_made else "unknown"
                        done.append(f"removed the {how} {kind} {name}; what it keeps is on volumes")
    except (OpsError, *ERRORS) as failed:
        if deployment.get("pending_operations"):  # the refresh that follows needs it, and would wait for a silent one
            raise OpsError(
                f"The engine can't be asked for what was half made: {failed}",
                "Start it (`systemctl start docker`), and see that `docker version` works; then run recover again.",
            ) from failed
    return done
