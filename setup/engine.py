"""The Docker engine of this machine: found, installed, started."""

# ruff: noqa: S603, S607 - the programs are the machine's own

import contextlib
import grp
import os
import pwd
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import docker
import docker.errors
import psutil

from setup import console, process
from setup.console import OpsError

DEFAULT_HOST = "unix:///var/run/docker.sock"

PING_SECONDS = 3

START_SECONDS = 60
"""How long a started engine may take to answer. 2 s is usual; with many containers to look at it takes longer."""

ERRORS = (docker.errors.DockerException, OSError)
"""What a client raises when the engine refuses or does not answer; the errors of requests are OSErrors."""


class ClosedError(OpsError):
    """Raised when an engine's socket is not open to this user."""


def local(host: str, seconds: int = PING_SECONDS) -> docker.DockerClient:
    """A client of a local engine. Raises DockerException or OSError when it does not answer within so many seconds."""
    # The SDK would tell a missing socket, a dead one and a closed one by the same error, and leave its own socket open.
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(seconds)
        probe.connect(host.removeprefix("unix://"))
    return docker.DockerClient(base_url=host, timeout=seconds)


def version(host: str) -> str:
    """The engine's version, as `29.1.0 (API 1.52)`; empty if it does not answer.

    Raises ClosedError when its socket is there but not for this user.
    """
    try:
        with contextlib.closing(local(host)) as client:
            answer = client.version()
    except PermissionError as denied:
        raise ClosedError(
            f"The Docker engine's socket {host} is not open to this user.",
            "Join its group, then log in again: sudo usermod -aG docker $USER",
        ) from denied
    except ERRORS:
        return ""
    return f"{answer['Version']} (API {answer['ApiVersion']})"


def ensure(host: str = DEFAULT_HOST) -> None:
    """Make sure that the engine at `ci:docker.host` answers; a local one is started, or installed after asking.

    Only `unix://` is looked after: another machine's engine is its owner's. Where the socket is not open to this user,
    this program runs once more in the socket's group. Raises OpsError when the engine does not answer.
    """
    if not host.startswith("unix://"):
        return
    try:
        _ensure(host)
    except ClosedError:
        _join(Path(host.removeprefix("unix://")))
        raise


def _ensure(host: str) -> None:
    if version(host):
        return
    if host != DEFAULT_HOST:
        raise OpsError(
            f"No Docker engine answers at {host}.", "Start it, or set another ci:docker.host in the stack's file."
        )
    if not installed():
        process.install(["docker.io"], "to run the CI in containers")
    if not version(host):  # the package may have started it
        _start()


def _join(path: Path) -> None:
    """Run this program once more in the group of a socket. A user who is not in it is added to it after a question.

    Returns if that can't help.
    """
    group, user = path.stat().st_gid, pwd.getpwuid(os.getuid())
    if not os.geteuid() or group in os.getgroups() or not shutil.which("sg"):
        return
    name = grp.getgrgid(group).gr_name
    if group not in os.getgrouplist(user.pw_name, user.pw_gid):
        question = f"Add {user.pw_name} to the group {name}? Whoever is in it has root on this machine by the engine."
        if not shutil.which("sudo") or not console.agreed(question):
            return
        subprocess.run(["sudo", "usermod", "--append", "--groups", name, user.pw_name], check=True)
    console.note(f"-> going on in the group {name}; your shell has it after the next log-in")
    os.execvp("sg", ["sg", name, "-c", shlex.join(sys.orig_argv)])  # noqa: S606 - this program's own words


def installed() -> str | None:
    """Where the engine's program is on this machine."""
    return shutil.which("dockerd", path=_sbin_path())


def _start() -> None:
    """Start the installed engine: by systemd where it runs, else as a process of its own that outlives this one."""
    log = process.log_path("dockerd")
    by_systemd = Path("/run/systemd/system").is_dir()
    if by_systemd:
        command = ["systemctl", "start", "docker"]
    else:
        clear_stale(Path("/var/run"))
        # In a session of its own: a Ctrl-C here is not meant for it.
        command = ["env", f"PATH={_sbin_path()}", "setsid", "--wait", "dockerd"]
    if os.geteuid():
        if not shutil.which("sudo"):
            raise OpsError("Starting the Docker engine needs root, and there is no sudo here.", "Start it as root.")
        command = ["sudo", *command]  # asks on the terminal itself
    with console.step("starting the Docker engine", "a few seconds", log=log), log.open("wb") as sink:
        started = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
        until = time.monotonic() + START_SECONDS
        while not version(DEFAULT_HOST):
            ended = started.poll() is not None and (started.returncode or not by_systemd)
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
        # There may be none, or it may not be ours, or nobody has the number: the engine copes with these.
        with contextlib.suppress(OSError, ValueError, psutil.Error):
            if psutil.Process(int(path.read_text())).name() != name:
                path.unlink()


def _sbin_path() -> str:
    """The PATH with the folders where Debian puts daemons, which a plain user's PATH lacks."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
