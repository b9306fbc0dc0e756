"""What the engine is asked for: a container's properties as the body of its API."""

from __future__ import annotations

import base64
import io
import tarfile
import time
from pathlib import Path
from typing import Any

from ..rpc import PluginError
from .container_fields import FIELDS, nanoseconds
from .engine import labels_to_map

State = dict[str, Any]


def create_body(planned: State) -> dict[str, Any]:
    """Give the body of POST /containers/create."""
    body: dict[str, Any] = {
        "Image": planned["image"],
        "Labels": labels_to_map(planned["labels"]),
        "ExposedPorts": {_port(port): {} for port in planned["ports"]},
        "Volumes": {volume["containerPath"]: {} for volume in planned["volumes"] if volume["containerPath"]},
        "HostConfig": _host_config(planned),
    }
    if planned["healthcheck"]:
        body["Healthcheck"] = _healthcheck(planned["healthcheck"])
    for name, described in FIELDS.items():
        section, _, key = described.at.partition(".")
        if key and planned[name]:
            value = planned[name] * described.unit if described.unit > 1 and planned[name] > 0 else planned[name]
            (body if section == "Config" else body[section])[key] = value
    return body


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
        "RestartPolicy": {"Name": planned["restart"], "MaximumRetryCount": planned["maxRetryCount"] or 0},
        "LogConfig": {"Type": planned["logDriver"] or "", "Config": planned["logOpts"] or {}},
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
        "ExtraHosts": [f"{host['host']}:{host['ip']}" for host in planned["hosts"]] or None,
        "Ulimits": [{"Name": u["name"], "Soft": u["soft"], "Hard": u["hard"]} for u in planned["ulimits"]] or None,
        "Devices": [_device(device) for device in planned["devices"]] or None,
        **_cpus(planned),
    }
    return {key: value for key, value in host.items() if value is not None}


def _cpus(planned: State) -> dict[str, Any]:
    if not planned["cpus"]:
        return {"CpuPeriod": planned["cpuPeriod"] or 0, "CpuQuota": planned["cpuQuota"] or 0}
    try:
        return {"NanoCpus": round(float(planned["cpus"]) * 10**9)}
    except ValueError:
        raise PluginError(f'cpus: {planned["cpus"]!r} is not a number such as "1.5"') from None


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
