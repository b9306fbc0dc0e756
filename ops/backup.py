"""`backup` and `restore`: what a stack keeps goes into one file, and from there to a host or cluster that lacks it.

What it keeps is one volume and, in the clone's own backend, the state. How to come at the volume, a store knows, one
for Jenkins' home on a Docker host (`docker_backup`) and one for the registry in a cluster (`cluster_backup`).

A restore that was killed leaves half a volume. Such a volume never passes for whole: it is made first, with a mark, the
archive's id, and the last file that is written into it says that this archive is all there.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from components import labels
from ops import archive, cluster, deploy, engine, recover, state_files, volume_tar
from ops.clone import short
from ops.stack import unprepared
from setup import cache, console
from setup import engine as local_engine
from setup.console import OpsError
from setup.engine import ERRORS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ops.archive import Archive
    from ops.cluster_backup import ClusterStore
    from ops.docker_backup import DockerStore
    from ops.stack import Stack

    Store = DockerStore | ClusterStore


def backup(named: str | None, file: Path) -> None:
    """Write everything that a stack keeps into one file."""
    stack = unprepared(named)
    if not stack.exists():
        raise OpsError(f"Nothing to back up: stack {stack.name} was never deployed from here.", code=2)
    about = {"project": stack.clone.name, "stack": short(stack.name), "made": f"{dt.datetime.now(dt.UTC):%FT%TZ}"}
    passphrase, kept = stack.signing_passphrase(make=True)
    for number in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: what was stopped is started again
        signal.signal(number, signal.default_int_handler)
    with _store(stack) as store, archive.writing(file, about, passphrase) as add:
        if stack.owns_backend:
            add("state.json", [_state(stack)])
        if store:
            store.save(add)
    console.note(f"\n{file} has all that stack {stack.name} keeps. To put it back: {stack.make('restore', FILE=file)}")
    console.note("Keep it as you keep a password: it has Jenkins' credentials with their key, or every image.")
    apart = f"the passphrase, without which it can't be restored. Keep a copy apart: {kept}"
    console.note(f"Not in it: {apart}")
    if not stack.owns_backend:
        console.note("Nor the state, which your backend keeps.")


def restore(named: str | None, file: Path, *, unsigned: bool = False) -> int:
    """Put back what `backup` wrote, where there is nothing of it, and deploy. Returns an exit status.

    A volume that is there is refused, unless it was filled from this very archive: then it stays as it is now or, if
    that restore was killed, is made anew. Of the state it takes what `state_files.carried` lists.

    unsigned: whether an archive without a signature may be restored without a question.
    Raises OpsError before anything is changed, when the archive is not whole or not this stack's, when the passphrase
    does not fit its state, or when something of the stack is there.
    """
    console.require_terminal("Restore and deploy?")
    stack = unprepared(named)
    again = stack.make("restore", FILE=file)
    with archive.opened(file, lambda: stack.signing_passphrase()[0]) as packed:
        _require_signature(packed, file, f"{again} UNSIGNED=1", unsigned=unsigned)
        state, known = _fitting(stack, packed)
        if known.settings.platform == "docker":
            local_engine.ensure(known.settings.docker.host)
        with _store(known) as store:
            has = packed.tars - {archive.IMAGES}
            keeps = {store.part} if store else set()
            if has != keeps:
                raise OpsError(
                    f"The archive has {', '.join(has) or 'no volume'}, but the stack with these settings keeps "
                    f"{', '.join(keeps) or 'none'} (ci:platform: {known.settings.platform}). Nothing was changed.",
                    f"Put back the settings that it was backed up with: stacks/Pulumi.{stack.name}.yaml",
                )
            done = store is not None and _filled(store, packed)
            if stack.owns_backend and _deployed(stack) and not done:
                raise OpsError(f"Stack {stack.name} is deployed. Nothing was changed.", f"First: {stack.make('down')}")
            _compare(packed, None if done else store)
            if store and not done:
                console.note(f"filling {store.volume}")
                last = volume_tar.empty_file(f"{labels.RESTORED_FILE}{packed.id}")
                store.fill(packed.id, [packed.tar(store.part), ([last], len(last))])
                _name_left_out(packed.left_out)
            if state and not _deployed(stack):
                if store:
                    store.adopt(state_files.outputs(state))
                state_files.put(stack.clone.state, stack.clone, stack.name, json.dumps(state).encode())
        status = deploy.up(stack.name, [])
        if status == 0:
            with _store(known) as store:
                if store:
                    store.finish(packed)
    if status:
        console.note(f"When that is mended, run again: {again}{'' if not unsigned else ' UNSIGNED=1'}")
    return status


def _compare(packed: Archive, store: Store | None) -> None:
    """Make the volume with its mark, and compare the archive, which takes minutes.

    In this order, since an update would begin with an empty volume after a kill in between.

    store: of the volume to make; None for none. Raises OpsError for a damaged archive, and leaves no new volume then.
    """
    is_new = store is not None and store.mark() is None
    if store:
        store.make(packed.id)
    try:
        packed.compare()
    except OpsError:
        if store and is_new:
            store.remove()
        raise


def before_up(stack: Stack) -> None:
    """Put right what a killed backup left. Raises OpsError where a killed restore left half a volume."""
    with _store(stack) as store:
        if not store:
            return
        # The first update after a restore has seen to that already.
        if not store.heal() and _unfinished(store):
            raise OpsError(
                f"{store.volume} is not whole: it has an unfinished restore.",
                f"Run the restore again: {stack.make('restore')} FILE=... Or remove it: {store.removal}",
            )


@contextlib.contextmanager
def _store(stack: Stack) -> Iterator[Store | None]:
    """What keeps the stack's data, for one process at a time; None for a stack that keeps none."""
    settings = stack.settings
    with cache.locked(stack.clone.local / f"backup-{short(stack.name)}.lock", "a backup or a restore"):
        if settings.platform == "kubernetes":
            from ops import cluster_backup  # noqa: PLC0415 - imports the official client

            cluster.require(stack)
            with cluster.asked():
                yield cluster_backup.ClusterStore(stack)
            return
        from ops import docker_backup  # noqa: PLC0415 - the same

        try:
            with contextlib.closing(engine.client(settings)) as there:
                there.api.timeout = cluster.SILENCE_SECONDS
                yield docker_backup.DockerStore(stack, there) if settings.gitlab_runner is None else None
        except ERRORS as failed:
            raise OpsError(
                f"The Docker engine at {settings.docker.host}: {failed}", f"See: {stack.make('doctor')}"
            ) from failed


def _state(stack: Stack) -> bytes:
    path = stack.clone.state_file(stack.name)
    left = recover.remains(stack) or ("a Pulumi at work" if state_files.locks(stack.clone, stack.name) else "")
    if left or state_files.checkpoint(stack.clone, stack.name, path) is None:
        raise OpsError(f"Stack {stack.name} has {left or 'a state in another format'}.", f"Run {stack.make('recover')}")
    return path.read_bytes()


def _require_signature(packed: Archive, file: Path, command: str, *, unsigned: bool) -> None:
    """Raise OpsError for an archive without a signature, unless the user wants to restore it and knows the risk."""
    risk = (
        f"{file} has no signature: a version that made none has written it, or somebody else. Whoever could write to "
        "the file can run code in this CI, and through it as root on its host."
    )
    if packed.signed or unsigned:
        return
    if console.yes() or not typer.confirm(f"{risk} Restore it?", default=False, err=True):
        raise OpsError(f"{risk} Nothing was changed.", f"If nobody else could write to it: {command}")


def _name_left_out(names: Sequence[str]) -> None:
    """Say what of a volume was not put back."""
    if names:
        first = ", ".join(map(archive.printable, names[:5]))
        console.note(
            f"Not put back, since they are no files, folders or links inside the volume: {len(names)}, {first}"
        )


def _fitting(stack: Stack, packed: Archive) -> tuple[dict[str, Any], Stack]:
    """The state to put back and the stack with its settings, if the archive is its own and can be decrypted.

    The settings are read with that state, since the backend may not know the stack yet.
    """
    owner, mine = f"{packed.about['project']}/{packed.about['stack']}", f"{stack.clone.name}/{short(stack.name)}"
    if owner != mine:
        shown = archive.printable(owner)
        raise OpsError(f"The archive is of stack {shown}, not of {mine}. Nothing was changed.", code=2)
    data = packed.state()
    if not data:
        return {}, stack
    if not stack.owns_backend:
        raise OpsError(
            "The archive has a state of a clone's own backend, but you chose another backend.",
            "Log out (`pulumi logout`), and unset PULUMI_BACKEND_URL and PULUMI_ACCESS_TOKEN.",
        )
    with tempfile.TemporaryDirectory(prefix="ci-ops-") as folder:
        copy = Path(folder) / archive.STATE
        copy.write_bytes(data)
        state = state_files.carried(stack.clone, stack.name, copy)
        copy.write_text(json.dumps(state))
        with recover.copied(stack, copy) as asked:
            try:
                asked.ask("stack", "export", "--show-secrets")
            except OpsError as failed:
                why = archive.printable(failed.what.splitlines()[0])
                raise OpsError(
                    f"The archive's state can't be decrypted ({why}). Nothing was changed.",
                    f"Put the passphrase of the clone that was backed up into {stack.clone.passphrase}.",
                ) from failed
            _ = asked.settings  # read now, and kept
            return state, asked


def _deployed(stack: Stack) -> bool:
    """Whether the clone's own backend says that something of the stack is deployed, or can't say."""
    path = stack.clone.state_file(stack.name)
    content = state_files.checkpoint(stack.clone, stack.name, path)
    resources = (content or {}).get("resources") or ()
    # An update that was refused leaves the stack itself.
    return path.exists() and (content is None or any(entry["type"] != "pulumi:pulumi:Stack" for entry in resources))


def _unfinished(store: Store) -> bool:
    """Whether a restore into the volume was killed."""
    mark = store.mark()
    return not store.has(f"{labels.RESTORED_FILE}{mark}") if mark else False


def _filled(store: Store, packed: Archive) -> bool:
    """Whether the volume was filled from this archive. Raises OpsError where it has other data."""
    mark = store.mark()
    if mark not in {None, packed.id}:
        raise OpsError(
            f"{store.volume} is there, and is not from this archive. Nothing was changed.",
            f"Give it another name in the stack's file; or, if its data may go: {store.removal}",
        )
    if mark is None or _unfinished(store):
        return False
    console.note(f"{store.volume} was filled from this archive before, and stays as it is now")
    return True
