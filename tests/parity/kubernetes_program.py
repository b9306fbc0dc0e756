"""The Pulumi program of the Kubernetes parity tests: declares the manifests that resources.json beside it lists.

Each entry has `name`, `manifest` and `opts`. Within a manifest, {"$ref": [name, key, ...]} is a part of another
resource's output, and {"$secret": text} a secret. provider.json has the provider's settings.
"""

import json
from pathlib import Path
from typing import Any

import pulumi
from pulumi_kubernetes import Provider

made: dict[str, Any] = {}


def value(given: Any) -> Any:
    """Resolve references and secrets."""
    if isinstance(given, list):
        return [value(item) for item in given]
    if not isinstance(given, dict):
        return given
    if "$ref" in given:
        name, top, *path = given["$ref"]
        found = getattr(made[name], top)
        for step in path:
            found = found[step]
        return found
    if "$secret" in given:
        return pulumi.Output.secret(given["$secret"])
    return {key: value(item) for key, item in given.items()}


def options(given: dict[str, Any]) -> pulumi.ResourceOptions:
    """Make the resource's options, all with the one provider."""
    given = dict(given)
    if "depends_on" in given:
        given["depends_on"] = [made[name] for name in given["depends_on"]]
    if "custom_timeouts" in given:
        given["custom_timeouts"] = pulumi.CustomTimeouts(**given["custom_timeouts"])
    return pulumi.ResourceOptions(**{"provider": made["cluster"], **given})


settings = json.loads(Path("provider.json").read_text(encoding="utf-8"))
made["cluster"] = Provider("cluster", **settings)
for entry in json.loads(Path("resources.json").read_text(encoding="utf-8")):
    manifest = entry["manifest"]
    version = manifest["apiVersion"]
    token = f"kubernetes:{version if '/' in version else 'core/' + version}:{entry.get('type', manifest['kind'])}"
    resource = pulumi.CustomResource(token, entry["name"], value(manifest), options(entry.get("opts", {})))
    made[entry["name"]] = resource
