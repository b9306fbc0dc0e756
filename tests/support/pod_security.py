"""The Pod Security Standards, field by field, as the Kubernetes documentation lists them."""

from collections.abc import Iterator, Mapping
from typing import Any

_BASELINE_CAPABILITIES = {
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
}
_RESTRICTED_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


def breaches(pod: Mapping[str, Any], level: str) -> list[str]:
    """Give what keeps a pod out of a namespace of this level, `baseline` or `restricted`."""
    return [*_baseline(pod), *(_restricted(pod) if level == "restricted" else ())]


def _containers(pod: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in pod.get(kind, ()):
            yield container["name"], container, container.get("securityContext", {})


def _baseline(pod: Mapping[str, Any]) -> Iterator[str]:
    context = pod.get("securityContext", {})
    yield from (key for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key))
    yield from ("hostPath" for volume in pod.get("volumes", ()) if "hostPath" in volume)
    yield from (key for key in ("sysctls", "windowsOptions", "appArmorProfile", "seLinuxOptions") if context.get(key))
    if context.get("seccompProfile", {}).get("type") == "Unconfined":
        yield "pod: seccomp unconfined"
    for name, container, own in _containers(pod):
        if own.get("privileged"):
            yield f"{name}: privileged"
        if set(own.get("capabilities", {}).get("add", ())) - _BASELINE_CAPABILITIES:
            yield f"{name}: capabilities added"
        if own.get("procMount", "Default") != "Default" or own.get("seLinuxOptions") or own.get("appArmorProfile"):
            yield f"{name}: procMount, SELinux or AppArmor"
        if own.get("seccompProfile", {}).get("type") == "Unconfined":
            yield f"{name}: seccomp unconfined"
        if any("hostPort" in port for port in container.get("ports", ())):
            yield f"{name}: hostPort"


def _restricted(pod: Mapping[str, Any]) -> Iterator[str]:
    context = pod.get("securityContext", {})
    for volume in pod.get("volumes", ()):
        if not (set(volume) - {"name"}) <= _RESTRICTED_VOLUMES:
            yield f"volume {volume['name']}"
    for name, _, own in _containers(pod):
        if own.get("allowPrivilegeEscalation") is not False:
            yield f"{name}: allowPrivilegeEscalation"
        if own.get("runAsNonRoot", context.get("runAsNonRoot")) is not True:
            yield f"{name}: runAsNonRoot"
        if own.get("runAsUser", context.get("runAsUser", 1)) == 0:
            yield f"{name}: runAsUser 0"
        profile = own.get("seccompProfile", context.get("seccompProfile", {}))
        if profile.get("type") not in {"RuntimeDefault", "Localhost"}:
            yield f"{name}: seccompProfile"
        capabilities = own.get("capabilities", {})
        if "ALL" not in capabilities.get("drop", ()) or set(capabilities.get("add", ())) - {"NET_BIND_SERVICE"}:
            yield f"{name}: capabilities"
