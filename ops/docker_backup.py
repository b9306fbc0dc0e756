"""Jenkins' home on a Docker host, and the images of `access: dind`: how they are copied, and put back.

Consistent is: Jenkins is stopped for the copy, and so is the engine beside it while the home is read. Pausing would do
without a restart, but Jenkins writes its queue and the place of running pipelines only when it stops.

The home is read and written through a container that never runs, of an image without a file. So nothing is pulled, and
the engine keeps owners, modes and links. It can't do that for an engine's storage: a copy by the API loses the marks of
overlayfs by which a layer hides a folder. So that engine itself saves and loads its images.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import docker
import docker.errors
from docker.types import Mount

from components import labels
from ops.archive import FOLDER, TAR_END, whole
from ops.clone import short
from ops.toolchain import console
from ops.toolchain.console import OpsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from docker.models.containers import Container

    from ops.archive import Archive
    from ops.stack import Stack

LOADING = "/var/lib/docker/tmp/restore"
"""Where images lie before the engine beside Jenkins loads them. It empties `tmp` when it starts."""

RESTORED = f"{labels.PREFIX}/restore"
"""The label of a volume that was made for a restore: the archive's id."""


class DockerVolume:
    """A volume in a container that never runs."""

    def __init__(self, through: Container) -> None:
        """Take the container."""
        self.through = through

    def has(self, name: str) -> bool:
        """Whether a file is there, right in the volume."""
        try:
            found = self.through.get_archive(f"{FOLDER}/{name}")[0]
        except docker.errors.NotFound:
            return False
        return bool(list(found))

    def put(self, pieces: Iterable[bytes], _: int) -> None:
        """Unpack a tar."""
        self.through.put_archive("/", iter(pieces))  # of a list, requests would make a form


class DockerStore:
    """Where a stack on a Docker host keeps its data."""

    part = "home.tar"

    def __init__(self, stack: Stack, there: docker.DockerClient) -> None:
        """Take a stack and a client of its engine, whose ERRORS each method may raise."""
        settings = stack.settings
        self.stack, self.settings, self.there = stack, settings, there
        self.name = settings.jenkins.home_volume
        self.volume = f"The volume {self.name}"
        self.removal = f"docker volume rm {self.name}"
        self.filling = f"{self.name}-unfinished-restore"
        self.beside = settings.docker.dind.container_name if settings.docker.access == "dind" else None

    def save(self, add: Callable[[str, Iterable[bytes]], None]) -> None:
        """Add Jenkins' home, and before it the images of an engine beside it, which has to run for that."""
        jenkins = self.settings.jenkins.container_name
        self.there.volumes.get(self.name)  # or the mount would make it
        users = {str(each.name) for each in self.there.containers.list(filters={"volume": self.name})}
        users -= {jenkins, str(self.beside)}
        if users:
            raise OpsError(
                f"Builds write to {self.name}: their containers {', '.join(sorted(users))} run.",
                "Wait for them. To let none start: Manage Jenkins, Prepare for shutdown.",
            )
        with self._stopped(jenkins):
            if self.beside and (images := _images(self.there.containers.get(self.beside))):
                add("images.tar", images)
            with self._stopped(self.beside) if self.beside else contextlib.nullcontext(), self.opened() as home:
                add(self.part, whole(home.through.get_archive(FOLDER)[0], self.name))

    def mark(self) -> str | None:
        """The id of the archive that the volume was made for; empty for any other volume, None where there is none."""
        found = [each for each in self.there.volumes.list(filters={"name": self.name}) if each.name == self.name]
        return (found[0].attrs["Labels"] or {}).get(RESTORED, "") if found else None

    def in_use(self) -> bool:
        """Whether Jenkins' container is there."""
        return bool(self._found(self.settings.jenkins.container_name))

    @contextlib.contextmanager
    def made(self, archive_id: str) -> Iterator[DockerVolume]:
        """Make the volume with a mark, and mount it."""
        _remove(self.there, self.filling)
        if self.mark():
            self.there.volumes.get(self.name).remove()
        # It is made with the container, whose labels are no stack's: another stack's container on the home is what the
        # program itself refuses, so a plain `pulumi up` too.
        mine = labels.of(self.stack.clone.name, short(self.stack.name))
        mount = Mount(FOLDER, self.name, labels={**mine, RESTORED: archive_id})
        yield self._through(self.filling, mount, labels.of("unfinished-restore", short(self.stack.name)))
        _remove(self.there, self.filling)

    @contextlib.contextmanager
    def opened(self) -> Iterator[DockerVolume]:
        """Mount the volume that is there."""
        name = f"{self.name}-backup"
        _remove(self.there, name)
        try:
            yield self._through(name, Mount(FOLDER, self.name), {})
        finally:
            _remove(self.there, name)

    def adopted(self, state: bytes) -> bytes:
        """The same: the home has its old name."""
        return state

    def finish(self, packed: Archive) -> None:
        """Load images into the engine beside Jenkins."""
        if not (self.beside and packed.has("images.tar")):
            return
        inner = self.there.containers.get(self.beside)
        with console.step(f"loading images into {inner.name}"):
            _run(inner, "mkdir", "-p", LOADING)
            inner.put_archive(LOADING, packed.part("images.tar"))
            _run(inner, "sh", "-c", f"tar -C {LOADING} -c . | docker load")
            _run(inner, "rm", "-rf", LOADING)

    def heal(self) -> None:
        """Nothing: an update starts what is stopped."""

    @contextlib.contextmanager
    def _stopped(self, name: str) -> Iterator[None]:
        """Stop a container if it runs, and start it again in the end."""
        running = self._found(name, all=False)
        try:
            for found in running:
                console.note(f"stopping {name}; should this be killed, `make up` starts it again")
                found.stop()
            yield
        finally:
            for found in running:
                found.start()
                console.note(f"started {name}")

    def _found(self, name: str, *, all: bool = True) -> list[Container]:  # noqa: A002 - the SDK's word
        return self.there.containers.list(all=all, filters={"name": f"^/?{name}$"})

    def _through(self, name: str, mount: Mount, marks: dict[str, str]) -> DockerVolume:
        """A container that never runs, of an image without a file, which has the volume."""
        # By its id: a tag could be another image's, whose files an empty volume would get.
        image = json.loads(str(self.there.api.import_image_from_data(TAR_END)).splitlines()[-1])["status"]
        return DockerVolume(self.there.containers.create(image, ["never"], name=name, mounts=[mount], labels=marks))


def _images(inner: Container) -> Iterator[bytes] | None:
    """All images of the engine in a container, by `docker save`; None if it has none."""
    names = _run(inner, "docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").splitlines()
    images = [id_ if "<none>" in name else name for name, id_ in map(str.split, names)]
    pieces: Any = inner.exec_run(["docker", "save", *images], stream=True, demux=True).output if images else None
    return whole((out for out, _ in pieces if out), f"the images of {inner.name}") if images else None


def _run(inner: Container, *command: str) -> str:
    code, said = inner.exec_run(list(command))
    text = said.decode(errors="replace") if isinstance(said, bytes) else ""
    if code:
        raise OpsError(f"`{' '.join(command)}` failed in {inner.name}: {text.strip()}")
    return text


def _remove(there: docker.DockerClient, name: str) -> None:
    """Remove a container that never ran, with its image, if it is there."""
    with contextlib.suppress(docker.errors.NotFound):
        found = there.containers.get(name)
        found.remove(force=True)
        there.images.remove(found.attrs["Image"])
