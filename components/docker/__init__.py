"""Jenkins in a container on a Docker host."""

from components.docker.deploy import deploy

__all__ = ["deploy"]
