"""How a bare program says the Docker plugin's resources. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pulumi_docker

from tools.bench.bare import UnknownShapeError, reference, snake

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tools.bench.bare import Resource

_OTHER_NAMES: Final = {"ImageBuildArgs": "DockerBuildArgs"}
"""Classes of inputs that are not named after their resource and property."""


class DockerWords:
    """Objects are the package's own classes, as its documentation writes them."""

    imports = "import pulumi_docker as docker\n"
    provider = "pulumi:providers:docker"

    def kind(self, token: str) -> str:
        """See Words."""
        if token == self.provider:
            return "docker.Provider"
        package, _, name = token.partition(":")
        kind = name.rpartition(":")[2]
        if package != "docker" or not hasattr(pulumi_docker, kind):
            raise UnknownShapeError(f"the bare program has no words for a resource of the type {token}")
        return f"docker.{kind}"

    def inputs(self, resource: Resource) -> dict[str, Any]:
        """See Words."""
        found: dict[str, Any] = resource.get("inputs", {})
        return found

    def references(self, source: Resource, variable: str) -> dict[str, str]:
        """See Words."""
        outputs = source.get("outputs", {}).items()
        return {
            value: f"{variable}.{snake(name)}"
            for name, value in outputs
            if isinstance(value, str) and value and name != "id"
        }

    def literal(self, kind: str, name: str, value: Any, references: Mapping[str, str]) -> str:  # noqa: ANN401 - any JSON
        """See Words."""
        return _literal(kind.removeprefix("docker."), name, value, references)


def _literal(kind: str, name: str, value: Any, references: Mapping[str, str]) -> str:  # noqa: ANN401 - any JSON
    found = reference(value, references)
    if found:
        return found
    if isinstance(value, list):
        return f"[{', '.join(_literal(kind, name, item, references) for item in value)}]"
    if isinstance(value, dict):
        inner = _object_class(kind, name)
        items = {key: _literal(inner or kind, key, item, references) for key, item in value.items()}
        if inner is None:
            return "{" + ", ".join(f"{key!r}: {item}" for key, item in items.items()) + "}"
        return f"docker.{inner}Args({', '.join(f'{snake(key)}={item}' for key, item in items.items())})"
    return repr(value)


def _object_class(kind: str, name: str) -> str | None:
    """Give the package's class for an object under this property, without `Args`; None for a plain map."""
    title = name[:1].upper() + name[1:]
    for candidate in (f"{kind}{title}Args", f"{kind}{title.removesuffix('s')}Args"):
        known = _OTHER_NAMES.get(candidate, candidate)
        if hasattr(pulumi_docker, known):
            return known.removesuffix("Args")
    return None
