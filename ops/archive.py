"""One file with all of a backup: a zip of parts and, last of all, a manifest with the hash of each.

A zip, since a part comes as a stream whose length nobody knows before its end. Not compressed, since Jenkins waits.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import tarfile
import zipfile
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from ops.toolchain import console
from ops.toolchain.console import OpsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

FORMAT = "pulumi-container-ci/backup/1"
MANIFEST = "manifest.json"
CHUNK_BYTES = 2**20

FOLDER = "/data"
"""Where a volume is mounted while it is copied, so the first part of each path in its tar."""

TAR_END = bytes(1024)
"""How a tar ends; alone it is one without files."""


class Archive(NamedTuple):
    """An archive that was read once and is whole."""

    about: Mapping[str, Any]
    """What its writer said of it, and `sha256` by part."""

    id: str
    """Differs for each archive: the beginning of the hash of its manifest."""

    packed: zipfile.ZipFile

    def has(self, part: str) -> bool:
        """Whether the archive has a part."""
        return part in self.about["sha256"]

    def size(self, part: str) -> int:
        """A part's size in bytes."""
        return self.packed.getinfo(part).file_size

    def part(self, name: str) -> Iterator[bytes]:
        """A part, in chunks."""
        with self.packed.open(name) as data:
            while chunk := data.read(CHUNK_BYTES):
                yield chunk


@contextlib.contextmanager
def writing(path: Path, about: Mapping[str, Any]) -> Iterator[Callable[[str, Iterable[bytes]], None]]:
    """Write an archive under a temporary name, and give it its own name once it is whole and on the disk.

    Gives what adds a part. Raises OpsError when the file is there already.
    """
    if path.exists():
        raise OpsError(f"{path} exists, and is not overwritten.", "Choose another FILE, or remove it.", code=2)
    unfinished = path.with_name(f"{path.name}.part")  # of a backup that was killed: the next one writes over it
    hashes: dict[str, str] = {}
    try:
        with unfinished.open("wb") as raw:
            os.fchmod(raw.fileno(), 0o600)
            with zipfile.ZipFile(raw, "w") as packed, _progress(path.name) as advance:

                def add(part: str, chunks: Iterable[bytes]) -> None:
                    with packed.open(part, "w", force_zip64=True) as out:
                        hashes[part] = _hash(chunks, lambda chunk: advance(out.write(chunk)))

                yield add
                packed.writestr(MANIFEST, json.dumps({**about, "format": FORMAT, "sha256": hashes}))
            raw.flush()
            os.fsync(raw.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """Read an archive from beginning to end, compare every hash, and give it.

    Raises:
        OpsError: when it is not whole, damaged, or no archive of `writing`.
    """
    with path.open("rb") as raw:
        try:
            found = _checked(raw, path.stat().st_size)
        except Exception as error:  # what a damaged file makes the library raise is listed nowhere
            raise OpsError(f"{path} is damaged, or not made by `make backup`: {error}. Nothing was changed.") from error
        yield found


def _checked(raw: BinaryIO, size: int) -> Archive:
    packed = zipfile.ZipFile(raw)
    text = packed.read(MANIFEST)
    found = Archive(json.loads(text), hashlib.sha256(text).hexdigest()[:16], packed)
    parts = set(packed.namelist()) - {MANIFEST}
    with _progress("checking the archive", size) as advance:
        hashes = {part: _hash(found.part(part), lambda chunk: advance(len(chunk))) for part in parts}
    if found.about["format"] != FORMAT or found.about["sha256"] != hashes:
        raise zipfile.BadZipFile("another format, or another hash")
    return found


def file(name: str) -> bytes:
    """The tar of an empty file, right in the volume."""
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w") as packed:
        packed.addfile(tarfile.TarInfo(f"{FOLDER[1:]}/{name}"))
    return into.getvalue()


def whole(chunks: Iterable[bytes], what: str) -> Iterator[bytes]:
    """The same, if it ends as a tar does: an engine or a kubelet that can't go on just ends its answer."""
    end = b""
    for chunk in chunks:
        end = (end + chunk)[-len(TAR_END) :]
        yield chunk
    if end != TAR_END:
        raise OpsError(f"The other side has not given all of {what}.", "See its log, then try again.")


def _hash(chunks: Iterable[bytes], also: Callable[[bytes], object]) -> str:
    total = hashlib.sha256()
    for chunk in chunks:
        total.update(chunk)
        also(chunk)
    return total.hexdigest()


@contextlib.contextmanager
def _progress(title: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show how many bytes went by, how fast and, if their number is known, how many are left."""
    from rich import progress  # noqa: PLC0415 - other verbs need none of it

    columns = ("{task.description}", progress.DownloadColumn(), progress.TransferSpeedColumn())
    with progress.Progress(*columns, progress.TimeElapsedColumn(), console=console.out()) as shown:
        task = shown.add_task(title, total=total)
        yield lambda count: shown.advance(task, count)
