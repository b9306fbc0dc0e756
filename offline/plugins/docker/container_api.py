"""A container's properties, as the engine's API takes them and shows them."""

import io
import re
import tarfile
import time
from typing import Any

from .engine import labels_to_map

State = dict[str, Any]

_MIB = 1024 * 1024
_UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
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
    **{name: [] for name in ("command", "entrypoints", "envs")},
    "memoryReservation": 0,
}


def nanoseconds(duration: str) -> int:
    """Turn a duration such as "1m30s" into nanoseconds; raise ValueError when it is none."""
    parts = _DURATION.findall(duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise ValueError(duration)
    return sum(round(float(number) * _UNITS[unit]) for number, unit in parts)


def duration_text(nanos: int) -> str:
    """Write nanoseconds as Go does, from a second on: "5s", "1m0s", "1h0m0s", "1.5s"."""
    hours, rest = divmod(nanos, _UNITS["h"])
    minutes, rest = divmod(rest, _UNITS["m"])
    text = f"{rest / 10**9:.9f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def create_body(planned: State) -> dict[str, Any]:
    """Give the body of POST /containers/create."""
    ports, volumes = planned["ports"] or [], planned["volumes"] or []
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        binding = {"HostIp": port["ip"], "HostPort": str(port["external"])}
        bindings.setdefault(f"{port['internal']}/{port['protocol']}", []).append(binding)
    capabilities = planned["capabilities"] or {}
    host = {
        **{key: planned[name] for name, key in _HOST.items() if planned[name]},
        "Memory": (planned["memory"] or 0) * _MIB,
        "MemorySwap": (planned["memorySwap"] or 0) * _MIB,
        "RestartPolicy": {"Name": planned["restart"]},
        "LogConfig": {"Type": planned["logDriver"] or "", "Config": planned["logOpts"] or {}},
        "PortBindings": bindings,
        "Binds": [_bind(volume) for volume in volumes],
        "CapAdd": capabilities.get("adds"),
        "CapDrop": capabilities.get("drops"),
        "SecurityOpt": planned["securityOpts"] or [],
    }
    return {
        **{key: planned[name] for name, key in _CONFIG.items() if planned[name]},
        "Image": planned["image"],
        "Labels": labels_to_map(planned["labels"]),
        "ExposedPorts": {port: {} for port in bindings},
        "Volumes": {volume["containerPath"]: {} for volume in volumes},
        "HostConfig": host,
        **({"Healthcheck": _healthcheck(planned["healthcheck"])} if planned["healthcheck"] else {}),
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
    return {"Test": check["tests"] or [], "Retries": check["retries"] or 0, **times}


def _bind(volume: State) -> str:
    mode = "ro" if volume["readOnly"] else "rw"
    return f"{volume['hostPath'] or volume['volumeName']}:{volume['containerPath']}:{mode}"


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

    Some properties are never read, as the official plugin does not: volumes, envs, labels, uploads. Others only when
    they were recorded: ports, logOpts.

    Args:
        inspected: the engine's answer.
        state: what is recorded; only {} for an import.
    """
    config, host, network = inspected["Config"], inspected["HostConfig"], inspected["NetworkSettings"]
    running = inspected["State"]["Running"]
    result = {
        **_UNSET,
        **{name: value for name, value in state.items() if value is not None},
        **{name: config[key] for name, key in _CONFIG.items() if name != "envs" and config.get(key)},
        **{name: host.get(key) for name, key in _HOST.items()},
        "name": inspected["Name"].lstrip("/"),
        "image": inspected["Image"] if str(state.get("image")).startswith("sha256:") else config["Image"],
        "memory": host["Memory"] // _MIB,
        "memorySwap": host["MemorySwap"] // _MIB,
        "restart": host["RestartPolicy"]["Name"],
        "securityOpts": host.get("SecurityOpt") or [],
        "logDriver": host["LogConfig"]["Type"],
        # Recorded only when the program gave some: else the daemon's own would look like a change.
        "logOpts": host["LogConfig"]["Config"] if state.get("logOpts") else None,
        "networkDatas": [
            {"networkName": name, "ipAddress": one.get("IPAddress") or ""}
            for name, one in (network.get("Networks") or {}).items()
        ],
    }
    if host.get("CapAdd") or host.get("CapDrop"):
        result["capabilities"] = {"adds": host.get("CapAdd"), "drops": host.get("CapDrop")}
    if check := config.get("Healthcheck"):
        times = {name: duration_text(check.get(key) or 0) for name, key in _TIMES.items()}
        result["healthcheck"] = {"tests": check.get("Test"), "retries": check.get("Retries"), **times}
    if state.get("ports") and (running or state.get("mustRun")):
        result["ports"] = _ports(network.get("Ports") or {})
    if not running and state.get("mustRun"):
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
