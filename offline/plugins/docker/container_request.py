"""What the engine is asked for: a container's properties as the body of its API."""

from __future__ import annotations

import base64
import io
import tarfile
import time
from pathlib import Path
from typing import Any

from ..rpc import PluginError
from .container_fields import nanoseconds
from .engine import labels_to_map

State = dict[str, Any]
MIB = 1024 * 1024


def create_body(planned: State) -> dict[str, Any]:
    """Give the body of POST /containers/create."""
    body: dict[str, Any] = {
        "Image": planned["image"],
        "Hostname": planned["hostname"] or "",
        "Domainname": planned["domainname"] or "",
        "User": planned["user"] or "",
        "WorkingDir": planned["workingDir"] or "",
        "Tty": bool(planned["tty"]),
        "OpenStdin": bool(planned["stdinOpen"]),
        "StopSignal": planned["stopSignal"] or "",
        "StopTimeout": planned["stopTimeout"] or None,
        "Env": planned["envs"] or None,
        "Cmd": planned["command"] or None,
        "Entrypoint": planned["entrypoints"] or None,
        "Labels": labels_to_map(planned["labels"]),
        "ExposedPorts": {_port(port): {} for port in planned["ports"]},
        "Volumes": {volume["containerPath"]: {} for volume in planned["volumes"] if volume["containerPath"]},
        "HostConfig": _host_config(planned),
    }
    if planned["healthcheck"]:
        body["Healthcheck"] = _healthcheck(planned["healthcheck"])
    return {key: value for key, value in body.items() if value is not None}


def _port(port: State) -> str:
    return f"{port['internal']}/{port['protocol']}"


def _healthcheck(check: State) -> dict[str, Any]:
    return {
        "Test": check["tests"] or [],
        "Interval": nanoseconds(check["interval"] or "0s"),
        "Timeout": nanoseconds(check["timeout"] or "0s"),
        "StartPeriod": nanoseconds(check["startPeriod"] or "0s"),
        "StartInterval": nanoseconds(check["startInterval"] or "0s"),
        "Retries": check["retries"] or 0,
    }


def _host_config(planned: State) -> dict[str, Any]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in planned["ports"]:
        # Port 0 asks the engine for any free one.
        binding = {"HostIp": port["ip"] or "", "HostPort": str(port["external"] or 0)}
        bindings.setdefault(_port(port), []).append(binding)
    capabilities = planned["capabilities"] or {}
    options = planned["securityOpts"] or []
    unconfined = "systempaths=unconfined" in options
    host = {
        "Privileged": bool(planned["privileged"]),
        "PublishAllPorts": bool(planned["publishAllPorts"]),
        "RestartPolicy": {"Name": planned["restart"], "MaximumRetryCount": planned["maxRetryCount"] or 0},
        "AutoRemove": bool(planned["rm"]),
        "ReadonlyRootfs": bool(planned["readOnly"]),
        "Runtime": planned["runtime"] or "",
        "Init": bool(planned["init"]),
        "LogConfig": {"Type": planned["logDriver"] or "", "Config": planned["logOpts"] or {}},
        "Tmpfs": planned["tmpfs"] or None,
        "PortBindings": bindings or None,
        "Binds": [_bind(volume) for volume in planned["volumes"] if volume["volumeName"] or volume["hostPath"]],
        "VolumesFrom": [volume["fromContainer"] for volume in planned["volumes"] if volume["fromContainer"]],
        "Mounts": [_mount(mount) for mount in planned["mounts"]],
        "CapAdd": capabilities.get("adds") or None,
        "CapDrop": capabilities.get("drops") or None,
        "SecurityOpt": [option for option in options if option != "systempaths=unconfined"] or None,
        # Handled by clients, not by the engine: no path is masked or read-only.
        "MaskedPaths": [] if unconfined else None,
        "ReadonlyPaths": [] if unconfined else None,
        "GroupAdd": planned["groupAdds"] or None,
        "ExtraHosts": [f"{host['host']}:{host['ip']}" for host in planned["hosts"]] or None,
        "Dns": planned["dns"] or None,
        "DnsOptions": planned["dnsOpts"] or None,
        "DnsSearch": planned["dnsSearches"] or None,
        "Sysctls": planned["sysctls"] or None,
        "StorageOpt": planned["storageOpts"] or None,
        "Ulimits": [{"Name": u["name"], "Soft": u["soft"], "Hard": u["hard"]} for u in planned["ulimits"]] or None,
        "Devices": [_device(device) for device in planned["devices"]] or None,
        "NetworkMode": planned["networkMode"] or "",
        "PidMode": planned["pidMode"] or "",
        "IpcMode": planned["ipcMode"] or "",
        "UsernsMode": planned["usernsMode"] or "",
        "CgroupnsMode": planned["cgroupnsMode"] or "",
        "CgroupParent": planned["cgroupParent"] or "",
        "ShmSize": (planned["shmSize"] or 0) * MIB or None,
        **_limits(planned),
    }
    return {key: value for key, value in host.items() if value is not None}


def _limits(planned: State) -> dict[str, Any]:
    limits: dict[str, Any] = {
        "Memory": (planned["memory"] or 0) * MIB,
        "MemoryReservation": (planned["memoryReservation"] or 0) * MIB,
        "MemorySwap": swap_bytes(planned["memorySwap"]),
        "CpuShares": planned["cpuShares"] or 0,
        "CpusetCpus": planned["cpuSet"] or "",
    }
    if planned["cpus"]:
        try:
            limits["NanoCpus"] = round(float(planned["cpus"]) * 10**9)
        except ValueError:
            raise PluginError(f'cpus: {planned["cpus"]!r} is not a number such as "1.5"') from None
    else:
        limits["CpuPeriod"], limits["CpuQuota"] = planned["cpuPeriod"] or 0, planned["cpuQuota"] or 0
    return limits


def swap_bytes(mebibytes: int | None) -> int:
    """Turn memorySwap into bytes; -1 (no limit) and 0 (unset) stay."""
    swap = mebibytes or 0
    return swap * MIB if swap > 0 else swap


def _bind(volume: State) -> str:
    mode = "ro" if volume["readOnly"] else "rw"
    if volume["selinuxRelabel"]:
        mode += f",{volume['selinuxRelabel']}"
    return f"{volume['hostPath'] or volume['volumeName']}:{volume['containerPath']}:{mode}"


def _mount(mount: State) -> dict[str, Any]:
    body: dict[str, Any] = {
        "Type": mount["type"],
        "Target": mount["target"],
        "Source": mount["source"] or "",
        "ReadOnly": bool(mount["readOnly"]),
    }
    if mount["type"] == "bind" and mount["bindOptions"]:
        body["BindOptions"] = {"Propagation": mount["bindOptions"]["propagation"] or ""}
    if mount["type"] == "volume" and mount["volumeOptions"]:
        options = mount["volumeOptions"]
        body["VolumeOptions"] = {
            "NoCopy": bool(options["noCopy"]),
            "Labels": labels_to_map(options["labels"]),
            "DriverConfig": {"Name": options["driverName"] or "", "Options": options["driverOptions"] or {}},
        }
    if mount["type"] == "tmpfs" and mount["tmpfsOptions"]:
        options = mount["tmpfsOptions"]
        body["TmpfsOptions"] = {"SizeBytes": options["sizeBytes"] or 0, "Mode": options["mode"] or 0}
    return body


def _device(device: State) -> dict[str, str]:
    inside = device["containerPath"] or device["hostPath"]
    return {"PathOnHost": device["hostPath"], "PathInContainer": inside, "CgroupPermissions": device["permissions"]}


def endpoint(network: State) -> dict[str, Any]:
    """Give the body with which a container joins a network."""
    options = dict(option.split("=", 1) for option in network["driverOpts"] or () if "=" in option)
    return {
        "Aliases": network["aliases"] or [],
        "IPAMConfig": {
            "IPv4Address": network["ipv4Address"] or "",
            "IPv6Address": network["ipv6Address"] or "",
            "LinkLocalIPs": network["linkLocalIps"] or [],
        },
        "MacAddress": network["macAddress"] or "",
        "DriverOpts": options,
        "GwPriority": network["gwPriority"] or 0,
    }


def upload_archive(uploads: list[State]) -> bytes:
    """Pack the files to upload: root's, mode 0644, 0744 when executable, or as `permissions` says."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for upload in uploads:
            content = _content(upload)
            entry = tarfile.TarInfo(upload["file"].lstrip("/"))
            entry.mode = (
                int(upload["permissions"], 8) if upload["permissions"] else 0o744 if upload["executable"] else 0o644
            )
            entry.size = len(content)
            entry.mtime = int(time.time())
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _content(upload: State) -> bytes:
    if upload["content"]:
        return str(upload["content"]).encode()
    if upload["contentBase64"]:
        return base64.b64decode(upload["contentBase64"])
    try:
        return Path(upload["source"]).read_bytes()
    except OSError as error:
        raise PluginError(f"uploads: cannot read {upload['source']}: {error.strerror}") from error
