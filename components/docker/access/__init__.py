"""How jobs reach a Docker engine: one module for each value of `ci:docker.access`."""

from collections.abc import Mapping
from typing import Final

from components.docker.access import dind, host_socket, proxy, tcp
from components.docker.access.mode import AccessMode, EngineAccess
from components.settings import DockerSettings

MODES: Final[Mapping[str, AccessMode]] = {"socket": host_socket, "proxy": proxy, "dind": dind, "tcp": tcp}


def of(docker: DockerSettings) -> AccessMode:
    """Return the access mode that the settings choose."""
    return MODES[docker.access]


__all__ = ["MODES", "AccessMode", "EngineAccess", "of"]
