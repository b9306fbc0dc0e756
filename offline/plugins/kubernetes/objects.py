"""Kubernetes objects as plain dictionaries: what they are called, and the annotations that steer this plugin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from ..values import UNKNOWN

Object = dict[str, Any]

AUTONAMED: Final = "pulumi.com/autonamed"
SKIP_AWAIT: Final = "pulumi.com/skipAwait"
WAIT_FOR: Final = "pulumi.com/waitFor"
TIMEOUT_SECONDS: Final = "pulumi.com/timeoutSeconds"
REPLACE_UNREADY: Final = "pulumi.com/replaceUnready"
PATCH_FORCE: Final = "pulumi.com/patchForce"
FIELD_MANAGER: Final = "pulumi.com/patchFieldManager"
DELETION_PROPAGATION: Final = "pulumi.com/deletionPropagationPolicy"
MANAGED_BY: Final = "app.kubernetes.io/managed-by"

# The groups that Kubernetes itself serves; the objects of every other one are custom resources.
_BUILT_IN_GROUPS = frozenset(
    {
        "",
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "apps",
        "autoscaling",
        "batch",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "events.k8s.io",
        "extensions",
        "flowcontrol.apiserver.k8s.io",
        "networking.k8s.io",
        "node.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "resource.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
        "storagemigration.k8s.io",
    }
)
# The kinds of those groups that belong to no namespace: known without asking a cluster that may not be there yet.
_CLUSTER_WIDE = frozenset(
    {
        "APIService",
        "CSIDriver",
        "CSINode",
        "CertificateSigningRequest",
        "ClusterRole",
        "ClusterRoleBinding",
        "ClusterTrustBundle",
        "ComponentStatus",
        "CustomResourceDefinition",
        "DeviceClass",
        "FlowSchema",
        "IPAddress",
        "IngressClass",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        "MutatingWebhookConfiguration",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PriorityClass",
        "PriorityLevelConfiguration",
        "ResourceSlice",
        "RuntimeClass",
        "SelfSubjectAccessReview",
        "ServiceCIDR",
        "StorageClass",
        "StorageVersionMigration",
        "SubjectAccessReview",
        "TokenReview",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
        "VolumeAttachment",
        "VolumeAttributesClass",
    }
)


@dataclass(frozen=True)
class Kind:
    """A kind of object: `Kind("apps", "v1", "Deployment")`; the core group is ""."""

    group: str
    version: str
    name: str

    @property
    def api_version(self) -> str:
        """The `apiVersion` of its objects: "apps/v1", "v1"."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def built_in(self) -> bool:
        """Whether Kubernetes itself brings it."""
        return self.group in _BUILT_IN_GROUPS

    def namespaced(self) -> bool | None:
        """Whether its objects belong to a namespace; None for a kind that only the cluster can tell of."""
        return self.name not in _CLUSTER_WIDE if self.built_in else None

    def is_a(self, name: str, group: str = "") -> bool:
        """Say whether this is the named kind, in whatever version."""
        return (self.name, self.group) == (name, group)

    @classmethod
    def of(cls, obj: Object) -> Kind:
        """Read it from an object."""
        group, _, version = str(obj.get("apiVersion", "")).rpartition("/")
        return cls("" if group == "core" else group, version, str(obj.get("kind", "")))

    @classmethod
    def of_token(cls, token: str) -> Kind:
        """Read it from a Pulumi type token, "kubernetes:apps/v1:Deployment"."""
        _, module, name = token.split(":")
        group, _, version = module.rpartition("/")
        return cls("" if group == "core" else group, version, name)

    def __str__(self) -> str:
        """Name it as the API server does: "apps/v1, Kind=Deployment"."""
        return f"{self.api_version}, Kind={self.name}"


def pluck(obj: Any, *path: str | int) -> Any:
    """Give the value at a path, or None when there is nothing."""
    for step in path:
        if isinstance(step, int):
            obj = obj[step] if isinstance(obj, list) and step < len(obj) else None
        else:
            obj = obj.get(step) if isinstance(obj, dict) else None
    return obj


def _text(obj: Object, *path: str) -> str:
    found = pluck(obj, *path)
    return found if isinstance(found, str) else ""


def name_of(obj: Object) -> str:
    """Give an object's name, "" when it has none or none is known yet."""
    return _text(obj, "metadata", "name")


def namespace_of(obj: Object) -> str:
    """Give an object's namespace, "" when it has none."""
    return _text(obj, "metadata", "namespace")


def uid_of(obj: Object) -> str:
    """Give an object's UID."""
    return _text(obj, "metadata", "uid")


def annotation(obj: Object, key: str) -> str:
    """Give an annotation, "" when it is not there."""
    return _text(obj, "metadata", "annotations", key)


def is_set(obj: Object, key: str) -> bool:
    """Say whether an annotation is "true"."""
    return annotation(obj, key) == "true"


def id_of(obj: Object) -> str:
    """Give the id under which Pulumi records an object: "namespace/name", or "name"."""
    namespace = namespace_of(obj)
    return f"{namespace}/{name_of(obj)}" if namespace else name_of(obj)


def full_name(obj: Object) -> str:
    """Name an object for the user: with its namespace, unless that is the default one."""
    namespace = namespace_of(obj)
    return f"{namespace}/{name_of(obj)}" if namespace not in ("", "default") else name_of(obj)


def split_id(id_: str) -> tuple[str, str]:
    """Read (namespace, name) from an id."""
    namespace, _, name = id_.rpartition("/")
    return namespace, name


def set_metadata(obj: Object, key: str, value: Any) -> None:
    """Set a field of an object's metadata; metadata that is not known yet stays so."""
    metadata = obj.setdefault("metadata", {})
    if isinstance(metadata, dict):
        metadata[key] = value


def annotate(obj: Object, key: str, value: str) -> None:
    """Set an annotation; annotations that are not known yet stay so."""
    metadata = obj.setdefault("metadata", {})
    if metadata is UNKNOWN:
        return
    annotations = metadata.get("annotations")
    if annotations is not UNKNOWN:
        metadata["annotations"] = {**(annotations or {}), key: value}


def is_named(obj: Object) -> bool:
    """Say whether an object has a name, even one that is not known yet."""
    return pluck(obj, "metadata", "name") is UNKNOWN or name_of(obj) != ""


def owned_by(obj: Object, uid: str) -> bool:
    """Say whether an object belongs to the one with this UID."""
    return any(owner.get("uid") == uid for owner in pluck(obj, "metadata", "ownerReferences") or ())
