"""Packs a local folder or inline files as a build's context, the same bytes for the same files on every machine."""

import base64
import gzip
import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from components.kubernetes import ignore
from components.settings import NotAcceptedError

FILE: Final = "context.tar.gz"
"""The packed context's name in its ConfigMap."""

LARGEST: Final = 1_000_000
"""Bytes of a packed context. A ConfigMap holds 1 MiB (Kubernetes documentation, "ConfigMaps"), names and all."""

_LARGEST_UNPACKED: Final = 200_000_000
"""Bytes of the files together. What packs from more than that into a ConfigMap is no context that anyone means."""


class ContextError(NotAcceptedError):
    """A folder can't be a context: what is wrong, and what to do instead."""


@dataclass(frozen=True)
class Packed:
    """A packed context."""

    digest: str
    """SHA-256 of the tar before it is compressed, hexadecimal: the same for the same files, whoever packed them."""

    content: bytes
    """The tar, compressed."""

    @property
    def text(self) -> str:
        """The content as a ConfigMap's `binaryData` holds it."""
        return base64.b64encode(self.content).decode()


def pack_inline(files: Mapping[str, str]) -> Packed:
    """Pack texts by path."""
    return _pack((path, text.encode(), False) for path, text in files.items())


def pack_directory(folder: Path, dockerfile: str) -> Packed:
    """Pack a folder without what its .dockerignore names, or that of the Dockerfile itself (`<name>.dockerignore`).

    The Dockerfile and the .dockerignore themselves stay, as with `docker build`. A file keeps its text and whether it
    may be executed; owner, times and other permissions do not count. Symbolic links stay links.

    Raises ContextError for a folder that is none, has no such Dockerfile, holds what is neither file, folder nor link,
    or is too big for a ConfigMap.
    """
    if not folder.is_dir():
        raise ContextError("is no folder on this machine", f"make it, or give another: {folder} was looked for")
    if not (folder / dockerfile).is_file():
        raise ContextError(f"has no {dockerfile} in it", "add it, or name the right one with `dockerfile`")
    try:
        return _pack(_files(folder, dockerfile))
    except OSError as error:
        raise ContextError(
            f"can't be read ({error.strerror}: {error.filename})", "let this user read it, or name it in .dockerignore"
        ) from None


_Entry = tuple[str, bytes | str | None, bool]
"""Path; content, target of a link, or None for a folder; whether it may be executed."""


def _files(folder: Path, dockerfile: str) -> Iterable[_Entry]:
    own = f"{dockerfile}{ignore.FILE}"
    listed = own if (folder / own).is_file() else ignore.FILE
    try:
        text = (folder / listed).read_text(encoding="utf-8-sig") if (folder / listed).is_file() else ""
    except UnicodeDecodeError:
        raise ContextError(f"has a {listed} that is not text in UTF-8", "write it as such") from None
    total = 0
    for path in ignore.walk(folder, ignore.patterns(text), keep=(dockerfile, listed)):
        place = folder / path
        mode = place.lstat().st_mode
        if stat.S_ISLNK(mode):
            yield path, str(place.readlink()), False
        elif stat.S_ISDIR(mode):
            yield path, None, False
        elif stat.S_ISREG(mode):
            total += place.stat().st_size
            if total > _LARGEST_UNPACKED:
                raise _too_big("more than 200 MB before packing")
            yield path, place.read_bytes(), bool(mode & stat.S_IXUSR)
        else:
            raise ContextError(f"has {path} in it, which is no file", "name it in .dockerignore")


def _pack(entries: Iterable[_Entry]) -> Packed:
    plain = io.BytesIO()
    # GNU's form has no extended headers for a time or an owner, which are left at nought.
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path, content, executable in sorted(entries, key=lambda entry: entry[0].split("/")):
            info = tarfile.TarInfo(path.replace(os.sep, "/"))
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)
            elif isinstance(content, str):
                info.type, info.linkname, info.mode = tarfile.SYMTYPE, content, 0o777
                tar.addfile(info)
            else:
                info.size, info.mode = len(content), 0o755 if executable else 0o644
                tar.addfile(info, io.BytesIO(content))
    packed = Packed(hashlib.sha256(plain.getvalue()).hexdigest(), gzip.compress(plain.getvalue(), 9, mtime=0))
    if len(packed.content) > LARGEST:
        raise _too_big(f"{len(packed.content):,} bytes when packed")
    return packed


def _too_big(size: str) -> ContextError:
    return ContextError(
        f"is too big for a ConfigMap, which holds {LARGEST:,} bytes: it has {size}",
        "name what the build does not need in .dockerignore, or use a git or volume context",
    )
