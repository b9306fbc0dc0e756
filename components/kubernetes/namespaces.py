"""The namespaces: the registry's, which outlives the stack, the builds', and that of a BuildKit daemon that stays."""

from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_kubernetes import core

from .. import labels
from ..settings import Settings
from ..settings.cluster_checks import OTHER_PODS, pods_of, quota_of
from ..settings.pod_security import Level
from .builders.pod import SERVICE_ACCOUNT

ENFORCED: Final = "pod-security.kubernetes.io/enforce"
"""The label with the level that the API server enforces in a namespace."""


def of_builds(namespace: str) -> str:
    """Return the name of the builds' namespace."""
    return f"{namespace}-builds"


def of_buildkit(namespace: str) -> str:
    """Return the name of the namespace of a BuildKit daemon that stays."""
    return f"{namespace}-buildkit"


def names(settings: Settings) -> list[str]:
    """Return the names of all namespaces of a stack, the registry's first."""
    first = settings.kubernetes.namespace
    return [first, of_builds(first), *([of_buildkit(first)] if settings.buildkit is not None else [])]


class Namespaces(pulumi.ComponentResource):
    """The registry's namespace at Pod Security `restricted`, and the builds' namespace at the level in the settings.

    The first is kept when the stack is destroyed: deleting it would delete the volume with the images.
    """

    registry: pulumi.Output[str]
    """The name of the registry's namespace, once it exists."""

    builds: pulumi.Output[str]
    """The name of the builds' namespace, once it exists."""

    buildkit: pulumi.Output[str] | None = None
    """The name of the BuildKit daemon's namespace, once it exists; None without one."""

    def __init__(self, name: str, settings: Settings, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register both, with the builds' quota, limits and service account."""
        level = settings.kubernetes.builds_pod_security
        super().__init__("ci:kubernetes:Namespaces", name, {"buildsLevel": level}, opts)
        mine = pulumi.ResourceOptions(parent=self)
        kept = pulumi.ResourceOptions(parent=self, retain_on_delete=True)
        namespace = settings.kubernetes.namespace
        self.registry = _namespace(f"{name}-registry", namespace, "restricted", kept)
        self.builds = _namespace(f"{name}-builds", of_builds(namespace), level, mine)
        if settings.buildkit is not None:
            # `baseline` forbids the seccomp and AppArmor profiles without which BuildKit can't make its user namespace.
            self.buildkit = _namespace(f"{name}-buildkit", of_buildkit(namespace), "privileged", mine)
        core.v1.ServiceAccount(
            f"{name}-builder",
            metadata={"name": SERVICE_ACCOUNT, "namespace": self.builds},
            automount_service_account_token=False,
            opts=mine,
        )
        core.v1.LimitRange(
            f"{name}-limits",
            metadata={"name": "builds", "namespace": self.builds},
            spec=_limits(),
            opts=mine,
        )
        core.v1.ResourceQuota(
            f"{name}-quota",
            metadata={"name": "builds", "namespace": self.builds},
            spec={"hard": _quota(settings)},
            opts=mine,
        )
        self.register_outputs({"registry": self.registry, "builds": self.builds})


@dataclass(frozen=True, kw_only=True)
class StackArgs:
    """The inputs of a component that needs no others than a stack's settings and its namespaces."""

    settings: Settings
    spaces: Namespaces


def _namespace(name: str, namespace: str, level: Level, opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
    """Register a namespace under `name`; return its own name, once it exists."""
    marks = {
        **labels.of(pulumi.get_project(), pulumi.get_stack()),
        ENFORCED: level,
        # The default, but the provider sees a change only of what is declared.
        f"{ENFORCED}-version": "latest",
        "pod-security.kubernetes.io/audit": level,
        "pod-security.kubernetes.io/warn": level,
    }
    made = core.v1.Namespace(name, metadata={"name": namespace, "labels": marks}, opts=opts)
    known: pulumi.Output[str] = made.metadata.apply(lambda meta: meta.name or namespace)
    return known


def _limits() -> Any:  # noqa: ANN401 - the API's own shape
    # Under a quota, a pod without limits would be refused, for example one that tries an image.
    return {
        "limits": [
            {
                "type": "Container",
                "default": {"cpu": "500m", "memory": "256Mi", "ephemeral-storage": "1Gi"},
                "defaultRequest": {"cpu": "50m", "memory": "256Mi", "ephemeral-storage": "64Mi"},
            }
        ]
    }


def _quota(settings: Settings) -> dict[str, str]:
    cpu, memory = quota_of(settings)
    if settings.kubernetes.quota is None:
        # Room for the other pods, which have the default limits above.
        cpu, memory = cpu + OTHER_PODS * 500, memory + OTHER_PODS * 256
    return {
        "limits.cpu": f"{cpu}m",
        "limits.memory": f"{memory}Mi",
        "requests.cpu": f"{cpu}m",
        "requests.memory": f"{memory}Mi",
        "pods": str(pods_of(settings) + OTHER_PODS),
    }
