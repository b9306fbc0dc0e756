"""Removes what jobs leave on their engine: the docker client in a container, which prunes every hour."""

from typing import Final

import pulumi
import pulumi_docker as docker

from .. import labels
from ..settings import Settings
from .access import EngineAccess
from .container import UNPRIVILEGED, service
from .image import pinned

_FAILED: Final = "/tmp/failed"  # noqa: S108 - in the container, whose /tmp is nobody else's
_SCRIPT: Final = """\
trap 'exit 0' TERM
while :; do
    if docker container prune --force --filter until={hours}h --filter 'label!={label}' &&
        docker image prune --force --filter until={hours}h &&
        docker builder prune --force --filter until={hours}h --keep-storage {bytes}
    then rm -f {failed}; pause=3600
    else touch {failed}; pause=60
    fi
    sleep $pause & wait
done
"""
"""An image prune takes images without a tag that no container uses. None of the three takes a volume."""


def sidecar(
    name: str, settings: Settings, access: EngineAccess, opts: pulumi.ResourceOptions
) -> dict[str, pulumi.Output[str]]:
    """Register the pruner of the CI `name`, if it has one; return its container's name by its role.

    It reaches the engine as Jenkins does. While its last try failed it is unhealthy, and its log says why.
    """
    prune = settings.docker.prune
    if prune is None:
        return {}
    made = pulumi.ComponentResource("ci:docker:Pruner", f"{name}-pruner", {}, opts)
    kept = prune.keep_gib * 2**30
    # Without BuildKit, `docker builder` is the client's own and not the plugin buildx.
    environment = {**access.environment, "DOCKER_BUILDKIT": "0"}
    container = docker.Container(
        f"{name}-pruner-container",
        name=prune.container_name,
        image=pinned(f"{name}-pruner", prune.image, pulumi.ResourceOptions(parent=made)),
        user="1000:1000",
        group_adds=list(access.groups),
        entrypoints=["sh", "-c"],
        command=[_SCRIPT.format(hours=prune.until_hours, bytes=kept, label=labels.PROJECT, failed=_FAILED)],
        envs=[f"{key}={value}" for key, value in sorted(environment.items())],
        uploads=[upload for _, upload in sorted(access.files.items())] or None,
        volumes=list(access.volumes) or None,
        networks_advanced=list(access.networks) or None,
        restart="unless-stopped",
        **UNPRIVILEGED,
        **service(
            parent=made,
            memory_mib=128,
            healthy=["CMD", "test", "!", "-e", _FAILED],
            start_seconds=30,
            ready_seconds=60,
            stop_seconds=5,
            after=access.after,
        ),
    )
    return {"pruner": container.name}
