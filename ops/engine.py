"""A Docker engine: found, started or installed; a client for it; a stack's images; its containers' health."""

# ruff: noqa: S603 - the programs are the machine's own

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any

import docker
import docker.errors
import psutil
import requests
from docker.models.containers import Container
from docker.tls import TLSConfig
from requests.adapters import DEFAULT_POOLSIZE, HTTPAdapter

from components import labels
from components.docker import managed_names, tls
from components.settings import Settings
from ops.toolchain import console, process
from ops.toolchain.console import OpsError

DEFAULT_HOST = "unix:///var/run/docker.sock"

PING_SECONDS = 3
START_SECONDS = 60
"""How long a started engine may take to answer. 2 s is usual; with many containers to look at it takes longer."""

ANSWER_SECONDS = 30
"""How long an engine may take to answer a request, and a registry that it asks."""

LOG_LINES = 20
"""How much of a container's log is shown when it is not well. A refused configuration takes Jenkins about ten."""

NO_CAPABILITIES = "unable to apply caps"
"""What the engine says where a privileged container can't start. Source: opencontainers/runc, its capabilities."""

STAND_IN = "ci.stand-in"
"""The label of the images of offline/, which their containers have too."""

ERRORS = (docker.errors.DockerException, OSError)
"""What a client raises when the engine refuses or does not answer; the errors of requests are OSErrors."""


def local(host: str, seconds: int = PING_SECONDS) -> docker.DockerClient:
    """A client of a local engine. Raises DockerException or OSError when it does not answer within so many seconds."""
    # The SDK would tell a missing socket, a dead one and a closed one by the same error, and leave its own socket open.
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(seconds)
        probe.connect(host.removeprefix("unix://"))
    return docker.DockerClient(base_url=host, timeout=seconds)


def version(host: str) -> str:
    """The engine's version, as `29.1.0 (API 1.52)`; empty if it does not answer.

    Raises OpsError when its socket is there but not for this user.
    """
    try:
        with contextlib.closing(local(host)) as there:
            said = there.version()
    except PermissionError as denied:
        raise OpsError(
            f"The Docker engine's socket {host} is not open to this user.",
            "Join its group: sudo usermod -aG docker $USER, then log in again; or run this with sudo.",
        ) from denied
    except ERRORS:
        return ""
    return f"{said['Version']} (API {said['ApiVersion']})"


def ensure(host: str = DEFAULT_HOST) -> None:
    """Make sure that the engine at `ci:docker.host` answers; a local one is started, or installed after asking.

    Only `unix://` is looked after: another machine's engine is its owner's. Raises OpsError when it does not answer.
    """
    if not host.startswith("unix://") or version(host):
        return
    if host != DEFAULT_HOST:
        raise OpsError(
            f"No Docker engine answers at {host}.", "Start it, or set another ci:docker.host in the stack's file."
        )
    if not installed():
        process.install(["docker.io"], "to run the CI in containers")
    if not version(host):  # the package may have started it
        _start()


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


def client(settings: Settings) -> docker.DockerClient:
    """A client of the engine that a stack's containers run on. The caller closes it. Raises ERRORS."""
    host = settings.docker.host
    if host.startswith("unix://"):
        return local(host, ANSWER_SECONDS)
    endpoint = tls.host(settings)
    secure = _Configuration(tls.client(endpoint).context()) if endpoint else False
    # An engine behind ssh is asked through the ssh command, with the user's own keys and settings.
    return docker.DockerClient(
        base_url=host, use_ssh_client=host.startswith("ssh://"), tls=secure, timeout=ANSWER_SECONDS
    )


class _Configuration(TLSConfig):
    """Lets the SDK use a context as it is: of its own accord it takes a key from a file only."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__()
        self._context = context

    def configure_client(self, client: Any) -> None:  # noqa: ANN401 - a requests session
        adapter = HTTPAdapter()
        adapter.init_poolmanager(1, DEFAULT_POOLSIZE, ssl_context=self._context)
        # The context stays as it is: requests would add every public authority to it, and those of REQUESTS_CA_BUNDLE.
        adapter.cert_verify = lambda *_: None  # type: ignore[method-assign]
        client.trust_env = False
        client.mount("https://", adapter)


def images(settings: Settings) -> list[str]:
    """The images that a Docker stack starts from, stand-ins among them."""
    jenkins, sidecars = settings.jenkins, settings.docker
    pruner = [sidecars.prune.image] if sidecars.prune is not None else []
    if settings.gitlab_runner is not None:
        return [settings.gitlab_runner.image, *pruner]
    found = [jenkins.image or jenkins.base_image]
    if jenkins.image is None and jenkins.docker_client == "image":
        found.append(jenkins.docker_cli_image)
    beside = {"dind": sidecars.dind.image, "proxy": sidecars.proxy.image}.get(sidecars.access)
    return [*found, *([beside] if beside else []), *pruner]


def stands_in(image: str) -> bool:
    """Whether an image is one that offline/ makes on this machine."""
    return image.startswith("ci-offline-")


def is_stand_in(settings: Settings, name: str) -> bool:
    """Whether a container is a stand-in for Jenkins."""
    with contextlib.closing(client(settings)) as there:
        return STAND_IN in there.containers.get(name).labels


def image_problem(settings: Settings) -> str:
    """Why an image that a stack starts from can't be had, as a sentence without its stop; empty if all can.

    Only an engine of this machine is asked, and only for what offline/ does not make.
    """
    if not settings.docker.host.startswith("unix://"):
        return ""
    try:
        with contextlib.closing(client(settings)) as there:
            for image in images(settings):
                if not stands_in(image) and (reason := _pull_problem(there, image)):
                    return f"the image {image} is not on the engine and can't be pulled ({reason})"
    except ERRORS as failed:
        raise OpsError(f"The Docker engine did not list its images ({failed}).", "See: make doctor") from failed
    return ""


def _pull_problem(there: docker.DockerClient, image: str) -> str:
    """Why an image that is not there can't be pulled, in the registry's words. It is asked for the manifest alone."""
    with contextlib.suppress(docker.errors.NotFound):
        there.images.get(image)
        return ""
    with console.step(f"asking whether the image {image} can be pulled", f"at most {ANSWER_SECONDS} s"):
        try:
            there.images.get_registry_data(image)
        except docker.errors.APIError as refused:
            # A registry may want a log-in that the engine was not given here: not to be pulled either.
            return str(refused.explanation or refused).strip().removeprefix("Get ")
        except requests.Timeout:
            return "no answer in time"
    return ""


def show_ill(settings: Settings, project: str, stack: str, *, starting: bool) -> list[str]:
    """Show how the logs of a stack's containers that are not well end. Returns what is wrong, for each of them.

    starting: whether one that is not healthy yet is shown too.
    """
    wanted = [f"{name}={value}" for name, value in labels.of(project, stack).items()]
    # Another clone's stack of this name has the same labels, but no two containers of an engine have one name.
    names = {each.name for each in managed_names.of(settings) if each.kind == "container"}
    found = []
    # Without an engine there is nothing to show, and Pulumi has said so.
    with contextlib.suppress(*ERRORS), contextlib.closing(client(settings)) as there:
        for container in there.containers.list(all=True, filters={"label": wanted}, ignore_removed=True):
            state = container.attrs["State"]
            health = (state.get("Health") or {}).get("Status")
            how = health if state["Status"] == "running" else state["Status"]
            well = {"healthy", None} if starting else {"healthy", "starting", None}
            if container.name in names and how not in well:
                found.append(f"the container {container.name} is {how}")
                show_log(container)
    return found


def show_log(container: Container) -> None:
    """Show how the log of one container ends: Jenkins says there why it does not start."""
    if NO_CAPABILITIES in str(container.attrs["State"].get("Error") or ""):
        console.note(
            f"\nThis machine does not allow every capability, so {container.name} can't be privileged. "
            "An engine beside Jenkins needs fewer: write privileged: false under ci:docker.dind."
        )
    lines = container.logs(tail=LOG_LINES).decode(errors="replace").splitlines()
    if lines:
        console.note(f"\nThe last lines of `docker logs {container.name}`:")
        console.note("".join(f"  | {line}\n" for line in lines))
