"""`backup` and `restore` of a stack on a Docker host: Jenkins' home, the images of `access: dind`, and the state.

Consistent is: Jenkins is stopped for the copy, and so is the engine beside it while the home is read. Pausing would do
without a restart, but Jenkins writes its queue and the place of running pipelines only when it stops.

The home is read and written through a container that never runs, of an image without a file. So nothing is pulled, and
the engine keeps owners, modes and links. It can't do that for an engine's storage: a copy by the API loses the marks of
overlayfs by which a layer hides a folder. So that engine itself saves and loads its images.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import docker.errors
from docker.types import Mount

from components import labels
from ops import archive, deploy, engine, recover, state_files
from ops.clone import short
from ops.stack import unprepared
from ops.toolchain import console, docker_engine
from ops.toolchain.console import OpsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from docker.models.containers import Container

    from components.settings import Settings
    from ops.archive import Archive
    from ops.stack import Stack

SILENCE_SECONDS = 600
"""How long an engine may say nothing while it copies."""

FOLDER = "/data"
"""Where a volume is in the container that never runs, so the first part of each path in `home.tar`."""

LOADING = "/var/lib/docker/tmp/restore"
"""Where images lie before the engine beside Jenkins loads them. It empties `tmp` when it starts."""

ARCHIVE = f"{labels.PREFIX}/archive"
"""The label of a volume that was filled by a restore: the archive's id."""

TAR_END = bytes(1024)
"""How a tar ends; alone it is one without files."""


def backup(named: str | None, file: Path) -> None:
    """Write everything that a stack keeps into one file."""
    stack = unprepared(named)
    if not stack.exists():
        raise OpsError(f"Nothing to back up: stack {stack.name} was never deployed from here.", code=2)
    settings = _on_docker(stack.settings)
    about = {"project": stack.clone.name, "stack": short(stack.name), "made": f"{dt.datetime.now(dt.UTC):%FT%TZ}"}
    for number in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: what was stopped is started again
        signal.signal(number, signal.default_int_handler)
    with _client(settings) as there, archive.writing(file, about) as add:
        if stack.owns_backend:
            add("state.json", [_state(stack)])
        if settings.gitlab_runner is None:
            _add_home(there, settings, add)
    console.note(f"\n{file} has all that stack {stack.name} keeps. To put it back: {stack.make('restore')} FILE={file}")
    console.note("Keep it as you keep a password: Jenkins' credentials and the key that decrypts them are in it.")
    apart = f"the passphrase of the state. Keep a copy apart: {stack.clone.passphrase}"
    console.note(f"Not in it: {apart if stack.owns_backend else 'the state, which your backend keeps'}")


def restore(named: str | None, file: Path, *, yes: bool) -> int:
    """Put back what `backup` wrote, on a host that has nothing of it, and deploy. Returns an exit status.

    A home that is there is refused, unless it was filled from this very archive: then it stays as it is now or, if that
    restore was killed, is made anew.

    Raises:
        OpsError: before anything is changed, when the archive is not whole or not this stack's, when the passphrase
            does not fit its state, or when something of the stack is there.
    """
    stack = unprepared(named)
    with archive.opened(file) as packed:
        state, settings = _fitting(stack, packed)
        docker_engine.ensure(settings.docker.host)
        with _client(settings) as there:
            done = _filled(there, settings, packed)
            if stack.owns_backend and _deployed(stack) and not done:
                raise OpsError(f"Stack {stack.name} is deployed. Nothing was changed.", f"First: {stack.make('down')}")
            if not done and packed.has("home.tar"):
                _fill(there, stack, settings, packed)
        if state and not _deployed(stack):
            state_files.put(stack.clone.state, stack.clone, stack.name, state)
        status = deploy.up(stack.name, yes=yes, words=[])
        if status == 0 and packed.has("images.tar"):
            with _client(settings) as there:
                _load(there.containers.get(settings.docker.dind.container_name), packed.part("images.tar"))
    if status:
        console.note(f"When that is put right: {stack.make('restore')} FILE={file}")
    return status


def _on_docker(settings: Settings) -> Settings:
    if settings.platform != "docker":
        raise OpsError(
            "backup and restore know stacks on a Docker host only (ci:platform: docker).",
            "For the registry's volume in a cluster, use snapshots of the cluster's storage.",
            code=2,
        )
    return settings


@contextlib.contextmanager
def _client(settings: Settings) -> Iterator[docker.DockerClient]:
    try:
        with contextlib.closing(engine.client(settings)) as there:
            there.api.timeout = SILENCE_SECONDS
            yield there
    except engine.ERRORS as failed:
        raise OpsError(f"The Docker engine at {settings.docker.host}: {failed}", "See: make doctor") from failed


def _state(stack: Stack) -> bytes:
    path = state_files.state_file(stack.clone, stack.name)
    left = recover.remains(stack) or ("a Pulumi at work" if state_files.lock_files(stack.clone, stack.name) else "")
    if left or state_files.checkpoint(stack.clone, stack.name, path) is None:
        raise OpsError(f"Stack {stack.name} has {left or 'a state in another format'}.", f"{stack.make('recover')}")
    return state_files.read(path)


def _fitting(stack: Stack, packed: Archive) -> tuple[bytes, Settings]:
    """The state in an archive and the stack's settings, if the archive is this stack's and can be decrypted."""
    owner, mine = f"{packed.about['project']}/{packed.about['stack']}", f"{stack.clone.name}/{short(stack.name)}"
    if owner != mine:
        raise OpsError(f"The archive is of stack {owner}, not of {mine}. Nothing was changed.", code=2)
    if not packed.has("state.json"):
        return b"", _on_docker(stack.settings)
    if not stack.owns_backend:
        raise OpsError(
            "The archive has a state of a clone's own backend, but you chose another backend.",
            "Log out (`pulumi logout`), and unset PULUMI_BACKEND_URL and PULUMI_ACCESS_TOKEN.",
        )
    with tempfile.TemporaryDirectory(prefix="ci-ops-") as folder:
        copy = Path(folder, "state.json")
        copy.write_bytes(b"".join(packed.part("state.json")))
        with recover.copied(stack, copy) as asked:
            try:
                asked.ask("stack", "export", "--show-secrets")
            except OpsError as failed:
                raise OpsError(
                    f"The archive's state can't be decrypted ({failed.what.splitlines()[0]}). Nothing was changed.",
                    f"Put the passphrase of the clone that was backed up into {stack.clone.passphrase}.",
                ) from failed
            return copy.read_bytes(), _on_docker(asked.settings)


def _deployed(stack: Stack) -> bool:
    """Whether the clone's own backend says that something of the stack is deployed, or can't say."""
    path = state_files.state_file(stack.clone, stack.name)
    content = state_files.checkpoint(stack.clone, stack.name, path)
    resources = ((content or {}).get("latest") or {}).get("resources") or ()
    # An update that was refused leaves the stack itself.
    return path.exists() and (content is None or any(entry["type"] != "pulumi:pulumi:Stack" for entry in resources))


def _add_home(there: docker.DockerClient, settings: Settings, add: Callable[[str, Iterable[bytes]], None]) -> None:
    """Add Jenkins' home, and before it the images of an engine beside it, which has to run for that."""
    volume, jenkins = settings.jenkins.home_volume, settings.jenkins.container_name
    beside = settings.docker.dind.container_name if settings.docker.access == "dind" else None
    there.volumes.get(volume)  # or the mount would make it
    users = {str(each.name) for each in there.containers.list(filters={"volume": volume})} - {jenkins, beside}
    if users:
        raise OpsError(
            f"Builds write to {volume}: their containers {', '.join(sorted(users))} run.",
            "Wait for them. To let none start: Manage Jenkins, Prepare for shutdown.",
        )
    with _stopped(there, jenkins):
        if beside and (images := _images(there.containers.get(beside))):
            add("images.tar", images)
        with _stopped(there, beside) if beside else contextlib.nullcontext():
            _remove(there, f"{volume}-backup")
            through = _container(there, f"{volume}-backup", Mount(FOLDER, volume), {})
            try:
                add("home.tar", whole(through.get_archive(FOLDER)[0], volume))
            finally:
                _remove(there, f"{volume}-backup")


@contextlib.contextmanager
def _stopped(there: docker.DockerClient, name: str) -> Iterator[None]:
    """Stop a container if it runs, and start it again in the end."""
    running = there.containers.list(filters={"name": f"^/?{name}$"})
    try:
        for found in running:
            console.note(f"stopping {name}; should this be killed, `make up` starts it again")
            found.stop()
        yield
    finally:
        for found in running:
            found.start()
            console.note(f"started {name}")


def whole(chunks: Iterable[bytes], what: str) -> Iterator[bytes]:
    """The same, if it ends as a tar does: an engine that can't go on just ends its answer."""
    end = b""
    for chunk in chunks:
        end = (end + chunk)[-len(TAR_END) :]
        yield chunk
    if end != TAR_END:
        raise OpsError(f"The engine has not given all of {what}.", "See its log, then try again.")


def _images(inner: Container) -> Iterator[bytes] | None:
    """All images of the engine in a container, by `docker save`; None if it has none."""
    names = _run(inner, "docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").splitlines()
    images = [id_ if "<none>" in name else name for name, id_ in map(str.split, names)]
    pieces: Any = inner.exec_run(["docker", "save", *images], stream=True, demux=True).output if images else None
    return whole((out for out, _ in pieces if out), f"the images of {inner.name}") if images else None


def _load(inner: Container, pieces: Iterable[bytes]) -> None:
    """Load images into the engine in a container."""
    with console.step(f"loading images into {inner.name}"):
        _run(inner, "mkdir", "-p", LOADING)
        inner.put_archive(LOADING, pieces)
        _run(inner, "sh", "-c", f"tar -C {LOADING} -c . | docker load")
        _run(inner, "rm", "-rf", LOADING)


def _run(inner: Container, *command: str) -> str:
    code, said = inner.exec_run(list(command))
    text = said.decode(errors="replace") if isinstance(said, bytes) else ""
    if code:
        raise OpsError(f"`{' '.join(command)}` failed in {inner.name}: {text.strip()}")
    return text


def _filled(there: docker.DockerClient, settings: Settings, packed: Archive) -> bool:
    """Whether the home was filled from this archive. Raises OpsError where it has other data."""
    volume = settings.jenkins.home_volume
    found = [each for each in there.volumes.list(filters={"name": volume}) if each.name == volume]
    if not (found and packed.has("home.tar")) or there.containers.list(all=True, filters={"name": _filling(volume)}):
        return False
    if (found[0].attrs["Labels"] or {}).get(ARCHIVE) != packed.id:
        raise OpsError(
            f"The volume {volume} is there, and is not from this archive. Nothing was changed.",
            f"Give another ci:jenkins.homeVolume; or, if its data may go: docker volume rm {volume}",
        )
    console.note(f"{volume} was filled from this archive before, and stays as it is now")
    return True


def _filling(volume: str) -> str:
    """The container by which a home is filled, there until that is done. It keeps an `up` from the volume."""
    return f"{volume}-unfinished-restore"


def _fill(there: docker.DockerClient, stack: Stack, settings: Settings, packed: Archive) -> None:
    """Make the home from an archive, once more if a restore was killed."""
    volume = settings.jenkins.home_volume
    name, mine = _filling(volume), labels.of(stack.clone.name, short(stack.name))
    if _remove(there, name):
        there.volumes.get(volume).remove()
    console.note(f"filling {volume}")
    # The volume is made with the container, so none has the label that was not filled and has no such container. Its
    # labels are no stack's, and another stack's container on the home is what an update refuses.
    mount = Mount(FOLDER, volume, labels={**mine, ARCHIVE: packed.id})
    through = _container(there, name, mount, labels.of("unfinished-restore", short(stack.name)))
    through.put_archive("/", packed.part("home.tar"))
    _remove(there, name)


def _container(there: docker.DockerClient, name: str, mount: Mount, marks: dict[str, str]) -> Container:
    """A container that never runs, of an image without a file, which has a volume."""
    # By its id: a tag could be another image's, whose files an empty volume would get.
    image = json.loads(str(there.api.import_image_from_data(TAR_END)).splitlines()[-1])["status"]
    return there.containers.create(image, ["never"], name=name, mounts=[mount], labels=marks)


def _remove(there: docker.DockerClient, name: str) -> bool:
    """Remove such a container with its image. Returns whether it was there."""
    try:
        found = there.containers.get(name)
    except docker.errors.NotFound:
        return False
    found.remove(force=True)
    there.images.remove(found.attrs["Image"])
    return True
