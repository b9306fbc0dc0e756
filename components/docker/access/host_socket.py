"""`access: socket`: the host's own engine, through its socket, with the socket's group read where the engine runs."""

import functools
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

from components.docker.access.mode import EngineAccess
from components.docker.managed_names import ManagedName
from components.settings import DockerSettings, Problem, Settings

SOCKET_IN_CONTAINER: Final = "/var/run/docker.sock"
"""Where every docker client looks first."""

_SSH_TIMEOUT_SECONDS: Final = 15


class AccessError(Exception):
    """The socket cannot be used as it is. `wrong` and `instead` as in a settings problem."""

    def __init__(self, wrong: str, instead: str) -> None:
        """Keep what is wrong and what to do about it."""
        super().__init__(f"{wrong}; {instead}")
        self.wrong = wrong
        self.instead = instead


@dataclass(frozen=True, kw_only=True)
class Socket:
    """The engine's socket. Whoever has it is root on the engine's host."""

    path: str
    """The socket's path on the engine's host."""

    group: int
    """The group that may use it, as a container sees that group's number."""


def managed_names(_: Settings) -> tuple[ManagedName, ...]:
    """Give nothing: the engine and its socket are there already."""
    return ()


def preflight(settings: Settings) -> Iterator[Problem]:
    """Give what is wrong with the socket, or with its host."""
    try:
        find(settings.docker)
    except AccessError as error:
        yield Problem(key="ci:docker.host", value=settings.docker.host, wrong=error.wrong, instead=error.instead)


def declare(settings: Settings, _: pulumi.Input[str], __: pulumi.ResourceOptions) -> EngineAccess:
    """Give the socket to Jenkins, and its group to Jenkins' user."""
    found = find(settings.docker)
    return EngineAccess(
        engine=settings.docker.host,
        groups=(str(found.group),),
        volumes=(
            docker.ContainerVolumeArgs(host_path=found.path, container_path=SOCKET_IN_CONTAINER, read_only=False),
        ),
        next_steps=("Whoever can run a job here is root on the Docker host: give accounts accordingly.",),
    )


def path_on_host(docker: DockerSettings) -> str:
    """Give the socket's path on the engine's host."""
    if docker.socket_path is not None:
        return docker.socket_path
    return docker.host.removeprefix("unix://") if docker.is_local else SOCKET_IN_CONTAINER


def find(docker: DockerSettings) -> Socket:
    """Read the socket's group on the engine's host, unless the settings name it.

    The number is read at every run: it differs from host to host, and changes when the group is made anew. Raises
    AccessError for a path that holds no socket, a host that cannot be asked, and a socket that belongs to root's group.
    """
    path = path_on_host(docker)
    if docker.socket_group is None and docker.host.startswith("tcp://"):
        raise AccessError(
            f"can't be asked over TCP for the group of {path}",
            f"give socketGroup, as `stat -c %g {path}` prints it on that host, for example socketGroup: 998",
        )
    if docker.socket_group is not None:
        return Socket(path=path, group=docker.socket_group)
    owner, group = _local_owner(path) if docker.is_local else _remote_owner(docker.host, path)
    return Socket(path=path, group=group_in_container(path, owner=owner, group=group))


def group_in_container(path: str, *, owner: int, group: int) -> int:
    """Give the number by which a container sees the socket's group.

    A rootless engine's socket belongs to the user who runs it, and in its containers that user and its group are 0.
    Root's own group is refused: a container in it may be more than was meant, and a socket of root's group is most
    often one whose group was never made.
    """
    if owner != 0:
        return 0
    if group == 0:
        raise AccessError(
            f"finds {path} in root's own group",
            "give the socket a group (`groupadd docker`, restart the engine), or write socketGroup: 0 to mean it",
        )
    return group


def _local_owner(path: str) -> tuple[int, int]:
    try:
        found = Path(path).stat()
    except FileNotFoundError:
        raise AccessError(
            f"finds nothing at {path}", "start the Docker engine, or give the path where it listens"
        ) from None
    except OSError as error:
        raise AccessError(f"cannot look at {path} ({error.strerror})", "give a path that this user may see") from None
    if not stat.S_ISSOCK(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a file"
        raise AccessError(f"finds {kind}, not a socket, at {path}", "give the path where the engine listens")
    return found.st_uid, found.st_gid


@functools.cache  # the preflight and the deployment ask the same, and each question is a log-in
def _remote_owner(host: str, path: str) -> tuple[int, int]:
    where = urlsplit(host)
    port = ["-p", str(where.port)] if where.port else []
    command = [
        "ssh",
        "-o",
        "BatchMode=yes",
        "-o",
        "ConnectTimeout=10",
        *port,
        "--",
        f"{where.username}@{where.hostname}",
    ]
    instead = (
        f"see that `ssh {where.username}@{where.hostname} stat {path}` works without a question, or give socketGroup"
    )
    try:
        done = subprocess.run(  # noqa: S603 - a list of words, each checked by the settings
            # The type as a number: its word is in the host's language, or in ours. And a shell there reads the path.
            [*command, "stat", "-L", "-c", "%u:%g:%f", shlex.quote(path)],
            capture_output=True,
            text=True,
            timeout=_SSH_TIMEOUT_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AccessError(f"cannot ask {where.hostname} for the group of {path} ({error})", instead) from None
    owner, _, rest = done.stdout.strip().partition(":")
    group, _, mode = rest.partition(":")
    if done.returncode != 0 or not _is_socket(mode) or not owner.isdigit() or not group.isdigit():
        said = (done.stderr or done.stdout).strip().splitlines()
        raise AccessError(
            f"finds no socket at {path} on {where.hostname} ({said[-1] if said else 'no answer'})", instead
        )
    return int(owner), int(group)


def _is_socket(mode: str) -> bool:
    """Say whether this is a socket's mode, as `stat -c %f` prints it."""
    try:
        return stat.S_ISSOCK(int(mode, 16))
    except ValueError:
        return False
