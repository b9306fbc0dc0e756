"""The settings of the proxy between jobs and the host's engine."""

from typing import Annotated

from pydantic import Field

from components.settings.fields import DockerName, ImageReference
from components.settings.section import Section


class ProxySettings(Section):
    """The filtering proxy between Jenkins and the host's engine, for `access: proxy`."""

    image: ImageReference = Field(default="haproxy:3.2.21-alpine", examples=["haproxy:3.2.21-alpine"])
    """The proxy's image: HAProxy 3.0 or newer with Lua (the official images have it), a shell and `wget`. Its rules are
    not in it: they come with this project."""

    container_name: DockerName = Field(default="jenkins-docker-proxy", examples=["jenkins-docker-proxy"])
    """The container's name, and that of the volume in which it has its socket for Jenkins."""

    memory_mib: Annotated[int, Field(ge=64, le=65_536)] = Field(default=128, examples=[128])
    """Memory limit of the container, MiB, without swap. It takes about 0.2 for each call under way."""
