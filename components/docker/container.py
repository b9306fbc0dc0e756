"""What the containers of a stack have in common."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pulumi
import pulumi_docker as docker

from .. import labels

HOME: Final = "/var/jenkins_home"
"""Jenkins' home, at the path that its image declares. Containers of jobs mount it at the same path."""

USER: Final = "1000:1000"
"""The image's user `jenkins`. Source: the package jenkinsci/docker, debian/Dockerfile, ARG uid and gid."""

LOG_OPTIONS: Final = {"max-size": "10m", "max-file": "3"}
"""Bounds of a log for which the stack has no setting, in the words of the driver json-file."""

UNPRIVILEGED: Final[Mapping[str, Any]] = {
    "capabilities": docker.ContainerCapabilitiesArgs(drops=["ALL"]),
    "security_opts": ["no-new-privileges:true"],
    "privileged": False,
}
"""Inputs of a container that needs no privileges at all."""


def own_labels() -> list[Any]:
    """Return the stack's labels, sorted as the plugin reads them back, for a container, a volume or a network."""
    mine = labels.of(pulumi.get_project(), pulumi.get_stack())
    return [{"label": label, "value": value} for label, value in sorted(mine.items())]


def service(  # noqa: PLR0913 - all by keyword
    *,
    parent: pulumi.Resource,
    memory_mib: int,
    healthy: Sequence[str],
    start_seconds: int,
    ready_seconds: int,
    stop_seconds: int,
    log_options: Mapping[str, str] = LOG_OPTIONS,
    after: Sequence[pulumi.Resource] = (),
    replaces: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the inputs and options of a container that runs all the time.

    healthy: the health check's command. start_seconds: how long it may fail at first. ready_seconds: how long an update
    waits for it. stop_seconds: how long the container may take to end before it is killed. replaces: inputs that the
    engine could change in a running container, but what runs in it would not see it.
    """
    return {
        "must_run": True,
        "memory": memory_mib,
        "memory_swap": memory_mib,  # without it, the engine fills in the double, and a change is seen
        "log_driver": "json-file",
        "log_opts": log_options,
        "healthcheck": docker.ContainerHealthcheckArgs(
            # Durations as the engine writes them back: "1m0s", never "60s".
            tests=list(healthy),
            interval="5s",
            timeout="10s",
            retries=6,
            start_period=_duration(start_seconds),
        ),
        "wait": True,
        "wait_timeout": ready_seconds,
        "stop_timeout": stop_seconds,
        "destroy_grace_seconds": stop_seconds,  # without it, the plugin kills at once
        "labels": own_labels(),
        "opts": pulumi.ResourceOptions(
            parent=parent,
            delete_before_replace=True,  # its name and ports can be held only once
            replace_on_changes=["healthcheck", *replaces],  # of the first, the plugin would report an update only
            depends_on=list(after),
        ),
    }


def _duration(seconds: int) -> str:
    """Write a duration as the engine does: 90 as 1m30s, 3600 as 1h0m0s."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
