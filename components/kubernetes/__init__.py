"""A registry and image builds in a Kubernetes cluster."""

from .deploy import KubernetesCi

__all__ = ["KubernetesCi"]
