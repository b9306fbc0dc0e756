"""Packs a local folder or inline files as a build's context. The same files give the same digest on every machine."""

import base64
import functools
import hashlib
import io
import os
import stat
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .. import regular_file
from ..settings import BuildSettings, NotAcceptedError
from . import dockerignore

FILE: Final = "context.tar.gz"
"""The packed context's name in its ConfigMap."""

LARGEST: Final = 1_000_000
"""Bytes of a packed context. A ConfigMap holds 1 MiB (Kubernetes documentation, "ConfigMaps"), names included."""

LARGEST_ON_DISK: Final = 20_000_000
"""Bytes of the files together, before packing. Text packs to a third or a tenth, so 20 times `LARGEST` can't fit. The
sum of the sizes takes milliseconds, where packing takes a second."""

_PRIVATE: Final = ".local"
"""This clone's own folder, in the project's folder. It holds the passphrase of the stacks."""

_GZIP: Final = 31
"""What zlib takes as `wbits` to write gzip's header, which then holds no time and no name."""


class ContextError(NotAcceptedError):
    """A folder or inline files can't be a context. Says what is wrong and what to do instead."""


@dataclass(frozen=True)
class Packed:
    """A packed context."""

    digest: str
    """SHA-256 of the tar before compression, hexadecimal."""

    content: bytes
    """The tar, compressed with gzip."""

    @property
    def text(self) -> str:
        """The content as a ConfigMap's `binaryData` holds it."""
        return base64.b64encode(self.content).decode()


def of(build: BuildSettings) -> Packed | None:
    """Return a build's packed context; None where the builder fetches the context itself.

    A folder is packed once in a run: preflight and deployment get the same bytes.

    Raises ContextError.
    """
    if build.context.directory is not None:
        return _once(Path(build.context.directory).expanduser(), build.dockerfile)
    return pack_inline(build.context.inline) if build.context.inline is not None else None


def pack_inline(files: Mapping[str, str]) -> Packed:
    """Pack texts by path. Raises ContextError where they are too big for a ConfigMap."""
    entries: dict[str, _Entry] = {path: (text.encode(), False) for path, text in files.items()}
    return _pack((path, *entries[path]) for path in sorted(entries, key=lambda path: path.split("/")))


def pack_directory(folder: Path, dockerfile: str) -> Packed:
    """Pack a folder without what its .dockerignore names, or that of the Dockerfile itself (`<name>.dockerignore`).

    As with `docker build`, the Dockerfile and the .dockerignore are always packed. A file keeps its content and whether
    it is executable, but not its owner, times and other permissions. Symbolic links stay links.

    Raises ContextError where there is no such folder or Dockerfile, where the Dockerfile is a link out of the folder,
    where the folder holds devices, pipes, sockets, or the stack's passphrase, and where it is too big for a ConfigMap.
    """
    if not folder.is_dir():
        raise ContextError("is not a folder on this machine", f"create {folder}, or give another folder", "not_found")
    if not (folder / dockerfile).is_file():
        raise ContextError(f"has no {dockerfile}", "add it, or name the right file with `dockerfile`", "not_found")
    if not (folder / dockerfile).resolve().is_relative_to(folder.resolve()):
        raise ContextError(
            f"has a {dockerfile} that leads out of it", "put the file itself into the folder", "bad_file"
        )
    try:
        return _pack((path, *_read(folder / path)) for path in _checked(folder, dockerfile))
    except OSError as error:
        raise ContextError(
            f"can't be read ({error.strerror}: {error.filename})",
            "make it readable for this user, or name it in .dockerignore",
            "bad_file",
        ) from None


_once = functools.cache(pack_directory)

forget = _once.cache_clear
"""For tests, which change a folder and deploy it again in one process."""

_Entry = tuple[bytes | str | None, bool]
"""Content, target of a link, or None for a folder; whether it is executable."""


def _checked(folder: Path, dockerfile: str) -> list[str]:
    """Return the paths to pack, after a look at the kind and the size of each."""
    own = f"{dockerfile}{dockerignore.FILE}"
    listed = own if (folder / own).is_file() else dockerignore.FILE
    try:
        text = regular_file.read(folder / listed).decode("utf-8-sig") if (folder / listed).is_file() else ""
    except UnicodeDecodeError:
        raise ContextError(f"has a {listed} that is not UTF-8 text", "save it as UTF-8", "bad_file") from None
    private, root, total, paths = _private(), folder.resolve(), 0, []
    for path in dockerignore.walk(folder, dockerignore.patterns(text), keep=(dockerfile, listed)):
        found = (folder / path).lstat()
        if stat.S_ISREG(found.st_mode):
            total += found.st_size
        elif not stat.S_ISDIR(found.st_mode) and not stat.S_ISLNK(found.st_mode):
            raise ContextError(f"has {path}, a pipe, a socket or a device", "name it in .dockerignore", "bad_file")
        here = root / path
        if any(here == secret or secret in here.parents for secret in private):
            raise ContextError(
                f"would pack {path}, which belongs to this clone and may hold the passphrase of its stacks",
                f"give a folder that holds only the image's files, or name {path.split('/')[0]} in .dockerignore",
            )
        if total > LARGEST_ON_DISK:
            raise _too_big(f"has more than {LARGEST_ON_DISK:,} bytes of files")
        paths.append(path)
    return paths


def _private() -> list[Path]:
    """Return what must never be packed: this clone's own folder, and the passphrase's file."""
    named = os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE")
    return [Path(path).resolve() for path in (_PRIVATE, named) if path]


def _read(place: Path) -> _Entry:
    mode = place.lstat().st_mode
    if stat.S_ISLNK(mode):
        return str(place.readlink()), False
    return (None, False) if stat.S_ISDIR(mode) else (place.read_bytes(), bool(mode & stat.S_IXUSR))


def _pack(entries: Iterable[tuple[str, bytes | str | None, bool]]) -> Packed:
    buffer = io.BytesIO()
    # GNU's format has no extended headers for times and owners. All of them stay 0.
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path, content, executable in entries:
            info = tarfile.TarInfo(path)
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)
            elif isinstance(content, str):
                info.type, info.linkname, info.mode = tarfile.SYMTYPE, content, 0o777
                tar.addfile(info)
            else:
                info.size, info.mode = len(content), 0o755 if executable else 0o644
                tar.addfile(info, io.BytesIO(content))
    content = zlib.compress(buffer.getbuffer(), wbits=_GZIP)
    if len(content) > LARGEST:
        raise _too_big(f"has more than {LARGEST:,} bytes when packed")
    return Packed(hashlib.sha256(buffer.getbuffer()).hexdigest(), content)


def _too_big(size: str) -> ContextError:
    return ContextError(
        f"is too big for a ConfigMap, which holds {LARGEST:,} bytes: it {size}",
        "name what the build does not need in .dockerignore, or use a git or volume context",
        "too_large",
    )
