"""Jenkins in a container on a Docker host."""

from components.docker.deploy import DockerCi

__all__ = ["DockerCi"]
