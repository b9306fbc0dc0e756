"""`recover`: after a Pulumi that was killed (kill -9, out of memory, power).

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

from ops import cluster, engine, state_files
from ops.stack import Stack, unprepared
from setup import console
from setup.console import OpsError
from setup.engine import ERRORS

CONTAINER = "docker:index/container:Container"
NETWORK = "docker:index/network:Network"
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
    done = state_files.mend(clone, name, lambda path: damage(stack, path)) if stack.owns_backend else []
    if not stack.exists():
        console.note(f"Nothing to recover: stack {name} was never deployed from here.")
        return 0
    if stack.platform == "kubernetes":
        # A state is put right against what is really there, so a cluster has to answer.
        cluster.require(stack)
    if orphans := orphaned_plugins(clone.root):
        _end(orphans)
        done.append(f"ended {len(orphans)} plugins that a killed Pulumi had left running")
    if locks or not stack.owns_backend:
        _unlock(stack, locks)
        done.append("removed the lock")
    pending = json.loads(stack.ask("stack", "export"))["deployment"].get("pending_operations") or []
    done += filter(None, [remove_half_made(operation, stack) for operation in pending])
    if pending:
        stack.get_plugins()
        # Once more through Pulumi, so that the state tells what is really there.
        if status := stack.run("refresh", "--yes", "--clear-pending-creates", "--suppress-outputs"):
            return status
        done.append(f"cleared {len(pending)} half-done operations")
    for line in done:
        console.note(f"- {line}")
    console.note(f"Now deploy: {stack.make('up')}" if done else f"Nothing to recover: stack {name} is in order.")
    return 0


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
    """Who still holds a lock, as a sentence; empty if that process is gone, or the file is no lock."""
    try:
        lock = json.loads(path.read_bytes())
        pid, host = int(lock["pid"]), lock["hostname"]
        who = f"process {pid} of {lock['username']}@{host}, since {lock['timestamp']}. To end it there: kill -INT {pid}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    # Nobody can tell from here whether another machine's process lives. The kernel uses a number again after a while:
    # only a process that is a Pulumi counts.
    return who if host != socket.gethostname() or _pulumi(pid) else ""


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
    if state.exists() and damage(stack, state):
        return "a state that is damaged"
    latest = state_files.checkpoint(clone, name, state) or {}
    return "operations that were not finished" if latest.get("pending_operations") else ""


def damage(stack: Stack, path: Path) -> str:
    """What is wrong with a checkpoint, as a sentence without its stop; empty for nothing.

    It may be cut. A flipped bit leaves a secret that does not decrypt: Pulumi itself is asked, with a copy in a backend
    of its own. Or it leaves the id of nothing: a container of the stack, which another checkpoint knows, is in the way.
    """
    clone, name = stack.clone, stack.name
    latest = state_files.checkpoint(clone, name, path)
    if latest is None:
        return f"The state of stack {name} can't be read"
    try:
        with copied(stack, path) as asked:
            asked.ask("stack", "export", "--show-secrets")
    except OpsError as failed:
        return f"A secret in the state of stack {name} can't be decrypted ({failed.what.splitlines()[0]})"
    gone = set().union(*(_made(each) for _, _, each in state_files.checkpoints(clone, name))) - _made(latest)
    if not gone:
        return ""
    # Without an engine, or with settings that are wrong, the ids can't be compared.
    with contextlib.suppress(*ERRORS, OpsError), contextlib.closing(engine.client(stack.settings)) as there:
        api: Any = there.api
        lost = [each for each in [*api.containers(all=True), *api.networks()] if each["Id"] in gone]
        named = [each.get("Name") or each["Names"][0].removeprefix("/") for each in lost]
        return f"The state of stack {name} has lost {named[0]}, which the stack created" if named else ""
    return ""


@contextlib.contextmanager
def copied(stack: Stack, path: Path) -> Iterator[Stack]:
    """The stack with a copy of a checkpoint as its state, in a backend of its own."""
    with tempfile.TemporaryDirectory(prefix="ci-ops-") as folder:
        state_files.put(Path(folder), stack.clone, stack.name, path.read_bytes())
        env = {**stack.env, "PULUMI_BACKEND_URL": Path(folder).as_uri()}
        yield Stack(stack.clone, stack.name, stack.tools._replace(env=env))


def _made(latest: Mapping[str, Any]) -> set[str]:
    """The ids of the containers and networks in a deployment."""
    resources = latest.get("resources") or ()
    return {entry["id"] for entry in resources if entry["type"] in {CONTAINER, NETWORK} and entry.get("id")}


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


def remove_half_made(operation: Mapping[str, Any], stack: Stack) -> str:
    """Remove the container or network of a half-done create, if there is one. Says what it did."""
    resource = operation.get("resource") or {}
    inputs = resource.get("inputs") or {}
    what, name = {CONTAINER: "container", NETWORK: "network"}.get(resource.get("type", "")), inputs.get("name")
    if operation.get("type") != "creating" or not what or not name:
        return ""
    try:
        found: Any = getattr(engine.client(stack.settings), f"{what}s").get(name)
    except docker.errors.NotFound:
        return ""
    except ERRORS as failed:
        raise OpsError(
            f"The engine can't be asked for the half-made {what} {name}: {failed}",
            "Start it (`systemctl start docker`), and see that `docker version` works; then run recover again.",
        ) from failed
    has = (found.attrs if what == "network" else found.attrs["Config"]).get("Labels") or {}
    wanted = {entry["label"]: entry["value"] for entry in inputs.get("labels") or [] if isinstance(entry, dict)}
    if not wanted or not wanted.items() <= has.items():
        raise OpsError(
            f"The {what} {name} is in the way, and its labels say that this stack did not make it.",
            f"Look at it, and if it may go: docker {what} rm{' -f' if what == 'container' else ''} {name}",
        )
    found.remove(**({"force": True} if what == "container" else {}))
    return f"removed the half-made {what} {name}"
