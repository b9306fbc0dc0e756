"""Image archives made without an engine or a registry: the same content gives the same bytes, so the same image id."""

import hashlib
import io
import json
import struct
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

EPOCH = "1970-01-01T00:00:00Z"
"""When every such image was made, as far as it says: the true time would give each build another id."""

_FILE_CAPABILITY = "SCHILY.xattr.security.capability"
"""Where a tar keeps it. Source: docker's and containerd's own layers."""


@dataclass(frozen=True)
class Entry:
    """One entry of an image's file system. Exactly one of `content`, `source` and `link` is set, or none: a folder."""

    path: str
    """Absolute, as seen in the container."""
    mode: int = 0o755
    owner: int = 0
    """The uid, and the gid with it."""
    content: str | bytes | None = None
    source: Path | None = None
    """A file of this machine to take the content from."""
    link: str | None = None
    """What a symbolic link points to."""
    capability: int | None = None
    """The one capability that the file has whoever runs it, as capabilities(7) numbers them: 7 is CAP_SETUID."""


def write(
    target: IO[bytes], *, name: str, entries: Iterable[Entry], config: Mapping[str, Any], architecture: str
) -> None:
    """Write an archive that `docker load` takes: one layer and the image's configuration.

    Args:
        target: an open file, written from its current position on.
        name: the image's name with its tag.
        entries: the file system. Missing parent folders are added, root's and 0755.
        config: the runtime part of the image's configuration, with Docker's keys (Entrypoint, Env, Labels ...).
        architecture: Go's name of the processor the programs are for (amd64, arm64).
    """
    layer = io.BytesIO()
    _tar(layer, {path: _member(entry) for path, entry in sorted(_with_parents(entries).items())})
    image = _json(
        {
            "architecture": architecture,
            "config": dict(config),
            "created": EPOCH,
            "history": [{"created": EPOCH, "created_by": "pulumi-container-ci"}],
            "os": "linux",
            "rootfs": {"diff_ids": [f"sha256:{hashlib.sha256(layer.getbuffer()).hexdigest()}"], "type": "layers"},
        }
    )
    image_name = f"{hashlib.sha256(image).hexdigest()}.json"
    manifest = _json([{"Config": image_name, "Layers": ["layer.tar"], "RepoTags": [name]}])
    files: dict[str, bytes | memoryview] = {
        image_name: image,
        "layer.tar": layer.getbuffer(),
        "manifest.json": manifest,
    }
    members = {}
    for path, content in files.items():
        info = tarfile.TarInfo(path)
        info.size = len(content)
        members[path] = (info, content)
    _tar(target, members)


def _with_parents(entries: Iterable[Entry]) -> dict[str, Entry]:
    found = {entry.path: entry for entry in entries}
    for path in list(found):
        for parent in list(Path(path).parents)[:-1]:
            found.setdefault(str(parent), Entry(str(parent)))
    return found


def _member(entry: Entry) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(entry.path.lstrip("/"))
    info.mode, info.uid, info.gid = entry.mode, entry.owner, entry.owner
    content = b""
    if entry.link is not None:
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.link, 0o777
    elif entry.content is not None or entry.source is not None:
        text = entry.source.read_bytes() if entry.source is not None else entry.content or b""
        content = text.encode() if isinstance(text, str) else text
        info.size = len(content)
    else:
        info.type = tarfile.DIRTYPE
    if entry.capability is not None:
        info.pax_headers = {_FILE_CAPABILITY: _capability(entry.capability).decode("utf-8", "surrogateescape")}
    return info, content


def _capability(number: int) -> bytes:
    """What the kernel keeps at the file: version 2 with the bit "in force", the permitted set, no inherited one."""
    permitted = 1 << number
    return struct.pack("<5I", 0x02000001, permitted & 0xFFFFFFFF, 0, permitted >> 32, 0)


def _tar(target: IO[bytes], members: Mapping[str, tuple[tarfile.TarInfo, bytes | memoryview]]) -> None:
    with tarfile.open(fileobj=target, mode="w") as out:
        for info, content in members.values():
            # GNU format: it has no header of its own with a time or a process id in it. But no capabilities, either.
            out.format = tarfile.PAX_FORMAT if info.pax_headers else tarfile.GNU_FORMAT
            out.addfile(info, io.BytesIO(content) if info.isreg() else None)


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
