"""A container's properties, as the engine's API takes them and shows them."""

import io
import re
import tarfile
import time
from typing import Any

from ..rpc import PluginError
from .engine import labels_to_map

State = dict[str, Any]

_MIB = 1024 * 1024
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
# Properties that the API has as they are, under its own names: in its Config, and in its HostConfig.
_CONFIG = {
    "command": "Cmd",
    "entrypoints": "Entrypoint",
    "envs": "Env",
    "user": "User",
    "stopSignal": "StopSignal",
    "stopTimeout": "StopTimeout",
}
_HOST = {
    "privileged": "Privileged",
    "readOnly": "ReadonlyRootfs",
    "networkMode": "NetworkMode",
    "groupAdds": "GroupAdd",
    "tmpfs": "Tmpfs",
}
_TIMES = {"interval": "Interval", "timeout": "Timeout", "startPeriod": "StartPeriod", "startInterval": "StartInterval"}
# What the official plugin records where a program sets none: it would replace a container whose state lacks it.
_UNSET: State = {
    **dict.fromkeys(("attach", "logs", "rm", "stdinOpen", "tty", "wait"), False),
    **{name: [] for name in ("command", "entrypoints", "envs", "securityOpts")},
    "memoryReservation": 0,
}


def nanoseconds(duration: str) -> int:
    """Turn a duration such as "1m30s" into nanoseconds."""
    parts = _DURATION.fullmatch(duration)
    if parts is None:
        raise PluginError(f'{duration!r} is not a duration such as "30s" or "1m0s"')
    hours, minutes, seconds = (int(part or 0) for part in parts.groups())
    return (hours * 3600 + minutes * 60 + seconds) * 10**9


def create_body(planned: State) -> dict[str, Any]:
    """Give the body of POST /containers/create."""
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in planned["ports"] or ():
        binding = {"HostIp": port["ip"], "HostPort": str(port["external"])}
        bindings.setdefault(f"{port['internal']}/{port['protocol']}", []).append(binding)
    capabilities = planned["capabilities"] or {}
    host = {
        **{key: planned[name] for name, key in _HOST.items() if planned[name]},
        "Memory": (planned["memory"] or 0) * _MIB,
        "MemorySwap": (planned["memorySwap"] or 0) * _MIB,
        "CpuPeriod": planned["cpuPeriod"] or 0,
        "CpuQuota": planned["cpuQuota"] or 0,
        "RestartPolicy": {"Name": planned["restart"]},
        "LogConfig": {"Type": planned["logDriver"] or "", "Config": planned["logOpts"] or {}},
        "PortBindings": bindings,
        "Binds": [_bind(volume) for volume in planned["volumes"] or ()],
        "CapAdd": capabilities.get("adds"),
        "CapDrop": capabilities.get("drops"),
        "SecurityOpt": planned["securityOpts"] or [],
    }
    return {
        **{key: planned[name] for name, key in _CONFIG.items() if planned[name]},
        "Image": planned["image"],
        "Labels": labels_to_map(planned["labels"]),
        "ExposedPorts": {port: {} for port in bindings},
        "Healthcheck": _healthcheck(planned["healthcheck"]) if planned["healthcheck"] else None,
        "HostConfig": host,
    }


def update_arguments(planned: State) -> dict[str, Any]:
    """Give the limits to set in place; 0 leaves one as it is, which is all that the engine's API can do."""
    return {
        "mem_limit": (planned["memory"] or 0) * _MIB or None,
        "memswap_limit": (planned["memorySwap"] or 0) * _MIB or None,
        "restart_policy": {"Name": planned["restart"]},
    }


def _healthcheck(check: State) -> dict[str, Any]:
    times = {key: nanoseconds(check[name]) for name, key in _TIMES.items()}
    return {"Test": check["tests"], "Retries": check.get("retries", 0), **times}


def _bind(volume: State) -> str:
    mode = "ro" if volume.get("readOnly") else "rw"
    return f"{volume.get('hostPath') or volume['volumeName']}:{volume['containerPath']}:{mode}"


def upload_archive(uploads: list[State]) -> bytes:
    """Pack the files to upload: root's, mode 0644."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for upload in uploads:
            content = upload["content"].encode()
            entry = tarfile.TarInfo(upload["file"].lstrip("/"))
            entry.size, entry.mtime = len(content), int(time.time())
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def read_state(inspected: dict[str, Any], state: State) -> State:
    """Bring a recorded state up to date with `docker inspect`.

    Only what can change of a container is read, and what the engine fills in; the rest stays as it was recorded.
    """
    config, host, network = inspected["Config"], inspected["HostConfig"], inspected["NetworkSettings"]
    result = {
        **_UNSET,
        **{name: value for name, value in state.items() if value is not None},
        **{name: config[key] for name, key in _CONFIG.items() if name != "envs" and config.get(key)},
        "name": inspected["Name"].lstrip("/"),
        "memory": host["Memory"] // _MIB,
        "memorySwap": host["MemorySwap"] // _MIB,
        "restart": host["RestartPolicy"]["Name"],
        "logDriver": host["LogConfig"]["Type"],
        "networkDatas": [
            {"networkName": name, "ipAddress": one.get("IPAddress") or ""}
            for name, one in (network.get("Networks") or {}).items()
        ],
    }
    if state.get("ports") and (inspected["State"]["Running"] or state.get("mustRun")):
        result["ports"] = _ports(network.get("Ports") or {})
    if state.get("mustRun") and not inspected["State"]["Running"]:
        # One that stopped is shown as one that need not run: a change that starts it at the next update.
        result["mustRun"] = False
    return result


def _ports(bound: dict[str, Any]) -> list[State]:
    found = []
    for port, bindings in bound.items():
        internal, _, protocol = port.partition("/")
        for binding in bindings or ():
            external = int(binding["HostPort"] or 0)
            one = {"internal": int(internal), "external": external, "ip": binding["HostIp"], "protocol": protocol}
            found.append(one)
    return sorted(found, key=lambda one: int(one["internal"]))
