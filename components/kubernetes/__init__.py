"""A registry and image builds in a Kubernetes cluster."""

from components.kubernetes.deploy import deploy

__all__ = ["deploy"]
