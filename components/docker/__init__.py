"""Jenkins in a container on a Docker host."""

from .deploy import DockerCi

__all__ = ["DockerCi"]
