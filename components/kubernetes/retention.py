"""What removes old tags before a collection: its script, and how the schedule finds which images are in use."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pulumi
from pulumi_kubernetes import core, rbac

from ..settings.kubernetes import KeepSettings
from . import restricted, texts

SCRIPT: Final = Path(__file__).with_name("retention.sh").read_text(encoding="utf-8")
_ASKING: Final = Path(__file__).with_name("used_images.sh")

IMAGES: Final = "ci-images"
"""Name of the ConfigMap with the images that a stack names. The retention of every stack in the cluster reads it."""

USED: Final = "registry-used"
"""Name of the ConfigMap with the images that are in use, and when that was asked. Only the schedule writes it."""

RULE: Final = {"api_groups": [""], "resources": ["configmaps"], "resource_names": [USED], "verbs": ["get", "patch"]}
"""What the schedule's account may do with it."""

MOUNT: Final = {"name": "used", "mount_path": "/used", "read_only": True}
VOLUME: Final = {"name": "used", "config_map": {"name": USED, "default_mode": 0o444, "optional": True}}
"""How the script's container has it."""

WORK: Final = {"name": "work", "empty_dir": {"size_limit": "512Mi"}}
"""The volume of the containers that ask."""

_WORK_MOUNT: Final = {"name": "work", "mount_path": "/found"}
_PROXY_PORT: Final = 8001


def environment(keep: KeepSettings) -> dict[str, str]:
    """Return the variables of the script."""
    files = {"DATA": texts.DATA, "USED_FILE": f"{MOUNT['mount_path']}/used"}
    return {**files, "LAST_TAGS": str(keep.last_tags), "DAYS": str(keep.days)}


def rights(
    name: str, meta: Mapping[str, Any], account: core.v1.ServiceAccount, opts: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """Register the ConfigMap USED, and the right to list all pods and, of ConfigMaps, those that are named IMAGES.

    meta: of the schedule's objects.
    """
    # Only the schedule knows the data, so they are not declared.
    used = core.v1.ConfigMap(f"{name}-used", metadata={**meta, "name": USED}, opts=opts)
    cluster = {"name": pulumi.Output.concat(meta["namespace"], "-retention")}
    rules: list[dict[str, Any]] = [
        {"api_groups": [""], "resources": ["pods"], "verbs": ["list"]},
        {"api_groups": [""], "resources": ["configmaps"], "resource_names": [IMAGES], "verbs": ["list"]},
    ]
    role = rbac.v1.ClusterRole(f"{name}-retention-role", metadata=cluster, rules=rules, opts=opts)
    binding = rbac.v1.ClusterRoleBinding(
        f"{name}-retention-binding",
        metadata=cluster,
        role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role.metadata.name},
        subjects=[{"kind": "ServiceAccount", "name": account.metadata.name, "namespace": meta["namespace"]}],
        opts=opts,
    )
    return [used, binding]


def asking(kubectl_image: str, shell_image: str) -> list[dict[str, Any]]:
    """Return the init containers that write USED: a shell asks the API through a proxy, and kubectl writes."""
    paths = "--accept-paths=^/api/v1/(pods|configmaps)$"
    # Kubernetes does not wait for the end of such a container, and ends it with the pod.
    proxy = restricted.kubectl("proxy", kubectl_image, "proxy", f"--port={_PROXY_PORT}", paths)
    proxy["restart_policy"] = "Always"
    shell = {
        **restricted.CONTAINER,
        "name": "used",
        "image": shell_image,
        "command": ["/bin/sh", "-c", _ASKING.read_text(encoding="utf-8")],
        "env": [{"name": "PROXY_PORT", "value": str(_PROXY_PORT)}, {"name": "IMAGES", "value": IMAGES}],
        "resources": restricted.resources(500, 128, 512),
        "volume_mounts": [_WORK_MOUNT],
    }
    words = ("patch", "configmap", USED, "--type=merge", "--patch-file=/found/patch")
    note = restricted.kubectl("note", kubectl_image, *words)
    note["volume_mounts"].append({**_WORK_MOUNT, "read_only": True})
    return [proxy, shell, note]
