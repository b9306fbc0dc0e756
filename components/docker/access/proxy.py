"""`access: proxy`: the host's own engine, through a proxy that lets through what a Docker pipeline needs."""

import json
from collections.abc import Iterator, Mapping
from typing import Final

import pulumi
import pulumi_docker as docker

from ... import labels
from ...settings import Problem, Settings
from ..image import built_name
from ..proxy import FOLDER, SOCKET, Proxy, ProxyArgs
from . import host_socket
from .mode import EngineAccess

_WARNING: Final = (
    "The proxy closes the known ways from a job to root on the Docker host, and is no sandbox.",
    "Whoever can run a job here still starts containers there: choose who gets an account.",
)


def preflight(settings: Settings) -> Iterator[Problem]:
    """Return what is wrong with the engine's socket, which the proxy mounts."""
    yield from host_socket.preflight(settings)


def images(name: str, settings: Settings) -> tuple[str, ...]:
    """Return the images that the CI `name` is deployed from.

    Jobs may pull the pruner's, and what the built one starts from.
    """
    jenkins, prune = settings.jenkins, settings.docker.prune
    built = (built_name(f"{name}-jenkins"), f"+{jenkins.base_image}", f"+{jenkins.docker_cli_image}")
    pruner = (f"+{prune.image}",) if prune else ()
    return (settings.docker.proxy.image, *((jenkins.image,) if jenkins.image else built), *pruner)


def ports(settings: Settings) -> tuple[int, ...]:
    """Return the ports of the host at which the stack listens."""
    jenkins = settings.jenkins
    return (jenkins.http_port, *((jenkins.agent_port,) if jenkins.agent_port else ()))


def prunes(settings: Settings) -> Mapping[str, Mapping[str, str]]:
    """Give the calls of the stack's pruner, which are let through as they are and no others: path, and query.

    Of keys with `|` between them one has to be there, or more.
    """
    prune = settings.docker.prune
    if prune is None:
        return {}
    until = {f"{prune.until_hours}h": True}
    filters: dict[str, dict[str, dict[str, bool]]] = {
        "containers": {"label!": {labels.PROJECT: True}, "until": until},
        "images": {"dangling": {"true": True}, "until": until},
        "build": {"until": until},
    }
    found = {f"/{what}/prune": {"filters": json.dumps(each, separators=(",", ":"))} for what, each in filters.items()}
    # A client of 28.1 sends the first, one of 28.5 both, one of 29 the second.
    found["/build/prune"]["keep-storage|reserved-space"] = str(prune.keep_gib * 2**30)
    return found


def declare(name: str, settings: Settings, _: pulumi.Input[str], opts: pulumi.ResourceOptions) -> EngineAccess:
    """Start the proxy, and give Jenkins its socket on a volume that Jenkins cannot write to."""
    made = settings.docker.proxy
    engine = host_socket.find(settings.docker)
    proxy = Proxy(
        f"{name}-proxy",
        ProxyArgs(
            settings=made,
            engine=engine,
            images=images(name, settings),
            ports=ports(settings),
            prunes=prunes(settings),
        ),
        opts,
    )
    return EngineAccess(
        engine=settings.docker.host,
        environment={
            "DOCKER_HOST": f"unix://{SOCKET}",
            # A build by BuildKit goes through a tunnel, into which no filter sees; the old builder's is one request.
            "DOCKER_BUILDKIT": "0",
        },
        volumes=(docker.ContainerVolumeArgs(volume_name=proxy.volume, container_path=FOLDER, read_only=True),),
        after=(proxy.running,),
        sidecars={"proxy": proxy.running.name},
        next_steps=(*_WARNING, f"What the proxy refused: `docker logs {made.container_name}`."),
    )
