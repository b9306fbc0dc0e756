"""What a GitLab Runner makes of its configuration, as far as tests judge it."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

KEYS: Mapping[str, frozenset[str]] = {
    section: frozenset(names.split())
    for section, names in yaml.safe_load(Path(__file__).with_name("gitlab_keys.yaml").read_text()).items()
}
"""By the section's name, its keys and sections."""

FREE = frozenset({"runners.kubernetes.node_selector", "runners.kubernetes.volumes.secret.items"})
"""Maps whose keys are the user's own."""

_CONTAINERS = ("build", "helper", "init-permissions")


def config(text: str) -> dict[str, Any]:
    """Read a config.toml."""
    return tomllib.loads(text)


def unknown(section: Mapping[str, Any], place: str = "") -> Iterator[str]:
    """Give the keys that the runner does not know, and would pass over."""
    for key, value in section.items():
        path = f"{place}.{key}" if place else key
        if key not in KEYS.get(place, frozenset()):
            yield path
        elif path not in FREE:
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, Mapping):
                    yield from unknown(part, path)


def job_pod(found: Mapping[str, Any]) -> dict[str, Any]:
    """Give the pod of a job, as the executor for Kubernetes makes it from its configuration.

    What a job's container may do is read here as the runner reads it: the section of one container before the one of
    all. Tried with the real runner; see docs/how-to/gitlab.md for what it was.
    """
    [runner] = found["runners"]
    kubernetes = runner["kubernetes"]
    security = {key: value for key, value in kubernetes["pod_security_context"].items() if key != "seccomp_profile"}
    assert not security, f"teach this function {sorted(security)}"
    containers = {name: _container(name, kubernetes) for name in _CONTAINERS}
    pod = {
        "restartPolicy": "Never",
        "serviceAccountName": kubernetes["service_account"],
        "automountServiceAccountToken": kubernetes["automount_service_account_token"],
        "imagePullSecrets": [{"name": name} for name in kubernetes["image_pull_secrets"]],
        "nodeSelector": kubernetes["node_selector"],
        "securityContext": {"seccompProfile": kubernetes["pod_security_context"]["seccomp_profile"]},
        "initContainers": [containers["init-permissions"]],
        "containers": [containers["build"], containers["helper"]],
        "volumes": [{"name": name, "emptyDir": {}} for name in ("repo", "logs", "scripts")]
        + [{"name": each["name"], "secret": {"secretName": each["name"]}} for each in kubernetes["volumes"]["secret"]],
    }
    for each in kubernetes.get("pod_spec", ()):
        assert runner["feature_flags"]["FF_USE_ADVANCED_POD_SPEC_CONFIGURATION"] is True, "the runner ignores the patch"
        patch = json.loads(each["patch"])
        assert (each["patch_type"], set(patch)) == ("strategic", {"hostUsers", "initContainers"}), "teach this function"
        pod = {**pod, **patch, "initContainers": [*pod["initContainers"], *patch["initContainers"]]}
    return pod


def _container(name: str, kubernetes: Mapping[str, Any]) -> dict[str, Any]:
    prefix = "" if name == "build" else "helper_"
    capabilities = {"drop": kubernetes["cap_drop"]}
    if name == "build":
        capabilities |= kubernetes["build_container_security_context"]["capabilities"]
    amounts = {"cpu": "cpu", "memory": "memory", "ephemeral-storage": "ephemeral_storage"}
    return {
        "name": name,
        "image": kubernetes["image"] if name == "build" else kubernetes.get("helper_image", "helper:1"),
        "resources": {
            f"{kind}s": {amount: kubernetes[f"{prefix}{key}_{kind}"] for amount, key in amounts.items()}
            for kind in ("request", "limit")
        },
        "securityContext": {
            "privileged": kubernetes["privileged"],
            "allowPrivilegeEscalation": kubernetes["allow_privilege_escalation"],
            "capabilities": capabilities,
        },
    }
