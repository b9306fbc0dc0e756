"""The Docker engine of a stack: a client for it, the images that the stack starts from, and its containers' health."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import docker
import docker.errors
from docker.tls import TLSConfig
from requests.adapters import HTTPAdapter

from components import labels
from components.docker import tls
from ops.toolchain import console, docker_engine

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from docker.models.containers import Container

    from components.settings import Settings

ANSWER_SECONDS = 30
"""How long an engine may take to answer a request."""

LOG_LINES = 20
"""How much of a container's log is shown when it is not well. A refused configuration takes Jenkins about ten."""

NO_CAPABILITIES = "unable to apply caps"
"""What the engine says where a privileged container can't start. Source: opencontainers/runc, its capabilities."""

ERRORS = docker_engine.ERRORS


def client(settings: Settings) -> docker.DockerClient:
    """A client of the engine that a stack's containers run on. The caller closes it. Raises ERRORS."""
    host = settings.docker.host
    if host.startswith("unix://"):
        return docker_engine.client(host, ANSWER_SECONDS)
    secure: TLSConfig | bool = False
    if settings.docker.tls is not None:
        engine = tls.at_host(host, settings.docker.tls, settings.docker_tls_key)
        secure = _configuration(tls.client(engine).context())
    # An engine behind ssh is asked through the ssh command, with the user's own keys and settings.
    return docker.DockerClient(
        base_url=host, use_ssh_client=host.startswith("ssh://"), tls=secure, timeout=ANSWER_SECONDS
    )


def _configuration(context: ssl.SSLContext) -> TLSConfig:
    """Let the SDK use a context as it is: of its own accord it takes a key from a file only."""

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - the base class's
            super().init_poolmanager(*arguments, ssl_context=context, **named)

        def cert_verify(self, *_: Any) -> None:  # noqa: ANN401 - the base class's
            """Leave the context alone: requests would add every public authority to it."""

    class Configuration(TLSConfig):
        def configure_client(self, client: Any) -> None:  # noqa: ANN401 - a requests session
            client.mount("https://", Adapter())

    return Configuration()


def images(settings: Settings) -> list[str]:
    """The images that a Docker stack starts from, stand-ins among them."""
    jenkins, sidecars = settings.jenkins, settings.docker
    if settings.gitlab_runner is not None:
        return [settings.gitlab_runner.image]
    found = [jenkins.image or jenkins.base_image]
    if jenkins.image is None and jenkins.docker_client == "image":
        found.append(jenkins.docker_cli_image)
    beside = {"dind": sidecars.dind.image, "proxy": sidecars.proxy.image}.get(sidecars.access)
    return [*found, *([beside] if beside else [])]


def stands_in(image: str) -> bool:
    """Whether an image is one that offline/ makes on this machine."""
    return image.startswith("ci-offline-")


def missing_images(settings: Settings) -> list[str]:
    """Those of a stack's images that its engine, if it is on this machine, does not hold and offline/ does not make."""
    host = settings.docker.host
    if settings.platform != "docker" or not host.startswith("unix://"):
        return []
    return [name for name in images(settings) if not stands_in(name) and not docker_engine.has_image(host, name)]


def image_problem(settings: Settings) -> str:
    """Why an image that a stack starts from can't be had, as a sentence without its stop; empty if all can."""
    for image in missing_images(settings):
        with console.step(f"asking whether the image {image} can be pulled", "at most 15 s"):
            reason = docker_engine.pull_problem(settings.docker.host, image)
        if reason:
            return f"the image {image} is neither on the engine nor can it be pulled ({reason})"
    return ""


def container_problem(settings: Settings, name: str) -> str:
    """What is wrong with a container, as the end of a sentence; empty if it runs and is not unhealthy."""
    try:
        with contextlib.closing(client(settings)) as there:
            state: Mapping[str, Any] = there.containers.get(name).attrs["State"]
    except docker.errors.NotFound:
        return f"the container {name} is gone"
    except ERRORS as failed:
        return f"the engine at {settings.docker.host} does not answer any more ({failed})"
    return _ill(name, state, {"unhealthy"})


def _ill(name: str, state: Mapping[str, Any], unwell: set[str]) -> str:
    health = (state.get("Health") or {}).get("Status")
    if state["Status"] != "running":
        return f"the container {name} is {state['Status']}"
    return f"the container {name} is {health}" if health in unwell else ""


def show_logs(settings: Settings, project: str, stack: str) -> None:
    """Show how the logs of a stack's containers that are not well end: Jenkins says there why it does not start."""
    wanted = [f"{name}={value}" for name, value in labels.of(project, stack).items()]
    # Without an engine there is nothing to show, and Pulumi has said so.
    with contextlib.suppress(*ERRORS), contextlib.closing(client(settings)) as there:
        for container in there.containers.list(all=True, filters={"label": wanted}):
            show_log(container)


def show_log(container: Container) -> None:
    """Show how the log of one container ends, if it is not well."""
    state = container.attrs["State"]
    if not _ill(str(container.name), state, {"unhealthy", "starting"}):
        return
    if NO_CAPABILITIES in str(state.get("Error") or ""):
        console.note(
            f"\nThis machine keeps a capability back, so {container.name} can't start with all of them. An engine "
            "beside Jenkins does with fewer: write privileged: false under ci:docker.dind."
        )
    lines = container.logs(tail=LOG_LINES).decode(errors="replace").splitlines()
    if lines:
        console.note(f"\nThe last lines of `docker logs {container.name}`:")
        console.note("".join(f"  | {line}\n" for line in lines))
