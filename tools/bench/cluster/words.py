"""How a bare program, and a manifest, say the Kubernetes plugin's resources. Pure."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

import pulumi_kubernetes

from components import labels
from tools.bench.bare import UnknownShapeError, plain, reference, sealed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tools.bench.bare import Resource

_FROM_THE_CLASS: Final = {"apiVersion", "kind"}
"""Inputs that the package fills in from the class."""

_POINTS: Final = {"namespace", "serviceAccountName", "claimName", "secretName"}
"""Properties whose value is another object's name. Elsewhere an equal text is a text of its own."""

_BINDING: Final = "part of a RoleBinding"
"""Stands for the class in those parts of a binding in which `name` is another object's."""

_OF_PULUMI: Final = "pulumi.com/"
"""How annotations begin that only the plugin reads."""


class KubernetesWords:
    """Objects are plain mappings with the API's own names, as in a manifest."""

    imports = "import pulumi_kubernetes as kubernetes\n"
    provider = "pulumi:providers:kubernetes"

    def kind(self, token: str) -> str:
        """See Words."""
        if token == self.provider:
            return "kubernetes.Provider"
        package, _, rest = token.partition(":")
        where, _, kind = rest.partition(":")
        group, _, version = where.partition("/")
        module = group.partition(".")[0]
        known: Any = pulumi_kubernetes if package == "kubernetes" else None
        for name in (module, version, kind):
            known = getattr(known, name, None)
        if known is None:
            raise UnknownShapeError(f"the bare program has no words for a resource of the type {token}")
        return f"kubernetes.{module}.{version}.{kind}"

    def inputs(self, resource: Resource) -> dict[str, Any]:
        """See Words."""
        given: dict[str, Any] = resource.get("inputs", {})
        if resource["type"] == self.provider:
            # The state has a provider's settings as texts.
            return {name: {"true": True, "false": False}.get(str(value), value) for name, value in given.items()}
        given = {name: value for name, value in given.items() if name not in _FROM_THE_CLASS}
        if resource["type"] != "kubernetes:core/v1:Secret" or "data" not in given:
            return given
        texts = {name: base64.b64decode(value).decode() for name, value in plain(given.pop("data")).items()}
        return {**given, "stringData": sealed(texts)}

    def references(self, source: Resource, variable: str) -> dict[str, str]:
        """See Words."""
        name = (source.get("outputs", {}).get("metadata") or {}).get("name")
        return {name: f"{variable}.metadata.name"} if name else {}

    def literal(self, kind: str, name: str, value: Any, references: Mapping[str, str]) -> str:  # noqa: ANN401 - any JSON
        """See Words."""
        points = name in _POINTS or (name == "name" and kind == _BINDING)
        found = reference(value, references) if points else None
        if found:
            return found
        inner = _BINDING if name in {"roleRef", "subjects"} else ""
        if isinstance(value, list):
            return f"[{', '.join(self.literal(inner, '', item, references) for item in value)}]"
        if isinstance(value, dict):
            items = (f"{key!r}: {self.literal(inner or kind, key, item, references)}" for key, item in value.items())
            return "{" + ", ".join(items) + "}"
        return repr(value)


def manifests(deployment: Mapping[str, Any], builds: Iterable[str]) -> dict[str, Any]:
    """Give the Jobs of some builds, and their contexts, as a List that kubectl applies.

    Args:
        deployment: what `pulumi stack export --show-secrets` prints.
        builds: the builds' names.
    """
    wanted = set(builds)
    items = []
    for resource in deployment["deployment"]["resources"]:
        if resource["type"] not in {"kubernetes:batch/v1:Job", "kubernetes:core/v1:ConfigMap"}:
            continue
        found: dict[str, Any] = plain(resource["inputs"])
        meta = found["metadata"]
        if (meta.get("labels") or {}).get(labels.BUILD) not in wanted:
            continue
        noted = {key: text for key, text in meta.pop("annotations", {}).items() if not key.startswith(_OF_PULUMI)}
        items.append({**found, "metadata": {**meta, **({"annotations": noted} if noted else {})}})
    return {"apiVersion": "v1", "kind": "List", "items": items}
