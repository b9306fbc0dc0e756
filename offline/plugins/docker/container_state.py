"""A container as the engine shows it, as the properties the official plugin records."""

from __future__ import annotations

from typing import Any

from .container_fields import duration_text
from .container_request import MIB
from .engine import labels_to_list

State = dict[str, Any]


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
    result |= {
        "id": inspected["Id"],
        "name": inspected["Name"].lstrip("/"),
        "image": inspected["Image"] if str(state.get("image") or "").startswith("sha256:") else config["Image"],
        "hostname": config.get("Hostname") or "",
        "domainname": config.get("Domainname") or "",
        "command": config.get("Cmd") or [],
        "entrypoints": config.get("Entrypoint") or [],
        "user": config.get("User") or "",
        "workingDir": config.get("WorkingDir") or "",
        "tty": bool(config.get("Tty")),
        "stdinOpen": bool(config.get("OpenStdin")),
        "stopSignal": config.get("StopSignal") or "",
        "stopTimeout": config.get("StopTimeout"),
        "rm": bool(host.get("AutoRemove")),
        "readOnly": bool(host.get("ReadonlyRootfs")),
        "privileged": bool(host.get("Privileged")),
        "publishAllPorts": bool(host.get("PublishAllPorts")),
        "init": bool(host.get("Init")),
        "runtime": host.get("Runtime") or "",
        "platform": inspected.get("Platform") or "",
        "restart": host["RestartPolicy"]["Name"],
        "maxRetryCount": host["RestartPolicy"]["MaximumRetryCount"],
        "dns": host.get("Dns") or [],
        "dnsOpts": host.get("DnsOptions") or [],
        "dnsSearches": host.get("DnsSearch") or [],
        "securityOpts": host.get("SecurityOpt") or [],
        "groupAdds": host.get("GroupAdd") or [],
        "hosts": [_extra_host(one) for one in host.get("ExtraHosts") or ()],
        "mounts": [_mount(mount) for mount in host.get("Mounts") or ()],
        "tmpfs": host.get("Tmpfs") or {},
        "sysctls": host.get("Sysctls") or {},
        "storageOpts": host.get("StorageOpt") or {},
        "networkMode": host.get("NetworkMode") or "",
        "ipcMode": host.get("IpcMode") or "",
        "usernsMode": host.get("UsernsMode") or "",
        "logDriver": host["LogConfig"]["Type"],
        # Recorded only when the program gave some: else the daemon's own would look like a change.
        "logOpts": (host["LogConfig"]["Config"] or {}) if state.get("logOpts") else None,
        "memory": _mebibytes(host.get("Memory")),
        "memoryReservation": _mebibytes(host.get("MemoryReservation")),
        "memorySwap": _mebibytes(host.get("MemorySwap")),
        "shmSize": _mebibytes(host.get("ShmSize")),
        "cpuShares": host.get("CpuShares") or 0,
        "cpuSet": host.get("CpusetCpus") or "",
    }
    if host.get("NanoCpus"):
        result["cpus"] = cpus_text(host["NanoCpus"])
    if host.get("CapAdd") or host.get("CapDrop"):
        result["capabilities"] = {"adds": host.get("CapAdd") or [], "drops": host.get("CapDrop") or []}
    if config.get("Healthcheck"):
        result["healthcheck"] = _healthcheck(config["Healthcheck"])
    if state.get("pidMode"):
        result["pidMode"] = host.get("PidMode") or ""
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


def _mebibytes(size: int | None) -> int:
    return size // MIB if size and size > 0 else size or 0


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
