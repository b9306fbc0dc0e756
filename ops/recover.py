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

import psutil

from components import labels
from ops import cluster, engine, state_files
from ops.clone import short
from ops.stack import Stack, unprepared
from ops.toolchain import console
from ops.toolchain.console import OpsError

CONTAINER = "docker:index/container:Container"
NETWORK = "docker:index/network:Network"
PATIENCE_SECONDS = 10
"""How long an orphaned plugin may take to end by itself when asked to, before it is made to."""


def recover(named: str | None, *, yes: bool) -> int:
    """Bring a stack back to where `up` works. Doing it to a healthy stack changes nothing. Returns an exit status.

    Raises:
        OpsError: when a Pulumi is still at work on the stack, or a container in the way is not ours.
    """
    stack = unprepared(named)
    clone, name = stack.clone, stack.name
    done: list[str] = []
    if stack.owns_backend:
        _refuse_if_running(stack)
        done += state_files.mend(clone, name, lambda path: damage(stack, path))
    if not stack.exists():
        console.note(f"Nothing to recover: stack {name} was never deployed from here.")
        return 0
    if stack.platform == "kubernetes":
        # A state is put right against what is really there, so a cluster has to answer.
        cluster.require(stack)
    orphans = orphaned_plugins(clone.root)
    if orphans:
        _end(orphans)
        done.append(f"ended {len(orphans)} plugins that had outlived their Pulumi")
    if not stack.owns_backend or state_files.locks(clone, name):
        if not (stack.owns_backend or yes or console.agreed(f"Cancel whatever holds the lock of stack {name}?")):
            raise OpsError(f"The lock of stack {name} was left as it is.", "See who holds it, then run recover again.")
        stack.ask("cancel", "--yes")
        done.append("took the lock away")
    pending = json.loads(stack.ask("stack", "export"))["deployment"].get("pending_operations") or []
    done += filter(None, [remove_half_made(operation, stack) for operation in pending])
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


def holder(lock: Mapping[str, Any]) -> str:
    """Who still holds a lock; empty if that process is gone."""
    who = f"{lock['username']}@{lock['hostname']} (process {lock['pid']}, since {lock['timestamp']})"
    # Nobody can tell from here whether another machine's process lives. The kernel uses a number again after a while:
    # only a process that is a Pulumi counts.
    return who if lock["hostname"] != socket.gethostname() or _pulumi(lock["pid"]) else ""


def remains(stack: Stack) -> str:
    """What a Pulumi that was killed left of its work on a stack, as the end of a sentence; empty if nothing."""
    clone, name = stack.clone, stack.name
    if not stack.owns_backend:
        return ""
    if state_files.lock_files(clone, name):
        held = any(holder(lock) for lock in state_files.locks(clone, name))
        return "" if held else "the lock of a Pulumi that was killed"
    if state_files.lost(clone, name):
        return "checkpoints, but no state any more"
    state = state_files.state_file(clone, name)
    if state.exists() and damage(stack, state):
        return "a state that is damaged"
    latest = (state_files.checkpoint(clone, name, state) or {}).get("latest") or {}
    return "operations that were not finished" if latest.get("pending_operations") else ""


def damage(stack: Stack, path: Path) -> str:
    """What is wrong with a checkpoint, as a sentence without its stop; empty for nothing.

    It may be cut. A flipped bit leaves a secret that does not decrypt: Pulumi itself is asked, with a copy in a backend
    of its own. Or it leaves the id of nothing: a container of the stack, which another checkpoint knows, is in the way.
    """
    clone, name = stack.clone, stack.name
    if path.suffix == ".zst":
        return ""
    if state_files.checkpoint(clone, name, path) is None:
        return f"The state of stack {name} can't be read"
    with copied(stack, path) as asked:
        try:
            known = _made({"latest": json.loads(asked.ask("stack", "export", "--show-secrets"))["deployment"]})
        except OpsError as failed:
            return f"A secret in the state of stack {name} can't be decrypted ({failed.what.splitlines()[0]})"
    ever = set().union(*(_made(content) for content in state_files.checkpoints(clone, name)))
    if not ever - known:
        return ""
    ours: dict[str, Any] = {"label": [f"{key}={value}" for key, value in labels.of(clone.name, short(name)).items()]}
    # Without an engine, or with settings that are wrong, the ids can't be compared.
    with contextlib.suppress(*engine.ERRORS, OpsError), contextlib.closing(engine.client(stack.settings)) as there:
        found: list[Any] = [*there.containers.list(all=True, filters=ours), *there.networks.list(filters=ours)]
        lost = [each.name for each in found if each.id in ever - known]
        return f"The state of stack {name} does not know {lost[0]} any more, which is the stack's" if lost else ""
    return ""


@contextlib.contextmanager
def copied(stack: Stack, path: Path) -> Iterator[Stack]:
    """The stack with a copy of a checkpoint as its state, in a backend of its own."""
    with tempfile.TemporaryDirectory(prefix="ci-ops-") as folder:
        state_files.put(Path(folder), stack.clone, stack.name, state_files.read(path))
        env = {**stack.env, "PULUMI_BACKEND_URL": Path(folder).as_uri()}
        yield Stack(stack.clone, stack.name, stack.tools._replace(env=env))


def _made(content: Mapping[str, Any]) -> set[str]:
    """The ids of the containers and networks in a checkpoint."""
    resources = (content.get("latest") or {}).get("resources") or ()
    return {entry["id"] for entry in resources if entry["type"] in {CONTAINER, NETWORK} and entry.get("id")}


def _refuse_if_running(stack: Stack) -> None:
    for lock in state_files.locks(stack.clone, stack.name):
        who = holder(lock)
        if who:
            raise OpsError(
                f"A Pulumi works on stack {stack.name}: {who}.",
                f"Wait for it, or end it there: kill -INT {lock['pid']}. If that machine is gone for good: "
                f'eval "$(.venv/bin/python -m ops env)" && pulumi cancel --stack {stack.name}',
            )


def orphaned_plugins(root: Path) -> list[psutil.Process]:
    """The Pulumi plugins that were started in a clone, where Pulumi starts them, and whose Pulumi is gone."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):  # it has ended since, or is another user's
            plugin = _pulumi(process.pid).startswith(("pulumi-resource-", "pulumi-language-"))
            if plugin and process.cwd() == str(root.resolve()) and not _pulumi(process.ppid()):
                found.append(process)
    return found


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
    name = inputs.get("name")
    if operation.get("type") != "creating" or resource.get("type") not in {CONTAINER, NETWORK} or not name:
        return ""
    container = resource["type"] == CONTAINER
    what = "container" if container else "network"
    asked: dict[str, Any] = {"all": True} if container else {}
    try:
        there = engine.client(stack.settings)
        known: list[Any] = (there.containers if container else there.networks).list(filters={"name": name}, **asked)
    except engine.ERRORS as failed:
        raise OpsError(
            f"The engine can't be asked for the half-made {what} {name}: {failed}",
            "Start it (`systemctl start docker`), and see that `docker version` works; then run recover again.",
        ) from failed
    found = next((each for each in known if each.name == name), None)  # the engine takes a part of a name, too
    if found is None:
        return ""
    has = found.labels if container else found.attrs.get("Labels") or {}
    wanted = {entry["label"]: entry["value"] for entry in inputs.get("labels") or [] if isinstance(entry, dict)}
    if not wanted or not wanted.items() <= has.items():
        raise OpsError(
            f"The {what} {name} is in the way, and its labels say that this stack did not make it.",
            f"Look at it, and if it may go: docker {what} rm{' -f' if container else ''} {name}",
        )
    found.remove(**({"force": True} if container else {}))
    return f"removed the half-made {what} {name}"
