"""Jenkins' home on a Docker host, and the images of `access: dind`: how they are copied, and put back.

Consistent is: Jenkins is stopped for the copy, and so is the engine beside it while the home is read. Pausing would do
without a restart, but Jenkins writes its queue and the place of running pipelines only when it stops.

The home is read and written through a container that never runs, of an image without a file. So nothing is pulled, and
the engine keeps owners, modes and links. It can't do that for an engine's storage: a copy by the API loses the marks of
overlayfs by which a layer hides a folder. So that engine itself saves and loads its images.
"""

import contextlib
import hashlib
import json
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import docker
import docker.errors
from docker.models.containers import Container
from docker.types import Mount

from components import labels
from ops.archive import IMAGES, Archive
from ops.clone import short
from ops.stack import Stack
from ops.volume_tar import FOLDER, TAR_END, whole
from setup import console
from setup.console import OpsError

NO_FILE = f"sha256:{hashlib.sha256(TAR_END).hexdigest()}"
"""The layer of an image without a file."""

LOADING = "/var/lib/docker/tmp/restore"
"""Where images lie before the engine beside Jenkins loads them. It empties `tmp` when it starts."""


class DockerStore:
    """Where a stack on a Docker host keeps its data."""

    part = "home.tar"

    def __init__(self, stack: Stack, there: docker.DockerClient) -> None:
        """Take a stack and a client of its engine, whose ERRORS each method may raise."""
        self.stack, self.there = stack, there
        jenkins, on_host = stack.settings.jenkins, stack.settings.docker
        self.jenkins, self.name = jenkins.container_name, jenkins.home_volume
        self.beside = on_host.dind.container_name if on_host.access == "dind" else ""
        self.volume, self.removal = f"The volume {self.name}", f"docker volume rm {self.name}"

    def save(self, add: Callable[[str, Iterable[bytes]], None]) -> None:
        """Add Jenkins' home, and before it the images of an engine beside it, which has to run for that."""
        self.there.volumes.get(self.name)  # or the mount would make it
        found = self.there.containers.list(filters={"volume": self.name}, ignore_removed=True)
        users = {str(each.name) for each in found} - {self.jenkins, self.beside}
        if users:
            raise OpsError(
                f"Containers of builds use {self.name}: {', '.join(sorted(users))}.",
                "Wait until they have ended. To let no new one start: Manage Jenkins, Prepare for shutdown.",
            )
        with self._stopped(self.jenkins):
            if self.beside and (images := _images(self.there.containers.get(self.beside))):
                add(IMAGES, images)
            with self._stopped(self.beside), self._mounted() as home:
                add(self.part, whole(home.get_archive(FOLDER)[0], self.name))

    def mark(self) -> str | None:
        """The id of the archive that the volume was made for; empty for any other volume, None where there is none."""
        found = [each for each in self.there.volumes.list(filters={"name": self.name}) if each.name == self.name]
        return (found[0].attrs["Labels"] or {}).get(labels.RESTORE, "") if found else None

    def has(self, name: str) -> bool:
        """Whether a file is there, right in the volume."""
        with self._mounted() as home:
            try:
                return bool(list(home.get_archive(f"{FOLDER}/{name}")[0]))
            except docker.errors.NotFound:
                return False

    def make(self, archive_id: str) -> None:
        """Make the volume with a mark, in the place of one that has such a mark."""
        self._remove_helpers()
        if self.mark():
            self.remove()
        marks = {**labels.of(self.stack.clone.name, short(self.stack.name)), labels.RESTORE: archive_id}
        self.there.volumes.create(self.name, labels=marks)

    def remove(self) -> None:
        """Remove the volume."""
        self.there.volumes.get(self.name).remove()

    def fill(self, archive_id: str, tars: Iterable[tuple[Iterable[bytes], int]]) -> None:  # noqa: ARG002 - a cluster's
        """Unpack tars in the volume."""
        with self._mounted() as home:
            for pieces, _ in tars:
                home.put_archive("/", iter(pieces))  # of a list, requests would make a form

    def adopt(self, outputs: dict[str, Any]) -> None:
        """Nothing."""

    def finish(self, packed: Archive) -> None:
        """Load images into the engine beside Jenkins."""
        if not (self.beside and IMAGES in packed.tars):
            return
        inner = self.there.containers.get(self.beside)
        with console.step(f"loading images into {inner.name}"):
            _run(inner, "mkdir", "-p", LOADING)
            inner.put_archive(LOADING, packed.tar(IMAGES)[0])
            _run(inner, "sh", "-c", f"tar -C {LOADING} -c . | docker load")
            _run(inner, "rm", "-rf", LOADING)

    def heal(self) -> bool:
        """Whether Jenkins' container is there. An update starts it if a killed backup has stopped it."""
        return bool(self._found(self.jenkins))

    @contextlib.contextmanager
    def _stopped(self, name: str) -> Iterator[None]:
        """Stop a container if it runs, and start it again in the end."""
        running = self._found(name, all=False)
        try:
            for found in running:
                console.note(f"stopping {name}; should this be killed, `{self.stack.make('up')}` starts it again")
                found.stop()
            yield
        finally:
            for found in running:
                found.start()
                console.note(f"started {name}")

    def _found(self, name: str, *, all: bool = True) -> list[Container]:  # noqa: A002 - the SDK's word
        return self.there.containers.list(all=all, filters={"name": f"^/?{re.escape(name)}$"}, ignore_removed=True)

    @contextlib.contextmanager
    def _mounted(self) -> Iterator[Container]:
        """The volume in a container that never runs, of an image without a file."""
        self._remove_helpers()
        # By its id: a tag could be another image's, whose files an empty volume would get.
        image = json.loads(str(self.there.api.import_image_from_data(TAR_END)).splitlines()[-1])["status"]
        # A job with the socket can have any name first.
        name, mounts = f"{self.name}-{secrets.token_hex(8)}", [Mount(FOLDER, self.name)]
        try:
            marks = {labels.HELPER: f"{self.stack.clone.name}/{short(self.stack.name)}"}
            yield self.there.containers.create(image, ["never"], name=name, mounts=mounts, labels=marks)
        finally:
            self._remove_helpers()

    def _remove_helpers(self) -> None:
        """Remove the containers of `_mounted`, also those that a kill has left, with their images.

        A job can give its container any label. So one is removed only if it never ran, and its image has no file.
        """
        mark = f"{labels.HELPER}={self.stack.clone.name}/{short(self.stack.name)}"
        where: dict[str, Any] = {"label": mark, "status": "created", "volume": self.name}
        for each in self.there.containers.list(all=True, filters=where, ignore_removed=True):
            image = self.there.images.get(each.attrs["Image"])
            if image.attrs["RootFS"].get("Layers") == [NO_FILE] and not image.tags:
                each.remove()
                with contextlib.suppress(docker.errors.APIError):  # another helper's, made in the same second
                    image.remove()


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
