"""Each edit of a property does what it does with the official plugin: replace, update, or nothing.

All edits are previewed in one run: one resource per edit.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.parity.support import Entry, Stack, container

Edit = tuple[str, dict[str, Any], dict[str, Any], str]

_ADDS = {"capabilities": {"adds": ["CAP_NET_ADMIN", "CAP_SYS_ADMIN"]}}
_UNCONFINED = {"security_opts": ["apparmor=unconfined", "seccomp=unconfined"]}
_IN_BRIDGE = {"networks_advanced": [{"name": "bridge"}]}

# (name, properties before, properties after, what happens). The containers are made, never started.
CONTAINER_EDITS: list[Edit] = [
    ("nothing", {"memory": 32, "memory_swap": 32}, {"memory": 32, "memory_swap": 32}, "same"),
    ("command", {"command": ["sleep", "1"]}, {"command": ["sleep", "2"]}, "replace"),
    ("envs", {"envs": ["A=1"]}, {"envs": ["A=2"]}, "replace"),
    ("envs-order", {"envs": ["A=1", "B=2"]}, {"envs": ["B=2", "A=1"]}, "same"),
    ("envs-removed", {"envs": ["A=1"]}, {}, "same"),
    ("user", {"user": "1000:1000"}, {"user": "1001:1001"}, "replace"),
    ("user-removed", {"user": "1000:1000"}, {}, "same"),
    ("group-adds", {"group_adds": ["998"]}, {"group_adds": ["999"]}, "replace"),
    ("restart", {"restart": "no"}, {"restart": "on-failure"}, "update"),
    (
        "max-retry",
        {"restart": "on-failure", "max_retry_count": 3},
        {"restart": "on-failure", "max_retry_count": 4},
        "update",
    ),
    ("memory", {"memory": 32, "memory_swap": 32}, {"memory": 64, "memory_swap": 64}, "update"),
    ("memory-set", {}, {"memory": 64, "memory_swap": 64}, "update"),
    ("memory-unset", {"memory": 64, "memory_swap": 64}, {}, "update"),
    ("cpu-shares", {"cpu_shares": 512}, {"cpu_shares": 256}, "update"),
    ("cpus", {"cpus": "0.5"}, {"cpus": "1.5"}, "replace"),
    ("shm-size", {"shm_size": 64}, {"shm_size": 128}, "replace"),
    ("init", {"init": True}, {"init": False}, "update"),
    (
        "healthcheck",
        {"healthcheck": {"tests": ["CMD", "true"], "interval": "5s"}},
        {"healthcheck": {"tests": ["CMD", "true"], "interval": "6s"}},
        "update",
    ),
    ("healthcheck-removed", {"healthcheck": {"tests": ["CMD", "true"], "interval": "5s"}}, {}, "same"),
    (
        "healthcheck-minutes",
        {"healthcheck": {"tests": ["CMD", "true"], "interval": "1m0s"}},
        {"healthcheck": {"tests": ["CMD", "true"], "interval": "1m0s"}},
        "same",
    ),
    ("stop-timeout", {"stop_timeout": 10}, {"stop_timeout": 20}, "replace"),
    ("stop-signal", {"stop_signal": "SIGTERM"}, {"stop_signal": "SIGINT"}, "replace"),
    ("grace", {"destroy_grace_seconds": 1}, {"destroy_grace_seconds": 2}, "update"),
    ("remove-volumes", {}, {"remove_volumes": False}, "update"),
    ("wait-timeout", {}, {"wait_timeout": 90}, "update"),
    ("read-only", {}, {"read_only": True}, "replace"),
    ("privileged", {}, {"privileged": True}, "replace"),
    ("drops", {"capabilities": {"drops": ["ALL"]}}, {"capabilities": {"drops": ["CAP_CHOWN"]}}, "replace"),
    ("drops-added", {}, {"capabilities": {"drops": ["ALL"]}}, "replace"),
    ("adds", {"capabilities": {"adds": ["CAP_NET_ADMIN"]}}, {"capabilities": {"adds": ["CAP_SYS_ADMIN"]}}, "replace"),
    ("adds-same", _ADDS, _ADDS, "same"),
    ("security-opts-two", _UNCONFINED, _UNCONFINED, "same"),
    ("security-opts-gone", _UNCONFINED, {}, "same"),
    ("network-alias", _IN_BRIDGE, {"networks_advanced": [{"name": "bridge", "aliases": ["docker"]}]}, "replace"),
    ("network-same", _IN_BRIDGE, _IN_BRIDGE, "same"),
    ("network-gone", _IN_BRIDGE, {}, "replace"),
    (
        "security-opts",
        {"security_opts": ["no-new-privileges:true"]},
        {"security_opts": ["no-new-privileges:false"]},
        "replace",
    ),
    ("labels", {"labels": [{"label": "a", "value": "1"}]}, {"labels": [{"label": "a", "value": "2"}]}, "replace"),
    (
        "labels-order",
        {"labels": [{"label": "a", "value": "1"}, {"label": "b", "value": "2"}]},
        {"labels": [{"label": "b", "value": "2"}, {"label": "a", "value": "1"}]},
        "same",
    ),
    (
        "ports",
        {"ports": [{"internal": 80, "external": 18201, "ip": "127.0.0.1"}]},
        {"ports": [{"internal": 80, "external": 18202, "ip": "127.0.0.1"}]},
        "replace",
    ),
    (
        "ports-ip",
        {"ports": [{"internal": 80, "external": 18203, "ip": "127.0.0.1"}]},
        {"ports": [{"internal": 80, "external": 18203, "ip": "0.0.0.0"}]},
        "replace",
    ),
    (
        "ports-order",
        {"ports": [{"internal": 80, "external": 18204}, {"internal": 81, "external": 18205}]},
        {"ports": [{"internal": 81, "external": 18205}, {"internal": 80, "external": 18204}]},
        "same",
    ),
    ("ports-added", {}, {"ports": [{"internal": 80, "external": 18206}]}, "replace"),
    (
        "volumes",
        {"volumes": [{"host_path": "/tmp", "container_path": "/a"}]},
        {"volumes": [{"host_path": "/tmp", "container_path": "/b"}]},
        "replace",
    ),
    (
        "volumes-read-only",
        {"volumes": [{"host_path": "/tmp", "container_path": "/a"}]},
        {"volumes": [{"host_path": "/tmp", "container_path": "/a", "read_only": True}]},
        "replace",
    ),
    (
        "mounts",
        {"mounts": [{"type": "bind", "source": "/tmp", "target": "/a"}]},
        {"mounts": [{"type": "bind", "source": "/tmp", "target": "/b"}]},
        "update",
    ),
    ("mounts-added", {}, {"mounts": [{"type": "bind", "source": "/tmp", "target": "/a"}]}, "replace"),
    ("tmpfs", {"tmpfs": {"/tmp": "size=1m"}}, {"tmpfs": {"/tmp": "size=2m"}}, "update"),
    (
        "uploads",
        {"uploads": [{"file": "/a", "content": "1"}]},
        {"uploads": [{"file": "/a", "content": "2"}]},
        "replace",
    ),
    (
        "uploads-mode",
        {"uploads": [{"file": "/a", "content": "1"}]},
        {"uploads": [{"file": "/a", "content": "1", "permissions": "0600"}]},
        "replace",
    ),
    (
        "log-opts",
        {"log_driver": "json-file", "log_opts": {"max-size": "1m"}},
        {"log_driver": "json-file", "log_opts": {"max-size": "2m"}},
        "replace",
    ),
    (
        "log-opts-unset",
        {"log_driver": "json-file", "log_opts": {"max-size": "1m"}},
        {"log_driver": "json-file"},
        "replace",
    ),
    ("hosts", {"hosts": [{"host": "a", "ip": "10.0.0.1"}]}, {"hosts": [{"host": "a", "ip": "10.0.0.2"}]}, "replace"),
    ("network-mode", {}, {"network_mode": "none"}, "replace"),
    ("working-dir", {"working_dir": "/tmp"}, {"working_dir": "/"}, "replace"),
    ("working-dir-removed", {"working_dir": "/tmp"}, {}, "same"),
    ("hostname", {"hostname": "a"}, {"hostname": "b"}, "replace"),
    ("dns", {"dns": ["10.0.0.1"]}, {"dns": ["10.0.0.2"]}, "replace"),
    ("sysctls", {}, {"sysctls": {"net.ipv4.ip_forward": "1"}}, "replace"),
    ("entrypoints", {"entrypoints": ["/bin/sh"]}, {"entrypoints": ["/bin/cat"]}, "replace"),
    (
        "ulimits",
        {"ulimits": [{"name": "nofile", "soft": 10, "hard": 20}]},
        {"ulimits": [{"name": "nofile", "soft": 11, "hard": 20}]},
        "replace",
    ),
]
VOLUME_EDITS: list[Edit] = [
    (
        "volume-labels",
        {"labels": [{"label": "a", "value": "1"}]},
        {"labels": [{"label": "a", "value": "2"}]},
        "replace",
    ),
    ("volume-labels-gone", {"labels": [{"label": "a", "value": "1"}]}, {}, "replace"),
    ("volume-driver-opts", {}, {"driver_opts": {"type": "tmpfs", "device": "tmpfs"}}, "replace"),
    ("volume-same", {"driver": "local"}, {}, "same"),
]
IMAGE_EDITS: list[Edit] = [
    ("image-keep", {"keep_locally": True}, {"keep_locally": True, "force_remove": True}, "update"),
    ("image-triggers", {"keep_locally": True}, {"keep_locally": True, "triggers": {"a": "1"}}, "replace"),
    ("image-same", {"keep_locally": True}, {"keep_locally": True}, "same"),
]
EXPECTED = {name: op for name, _, _, op in CONTAINER_EDITS + VOLUME_EDITS + IMAGE_EDITS}


def _entries(unique: str, image: str, *, after: bool) -> list[Entry]:
    quiet = {"start": False, "must_run": False}
    entries = []
    for name, old, new, _ in CONTAINER_EDITS:
        props = {**quiet, **(new if after else old), "name": f"{unique}-{name}"}
        entries.append(container(name, image, **props))
    for name, old, new, _ in VOLUME_EDITS:
        props = {**(new if after else old), "name": f"{unique}-{name}"}
        entries.append({"type": "Volume", "name": name, "props": props})
    for name, old, new, _ in IMAGE_EDITS:
        props = {**(new if after else old), "name": image}
        entries.append({"type": "RemoteImage", "name": name, "props": props})
    return entries


@pytest.fixture(scope="module")
def edited(shared_stack: Stack, image: str, module_unique: str) -> dict[str, str]:
    """What a preview says to each edit that changes something."""
    shared_stack.declare(*_entries(module_unique, image, after=False))
    shared_stack.up().ok()
    shared_stack.declare(*_entries(module_unique, image, after=True))
    return shared_stack.changes()


@pytest.mark.parametrize("name", EXPECTED)
def test_an_edit_does_what_the_official_plugin_does(edited: dict[str, str], name: str) -> None:
    """The operation is the official one."""
    assert edited.get(name, "same") == EXPECTED[name]


def test_the_provider_itself_is_unchanged(edited: dict[str, str]) -> None:
    assert "host" not in edited
