"""A container as the engine shows it, as the properties the official plugin records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .container_fields import FIELDS, duration_text
from .engine import labels_to_list

if TYPE_CHECKING:
    from ..schema import Field

State = dict[str, Any]
# What the official plugin never reads back.
_UNREAD = frozenset({"envs", "cgroupnsMode", "cgroupParent"})


def read_state(inspected: dict[str, Any], state: State) -> State:
    """Bring a recorded state up to date with `docker inspect`.

    Some properties are never read, as the official plugin does not: volumes, envs, labels, uploads. Others
    only when they were recorded: ports, ulimits, devices, pidMode, logOpts.

    Args:
        inspected: the engine's answer.
        state: what is recorded; only {} for an import.
    """
    config, host, running = inspected["Config"], inspected["HostConfig"], inspected["State"]
    result = dict(state)
    for name, described in FIELDS.items():
        section, _, key = described.at.partition(".")
        if key and name not in _UNREAD and (name != "pidMode" or state.get(name)):
            result[name] = _value(described, inspected[section].get(key))
    result |= {
        "id": inspected["Id"],
        "name": inspected["Name"].lstrip("/"),
        "image": inspected["Image"] if str(state.get("image") or "").startswith("sha256:") else config["Image"],
        "platform": inspected.get("Platform") or "",
        "restart": host["RestartPolicy"]["Name"],
        "maxRetryCount": host["RestartPolicy"]["MaximumRetryCount"],
        "securityOpts": host.get("SecurityOpt") or [],
        "hosts": [_extra_host(one) for one in host.get("ExtraHosts") or ()],
        "mounts": [_mount(mount) for mount in host.get("Mounts") or ()],
        "logDriver": host["LogConfig"]["Type"],
        # Recorded only when the program gave some: else the daemon's own would look like a change.
        "logOpts": (host["LogConfig"]["Config"] or {}) if state.get("logOpts") else None,
    }
    if host.get("NanoCpus"):
        result["cpus"] = cpus_text(host["NanoCpus"])
    if host.get("CapAdd") or host.get("CapDrop"):
        result["capabilities"] = {"adds": host.get("CapAdd") or [], "drops": host.get("CapDrop") or []}
    if config.get("Healthcheck"):
        result["healthcheck"] = _healthcheck(config["Healthcheck"])
    if state.get("ulimits"):
        limits = host.get("Ulimits") or ()
        result["ulimits"] = [{"name": one["Name"], "soft": one["Soft"], "hard": one["Hard"]} for one in limits]
    if state.get("devices"):
        result["devices"] = [_device(one, state["devices"]) for one in host.get("Devices") or ()]
    _read_running(result, running, state)
    _read_network(result, inspected["NetworkSettings"], running, state)
    return result


def _read_running(result: State, running: dict[str, Any], state: State) -> None:
    """Show a container that stopped as one that need not run: a change that starts it at the next update."""
    if running["Running"]:
        return
    result["exitCode"] = running["ExitCode"]
    if state.get("mustRun"):
        result["mustRun"] = False


def _read_network(result: State, network: dict[str, Any], running: dict[str, Any], state: State) -> None:
    result["bridge"] = network.get("Bridge") or ""
    result["networkDatas"] = [_network_data(name, one) for name, one in (network.get("Networks") or {}).items()]
    if state.get("ports") and (running["Running"] or state.get("mustRun")):
        result["ports"] = _ports(network.get("Ports") or {})


def _value(described: Field, found: Any) -> Any:
    """Give a value of the API as the property has it, an empty one where there is none."""
    if described.unit > 1:
        return found // described.unit if found and found > 0 else found or 0
    return found or {"text": "", "flag": False, "map": {}, "whole": found}.get(described.kind, [])


def cpus_text(nanos: int) -> str:
    """Write a number of CPUs as the official plugin reads it back: 2 is "2.0", 1.5 "1.5", and 10 "10."."""
    text = f"{nanos // 10**9}.{nanos % 10**9:09d}"
    if text.count("0") == 9:  # noqa: PLR2004 (its test for "no decimal", which 10 does not pass)
        return f"{nanos / 10**9:.1f}"
    return text.rstrip("0")


def _healthcheck(check: dict[str, Any]) -> State:
    return {
        "tests": check.get("Test") or [],
        "interval": duration_text(check.get("Interval") or 0),
        "timeout": duration_text(check.get("Timeout") or 0),
        "startPeriod": duration_text(check.get("StartPeriod") or 0),
        "startInterval": duration_text(check.get("StartInterval") or 0),
        "retries": check.get("Retries") or 0,
    }


def _extra_host(text: str) -> State:
    host, _, ip = text.partition(":")
    return {"host": host, "ip": ip}


def _device(device: dict[str, str], recorded: list[State]) -> State:
    given = any(one["hostPath"] == device["PathOnHost"] and one.get("containerPath") for one in recorded)
    return {
        "hostPath": device["PathOnHost"],
        "containerPath": device["PathInContainer"] if given else "",
        "permissions": device["CgroupPermissions"],
    }


def _mount(mount: dict[str, Any]) -> State:
    bind, volume, tmpfs = (mount.get(name) for name in ("BindOptions", "VolumeOptions", "TmpfsOptions"))
    driver = (volume or {}).get("DriverConfig") or {}
    return {
        "target": mount["Target"],
        "source": mount.get("Source") or "",
        "type": mount["Type"],
        "readOnly": bool(mount.get("ReadOnly")),
        "bindOptions": {"propagation": bind.get("Propagation") or ""} if bind else None,
        "volumeOptions": {
            "noCopy": bool(volume.get("NoCopy")),
            "labels": labels_to_list(volume.get("Labels")),
            "driverName": driver.get("Name") or "",
            "driverOptions": driver.get("Options") or {},
        }
        if volume
        else None,
        "tmpfsOptions": {"sizeBytes": tmpfs.get("SizeBytes") or 0, "mode": tmpfs.get("Mode") or 0} if tmpfs else None,
    }


def _ports(bound: dict[str, Any]) -> list[State]:
    found = []
    for port, bindings in sorted(bound.items(), key=lambda item: int(item[0].split("/")[0])):
        internal, _, protocol = port.partition("/")
        for binding in bindings or ():
            external = int(binding["HostPort"] or 0)
            one = {"internal": int(internal), "external": external, "ip": binding["HostIp"], "protocol": protocol}
            found.append(one)
    return found


def _network_data(name: str, network: dict[str, Any]) -> State:
    return {
        "networkName": name,
        "ipAddress": network.get("IPAddress") or "",
        "ipPrefixLength": network.get("IPPrefixLen") or 0,
        "gateway": network.get("Gateway") or "",
        "globalIpv6Address": network.get("GlobalIPv6Address") or "",
        "globalIpv6PrefixLength": network.get("GlobalIPv6PrefixLen") or 0,
        "ipv6Gateway": network.get("IPv6Gateway") or "",
        "macAddress": network.get("MacAddress") or "",
    }
