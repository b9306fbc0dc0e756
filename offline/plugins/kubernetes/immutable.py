"""The fields whose change makes a new object, by kind: those that the official plugin replaces for.

A path is written as in Kubernetes' own documentation, with `[*]` for every element of a list.
"""

from __future__ import annotations

from typing import Any

from .objects import Kind, Object

Path = tuple[str, ...]


def _paths(*texts: str) -> tuple[Path, ...]:
    return tuple(tuple(text.replace("[*]", ".*").strip(".").split(".")) for text in texts)


_METADATA = _paths(".metadata.name", ".metadata.namespace")
_SELECTOR = _paths(".spec.selector")
_SECRET = _paths(".type", ".stringData", ".data")
_CONFIG_MAP = _paths(".binaryData", ".data")
_POD_SPEC = (
    "affinity automountServiceAccountToken dnsConfig dnsPolicy enableServiceLinks hostAliases hostIPC hostNetwork "
    "hostPID hostname imagePullSecrets nodeName nodeSelector overhead preemptionPolicy priority priorityClassName "
    "readinessGates restartPolicy runtimeClassName schedulerName securityContext serviceAccount serviceAccountName "
    "shareProcessNamespace subdomain terminationGracePeriodSeconds volumes"
)
_CONTAINER = (
    "args command env image imagePullPolicy lifecycle livenessProbe ports readinessProbe resources securityContext "
    "stdin stdinOnce terminationMessagePath terminationMessagePolicy tty volumeDevices volumeMounts workingDir"
)
_VOLUME_SOURCES = (
    "awsElasticBlockStore azureDisk azureFile cephfs cinder csi fc flexVolume flocker gcePersistentDisk glusterfs "
    "hostPath iscsi local nfs photonPersistentDisk portworxVolume quobyte rbd scaleIO storageos vsphereVolume"
)
_IMMUTABLE: dict[tuple[str, str], tuple[Path, ...]] = {
    ("apps", "DaemonSet"): _SELECTOR,
    ("apps", "Deployment"): _SELECTOR,
    ("apps", "StatefulSet"): _paths(
        ".spec.podManagementPolicy",
        ".spec.revisionHistoryLimit",
        ".spec.selector",
        ".spec.serviceName",
        ".spec.volumeClaimTemplates",
    ),
    ("batch", "Job"): _paths(".spec.completions", ".spec.parallelism", ".spec.selector", ".spec.template"),
    ("", "PersistentVolume"): _paths(*(f".spec.{source}" for source in _VOLUME_SOURCES.split())),
    ("", "PersistentVolumeClaim"): _paths(
        ".spec.accessModes", ".spec.selector", ".spec.storageClassName", ".spec.volumeName"
    ),
    ("", "Pod"): _paths(
        *(f".spec.{field}" for field in _POD_SPEC.split()),
        *(f".spec.{group}[*].{field}" for group in ("containers", "initContainers") for field in _CONTAINER.split()),
    ),
    ("", "ResourceQuota"): _paths(".spec.scopes"),
    ("", "Service"): _paths(".spec.clusterIP"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): _paths(".roleRef"),
    ("rbac.authorization.k8s.io", "RoleBinding"): _paths(".roleRef"),
    ("storage.k8s.io", "StorageClass"): _paths(".parameters", ".provisioner"),
}


def immutable_paths(obj: Object, *, mutable_secrets: bool, mutable_config_maps: bool) -> tuple[Path, ...]:
    """Give the paths of an object's fields that cannot change in place.

    Args:
        obj: the new inputs.
        mutable_secrets: whether a Secret's data may change in place (it never does when it says `immutable`).
        mutable_config_maps: the same of a ConfigMap's.
    """
    kind = Kind.of(obj)
    fixed = obj.get("immutable") is True
    if kind.is_a("Secret"):
        return _METADATA + (_SECRET if fixed or not mutable_secrets else _paths(".type"))
    if kind.is_a("ConfigMap"):
        return _METADATA + (_CONFIG_MAP if fixed or not mutable_config_maps else ())
    return _METADATA + _IMMUTABLE.get((kind.group, kind.name), ())


def touches(changed: tuple[str | int, ...], value: Any, immutable: Path) -> bool:
    """Say whether a change at a path is one of an immutable field: of it, of something in it, or around it.

    Args:
        changed: the path of the change.
        value: what stands there afterwards; None when it is removed.
        immutable: the path of the immutable field.
    """
    for index, step in enumerate(immutable):
        if index == len(changed):
            return _holds(value, immutable[index:])
        here = changed[index]
        if step != here and not (step == "*" and isinstance(here, int)):
            return False
    return True


def _holds(value: Any, path: Path) -> bool:
    """Say whether there is anything at a path within a value."""
    if not path:
        return True
    if path[0] == "*":
        return isinstance(value, list) and any(_holds(item, path[1:]) for item in value)
    return isinstance(value, dict) and path[0] in value and _holds(value[path[0]], path[1:])
