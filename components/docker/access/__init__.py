"""How jobs reach a Docker engine: one module for each value of `ci:docker.access`."""

from collections.abc import Mapping
from typing import Final

from ...settings import DockerSettings
from . import dind, host_socket, proxy, tcp
from .mode import AccessMode, EngineAccess

MODES: Final[Mapping[str, AccessMode]] = {"socket": host_socket, "proxy": proxy, "dind": dind, "tcp": tcp}


def of(docker: DockerSettings) -> AccessMode:
    """Return the access mode that the settings choose."""
    return MODES[docker.access]


__all__ = ["MODES", "AccessMode", "EngineAccess", "of"]
