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


def declare(resources: list[dict[str, Any]]) -> None:
    """Declare them; each comes after those that it depends on."""
    made: dict[str, pulumi.Resource] = {}
    for each in resources:
        secrets = {name: pulumi.Output.secret(each["inputs"][name]) for name in each["secrets"]}
        # A program writes memory_swap for memorySwap; inside of a value, either name is taken.
        inputs = {re.sub("([A-Z])", r"_\1", name).lower(): of for name, of in {**each["inputs"], **secrets}.items()}
        options: Any = {"provider": made.get(each["provider"]), "depends_on": [made[urn] for urn in each["depends_on"]]}
        options |= each["options"]
        made[each["urn"]] = resource_class(each["type"])(each["name"], **inputs, opts=pulumi.ResourceOptions(**options))


if __name__ == "__main__":
    declare(json.loads(Path("resources.json").read_text(encoding="utf-8")))
