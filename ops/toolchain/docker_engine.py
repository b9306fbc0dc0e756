"""The Docker engine: is one there, does it answer, and if not, start or install one."""

# ruff: noqa: S603 - the programs are the machine's own

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
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
ERRORS = (docker.errors.DockerException, OSError)
"""What a client raises when the engine refuses or does not answer; the errors of requests are OSErrors."""


def client(host: str, seconds: float = PING_SECONDS) -> docker.DockerClient:
    """A client of a local engine. Raises DockerException or OSError when it does not answer within so many seconds."""
    # The SDK would tell a missing socket, a dead one and a closed one by the same error, and leave its own socket open.
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(seconds)
        probe.connect(host.removeprefix("unix://"))
    return docker.DockerClient(base_url=host, timeout=round(seconds))


def answers(host: str) -> bool:
    """Whether the engine answers. Raises PermissionError when its socket is there but not for this user."""
    try:
        client(host).close()  # it has asked for the version
    except PermissionError:
        raise
    except ERRORS:
        return False
    return True


def ensure(host: str = DEFAULT_HOST) -> None:
    """Make sure that the engine at `ci:docker.host` answers; a local one is started, or installed after asking.

    Only `unix://` is looked after: another machine's engine is its owner's. Raises OpsError when it does not answer.
    """
    if not host.startswith("unix://"):
        return
    try:
        if answers(host):
            return
    except PermissionError as denied:
        raise OpsError(
            f"The Docker engine's socket {host} is not open to you (user {os.environ.get('USER') or os.geteuid()}).",
            "Be in its group: sudo usermod -aG docker $USER, then log in anew; or run this with sudo.",
        ) from denied
    if host != DEFAULT_HOST:
        raise OpsError(
            f"No Docker engine answers at {host}.", "Start it, or set another ci:docker.host in the stack's file."
        )
    if not shutil.which("dockerd", path=_sbin_path()):
        process.install(["docker.io"], "to run the CI in containers")
    if not answers(host):  # the package may have started it
        _start()


def _start() -> None:
    """Start the installed engine: by systemd where it runs, else as a process of its own that outlives this one."""
    prefix = process.become_root("start the Docker engine", "systemctl start docker, or: dockerd")
    if Path("/run/systemd/system").is_dir():
        command, log = [*prefix, "systemctl", "start", "docker"], process.log_path("systemctl")
    else:
        clear_stale(Path("/var/run"))
        command, log = [*prefix, "env", f"PATH={_sbin_path()}", "dockerd"], process.log_path("dockerd")
    with console.step("starting the Docker engine", "a few seconds", log=log), log.open("wb") as sink:
        # In a session of its own: a Ctrl-C here is not meant for it.
        started = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True
        )
        until = time.monotonic() + START_SECONDS
        while not answers(DEFAULT_HOST):
            ended = started.poll() is not None and (started.returncode or "systemctl" not in command)
            if ended or time.monotonic() > until:
                raise OpsError(
                    f"The Docker engine was started but does not answer at {DEFAULT_HOST}.\n{process.tail(log)}",
                    "Where systemd runs, see: journalctl -u docker",
                )
            time.sleep(0.2)
        started.returncode = 0  # It goes on when this process ends; Python is not to warn of that.


def clear_stale(run: Path) -> None:
    """Remove what an engine that was killed has left in the folder of running services, where this user may.

    An engine does not start while the process lives whose number stands there, and numbers are used again.
    """
    for path, name in ((run / "docker.pid", "dockerd"), (run / "docker/containerd/containerd.pid", "containerd")):
        # There may be none, it may hold no number, or not be ours: the engine will say what it thinks.
        with contextlib.suppress(OSError, ValueError):
            holder = Path(f"/proc/{int(path.read_text())}/comm")
            if not holder.exists() or holder.read_text().strip() != name:
                path.unlink()


def has_image(host: str, reference: str) -> bool:
    """Whether a local engine holds an image. Raises OpsError when the engine does not say."""
    try:
        with contextlib.closing(client(host)) as engine:
            engine.images.get(reference)
    except docker.errors.NotFound:
        return False
    except ERRORS as failed:
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
    except ERRORS as failed:
        return str(failed)
    return None


def _sbin_path() -> str:
    """The PATH with the folders where Debian puts daemons, which a plain user's PATH lacks."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
