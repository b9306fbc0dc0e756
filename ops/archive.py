"""One file with all of a backup: a zip of parts and, last of all, a manifest with the hash of each.

A zip, since a part comes as a stream whose length nobody knows before its end. Not compressed, since Jenkins waits.
"""

# ruff: noqa: PLC0415 - rich is imported late, since an update that makes no copy needs none of it

import contextlib
import errno
import hashlib
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from components import labels
from setup import console
from setup.console import OpsError

FORMAT = "pulumi-container-ci/backup/1"
MANIFEST = "manifest.json"

FOLDER = "/data"
"""Where a volume is mounted while it is copied, so the first part of each path in its tar."""

RESTORED = f"{labels.PREFIX}/restore"
"""The label of a volume that was made for a restore: the archive's id."""

TAR_END = bytes(1024)
"""How a tar ends; alone it is one without files."""


class Archive(NamedTuple):
    """An archive that was read once and is whole."""

    about: Mapping[str, Any]
    """What its writer said of it, and `sha256` by part."""

    id: str
    """Differs for each archive: the beginning of the hash of its manifest."""

    packed: zipfile.ZipFile

    def part(self, name: str) -> tuple[Iterator[bytes], int]:
        """A part, in pieces that fit into a frame of `exec`, and its size in bytes."""
        data = self.packed.open(name)
        return iter(lambda: data.read(2**16), b""), self.packed.getinfo(name).file_size


@contextlib.contextmanager
def writing(path: Path, about: Mapping[str, Any]) -> Iterator[Callable[[str, Iterable[bytes]], None]]:
    """Write an archive under a temporary name, and give it its own name once it is whole and on the disk.

    Gives what adds a part. Raises OpsError when the file is there already.
    """
    if path.exists():
        raise OpsError(f"{path} exists and would be overwritten.", "Choose another FILE, or remove it.", code=2)
    from rich import progress

    unfinished = path.with_name(f"{path.name}.part")  # of a backup that was killed: the next one writes over it
    hashes: dict[str, str] = {}
    try:
        with unfinished.open("wb") as raw:
            os.fchmod(raw.fileno(), 0o600)
            with zipfile.ZipFile(raw, "w") as packed:

                def add(part: str, chunks: Iterable[bytes]) -> None:
                    total = hashlib.sha256()
                    with packed.open(part, "w", force_zip64=True) as out:
                        for chunk in progress.track(chunks, f"writing {part}", console=console.out()):
                            total.update(chunk)
                            out.write(chunk)
                    hashes[part] = total.hexdigest()

                yield add
                packed.writestr(MANIFEST, json.dumps({**about, "format": FORMAT, "sha256": hashes}))
            raw.flush()
            os.fsync(raw.fileno())
        unfinished.replace(path)
    except BaseException as failed:
        unfinished.unlink(missing_ok=True)
        if isinstance(failed, OSError) and (failed.filename or failed.errno == errno.ENOSPC):  # an engine's has neither
            raise OpsError(f"{path} can't be written: {failed.strerror}.", "Choose another FILE.") from failed
        raise


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """Read an archive from beginning to end, compare every hash, and give it.

    Raises OpsError when it is not whole, damaged, or no archive of `writing`.
    """
    from rich import progress

    wrong: object = "another format, or another hash"
    with path.open("rb") as raw:
        try:
            size = path.stat().st_size
            with progress.wrap_file(raw, size, description=f"checking {path.name}", console=console.out()) as read:
                packed: Any = zipfile.ZipFile(read)
                text = packed.read(MANIFEST)
                about = json.loads(text)
                parts = set(packed.namelist()) - {MANIFEST}
                hashes = {part: hashlib.file_digest(packed.open(part), "sha256").hexdigest() for part in parts}
                sized = all(each.file_size == each.compress_size for each in packed.infolist())
                if about["format"] == FORMAT and about["sha256"] == hashes and sized:
                    wrong = ""
        except Exception as error:  # noqa: BLE001 - what a damaged file makes the library raise is listed nowhere
            wrong = error
        if wrong:
            raise OpsError(f"{path} is damaged, or not made by `make backup`: {wrong}. Nothing was changed.")
        yield Archive(about, hashlib.sha256(text).hexdigest()[:16], zipfile.ZipFile(raw))


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
        raise OpsError(f"The copy of {what} ended too early.", "See the engine's or the kubelet's log, and try again.")
