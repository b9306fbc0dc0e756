"""`access: dind`: an engine of the stack's own in a container beside Jenkins (Docker-in-Docker)."""

from collections.abc import Iterator

import pulumi
import pulumi_docker as docker

from ...settings import Problem, Settings
from ...settings.engines import DindSettings
from ..dind import ALIAS, CLIENT_CERTIFICATES, PORT, Engine, EngineArgs
from .mode import EngineAccess


def preflight(_: Settings) -> Iterator[Problem]:
    """Return nothing: it needs nothing of the host but its names."""
    return iter(())


def declare(name: str, settings: Settings, home: pulumi.Input[str], opts: pulumi.ResourceOptions) -> EngineAccess:
    """Start the engine, and give Jenkins its network, its address and the client's certificates (read-only)."""
    dind = settings.docker.dind
    pulumi.log.warn(" ".join(_warning(dind)))
    engine = Engine(f"{name}-engine", EngineArgs(settings=dind, home=home), opts)
    address = f"tcp://{ALIAS}:{PORT}"
    return EngineAccess(
        engine=address,
        environment={"DOCKER_HOST": address, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": CLIENT_CERTIFICATES},
        volumes=(
            docker.ContainerVolumeArgs(
                volume_name=engine.certificates, container_path=CLIENT_CERTIFICATES, read_only=True
            ),
        ),
        networks=(docker.ContainerNetworksAdvancedArgs(name=engine.network),),
        after=(engine.running,),
        sidecars={"engine": engine.container},
        retained_volumes=(engine.storage,),
        next_steps=(
            *_warning(dind),
            f"What jobs build is in that engine, not the host's: `docker exec {dind.container_name} docker image ls`.",
        ),
    )


def _warning(dind: DindSettings) -> tuple[str, str]:
    held = "privileged" if dind.privileged else f"not privileged, but has {', '.join(dind.capabilities)}"
    return (
        f"The engine in the container {dind.container_name} is {held}.",
        "Anyone who can run a job here can get root on the Docker host: choose who gets an account.",
    )
