"""A registry and image builds in a Kubernetes cluster."""

from components.kubernetes.deploy import KubernetesCi

__all__ = ["KubernetesCi"]
