"""Inputs in the form in which the API server gives them back, so that two spellings of one thing are no change."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from ..values import has_unknown
from . import quantity
from .objects import Kind, Object

# What the API server alone writes.
_READ_ONLY = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "uid",
)
# The engine's names for fields that no language's property could be called.
_UNDERSCORED = {
    f"x_kubernetes_{name}": f"x-kubernetes-{name.replace('_', '-')}"
    for name in (
        "embedded_resource",
        "int_or_string",
        "list_map_keys",
        "list_type",
        "map_type",
        "preserve_unknown_fields",
        "validations",
    )
}
_DASHED = {dashed: underscored for underscored, dashed in _UNDERSCORED.items()}


def with_dashes(value: Any) -> Any:
    """Copy a value with the fields of a custom resource's schema as Kubernetes calls them."""
    return _renamed(value, _UNDERSCORED)


def with_underscores(value: Any) -> Any:
    """Copy a value with the fields of a custom resource's schema as Pulumi's languages call them."""
    return _renamed(value, _DASHED)


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {names.get(key, key): _renamed(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    return value


def normalize(obj: Object) -> Object:
    """Copy inputs in their normal form: no read-only metadata, no nulls, quantities and Secrets as they are kept.

    Inputs with parts that are not known yet only lose their read-only metadata; those of a custom resource too, as
    nothing but its own schema knows what its fields mean.
    """
    kind = Kind.of(obj)
    if kind.built_in and not has_unknown(obj):
        obj = quantity.rewrite(_without_nulls(obj))
        if kind.is_a("Secret"):
            obj = _secret(obj)
        if kind.is_a("CustomResourceDefinition", "apiextensions.k8s.io"):
            obj = _definition(obj)
    metadata = obj.get("metadata")
    if isinstance(metadata, dict):
        obj = {**obj, "metadata": {key: value for key, value in metadata.items() if key not in _READ_ONLY}}
    return obj


def _without_nulls(value: Any) -> Any:
    """Drop nulls: the API server does, from all fields that it knows."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _secret(obj: Object) -> Object:
    """Give a Secret with `stringData` turned into `data`, as the API server does."""
    data = {key: _recoded(value) for key, value in (obj.get("data") or {}).items()}
    texts = obj.get("stringData") or {}
    data |= {key: base64.b64encode(str(value).encode()).decode() for key, value in texts.items()}
    kept = {key: value for key, value in obj.items() if key not in ("data", "stringData")}
    return {**kept, "data": data} if data or "data" in obj else kept


def _recoded(value: Any) -> Any:
    """Encode anew what is base64 already, without the line breaks it may have."""
    try:
        return base64.b64encode(base64.b64decode("".join(str(value).split()), validate=True)).decode()
    except binascii.Error:
        return value  # the API server will say so


def _definition(obj: Object) -> Object:
    """Give a custom resource's definition without its status, and without the one default that is dropped."""
    spec = obj.get("spec")
    if isinstance(spec, dict) and spec.get("preserveUnknownFields") is False:
        spec = {key: value for key, value in spec.items() if key != "preserveUnknownFields"}
    return {**{key: value for key, value in obj.items() if key != "status"}, "spec": spec}
