"""Writes the bare program: the resources that a deployed stack has, declared one after the other. Pure.

The program is made from the stack's own state, so it declares what the components declared, whatever they come to be:
same inputs, same references from one to the other, texts as literals. It has no settings, no checks and no component.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import pulumi_docker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
"""The key by which a value in the state is more than JSON. Source: the package pulumi, runtime/rpc.py."""
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - the mark of a secret, not one
_STACK: Final = "pulumi:pulumi:Stack"
_PROVIDER: Final = "pulumi:providers:docker"
_OPTIONS: Final = {
    "retainOnDelete": "retain_on_delete",
    "ignoreChanges": "ignore_changes",
    "replaceOnChanges": "replace_on_changes",
}
"""The options of a resource that the state remembers, and their names in a program."""
_OTHER_NAMES: Final = {"ImageBuildArgs": "DockerBuildArgs"}
"""Classes of inputs that are not named after their resource and property."""

Resource = dict[str, Any]


class UnknownShapeError(Exception):
    """The state holds what this writer has no words for. The text names it."""


def program(deployment: Mapping[str, Any], renames: Mapping[str, str]) -> str:
    """Give the text of the bare program's `__main__.py`.

    Args:
        deployment: what `pulumi stack export --show-secrets` prints.
        renames: texts to put in the place of others wherever they stand, since two programs can't deploy a container of
            the same name or publish the same port. Each must be a text that stands for nothing else.

    Raises:
        UnknownShapeError: for a resource that is not the Docker plugin's.
    """
    resources: Sequence[Resource] = json.loads(renamed(json.dumps(deployment), renames))["deployment"]["resources"]
    variables = {resource["urn"]: _variable(resource["urn"]) for resource in resources}
    by_urn = {resource["urn"]: resource for resource in resources}
    outputs: Mapping[str, Any] = {}
    declared = []
    for resource in resources:
        if resource["type"] == _STACK:
            outputs = resource.get("outputs", {})
        elif resource["custom"]:
            declared.append(_declaration(resource, by_urn, variables))
    exports = [f"pulumi.export({name!r}, {plain(value)!r})\n" for name, value in outputs.items()]
    return "\n".join(["import pulumi\nimport pulumi_docker as docker\n", *declared, "".join(exports)])


def renamed(text: str, renames: Mapping[str, str]) -> str:
    """Give the text with each name in the place of the one that it stands for."""
    for old, new in renames.items():
        text = text.replace(old, new)
    return text


def inputs(resource: Resource) -> dict[str, Any]:
    """Give the inputs that a program wrote, by their name in the state; secrets as plain values.

    What the plugin filled in is left out.
    """
    return {name: plain(value) for name, value in _written(resource.get("inputs", {})).items()}


def plain(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Give a value of the state as the program wrote it: without marks of secrets, without defaults."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get(_SIGNATURE) == _SECRET:
        return plain(json.loads(value["plaintext"]))
    return {name: plain(item) for name, item in _written(value).items()}


def _written(values: Mapping[str, Any]) -> dict[str, Any]:
    filled_in = {"__defaults", "__internal", *values.get("__defaults", ())}
    return {name: value for name, value in values.items() if name not in filled_in}


def _declaration(resource: Resource, by_urn: Mapping[str, Resource], variables: Mapping[str, str]) -> str:
    urn, kind = resource["urn"], _class(resource["type"])
    arguments = [repr(urn.rpartition("::")[2])]
    for name, value in _written(resource.get("inputs", {})).items():
        if kind == "Provider" and name == "version":
            continue  # the package's own, filled in by it
        sources = [by_urn[source] for source in resource.get("propertyDependencies", {}).get(name, ())]
        literal = _literal(kind, name, plain(value), _references(sources, variables))
        secret = isinstance(value, dict) and value.get(_SIGNATURE) == _SECRET
        arguments.append(f"{snake(name)}={f'pulumi.Output.secret({literal})' if secret else literal}")
    options = [f"{option}={resource[key]!r}" for key, option in _OPTIONS.items() if key in resource]
    if "provider" in resource:
        options.insert(0, f"provider={variables[resource['provider'].rpartition('::')[0]]}")
    if options:
        arguments.append(f"opts=pulumi.ResourceOptions({', '.join(options)})")
    lines = "".join(f"    {argument},\n" for argument in arguments)
    return f"{variables[urn]} = docker.{kind}(\n{lines})\n"


def _class(token: str) -> str:
    if token == _PROVIDER:
        return "Provider"
    package, _, name = token.partition(":")
    kind = name.rpartition(":")[2]
    if package != "docker" or not hasattr(pulumi_docker, kind):
        raise UnknownShapeError(f"the bare program has no words for a resource of the type {token}")
    return kind


def _references(sources: Sequence[Resource], variables: Mapping[str, str]) -> dict[str, str]:
    """Give the outputs of the resources that a property depends on: the value, and how a program says it."""
    found: dict[str, str] = {}
    for source in sources:
        for name, value in source.get("outputs", {}).items():
            if isinstance(value, str) and value and name != "id":
                found.setdefault(value, f"{variables[source['urn']]}.{snake(name)}")
    return found


def _literal(kind: str, name: str, value: Any, references: Mapping[str, str]) -> str:  # noqa: ANN401 - any JSON
    """Write a property's value; objects as the package's own classes, as its documentation does."""
    if isinstance(value, str) and value in references:
        return references[value]
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


def snake(name: str) -> str:
    """Write a property's name as a program does: `memorySwap` is `memory_swap`."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def _variable(urn: str) -> str:
    return re.sub(r"\W", "_", urn.rpartition("::")[2])
