"""`access: socket`: the host's own engine, through its socket. The socket's group is read where the engine runs."""

import functools
import re
import shlex
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pulumi
import pulumi_docker as docker

from ...settings import DockerSettings, NotAcceptedError, Problem, Settings
from .mode import EngineAccess

SOCKET_IN_CONTAINER: Final = "/var/run/docker.sock"
"""Where every docker client looks first."""

_SSH_TIMEOUT_SECONDS: Final = 15

_SSH_FAILED: Final = 255
"""The exit status of ssh itself. Any other is the command's."""


@dataclass(frozen=True, kw_only=True)
class Socket:
    """The engine's socket. Anyone who can use it has root on the engine's host."""

    path: str
    """The socket's path on the engine's host."""

    group: int
    """The group that may use it, as a container sees that group's number."""


def preflight(settings: Settings) -> Iterator[Problem]:
    """Return what is wrong with the socket, or with its host."""
    try:
        find(settings.docker)
    except NotAcceptedError as error:
        host, path = settings.docker.host, settings.docker.socket_path
        # A host that does not answer, or does not show its files, is wrong with every path.
        of_host = path is None or error.code in {"unreachable", "required"}
        key, value = ("ci:docker.host", host) if of_host else ("ci:docker.socketPath", path)
        yield Problem(key, error.code, error.wrong, error.instead, value)


def declare(_: str, settings: Settings, __: pulumi.Input[str], ___: pulumi.ResourceOptions) -> EngineAccess:
    """Mount the socket, and put Jenkins' user into its group."""
    found = find(settings.docker)
    return EngineAccess(
        engine=settings.docker.host,
        groups=(str(found.group),),
        volumes=(
            docker.ContainerVolumeArgs(host_path=found.path, container_path=SOCKET_IN_CONTAINER, read_only=False),
        ),
        next_steps=("Anyone who can run a job here has root on the Docker host: choose who gets an account.",),
    )


def find(docker: DockerSettings) -> Socket:
    """Read the socket's group on the engine's host, unless the settings name it.

    The number is read at every run: it differs between hosts, and changes when the group is created again. Raises
    NotAcceptedError for a path without a socket, an unreachable host, and a socket of root's own group.
    """
    path = docker.socket_path or (docker.host.removeprefix("unix://") if docker.is_local else SOCKET_IN_CONTAINER)
    if docker.socket_group is None and docker.host.startswith("tcp://"):
        raise NotAcceptedError(
            f"does not show the group of {path} over TCP",
            f"give socketGroup, as `stat -c %g {shlex.quote(path)}` prints it there, for example socketGroup: 998",
            "required",
        )
    if docker.socket_group is not None:
        return Socket(path=path, group=docker.socket_group)
    owner, group = _local_owner(path) if docker.is_local else _remote_owner(docker.host, path)
    return Socket(path=path, group=group_in_container(path, owner=owner, group=group))


def group_in_container(path: str, *, owner: int, group: int) -> int:
    """Return the number by which a container sees the socket's group.

    The socket of a rootless engine belongs to the user who runs it. In its containers, that user and group are 0.
    Root's own group is refused: it may give a container more than was meant, and often means that the socket's group
    was never created.
    """
    if owner != 0:
        return 0
    if group == 0:
        raise NotAcceptedError(
            f"has its socket {path} in root's own group",
            "give the socket a group (`groupadd docker`, restart the engine), or write socketGroup: 0 to allow it",
            "not_confirmed",
        )
    return group


def _local_owner(path: str) -> tuple[int, int]:
    try:
        found = Path(path).stat()
    except FileNotFoundError:
        raise NotAcceptedError(
            f"finds nothing at {path}", "start the engine (`systemctl start docker`), or give its path", "not_found"
        ) from None
    except OSError as error:
        raise NotAcceptedError(
            f"cannot read {path} ({error.strerror})", "give a path that this user may read", "not_found"
        ) from None
    if not stat.S_ISSOCK(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a file"
        raise NotAcceptedError(
            f"finds {kind}, not a socket, at {path}", "give the path where the engine listens", "not_found"
        )
    return found.st_uid, found.st_gid


def _remote_owner(host: str, path: str) -> tuple[int, int]:
    # The type as a number: its word is in the host's language, or in ours.
    answer = over_ssh(host, f"stat -L -c %u:%g:%f {shlex.quote(path)}", "give socketGroup")
    found = re.fullmatch(f"([0-9]+):([0-9]+):{stat.S_IFSOCK >> 12:x}[0-9a-f]{{3}}", answer)
    if not found:
        raise NotAcceptedError(
            f"finds no socket at {path} on {urlsplit(host).hostname} ({answer})", "give socketPath", "not_found"
        )
    return int(found[1]), int(found[2])


@functools.cache  # preflight and deployment both ask, and each time is a login of a second
def over_ssh(host: str, command: str, instead: str) -> str:
    """Return what a command, for a shell, prints on a host. Raises NotAcceptedError, with `instead`, if it fails."""
    where = urlsplit(host)
    port = ["-p", str(where.port)] if where.port else []
    words = [
        "-o",
        "BatchMode=yes",
        "-o",
        "ConnectTimeout=10",
        *port,
        "--",
        f"{where.username}@{where.hostname}",
        command,
    ]
    try:
        done = subprocess.run(  # noqa: S603 - a list of words, each checked by the settings
            ["ssh", *words],  # noqa: S607 - the user's own
            capture_output=True, text=True, timeout=_SSH_TIMEOUT_SECONDS, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        said, status = str(error), _SSH_FAILED
    else:
        said, status = (done.stdout if done.returncode == 0 else done.stderr).strip(), done.returncode
    if status != 0:
        wrong = f"fails at `{command}` over ssh ({said.rpartition(chr(10))[2] or 'no answer'})"
        instead = f"check that `ssh {host} {command}` works without a question, or {instead}"
        raise NotAcceptedError(wrong, instead, "unreachable" if status == _SSH_FAILED else "not_found")
    return said
