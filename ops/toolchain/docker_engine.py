"""The Docker engine: is one there, does it answer, and if not, start or install one."""

# ruff: noqa: PLC0415, S603 - late imports cost a quiet run nothing; the programs are the machine's own

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import docker
import docker.errors
import requests

from ops.toolchain import console, process
from ops.toolchain.console import OpsError

DEFAULT_HOST = "unix:///var/run/docker.sock"
PING_SECONDS = 3.0
START_SECONDS = 60
"""How long a started engine may take to answer. 2 s is usual; with many containers to look at it takes longer."""


DETACHED = 'setsid dockerd >"$0" 2>&1 </dev/null & echo $!'
"""Starts the engine in the background of a shell and prints its process number. Its one word is the log's path."""


class DeniedError(Exception):
    """The engine is there, but this user may not use its socket."""


def client(host: str, seconds: float = PING_SECONDS) -> docker.DockerClient:
    """A client of a local engine. Raises DockerException or OSError when it does not answer within so many seconds."""
    # The SDK would tell a missing socket, a dead one and a closed one by the same error, and leave its own socket open.
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(seconds)
        probe.connect(host.removeprefix("unix://"))
    return docker.DockerClient(base_url=host, timeout=round(seconds))


def answers(host: str) -> bool:
    """Whether the engine answers.

    Raises:
        DeniedError: when its socket is there but not for this user.
    """
    try:
        client(host).close()  # it has asked for the version
    except PermissionError as denied:
        raise DeniedError(host) from denied
    except (docker.errors.DockerException, OSError):
        return False
    return True


def ensure(host: str = DEFAULT_HOST) -> None:
    """Make sure that the stack's engine answers; a local one is started, or installed after asking.

    Args:
        host: the stack's `ci:docker.host`. Only `unix://` is looked after: another machine's engine is its owner's.

    Raises:
        OpsError: when it can't be made to answer.
    """
    if not host.startswith("unix://"):
        return
    try:
        if answers(host):
            return
    except DeniedError as denied:
        sock = host.removeprefix("unix://")
        raise OpsError(
            f"The Docker engine's socket {sock} is not open to you (user {os.environ.get('USER') or os.geteuid()}).",
            f"Be in its group: sudo usermod -aG {_group(sock)} $USER, then log in anew; or run this with sudo.",
        ) from denied
    if host != DEFAULT_HOST:
        raise OpsError(
            f"No Docker engine answers at {host}.", "Start it, or set another ci:docker.host in the stack's file."
        )
    if not shutil.which("dockerd", path=_sbin_path()):
        process.install(["docker.io"], "to run the CI in containers")
    if not answers(host):  # the package may have started it
        start()


def start() -> None:
    """Start the installed engine: by systemd where it runs, else as a process of its own that outlives this one."""
    log = process.log_path("dockerd")
    log.parent.mkdir(parents=True, exist_ok=True)
    prefix = process.become_root("start the Docker engine", "Run as root: systemctl start docker, or: dockerd")
    by_systemd = Path("/run/systemd/system").is_dir()
    with console.step("starting the Docker engine", "a few seconds", log=None if by_systemd else log):
        if by_systemd:
            done = subprocess.run(
                [*prefix, "systemctl", "start", "docker"], capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise OpsError(f"systemctl start docker: {done.stderr.strip()}", "See: journalctl -u docker")
            _await(None, log)
        else:
            clear_stale(Path("/var/run"))
            # Left behind by a shell that ends at once, in a session of its own: the engine is to stay when this ends,
            # and a Ctrl-C here is not meant for it.
            done = subprocess.run(
                [*prefix, "env", f"PATH={_sbin_path()}", "sh", "-c", DETACHED, str(log)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise OpsError(f"dockerd can't be started: {done.stderr.strip()}", "Start it by hand.")
            _await(int(done.stdout), log)


def clear_stale(run: Path) -> None:
    """Remove what an engine that was killed has left in the folder of running services, where this user may.

    An engine does not start while the process lives whose number stands there, and numbers are used again.
    """
    for path, name in ((run / "docker.pid", "dockerd"), (run / "docker/containerd/containerd.pid", "containerd")):
        try:
            holder = Path(f"/proc/{int(path.read_text())}/comm")
            if not holder.exists() or holder.read_text().strip() != name:
                path.unlink()
        except (OSError, ValueError):
            continue  # There is none, it holds no number, or it is not ours: the engine will say what it thinks.


def _await(pid: int | None, log: Path) -> None:
    """Wait until the engine answers, or the process that should become it has ended."""
    import tenacity

    class Ended(tenacity.stop.stop_base):
        def __call__(self, retry_state: tenacity.RetryCallState) -> bool:  # noqa: ARG002 - the base class's name
            return pid is not None and not _lives(pid)

    try:
        tenacity.Retrying(
            wait=tenacity.wait_fixed(0.2),
            stop=tenacity.stop_any(tenacity.stop_after_delay(START_SECONDS), Ended()),
            retry=tenacity.retry_if_result(lambda up: not up),
        )(answers, DEFAULT_HOST)
    except tenacity.RetryError as failed:
        shown = f"\n{process.tail(log)}" if pid else ""
        raise OpsError(f"The Docker engine was started but does not answer at {DEFAULT_HOST}.{shown}") from failed


def _lives(pid: int) -> bool:
    """Whether a process runs; one that has ended but was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


def has_image(host: str, reference: str) -> bool:
    """Whether a local engine holds an image.

    Raises:
        OpsError: when the engine does not say.
    """
    try:
        with contextlib.closing(client(host)) as engine:
            engine.images.get(reference)
    except docker.errors.NotFound:
        return False
    except (docker.errors.DockerException, requests.RequestException, OSError) as failed:
        raise OpsError(
            f"The Docker engine at {host} does not say whether it has the image {reference} ({failed}).",
            "See that `docker version` works, then try again.",
        ) from failed
    return True


def pull_problem(host: str, reference: str, seconds: float = 15) -> str | None:
    """Why an image can't be pulled, in a few words, or None if it can.

    The engine asks the registry for the manifest alone, so nothing is downloaded. Registries may want a log-in that the
    engine has not been given here; that counts as not pullable and the registry's words say so.
    """
    try:
        with contextlib.closing(client(host, seconds)) as engine:
            ask: Any = engine.api.inspect_distribution  # without types
            ask(reference)
    except docker.errors.APIError as refused:
        return str(refused.explanation or refused).strip().removeprefix("Get ")
    except requests.Timeout:
        return "no answer in time"
    except (docker.errors.DockerException, requests.RequestException, OSError) as failed:
        return str(failed)
    return None


def _group(path: str) -> str:
    try:
        return Path(path).group()
    except (OSError, KeyError):
        return "docker"


def _sbin_path() -> str:
    """The PATH with the folders where Debian puts daemons, which a plain user's PATH lacks."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
