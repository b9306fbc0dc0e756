"""The ways in which Jenkins' jobs reach a Docker engine: one module for each value of `ci:docker.access`."""

from collections.abc import Mapping
from typing import Final

from components.docker.access import dind, host_socket, proxy, tcp
from components.docker.access.shape import Access, Mode, Surroundings
from components.settings import DockerSettings

MODES: Final[Mapping[str, Mode]] = {"socket": host_socket, "proxy": proxy, "dind": dind, "tcp": tcp}


def of(docker: DockerSettings) -> Mode:
    """Give the way that the settings choose."""
    return MODES[docker.access]


__all__ = ["MODES", "Access", "Mode", "Surroundings", "of"]
