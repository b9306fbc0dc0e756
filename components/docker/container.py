"""What the containers of a stack have in common: labels, log, and how the engine writes what it reads back."""

from typing import Final

import pulumi
import pulumi_docker as docker

from components import labels

HOME: Final = "/var/jenkins_home"
"""Jenkins' home, at the path that its image declares. A job's `inside` mounts it into its own containers from here."""

LOG_OPTIONS: Final = {"max-size": "10m", "max-file": "3"}
"""Bounds of a log for which the stack has no setting, as the driver json-file has them."""


def own_labels() -> list[tuple[str, str]]:
    """Give the labels of the stack that is deployed, sorted as the plugin reads them back."""
    return sorted(labels.of(pulumi.get_project(), pulumi.get_stack()).items())


def container_labels() -> list[docker.ContainerLabelArgs]:
    """Give them for a container."""
    return [docker.ContainerLabelArgs(label=label, value=value) for label, value in own_labels()]


def volume_labels() -> list[docker.VolumeLabelArgs]:
    """Give them for a volume."""
    return [docker.VolumeLabelArgs(label=label, value=value) for label, value in own_labels()]


def network_labels() -> list[docker.NetworkLabelArgs]:
    """Give them for a network."""
    return [docker.NetworkLabelArgs(label=label, value=value) for label, value in own_labels()]


def duration(seconds: int) -> str:
    """Write a duration as the engine's language does, for example 90 as 1m30s and 3600 as 1h0m0s."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
