"""`recover`: after a Pulumi that was killed (kill -9, out of memory, power).

What such a death leaves behind, as tried with the CLI: a lock; the plugins, orphaned but alive and perhaps still at
work; operations that the state calls pending; and a container that exists but is in no state, so that the next `up`
fails on its name. `pulumi cancel` and `pulumi refresh --clear-pending-creates` see to the first and the third only, and
`--import-pending-creates` does not take a container in. So the half-made container is removed, if it is ours: `up`
makes it anew, and what it had to keep is on its volume. In a cluster nothing is in the way: the provider takes over
what is there already, so a build that was running is waited for and not run twice. And the state itself may have become
unreadable, see `state_files`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker.errors

from ops import cluster, engine, state_files
from ops.clone import here
from ops.stack import Stack
from ops.toolchain import console, toolchain
from ops.toolchain.console import OpsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from docker import DockerClient
    from docker.models.networks import Network


CONTAINER = "docker:index/container:Container"
NETWORK = "docker:index/network:Network"
PATIENCE_SECONDS = 10
"""How long an orphaned plugin may take to end by itself when asked to, before it is made to."""


def recover(named: str | None, *, yes: bool) -> int:
    """Bring a stack back to where `up` works. Doing it to a healthy stack changes nothing. Returns an exit status.

    Raises:
        OpsError: when a Pulumi is still at work on the stack, or a container in the way is not ours.
    """
    clone = here()
    name = named or clone.chosen
    clone.require(name)
    stack = Stack(clone, name, toolchain.ensure(providers=()))
    done: list[str] = []
    if stack.owns_backend:
        _refuse_if_running(stack)
        done += state_files.mend(clone, name)
    if not stack.exists():
        console.note(f"Nothing to recover: stack {name} was never deployed from here.")
        return 0
    if stack.platform == "kubernetes":
        # A state is put right against what is really there, so a cluster has to answer.
        cluster.require(stack)
    orphans = list(orphaned_plugins(clone.root, _processes()))
    if orphans:
        _end(orphans)
        done.append(f"ended {len(orphans)} plugins that had outlived their Pulumi")
    if not stack.owns_backend or locks(stack):
        _cancel(stack, yes=yes)
        done.append("took the lock away")
    pending = pending_operations(stack)
    for operation in pending:
        removed = remove_half_made(operation, stack)
        done += [removed] if removed else []
    if pending:
        stack.get_plugins()
        # Once more through Pulumi, so that the state tells what is really there.
        status = stack.run("refresh", "--yes", "--clear-pending-creates", "--suppress-outputs")
        if status:
            return status
        done.append(f"cleared {len(pending)} half-done operations")
    for line in done:
        console.note(f"- {line}")
    console.note(
        f"Now finish the work: {stack.make('up')}" if done else f"Nothing to recover: stack {name} is in order."
    )
    return 0


def locks(stack: Stack) -> list[dict[str, Any]]:
    """The locks on a stack of the clone's own backend: pid, username, hostname, timestamp each."""
    found = (state_files.lock(path) for path in state_files.lock_files(stack.clone, stack.name))
    return [lock for lock in found if lock is not None]


def holder(lock: Mapping[str, Any], hostname: str, alive: Mapping[int, str]) -> str:
    """Who still holds a lock; empty if that process is gone.

    Args:
        lock: as `locks` gives it.
        hostname: this machine's.
        alive: the names of this machine's processes by number.
    """
    who = f"{lock['username']}@{lock['hostname']} (process {lock['pid']}, since {lock['timestamp']})"
    if lock["hostname"] != hostname:
        return who  # Nobody can tell from here whether it lives.
    # The kernel uses a number again after a while: only a process that is a Pulumi counts.
    return who if alive.get(lock["pid"], "").startswith("pulumi") else ""


def remains(stack: Stack) -> str:
    """What a Pulumi that was killed left of its work on a stack, as the end of a sentence; empty if nothing."""
    clone, name = stack.clone, stack.name
    if not stack.owns_backend:
        return ""
    if state_files.lock_files(clone, name):
        dead = not any(holder(lock, socket.gethostname(), _alive()) for lock in locks(stack))
        return "the lock of a Pulumi that was killed" if dead else ""
    if state_files.lost(clone, name):
        return "checkpoints, but no state any more"
    if state_files.broken(clone, name):
        return "a state that can't be read"
    latest = (state_files.checkpoint(clone, name, state_files.state_file(clone, name)) or {}).get("latest") or {}
    return "operations that were not finished" if latest.get("pending_operations") else ""


def _alive() -> dict[int, str]:
    return {process["pid"]: process["name"] for process in _processes()}


def _refuse_if_running(stack: Stack) -> None:
    alive = _alive()
    for lock in locks(stack):
        who = holder(lock, socket.gethostname(), alive)
        if who:
            raise OpsError(
                f"A Pulumi works on stack {stack.name}: {who}.",
                f"Wait for it, or end it there: kill -INT {lock['pid']}. If that machine is gone for good: "
                f'eval "$(.venv/bin/python -m ops env)" && pulumi cancel --stack {stack.name}',
            )


def orphaned_plugins(root: Path, processes: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> Iterator[int]:
    """The numbers of the Pulumi plugins that were started in a clone and whose Pulumi is gone.

    Args:
        root: the clone; Pulumi starts its plugins there.
        processes: pid, parent (pid), name and cwd each.
    """
    known = list(processes)
    names = {process["pid"]: process["name"] for process in known}
    for process in known:
        plugin = process["name"].startswith(("pulumi-resource", "pulumi-languag"))  # the kernel cuts names at 15
        ours = process["cwd"] == str(root)
        if plugin and ours and not names.get(process["parent"], "").startswith("pulumi"):
            yield process["pid"]


def _processes() -> Iterator[dict[str, Any]]:
    """This machine's processes that we may look into."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            fields = dict(
                line.split(":\t", 1) for line in (folder / "status").read_text().splitlines() if ":\t" in line
            )
            command = (folder / "cmdline").read_bytes().split(b"\0")
            # A plugin that is a script has its interpreter's name; its own is the first or second word of its command.
            words = [Path(os.fsdecode(word)).name for word in command[:2]]
            script = [word for word in words if word.startswith("pulumi-")]
            yield {
                "pid": int(folder.name),
                "parent": int(fields["PPid"]),
                "name": script[0] if script else fields["Name"],
                "cwd": str((folder / "cwd").readlink()),
            }


def _end(pids: list[int]) -> None:
    """Ask processes to end, wait, and make those end that did not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until and any(Path(f"/proc/{pid}").exists() for pid in pids):
            time.sleep(0.1)


def _cancel(stack: Stack, *, yes: bool) -> None:
    question = f"Cancel whatever holds the lock of stack {stack.name}?"
    if not stack.owns_backend and not yes and not console.agreed(question):
        raise OpsError(
            f"The lock of stack {stack.name} was left as it is.", "See who holds it, then run recover again."
        )
    stack.ask("cancel", "--yes")


def pending_operations(stack: Stack) -> list[dict[str, Any]]:
    """What the state calls half done: `type` (creating, updating, deleting ...) and `resource` each."""
    state = json.loads(stack.ask("stack", "export"))
    found: list[dict[str, Any]] = state["deployment"].get("pending_operations") or []
    return found


def remove_half_made(operation: Mapping[str, Any], stack: Stack) -> str:
    """Remove the container or network of a half-done create, if there is one. Says what it did."""
    resource = operation.get("resource") or {}
    name = (resource.get("inputs") or {}).get("name")
    if operation.get("type") != "creating" or resource.get("type") not in {CONTAINER, NETWORK} or not name:
        return ""
    what, remove = ("container", "rm -f") if resource["type"] == CONTAINER else ("network", "network rm")
    try:
        there = engine.client(stack.settings)
    except engine.ERRORS as failed:
        raise OpsError(
            f"The engine can't be asked for the half-made {what} {name}: {failed}",
            "Start it (`systemctl start docker`), and see that `docker version` works; then run recover again.",
        ) from failed
    try:
        found: Any = there.containers.get(name) if what == "container" else _network(there, name)
    except docker.errors.NotFound:
        return ""
    wanted = wanted_labels(resource["inputs"])
    labels = found.labels if what == "container" else found.attrs.get("Labels") or {}
    if not wanted or any(labels.get(key) != value for key, value in wanted.items()):
        raise OpsError(
            f"The {what} {name} is in the way, and its labels say that this stack did not make it.",
            f"Look at it, and if it may go: docker {remove} {name}",
        )
    if what == "container":
        found.remove(force=True)
    else:
        found.remove()
    return f"removed the half-made {what} {name}"


def _network(there: DockerClient, name: str) -> Network:
    """The network of just this name; the engine would take the beginning of an id for one."""
    found = [network for network in there.networks.list(names=[name]) if network.name == name]
    if not found:
        raise docker.errors.NotFound(f"no network {name}")
    return found[0]


def wanted_labels(inputs: Mapping[str, Any]) -> dict[str, str]:
    """The labels that a container or network resource asks for, from its inputs in the state."""
    return {entry["label"]: entry["value"] for entry in inputs.get("labels") or [] if isinstance(entry, dict)}
