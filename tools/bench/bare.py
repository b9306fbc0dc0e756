"""Writes the bare program: the resources that a deployed stack has, declared one after the other. Pure.

The program is made from the stack's own state, so it declares what the components declared, whatever they come to be:
same inputs, same references from one to the other, texts as literals. It has no settings, no checks and no component.
How a package's resources are written is that package's matter: see `Words`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
"""The key by which a value in the state is more than JSON. Source: the package pulumi, runtime/rpc.py."""
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - the mark of a secret, not one
_STACK: Final = "pulumi:pulumi:Stack"
_ENGINES_OWN: Final = "pulumi:providers:pulumi"
"""The provider of the engine's own functions, which it registers by itself for a program that asks one."""
_OPTIONS: Final = {
    "retainOnDelete": "retain_on_delete",
    "ignoreChanges": "ignore_changes",
    "replaceOnChanges": "replace_on_changes",
}
"""The options of a resource that the state remembers as they are, and their names in a program."""

Resource = dict[str, Any]


class UnknownShapeError(Exception):
    """The state holds what this writer has no words for. The text names it."""


class Words(Protocol):
    """How one package's resources are written in a program."""

    imports: str
    """The line that imports it."""

    provider: str
    """The type of its provider, as the state has it."""

    def kind(self, token: str) -> str:
        """Give the class for a type; raises UnknownShapeError for one that is not this package's."""
        ...

    def inputs(self, resource: Resource) -> dict[str, Any]:
        """Give the inputs of a resource as the program wrote them, but for what `plain` undoes."""
        ...

    def references(self, source: Resource, variable: str) -> dict[str, str]:
        """Give the outputs that others may refer to: the value, and how a program says it."""
        ...

    def literal(self, kind: str, name: str, value: Any, references: Mapping[str, str]) -> str:  # noqa: ANN401 - any JSON
        """Write a property's value."""
        ...


def program(deployment: Mapping[str, Any], renames: Mapping[str, str], words: Words) -> str:
    """Give the text of the bare program's `__main__.py`.

    Args:
        deployment: what `pulumi stack export --show-secrets` prints.
        renames: texts to put in the place of others wherever they stand, since two programs can't deploy a container of
            the same name or publish the same port. Each must be a text that stands for nothing else.
        words: those of the package that the resources are of.

    Raises:
        UnknownShapeError: for a resource of another package.
    """
    given = [{**resource, "inputs": words.inputs(resource)} for resource in deployment["deployment"]["resources"]]
    resources: list[Resource] = json.loads(renamed(json.dumps(given), renames))
    writer = _Writer(resources, words)
    outputs: Mapping[str, Any] = {}
    declared = []
    for resource in resources:
        if resource["type"] == _STACK:
            outputs = resource.get("outputs", {})
        elif resource["custom"] and resource["type"] != _ENGINES_OWN:
            declared.append(writer.declaration(resource))
    exports = [f"pulumi.export({name!r}, {_secret(value, repr(plain(value)))})\n" for name, value in outputs.items()]
    return "\n".join([f"import pulumi\n{words.imports}", *declared, "".join(exports)])


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


def sealed(value: object) -> dict[str, str]:
    """Give a value as the state has it when it is a secret, shown."""
    return {_SIGNATURE: _SECRET, "plaintext": json.dumps(value)}


def reference(value: object, references: Mapping[str, str]) -> str | None:
    """Give how a program says a value that is another resource's; None for one that is not."""
    return references.get(value) if isinstance(value, str) else None


def snake(name: str) -> str:
    """Write a property's name as a program does: `memorySwap` is `memory_swap`."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def _written(values: Mapping[str, Any]) -> dict[str, Any]:
    filled_in = {"__defaults", "__internal", *values.get("__defaults", ())}
    return {name: value for name, value in values.items() if name not in filled_in}


def _secret(value: object, literal: str) -> str:
    """Write a value as a secret if it, or a part of it, is one."""
    return f"pulumi.Output.secret({literal})" if _has_secret(value) else literal


def _has_secret(value: object) -> bool:
    if isinstance(value, dict):
        return value.get(_SIGNATURE) == _SECRET or any(map(_has_secret, value.values()))
    return isinstance(value, list) and any(map(_has_secret, value))


class _Writer:
    """Writes the declarations of one deployment's resources."""

    def __init__(self, resources: Sequence[Resource], words: Words) -> None:
        self._words = words
        self._variables = {resource["urn"]: _variable(resource["urn"]) for resource in resources}
        self._by_urn = {resource["urn"]: resource for resource in resources}

    def declaration(self, resource: Resource) -> str:
        """Write one."""
        urn, kind = resource["urn"], self._words.kind(resource["type"])
        arguments = [repr(urn.rpartition("::")[2])]
        for name, value in _written(resource["inputs"]).items():
            if resource["type"] == self._words.provider and name == "version":
                continue  # the package's own, filled in by it
            references = self._references(resource.get("propertyDependencies", {}).get(name) or ())
            literal = self._words.literal(kind, name, plain(value), references)
            arguments.append(f"{snake(name)}={_secret(value, literal)}")
        options = self._options(resource)
        if options:
            arguments.append(f"opts=pulumi.ResourceOptions({', '.join(options)})")
        lines = "".join(f"    {argument},\n" for argument in arguments)
        return f"{self._variables[urn]} = {kind}(\n{lines})\n"

    def _options(self, resource: Resource) -> list[str]:
        options: list[str] = []
        if "provider" in resource:
            options.append(f"provider={self._variables[resource['provider'].rpartition('::')[0]]}")
        options += [f"{option}={resource[key]!r}" for key, option in _OPTIONS.items() if resource.get(key)]
        others = self._depends_on(resource)
        if others:
            options.append(f"depends_on=[{', '.join(self._variables[urn] for urn in others)}]")
        limits = {verb: seconds for verb, seconds in (resource.get("customTimeouts") or {}).items() if seconds}
        if limits:
            times = ", ".join(f"{verb}='{seconds:g}s'" for verb, seconds in limits.items())
            options.append(f"custom_timeouts=pulumi.CustomTimeouts({times})")
        return options

    def _depends_on(self, resource: Resource) -> list[str]:
        """Give what a resource waits for beside the sources of its inputs, as part of its components too."""
        known = {source for sources in resource.get("propertyDependencies", {}).values() for source in sources or ()}
        others: dict[str, None] = {}
        part: Resource | None = resource
        while part is not None and part["type"] != _STACK:
            wanted = (urn for urn in part.get("dependencies", ()) if self._by_urn[urn]["custom"])
            others.update(dict.fromkeys(urn for urn in wanted if urn not in known and urn != resource["urn"]))
            part = self._by_urn.get(part.get("parent", ""))
        return list(others)

    def _references(self, sources: Sequence[str]) -> dict[str, str]:
        """Give the outputs of the resources that a property depends on."""
        found: dict[str, str] = {}
        for source in sources:
            for value, said in self._words.references(self._by_urn[source], self._variables[source]).items():
                found.setdefault(value, said)
        return found


def _variable(urn: str) -> str:
    return re.sub(r"\W", "_", urn.rpartition("::")[2])
