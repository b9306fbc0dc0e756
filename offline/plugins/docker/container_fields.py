"""The properties of docker:index/container:Container, as the official plugin 5.2.0 has them.

Which of them make a new container, which are filled in by the engine, and the defaults are the official
plugin's. Not implemented, and so refused by name: attach, logs, gpus, deviceRequests, the device rates,
and platform.
"""

from __future__ import annotations

import re
from typing import Any

from ..schema import Fields, Rule, flag, listing, mapping, record, replacing, text, unordered, whole

MIB = 1024 * 1024
_UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")


def nanoseconds(duration: str) -> int:
    """Turn a duration such as "1m30s" into nanoseconds; raise ValueError when it is none."""
    if duration == "0":
        return 0
    parts = _DURATION.findall(duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise ValueError(duration)
    return sum(round(float(number) * _UNITS[unit]) for number, unit in parts)


def duration_text(nanos: int) -> str:
    """Write nanoseconds as Go does, which is how the official plugin reads a health check back: "1m0s"."""
    if nanos == 0:
        return "0s"
    if nanos < 10**9:
        unit = "ms" if nanos >= 10**6 else "µs" if nanos >= 10**3 else "ns"
        return f"{_number(nanos / _UNITS[unit])}{unit}"
    seconds = nanos / 10**9
    hours, rest = divmod(nanos, _UNITS["h"])
    minutes, rest = divmod(rest, _UNITS["m"])
    tail = f"{_number(rest / 10**9)}s"
    if seconds < 60:  # noqa: PLR2004 (a minute)
        return tail
    return f"{hours}h{minutes}m{tail}" if hours else f"{minutes}m{tail}"


def _number(value: float) -> str:
    return f"{value:.9f}".rstrip("0").rstrip(".")


def _one_of(*values: str) -> Rule:
    return lambda value: None if value in values else f"must be one of {', '.join(values)}, and is {value!r}"


def _matches(pattern: str, example: str) -> Rule:
    compiled = re.compile(pattern)
    return lambda value: None if compiled.fullmatch(value) else f"{value!r} is not like {example}"


def _at_least(least: int) -> Rule:
    return lambda value: None if value >= least else f"must be at least {least}, and is {value}"


def _duration(value: str) -> str | None:
    try:
        nanoseconds(value)
    except ValueError:
        return f'{value!r} is not a duration such as "30s" or "1m0s"'
    return None


def _absolute(value: str) -> str | None:
    return None if value.startswith("/") else f"{value!r} is not an absolute path"


def _one_source(value: dict[str, Any]) -> str | None:
    given = [name for name in ("content", "contentBase64", "source") if value.get(name)]
    return None if len(given) == 1 else "give exactly one of content, contentBase64 and source"


def _one_target(value: dict[str, Any]) -> str | None:
    given = [name for name in ("containerPath", "fromContainer") if value.get(name)]
    return None if len(given) == 1 else "give exactly one of containerPath and fromContainer"


def _unset_is_kept(old: Any, new: Any) -> bool:
    """Take no value for the image's own, which the state may show."""
    return not new or old == new


def same_ports(old: Any, new: Any) -> bool:
    """Compare port lists as the official plugin does: by internal port, in any order."""
    before, after = old or [], new or []
    if len(before) != len(after):
        return False
    pairs = {(port["internal"], port["protocol"]) for port in after}
    for port in before:
        match = next((other for other in after if other["internal"] == port["internal"]), None)
        if match is None:
            return False
        if match["protocol"] != port["protocol"]:
            if (port["internal"], port["protocol"]) in pairs:
                continue
            return False
        if any(match[name] != port[name] for name in ("external", "ip")):
            return False
    return True


LABEL: Fields = replacing({"label": text(required=True), "value": text(required=True)})
_PROPAGATION = ("private", "rprivate", "shared", "rshared", "slave", "rslave")

_MOUNT: Fields = {
    "target": text(required=True),
    "source": text(),
    "type": text(required=True, rule=_one_of("bind", "volume", "tmpfs")),
    "readOnly": flag(),
    "bindOptions": record({"propagation": text(rule=_one_of(*_PROPAGATION))}),
    "volumeOptions": record(
        {
            "noCopy": flag(),
            "labels": unordered(record(LABEL)),
            "driverName": text(),
            "driverOptions": mapping(),
        }
    ),
    "tmpfsOptions": record({"sizeBytes": whole(), "mode": whole()}, replaces=True),
}
_VOLUME = {
    "containerPath": text(),
    "fromContainer": text(),
    "hostPath": text(rule=_absolute),
    "readOnly": flag(),
    "selinuxRelabel": text(rule=_one_of("z", "Z")),
    "volumeName": text(),
}
_PORT = {
    "internal": whole(required=True),
    "external": whole(computed=True),
    "ip": text(default="0.0.0.0"),  # noqa: S104 (the official default; the components always give one)
    "protocol": text(default="tcp"),
}
_UPLOAD = {
    "file": text(required=True),
    "content": text(),
    "contentBase64": text(),
    "source": text(),
    "sourceHash": text(),
    "executable": flag(),
    "permissions": text(rule=_matches("0[0-7]{3}", '"0644"')),
}
_NETWORK = {
    "name": text(required=True),
    "aliases": unordered(text(), replaces=True),
    "ipv4Address": text(),
    "ipv6Address": text(),
    "linkLocalIps": unordered(text(), replaces=True),
    "macAddress": text(),
    "driverOpts": unordered(text(), replaces=True),
    "gwPriority": whole(rule=_at_least(0)),
}
_HEALTHCHECK: Fields = {
    "tests": listing(text()),
    "interval": text(default="0s", rule=_duration),
    "timeout": text(default="0s", rule=_duration),
    "startPeriod": text(default="0s", rule=_duration),
    "startInterval": text(default="0s", rule=_duration),
    "retries": whole(rule=_at_least(0)),
}
_DEVICE = {"hostPath": text(required=True), "containerPath": text(), "permissions": text(default="rwm")}
_ULIMIT = {"name": text(required=True), "soft": whole(required=True), "hard": whole(required=True)}
_HOST = {"host": text(required=True), "ip": text(required=True)}
_CAPABILITIES = {
    "adds": unordered(text(), replaces=True),
    "drops": unordered(text(), replaces=True),
}

# What a change of replaces the container.
_FIXED: Fields = {
    "name": text(required=True),
    "image": text(required=True),
    "hostname": text(computed=True, at="Config.Hostname"),
    "domainname": text(at="Config.Domainname"),
    "command": listing(text(), computed=True, at="Config.Cmd"),
    "entrypoints": listing(text(), computed=True, at="Config.Entrypoint"),
    "envs": unordered(text(), computed=True, at="Config.Env"),
    "user": text(same=_unset_is_kept, at="Config.User"),
    "workingDir": text(same=_unset_is_kept, at="Config.WorkingDir"),
    "labels": unordered(record(LABEL), computed=True),
    "readOnly": flag(at="HostConfig.ReadonlyRootfs"),
    "privileged": flag(at="HostConfig.Privileged"),
    "publishAllPorts": flag(at="HostConfig.PublishAllPorts"),
    "tty": flag(at="Config.Tty"),
    "stdinOpen": flag(at="Config.OpenStdin"),
    "runtime": text(computed=True, at="HostConfig.Runtime"),
    "stopSignal": text(computed=True, at="Config.StopSignal"),
    "stopTimeout": whole(computed=True, at="Config.StopTimeout"),
    "shmSize": whole(computed=True, rule=_at_least(0), at="HostConfig.ShmSize", unit=MIB),
    "cpus": text(),
    "cgroupParent": text(at="HostConfig.CgroupParent"),
    "cgroupnsMode": text(rule=_one_of("private", "host"), at="HostConfig.CgroupnsMode"),
    "pidMode": text(at="HostConfig.PidMode"),
    "ipcMode": text(computed=True, at="HostConfig.IpcMode"),
    "usernsMode": text(at="HostConfig.UsernsMode"),
    "networkMode": text(default="bridge", at="HostConfig.NetworkMode"),
    "networksAdvanced": unordered(record(replacing(_NETWORK))),
    "ports": listing(record(replacing(_PORT)), same=same_ports),
    "volumes": unordered(record(replacing(_VOLUME), rule=_one_target)),
    "mounts": unordered(record(_MOUNT)),
    "uploads": unordered(record(replacing(_UPLOAD), rule=_one_source)),
    "capabilities": record(_CAPABILITIES),
    "securityOpts": unordered(text(), computed=True),
    "groupAdds": unordered(text(), at="HostConfig.GroupAdd"),
    "devices": unordered(record(replacing(_DEVICE))),
    "ulimits": unordered(record(replacing(_ULIMIT))),
    "hosts": unordered(record(replacing(_HOST))),
    "dns": unordered(text(), at="HostConfig.Dns"),
    "dnsOpts": unordered(text(), at="HostConfig.DnsOptions"),
    "dnsSearches": unordered(text(), at="HostConfig.DnsSearch"),
    "sysctls": mapping(at="HostConfig.Sysctls"),
    "storageOpts": mapping(at="HostConfig.StorageOpt"),
    "logDriver": text(computed=True),
    "logOpts": mapping(),
}
# What a change of is made in the container's own configuration.
UPDATED: Fields = {
    "restart": text(default="no", rule=_one_of("no", "on-failure", "always", "unless-stopped")),
    "maxRetryCount": whole(),
    "memory": whole(rule=_at_least(0), at="HostConfig.Memory", unit=MIB),
    "memoryReservation": whole(rule=_at_least(0), at="HostConfig.MemoryReservation", unit=MIB),
    "memorySwap": whole(rule=_at_least(-1), at="HostConfig.MemorySwap", unit=MIB),
    "cpuShares": whole(rule=_at_least(0), at="HostConfig.CpuShares"),
    "cpuSet": text(rule=_matches(r"\d+([,-]\d+)*", '"0-1"'), at="HostConfig.CpusetCpus"),
}
# What is only recorded: it matters when the container is made, started or removed, or (the health check,
# init, tmpfs and the CPU quota) only for the next container, as the official plugin has it.
_RECORDED: Fields = {
    "start": flag(default=True),
    "mustRun": flag(default=True),
    "wait": flag(),
    "waitTimeout": whole(default=60, rule=_at_least(0)),
    "rm": flag(at="HostConfig.AutoRemove"),
    "removeVolumes": flag(default=True),
    "destroyGraceSeconds": whole(),
    "containerReadRefreshTimeoutMilliseconds": whole(default=15000),
    "healthcheck": record(_HEALTHCHECK, computed=True),
    "init": flag(computed=True, at="HostConfig.Init"),
    "tmpfs": mapping(at="HostConfig.Tmpfs"),
    "cpuPeriod": whole(rule=_at_least(0)),
    "cpuQuota": whole(rule=_at_least(0)),
}
_OUTPUTS: Fields = {
    "bridge": text(output=True),
    "containerLogs": text(output=True),
    "exitCode": whole(output=True),
    "networkDatas": listing(text(), output=True),
    "platform": text(output=True),
}
FIELDS: Fields = {**replacing(_FIXED), **UPDATED, **_RECORDED, **_OUTPUTS}
