"""A stack's Docker engine: a client for it, the stack's images, the health of its containers."""

import contextlib
import re
import ssl
import time
from typing import Any

import docker
import docker.errors
import requests
from docker.models.containers import Container
from docker.tls import TLSConfig
from requests.adapters import DEFAULT_POOLSIZE, HTTPAdapter

from components import labels
from components.docker import managed_names, tls
from components.settings import Settings
from setup import console
from setup.console import OpsError
from setup.engine import ERRORS, local

ANSWER_SECONDS = 30
"""How long an engine may take to answer a request, and a registry that it asks."""

LOG_LINES = 20
"""How much of a container's log is shown when it is not well. A refused configuration takes Jenkins about ten."""

NO_CAPABILITIES = "unable to apply caps"
"""What the engine says where a privileged container can't start. Source: opencontainers/runc, its capabilities."""

RECONNECT_SECONDS = 30
"""How long an agent may be without the controller that an update has replaced: it looks for it each ten seconds."""

SILENT_SECONDS = 10
"""How long an engine may say nothing before a verb gives up on it. A busy one answers a ping in under a second."""

_NO_WAY = re.compile(r"(?:no such host|no route to host|network is unreachable|connection refused)\W*$")
"""How Go ends the error of a connection that can't be made."""

_REMEDIES = {
    "proxyconnect|proxy authentication": "Check the engine's proxy, which `docker info` shows. Docker's manual says "
    "where to set it: Daemon proxy configuration.",
    "x509|certificate": "Give the engine the authority of the registry, or of a proxy that reads TLS, as "
    "/etc/docker/certs.d/REGISTRY/ca.crt.",
    "toomanyrequests|429": "Log in with `docker login`, wait, or name a mirror in the engine's registry-mirrors.",
    "denied|unauthorized|authentication required": "Log in to that registry with `docker login`, and check the image's "
    "name.",
    "timeout|deadline|no answer": "Try again; if it stays slow, look at the engine's way to the registry.",
    "": "Let the engine reach the image's registry.",
}
"""By what the registry, the proxy or the engine says."""

STAND_IN = "ci.stand-in"
"""The label of the images of offline/, which their containers have too.

It keeps the name that it had before the prefix of components/labels.py: a deployed stand-in would be taken for Jenkins.
"""


def require_answer(settings: Settings) -> None:
    """Raise OpsError for an engine that takes the connection and says nothing: Pulumi's plugin would wait for ever.

    One that is not there at all is Pulumi's to tell, and one behind ssh is not asked.
    """
    host = settings.docker.host
    if host.startswith("ssh://"):
        return
    try:
        with contextlib.closing(client(settings, SILENT_SECONDS)) as there:
            there.ping()
    except ERRORS as failed:
        if "timed out" in str(failed):
            raise OpsError(
                f"The Docker engine at {host} takes connections and does not answer within {SILENT_SECONDS} s.",
                "See its log (`journalctl -u docker`) and restart it: sudo systemctl restart docker",
            ) from failed


def client(settings: Settings, seconds: int = ANSWER_SECONDS) -> docker.DockerClient:
    """A client of the engine that a stack's containers run on. The caller closes it. Raises ERRORS."""
    host = settings.docker.host
    if host.startswith("unix://"):
        return local(host, seconds)
    endpoint = tls.host(settings)
    secure = _Configuration(tls.client(endpoint).context()) if endpoint else False
    # An engine behind ssh is asked through the ssh command, with the user's own keys and settings.
    return docker.DockerClient(base_url=host, use_ssh_client=host.startswith("ssh://"), tls=secure, timeout=seconds)


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


def unreachable(problem: str) -> bool:
    """Whether this problem is that the engine has no way to the registry. A refusal or a slow answer is another one."""
    return "proxyconnect" not in problem and _NO_WAY.search(problem) is not None


def remedy(problem: str) -> str:
    """What to do about an image that can't be pulled."""
    return next(advice for pattern, advice in _REMEDIES.items() if re.search(pattern, problem, re.IGNORECASE))


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

    starting: whether one that is not healthy yet is shown too, and at once.
    """
    wanted = [f"{name}={value}" for name, value in labels.of(project, stack).items()]
    # Another clone's stack of this name has the same labels, but no two containers of an engine have one name.
    names = {each.name for each in managed_names.of(settings) if each.kind == "container"}
    well = {"healthy", None} if starting else {"healthy", "starting", None}
    ill: dict[Container, str | None] = {}
    # Without an engine there is nothing to show, and Pulumi has said so.
    with contextlib.suppress(*ERRORS), contextlib.closing(client(settings)) as there:
        end = time.monotonic() + (0 if starting else RECONNECT_SECONDS)
        while True:
            containers = there.containers.list(all=True, filters={"label": wanted}, ignore_removed=True)
            states = {container: _how(container) for container in containers if container.name in names}
            ill = {container: how for container, how in states.items() if how not in well}
            if not ill or time.monotonic() >= end:
                break
            time.sleep(1)
        for container in ill:
            show_log(container)
    return [f"the container {container.name} is {how}" for container, how in ill.items()]


def _how(container: Container) -> str | None:
    """Return the health of a container that runs, None without a health check; else its status."""
    state = container.attrs["State"]
    return (state.get("Health") or {}).get("Status") if state["Status"] == "running" else str(state["Status"])


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
