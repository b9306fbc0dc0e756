"""Checking a resource's inputs: what is refused, and the name and namespace of what has none."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from ..rpc import PluginError
from ..service import name_in, token_of
from ..stubs import provider_pb2
from . import objects
from .normalize import normalize
from .objects import Kind, Object, annotate, is_named, is_set, name_of, namespace_of, pluck, set_metadata

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .cluster import Cluster

_OVERLAYS: Final = ("helm.sh/", "kustomize", "yaml")
_AUTONAMING: Final = provider_pb2.CheckRequest.AutonamingOptions
# The Pulumi name and eight hexadecimal digits, as the official plugin names what has no name.
_RANDOM_BYTES = 4


def refusal(token: str) -> str:
    """Say that a type or function is not there."""
    return (
        f"{token} is not implemented by the bundled kubernetes plugin, which knows single objects of any kind, and "
        "neither Helm, Kustomize, YAML files, Patch nor List resources: use the official plugin"
    )


def check(cluster: Cluster, request: provider_pb2.CheckRequest, given: Object, olds: Object) -> Object:
    """Check inputs; give them in their normal form, with name and namespace.

    Args:
        cluster: where the object is to be.
        request: the engine's question.
        given: the new inputs, opened.
        olds: the recorded inputs; {} when there are none.

    Raises:
        PluginError: a resource that this plugin does not have, or cannot name.
    """
    token = token_of(request.urn)
    _refuse(token, given)
    inputs = normalize(given)
    if "apiVersion" not in inputs or "kind" not in inputs:
        kind = Kind.of_token(token)
        inputs = {"apiVersion": kind.api_version, "kind": kind.name, **inputs}
    if olds:
        _adopt(inputs, olds)
    elif not is_named(inputs):
        _name(inputs, request)
    if not is_named(inputs) and pluck(inputs, "metadata", "generateName"):
        raise PluginError("the `.metadata.generateName` field is not supported in Server-Side Apply mode")
    if cluster.namespace and not namespace_of(inputs) and _namespaced(cluster, Kind.of_token(token)):
        _set_namespace(inputs, cluster.namespace)
    return inputs


def _refuse(token: str, given: Object) -> None:
    module, name = token.split(":")[1], token.rsplit(":", 1)[-1]
    kind = given.get("kind")
    if module.startswith(_OVERLAYS) or name == f"{kind}Patch":
        raise PluginError(refusal(token))
    if name.endswith("List") and "items" in given and Kind.of_token(token).built_in:
        raise PluginError(
            f"{token}: list resources exist for compatibility with YAML manifests and Helm charts, and cannot be "
            "created directly. Use the underlying resource type instead"
        )


def _adopt(inputs: Object, olds: Object) -> None:
    """Keep the name that was made up, and the label that older versions of the official plugin set."""
    if not is_named(inputs) and is_set(olds, objects.AUTONAMED):
        set_metadata(inputs, "name", name_of(olds))
        annotate(inputs, objects.AUTONAMED, "true")
    if pluck(olds, "metadata", "labels", objects.MANAGED_BY) == "pulumi":
        labels = pluck(inputs, "metadata", "labels")
        if labels is None or isinstance(labels, dict):
            set_metadata(inputs, "labels", {**(labels or {}), objects.MANAGED_BY: "pulumi"})


def _name(inputs: Object, request: provider_pb2.CheckRequest) -> None:
    if pluck(inputs, "metadata", "generateName"):
        return
    if request.HasField("autonaming") and request.autonaming.mode == _AUTONAMING.DISABLE:
        raise PluginError("autonaming is disabled, resource requires the .metadata.name field to be set")
    proposed = request.autonaming.proposed_name if request.HasField("autonaming") else ""
    set_metadata(inputs, "name", proposed or f"{name_in(request.urn)}-{secrets.token_hex(_RANDOM_BYTES)}")
    annotate(inputs, objects.AUTONAMED, "true")


def _namespaced(cluster: Cluster, kind: Kind) -> bool:
    """Say whether a kind's objects belong to a namespace; one that nobody knows yet most likely does."""
    known = kind.namespaced()
    if known is not None or cluster.unreachable or not cluster.discovery.has(kind):
        return known is not False
    return cluster.discovery.find(kind).namespaced


def _set_namespace(inputs: Object, namespace: str) -> None:
    metadata: Any = inputs.get("metadata")
    if metadata is None or (isinstance(metadata, dict) and metadata.get("namespace") in (None, "")):
        set_metadata(inputs, "namespace", namespace)


def warnings(given: Object, cluster: Cluster) -> Iterator[str]:
    """Find what the user should know of inputs that are as they should be otherwise."""
    annotations = pluck(given, "metadata", "annotations")
    for key in annotations if isinstance(annotations, dict) else ():
        if key.startswith(objects.AUTONAMED):
            yield f'ignoring user-specified value for internal annotation "{key}"'
        if key.startswith("helm.sh/hook") and not cluster.on("suppressHelmHookWarnings"):
            yield "This resource contains Helm hooks, which are not executed."
