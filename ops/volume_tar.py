"""A volume's tar as a restore may unpack it: regular files, folders, and links that stay inside the volume.

A tar can also hold devices, setuid files, names and links that lead out of the folder it is unpacked in. A copy of a
volume has none that a restore needs, so what is allowed is listed here.
"""

import dataclasses
import io
import posixpath
import re
import tarfile
from collections.abc import Iterable, Iterator
from typing import Any, Self

from setup.console import OpsError

FOLDER = "/data"
"""Where a volume is mounted while it is copied, so the first part of each path in its tar."""

TAR_END = bytes(1024)
"""How a tar ends; alone it is one without files."""

PIECE_BYTES = 2**16
"""A piece fits into a frame of `exec`."""

_LONGEST_HEADER_BYTES = 2**16
"""Of a long name, or of PAX records: tarfile reads each of them whole."""

_REGULAR = {tarfile.REGTYPE, tarfile.AREGTYPE}
_EXTENSIONS = {tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, b"X"}


class _Member(tarfile.TarInfo):
    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            member = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            # For tarfile, a header that it can't read in the middle is an end like another.
            if isinstance(error, tarfile.EOFHeaderError):  # type: ignore[attr-defined]
                raise
            raise ValueError(str(error)) from error
        if member.type in _EXTENSIONS and member.size > _LONGEST_HEADER_BYTES:
            raise ValueError("a header is too long")
        return member


@dataclasses.dataclass
class Contents:
    """What a tar has."""

    files: int = 0
    left_out: list[str] = dataclasses.field(default_factory=list)
    """The names of what is not a file, a folder, or a link inside the volume."""


def filtered(data: Any, mount: str, contents: Contents) -> Iterator[bytes]:  # noqa: ANN401 - anything with `read`
    """Yield the tar that `data` holds in pieces of PIECE_BYTES, with only what is allowed.

    mount: where the containers that use the volume have it, as absolute links name it; empty for a tar without FOLDER.
    contents: gets what the tar has.
    Raise ValueError for a tar that is damaged or has a name outside of FOLDER.
    """
    buffer = bytearray()
    for chunk in _chunks(data, mount, contents):
        buffer += chunk
        while len(buffer) >= PIECE_BYTES:
            yield bytes(buffer[:PIECE_BYTES])
            del buffer[:PIECE_BYTES]
    yield bytes(buffer) + TAR_END


def _chunks(data: Any, mount: str, contents: Contents) -> Iterator[bytes]:  # noqa: ANN401
    top, closed = FOLDER[1:] if mount else "", set[str]()
    with tarfile.open(fileobj=data, mode="r|", bufsize=PIECE_BYTES, tarinfo=_Member) as packed:
        while (member := packed.next()) is not None:
            packed.members.clear()  # type: ignore[attr-defined] # tarfile keeps each of millions
            name = member.name
            if not _inside(name, top, closed):
                raise ValueError(f"it has an entry outside of the volume: {name}")
            if member.issym():
                allowed = _leads_inside(member, top, mount)
            elif member.islnk():
                allowed = _inside(member.linkname, top, closed)
            else:
                allowed = member.isdir() or (member.type in _REGULAR and not member.issparse())
            if member.issym() or not allowed:
                closed.add(name)  # nothing may lie below it, and no hard link lead to it
            if not allowed:
                contents.left_out.append(name)
                continue
            # Of a folder, the group's bit stays: Kubernetes sets it on each (fsGroup).
            member.mode &= 0o3777 if member.isdir() else 0o777
            member.pax_headers = {}  # with a file's capabilities
            # GNU's format: busybox reads its long names, and not those of PAX.
            yield member.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
            if member.type in _REGULAR:
                contents.files += 1
                file = packed.extractfile(member)
                while file and (piece := file.read(PIECE_BYTES)):
                    yield piece
                yield bytes(-member.size % tarfile.BLOCKSIZE)


def _inside(name: str, top: str, closed: set[str]) -> bool:
    """Return whether a path is below the folder `top`, or is it, and not below one of `closed`."""
    parts = name.split("/")
    above = ("/".join(parts[:length]) for length in range(1, len(parts) + 1))
    return not {"", ".", ".."} & {*parts} and top in {"", parts[0]} and closed.isdisjoint(above)


def _leads_inside(link: tarfile.TarInfo, top: str, mount: str) -> bool:
    """Return whether a symbolic link leads to a path in the volume, whatever the other links in it lead to."""
    target, folder = link.linkname, posixpath.dirname(link.name).removeprefix(top).strip("/")
    if target.startswith("/"):
        return bool(mount) and f"{target}/".startswith(f"{mount}/") and ".." not in target.split("/")
    up = re.match(r"(?:\.\./|\.\.$)*", target)
    depth = folder.count("/") + 1 if folder else 0
    return up is not None and up[0].count("..") <= depth and ".." not in target[up.end() :].split("/")


def empty_file(name: str) -> bytes:
    """Return the tar of an empty file, right in the volume."""
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w") as packed:
        packed.addfile(tarfile.TarInfo(f"{FOLDER[1:]}/{name}"))
    return into.getvalue()


def whole(chunks: Iterable[bytes], what: str) -> Iterator[bytes]:
    """Yield the same, if it ends as a tar does: an engine or a kubelet that can't go on just ends its answer."""
    end = b""
    for chunk in chunks:
        end = (end + chunk)[-len(TAR_END) :]
        yield chunk
    if end != TAR_END:
        raise OpsError(f"The copy of {what} ended too early.", "See the engine's or the kubelet's log, and try again.")
