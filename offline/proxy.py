"""The image that stands in for `haproxy`: the same program, as Debian has it."""

import platform
from pathlib import Path

from offline import archive, debian, programs
from setup import cache

RELEASE = "trixie"
"""Debian 13, whose HAProxy is a 3.0. That of Debian 12, a 2.6, does not let a connection be taken over after a request
with a body, as `docker exec` does."""

_PROGRAM = "/usr/sbin/haproxy"
_UID = 99
"""The user of the official image."""


def entries() -> list[archive.Entry]:
    """Every file of it, beside a shell and its tools. The first call takes 15 s.

    Raises:
        OpsError: when there is no Debian package to take it from.
    """
    root = program().parents[2]
    return [
        archive.Entry("/usr/local/sbin/haproxy", source=program()),
        *(archive.Entry(path, source=source.resolve()) for path, source in programs.libraries(program(), root).items()),
        archive.Entry(
            "/etc/passwd", mode=0o644, content=f"root:x:0:0:root:/:/bin/sh\nhaproxy:x:{_UID}:{_UID}::/:/bin/false\n"
        ),
        archive.Entry("/etc/group", mode=0o644, content=f"root:x:0:\nhaproxy:x:{_UID}:\n"),
    ]


def program() -> Path:
    """HAProxy in an unpacked root."""
    key = cache.digest("haproxy", RELEASE, platform.machine(), Path(debian.__file__))
    made = cache.make("haproxy", key, _unpack, waiting_for="haproxy")
    return made / "root" / _PROGRAM.lstrip("/")


def _unpack(part: Path) -> None:
    remedy = "Get an image of HAProxy by other means, and name it in ci:docker.proxy.image."
    debian.unpack("haproxy", part, release=RELEASE, remedy=remedy)
