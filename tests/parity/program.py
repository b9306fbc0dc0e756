"""The Pulumi program of the parity tests: declares what resources.json beside it lists.

Each entry has `type` (a class of pulumi_docker), `name`, `props` and `opts`. Within props, {"$ref": [name,
output]} is another resource's output, and {"$secret": text} a secret.
"""

import json
from pathlib import Path
from typing import Any

import pulumi
import pulumi_docker as docker

made: dict[str, Any] = {}


def value(given: Any) -> Any:
    """Resolve references and secrets."""
    if isinstance(given, list):
        return [value(item) for item in given]
    if not isinstance(given, dict):
        return given
    if "$ref" in given:
        name, output = given["$ref"]
        return getattr(made[name], output)
    if "$secret" in given:
        return pulumi.Output.secret(given["$secret"])
    return {key: value(item) for key, item in given.items()}


for entry in json.loads(Path("resources.json").read_text(encoding="utf-8")):
    opts = dict(entry.get("opts", {}))
    if "provider" in opts:
        opts["provider"] = made[opts["provider"]]
    resource = getattr(docker, entry["type"])
    made[entry["name"]] = resource(entry["name"], **value(entry["props"]), opts=pulumi.ResourceOptions(**opts))
    pulumi.export(entry["name"], made[entry["name"]].id)
