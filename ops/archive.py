"""One file with all of a backup: a zip of parts, a manifest with the hash of each, and a signature of the manifest.

A zip, since a part comes as a stream whose length nobody knows before its end. Not compressed, since Jenkins waits.

Whoever can write to the file decides what a restore puts into Jenkins' home. So the manifest is signed (HMAC) with a
key from the passphrase of the clone, which a restore needs anyway. Nothing else in the file is believed: not its sizes,
not its names, and no text of it is shown as it is.
"""

# ruff: noqa: PLC0415 - rich is imported late, since an update that makes no copy needs none of it

import contextlib
import dataclasses
import errno
import hashlib
import hmac
import json
import os
import secrets
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from components import regular_file
from components.docker.container import HOME
from components.kubernetes.texts import DATA
from ops import volume_tar
from setup import console
from setup.console import OpsError

FORMAT, UNSIGNED = "pulumi-container-ci/backup/2", "pulumi-container-ci/backup/1"
MANIFEST, SIGNATURE = "manifest.json", "manifest.hmac"
STATE, IMAGES = "state.json", "images.tar"

MOUNTS = {"home.tar": HOME, "registry.tar": DATA, IMAGES: ""}
"""The parts that are tars, and where containers have the volume of each. `docker save` writes one of no volume."""

LARGEST_BYTES = {MANIFEST: 2**16, SIGNATURE: 64, STATE: 2**26}
"""The parts that are read into memory. A stack with 100 builds has a state of 1 MiB."""

READ_BYTES = 2**20
"""The most that is read at once, whatever the zip's directory says."""


class _Bounded:
    """A file that is never read whole."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the file's own
        return getattr(self._file, name)

    def read(self, size: int = -1) -> bytes:
        if size > READ_BYTES:
            raise ValueError("its directory is too large")
        return self._file.read(READ_BYTES if size < 0 else size)


class _Hashed:
    """A file that is hashed while it is read."""

    def __init__(self, file: Any) -> None:  # noqa: ANN401 - a zip's part
        self._file, self.total = file, hashlib.sha256()

    def read(self, size: int) -> bytes:
        data: bytes = self._file.read(size)
        self.total.update(data)
        return data


@dataclasses.dataclass
class Archive:
    """An archive whose manifest and state were compared. Its tars are compared by `compare`, which may take minutes."""

    about: Mapping[str, Any]
    """What its writer said of it, and `sha256` by part."""

    id: str
    """Differs for each archive: the beginning of the hash of its manifest."""

    signed: bool
    """Whether a clone with this passphrase has written it. If not, nobody knows who has."""

    packed: zipfile.ZipFile
    tars: frozenset[str]
    sizes: dict[str, int] = dataclasses.field(default_factory=dict)
    """Of each tar as `tar` gives it, in bytes; from `compare`."""

    left_out: list[str] = dataclasses.field(default_factory=list)
    """What `tar` leaves out; from `compare`. Shown only with `printable`."""

    def compare(self) -> None:
        """Read each tar from beginning to end, and compare its hash. Raises OpsError for one that is damaged."""
        with _told(str(self.packed.filename)):
            for part in sorted(self.tars):
                contents, data = volume_tar.Contents(), _Hashed(self.packed.open(part))
                self.sizes[part] = sum(map(len, _shown(volume_tar.filtered(data, MOUNTS[part], contents), part)))
                while data.read(READ_BYTES):
                    pass
                if data.total.hexdigest() != self.about["sha256"][part]:
                    raise ValueError(f"{part} has another hash than its manifest says")
                # A registry to which nobody has pushed has none.
                if not contents.files and part != "registry.tar":
                    raise ValueError(f"{part} has no file in it")
                self.left_out += contents.left_out

    def tar(self, name: str) -> tuple[Iterator[bytes], int]:
        """Return a tar with what a restore may unpack, in pieces, and its size in bytes."""
        return volume_tar.filtered(self.packed.open(name), MOUNTS[name], volume_tar.Contents()), self.sizes[name]

    def state(self) -> bytes:
        """Return the state; empty where the archive has none."""
        return self.packed.read(STATE) if STATE in self.about["sha256"] else b""


@contextlib.contextmanager
def _told(path: str) -> Iterator[None]:
    """Turn whatever a damaged file makes the libraries raise, which is listed nowhere, into an OpsError."""
    try:
        yield
    except OpsError:
        raise
    except Exception as error:
        raise OpsError(
            f"{path} is damaged, or not made by `make backup`: {printable(error)}. Nothing was changed."
        ) from error


def printable(text: object) -> str:
    """Return the beginning of a text from an archive in ASCII: a terminal would obey what else may be in it."""
    return ascii(str(text))[1:-1][:200]


def _key(passphrase: str, salt: str) -> bytes:
    """Return the key of an archive's signature. It takes a tenth of a second and 32 MiB: a passphrase may be short."""
    own = f"{FORMAT}/signature:{salt}".encode()
    return hashlib.scrypt(passphrase.encode(), salt=own, n=2**15, r=8, p=1, maxmem=2**26, dklen=32)


def _signature(passphrase: str, salt: str, manifest: bytes) -> bytes:
    return hmac.new(_key(passphrase, salt), manifest, "sha256").hexdigest().encode()


@contextlib.contextmanager
def writing(path: Path, about: Mapping[str, Any], passphrase: str) -> Iterator[Callable[[str, Iterable[bytes]], None]]:
    """Write an archive under a temporary name, and give it its own name once it is whole and on the disk.

    Gives what adds a part. Raises OpsError when the file is there already.
    """
    if path.exists():
        raise OpsError(f"{path} exists and would be overwritten.", "Choose another FILE, or remove it.", code=2)
    from rich import progress

    unfinished = path.with_name(f"{path.name}.part")
    hashes: dict[str, str] = {}
    sizes: dict[str, int] = {}
    try:
        unfinished.unlink(missing_ok=True)  # of a backup that was killed
        with unfinished.open("xb") as raw:
            os.fchmod(raw.fileno(), 0o600)
            with zipfile.ZipFile(raw, "w") as packed:

                def add(part: str, chunks: Iterable[bytes]) -> None:
                    total = hashlib.sha256()
                    with packed.open(part, "w", force_zip64=True) as out:
                        for chunk in progress.track(chunks, f"writing {part}", console=console.out()):
                            total.update(chunk)
                            out.write(chunk)
                    hashes[part], sizes[part] = total.hexdigest(), packed.getinfo(part).file_size

                yield add
                salt = secrets.token_hex(16)
                manifest = {**about, "format": FORMAT, "salt": salt, "sha256": hashes, "sizes": sizes}
                text = json.dumps(manifest).encode()
                packed.writestr(MANIFEST, text)
                packed.writestr(SIGNATURE, _signature(passphrase, salt, text))
            raw.flush()
            os.fsync(raw.fileno())
        unfinished.replace(path)
    except BaseException as failed:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        if isinstance(failed, OSError) and (failed.filename or failed.errno == errno.ENOSPC):  # an engine's has neither
            raise OpsError(f"{path} can't be written: {failed.strerror}.", "Choose another FILE.") from failed
        raise


@contextlib.contextmanager
def opened(path: Path, passphrase: Callable[[], str]) -> Iterator[Archive]:
    """Read an archive's manifest and state, compare its signature and their hashes, and give it.

    passphrase: gives that of this clone; asked only for an archive with a signature.
    Raises OpsError when it is not whole, damaged, no archive of `writing`, or has another signature.
    """
    try:
        raw = regular_file.opened(path)
    except OSError as error:
        raise OpsError(f"{path} can't be read: {error.strerror}.", "Give the archive as FILE.", code=2) from error
    with raw:
        with _told(str(path)):
            archive = _read(raw, passphrase)
        yield archive


def _read(raw: BinaryIO, passphrase: Callable[[], str]) -> Archive:
    """Return an archive that was compared. Raises OpsError for another signature, any Exception for anything else."""
    packed: Any = zipfile.ZipFile(_Bounded(raw))
    names = [each.filename for each in packed.infolist()]
    plain = all(each.compress_type == 0 and each.file_size == each.compress_size for each in packed.infolist())
    small = all(packed.getinfo(name).file_size <= most for name, most in LARGEST_BYTES.items() if name in names)
    parts = {*names} - {MANIFEST, SIGNATURE}
    if not plain or not small or len({*names}) != len(names) or not parts <= {STATE, *MOUNTS}:
        raise ValueError("a part is too large, compressed, or none of a backup")
    text = packed.read(MANIFEST)
    about = json.loads(text)
    signed = about["format"] == FORMAT
    texts = [about["project"], about["stack"], *([about["salt"]] if signed else [])]
    if about["format"] not in {FORMAT, UNSIGNED} or not all(isinstance(each, str) for each in texts):
        raise ValueError("its manifest has another format")
    if signed:
        right = _signature(passphrase(), about["salt"], text)
        if not hmac.compare_digest(right, packed.read(SIGNATURE)):
            raise OpsError(
                "The archive was changed after it was written, or it is of a clone with another passphrase. "
                "Nothing was changed.",
                "Put the passphrase of the clone that was backed up into .local/passphrase.",
            )
    lengths = {part: packed.getinfo(part).file_size for part in parts}
    state = {STATE: hashlib.sha256(packed.read(STATE)).hexdigest()} if STATE in parts else {}
    if {**about["sha256"], **state} != about["sha256"] or about["sha256"].keys() != parts:
        raise ValueError("another hash than its manifest says, or another part")
    if signed and about["sizes"] != lengths:
        raise ValueError("another size than its manifest says")
    return Archive(about, hashlib.sha256(text).hexdigest()[:16], signed, packed, frozenset(parts - {STATE}))


def _shown(chunks: Iterable[bytes], part: str) -> Iterable[bytes]:
    from rich import progress

    return progress.track(chunks, f"checking {part}", console=console.out())
