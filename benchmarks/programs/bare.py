"""The bare program: declares the resources of resources.json one after the other, with no settings and no component."""

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pulumi


def resource_class(token: str) -> Any:  # noqa: ANN401 - the packages have no common type
    """Give the class of a type."""
    package, module, kind = token.split(":")
    if module == "providers":
        return importlib.import_module(f"pulumi_{kind}").Provider
    if package == "kubernetes":
        group, version = module.split("/")
        return getattr(importlib.import_module(f"pulumi_kubernetes.{group.partition('.')[0]}.{version}"), kind)
    return getattr(pulumi if package == "pulumi" else importlib.import_module(f"pulumi_{package}"), kind)


def snake(name: str) -> str:
    """Write a property's name as a program does: `memorySwap` is `memory_swap`."""
    return re.sub(r"([A-Z])", r"_\1", name).lower() if re.fullmatch(r"[a-z][a-zA-Z]+", name) else name


def snakes(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Write the names in a value likewise."""
    if isinstance(value, list):
        return [snakes(item) for item in value]
    return {snake(key): snakes(item) for key, item in value.items()} if isinstance(value, dict) else value


def declare(resources: list[dict[str, Any]]) -> None:
    """Declare them; each comes after those that it depends on."""
    made: dict[str, pulumi.Resource] = {}
    for each in resources:
        # In the Kubernetes package, objects have the API's own names.
        named = each["type"].startswith("kubernetes:")
        inputs = {snake(name): value if named else snakes(value) for name, value in each["inputs"].items()}
        for name in each["secrets"]:
            inputs[snake(name)] = pulumi.Output.secret(inputs[snake(name)])
        options: Any = {"provider": made.get(each["provider"]), "depends_on": [made[urn] for urn in each["depends_on"]]}
        options |= each["options"]
        made[each["urn"]] = resource_class(each["type"])(each["name"], **inputs, opts=pulumi.ResourceOptions(**options))


if __name__ == "__main__":
    declare(json.loads(Path("resources.json").read_text(encoding="utf-8")))
