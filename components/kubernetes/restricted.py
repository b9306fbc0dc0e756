"""What the pods that this project runs itself have in common: all of them pass Pod Security `restricted`."""

from collections.abc import Mapping
from typing import Any, Final

USER: Final = 65_532
"""User and group for images that name none. No node has a user of such a high number."""

CONTAINER: Final[Mapping[str, Any]] = {
    "image_pull_policy": "IfNotPresent",
    "security_context": {
        "allow_privilege_escalation": False,
        "read_only_root_filesystem": True,
        "capabilities": {"drop": ["ALL"]},
    },
    # When it fails, the last lines of its log become the pod's message.
    "termination_message_policy": "FallbackToLogsOnError",
}
"""Fields of every container."""


def pod(user: int = USER, *, token: bool, **security: Any) -> dict[str, Any]:  # noqa: ANN401 - the API's own shapes
    """Return the fields of a pod.

    token: whether its containers may use the API with the pod's service account.
    security: further fields of its security context.
    """
    return {
        "automount_service_account_token": token,
        "enable_service_links": False,
        "security_context": {
            "run_as_non_root": True,
            "run_as_user": user,
            "run_as_group": user,
            "seccomp_profile": {"type": "RuntimeDefault"},
            **security,
        },
    }


def resources(
    cpu_millicores: int, memory_mib: int, disk_mib: int = 256, requested_disk_mib: int | None = None
) -> dict[str, Any]:
    """Return a container's resources: a tenth of the processor and all memory are requested.

    requested_disk_mib: None requests a quarter of the disk.
    """
    return {
        "requests": {
            "cpu": f"{max(cpu_millicores // 10, 1)}m",
            "memory": f"{memory_mib}Mi",
            "ephemeral-storage": f"{disk_mib // 4 if requested_disk_mib is None else requested_disk_mib}Mi",
        },
        "limits": {"cpu": f"{cpu_millicores}m", "memory": f"{memory_mib}Mi", "ephemeral-storage": f"{disk_mib}Mi"},
    }


def probes(port: int, path: str, **get: str) -> dict[str, Any]:
    """Return a server's probes. It is ready when it answers at the path, and alive as long as it listens.

    get: further fields of the question.
    """
    return {
        "readiness_probe": {
            "http_get": {"path": path, "port": port, **get},
            "period_seconds": 2,
            "failure_threshold": 5,
        },
        "liveness_probe": {
            "tcp_socket": {"port": port},
            "initial_delay_seconds": 10,
            "period_seconds": 20,
            "failure_threshold": 6,
        },
    }


def kubectl(name: str, image: str, *words: str) -> dict[str, Any]:
    """Return a container that runs kubectl with these words. The pod has the volume `tmp`."""
    return {
        **CONTAINER,
        "name": name,
        "image": image,
        # The official image has no shell, but kubectl on its path.
        "command": ["kubectl", *words, "--cache-dir=/tmp/cache"],
        "resources": resources(100, 128, 64),
        "volume_mounts": [{"name": "tmp", "mount_path": "/tmp"}],  # noqa: S108 - in the container
    }
