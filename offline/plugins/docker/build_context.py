"""A build's context: which files belong to it, its digest, and its archive."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DOCKERFILE = "Dockerfile"
# Go's letters for the parts of a file's mode, as the official plugin hashes them.
_KINDS = {
    stat.S_IFLNK: "L",
    stat.S_IFIFO: "p",
    stat.S_IFSOCK: "S",
    stat.S_IFBLK: "D",
    stat.S_IFCHR: "Dc",
}


def go_mode(mode: int) -> str:
    """Write a file's mode as Go's FileMode.String does: "-rw-r--r--", "Lrwxrwxrwx", "u-rwxr-xr-x" less the dash."""
    kind = _KINDS.get(stat.S_IFMT(mode), "")
    special = "".join(
        letter for bit, letter in ((stat.S_ISUID, "u"), (stat.S_ISGID, "g"), (stat.S_ISVTX, "t")) if mode & bit
    )
    # Go's order of letters is d a l T L D p S u g c t; a device's "c" comes after u and g.
    letters = kind.removesuffix("c") + "".join(c for c in special if c != "t")
    letters += ("c" if kind.endswith("c") else "") + ("t" if "t" in special else "")
    bits = "".join(letter if mode & (1 << (8 - index)) else "-" for index, letter in enumerate("rwxrwxrwx"))
    return (letters or "-") + bits


def ignore_patterns(context: Path, dockerfile: Path) -> list[str]:
    """Read the patterns of `<dockerfile>.dockerignore`, or else of the context's .dockerignore."""
    for candidate in (dockerfile.with_name(dockerfile.name + ".dockerignore"), context / ".dockerignore"):
        if candidate.exists():
            lines = [line.strip() for line in candidate.read_text(encoding="utf-8-sig").splitlines()]
            return [line for line in lines if line and not line.startswith("#")]
    return []


def files(context: Path, patterns: list[str]) -> Iterator[str]:
    """Yield the paths, relative to the context and in order, of what is neither a folder nor ignored."""
    from docker.utils.build import PatternMatcher  # type: ignore[attr-defined,unused-ignore]  # noqa: PLC0415

    matcher = PatternMatcher(patterns)
    yield from _walk(context, "", matcher, excluded=bool(patterns))


def _walk(context: Path, below: str, matcher: object, *, excluded: bool) -> Iterator[str]:
    for entry in sorted(os.scandir(context / below), key=lambda one: one.name):
        path = f"{below}{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(context, f"{path}/", matcher, excluded=excluded)
        elif not excluded or not matcher.matches(path):  # type: ignore[attr-defined]
            yield path


def digest(context: Path, dockerfile: Path) -> str:
    """Hash the context as the official plugin does: names, modes and contents of its files, in order.

    The Dockerfile comes first, under that name and no mode. Of a link, the path it leads to is hashed.
    """
    total = hashlib.sha256()
    _add(total, _DOCKERFILE, go_mode(0), _content_hash(dockerfile))
    for path in files(context, ignore_patterns(context, dockerfile)):
        full = context / path
        mode = full.lstat().st_mode
        if stat.S_ISSOCK(mode):
            continue
        hashed = hashlib.sha256()
        if stat.S_ISLNK(mode):
            hashed.update(_resolved(full).encode())
        elif stat.S_ISREG(mode):
            hashed = _content_hash(full)
        _add(total, path, go_mode(mode), hashed)
    return total.hexdigest()


def _add(total: hashlib._Hash, name: str, mode: str, hashed: hashlib._Hash) -> None:
    total.update(name.encode() + mode.encode() + hashed.digest() + b"\0")


def _content_hash(path: Path) -> hashlib._Hash:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256")


def _resolved(link: Path) -> str:
    """Follow a link as Go's EvalSymlinks does: a relative path stays relative."""
    target = os.path.realpath(link)
    return target if link.is_absolute() else _relative(link, target)


def _relative(link: Path, target: str) -> str:
    led = os.readlink(link)
    if os.path.isabs(led):
        return target
    direct = os.path.normpath(os.path.join(link.parent, led))
    return direct if os.path.realpath(direct) == target else os.path.relpath(target)


def archive(context: Path, dockerfile: Path) -> tuple[io.BytesIO, str]:
    """Pack the context for the engine; give it, and the Dockerfile's name within.

    The Dockerfile and .dockerignore are always part of it, since the engine needs them; a Dockerfile outside
    the context is added under a name of its own. Every file is root's.
    """
    inside = os.path.relpath(dockerfile, context)
    names = dict.fromkeys(files(context, ignore_patterns(context, dockerfile)))
    packed = io.BytesIO()
    # BuildKit knows an archive by its first header, which must be a file's own.
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar:
        if inside.startswith("../"):
            name = ".dockerfile." + hashlib.sha256(str(dockerfile).encode()).hexdigest()[:20]
            tar.add(dockerfile, arcname=name, filter=_owned_by_root)
            inside = name
        else:
            names.setdefault(inside)
        if (context / ".dockerignore").exists():
            names.setdefault(".dockerignore")
        for path in names:
            if not stat.S_ISSOCK((context / path).lstat().st_mode):
                tar.add(context / path, arcname=path, recursive=False, filter=_owned_by_root)
    packed.seek(0)
    return packed, inside


def _owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.mtime = int(entry.mtime)
    entry.uname = entry.gname = ""
    return entry
