"""Each edit of a property does what it does with the official plugin: replace, update, or nothing.

All edits are previewed in one run: one resource per edit.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.parity.support import Entry, Stack, container, labels

NETWORK = {"name": "bridge"}
PORT = {"internal": 80, "external": 18201, "ip": "127.0.0.1"}
PORTS = [PORT, {**PORT, "internal": 81, "external": 18202}]
VOLUME = {"host_path": "/tmp", "container_path": "/a"}
CHECK = {"tests": ["CMD", "true"], "interval": "1m0s"}
ADDS = ["CAP_NET_ADMIN", "CAP_SYS_ADMIN"]
UNCONFINED = ["apparmor=unconfined", "seccomp=unconfined"]

# (type, property, value before, value after, what happens). None is no value. The containers are made, never started.
EDITS: list[tuple[str, str, Any, Any, str]] = [
    ("Container", "envs", ["A=1"], ["A=2"], "replace"),
    ("Container", "envs", ["A=1", "B=2"], ["B=2", "A=1"], "same"),
    ("Container", "envs", ["A=1"], None, "same"),
    ("Container", "command", ["sleep", "1"], ["sleep", "2"], "replace"),
    ("Container", "entrypoints", ["/bin/sh"], ["/bin/cat"], "replace"),
    ("Container", "user", "1000:1000", "1001:1001", "replace"),
    ("Container", "user", "1000:1000", None, "same"),
    ("Container", "group_adds", ["998"], ["999"], "replace"),
    ("Container", "restart", "no", "on-failure", "update"),
    ("Container", "memory", 64, 32, "update"),
    ("Container", "healthcheck", CHECK, {**CHECK, "interval": "6s"}, "update"),
    ("Container", "healthcheck", CHECK, CHECK, "same"),
    ("Container", "healthcheck", CHECK, None, "same"),
    ("Container", "stop_timeout", 10, 20, "replace"),
    ("Container", "stop_signal", "SIGTERM", "SIGINT", "replace"),
    ("Container", "destroy_grace_seconds", 1, 2, "update"),
    ("Container", "wait_timeout", None, 90, "update"),
    ("Container", "read_only", None, True, "replace"),
    ("Container", "privileged", None, True, "replace"),
    ("Container", "capabilities", {"drops": ["ALL"]}, {"drops": ["CAP_CHOWN"]}, "replace"),
    ("Container", "capabilities", None, {"drops": ["ALL"]}, "replace"),
    ("Container", "capabilities", {"adds": ADDS[:1]}, {"adds": ADDS[1:]}, "replace"),
    ("Container", "capabilities", {"adds": ADDS}, {"adds": ADDS}, "same"),
    ("Container", "security_opts", ["no-new-privileges:true"], ["no-new-privileges:false"], "replace"),
    ("Container", "security_opts", UNCONFINED, UNCONFINED, "same"),
    ("Container", "security_opts", UNCONFINED, None, "same"),
    ("Container", "network_mode", None, "none", "replace"),
    ("Container", "networks_advanced", [NETWORK], [{**NETWORK, "aliases": ["docker"]}], "replace"),
    ("Container", "networks_advanced", [NETWORK], [NETWORK], "same"),
    ("Container", "networks_advanced", [NETWORK], None, "replace"),
    ("Container", "labels", labels(a="1"), labels(a="2"), "replace"),
    ("Container", "labels", labels(a="1", b="2"), labels(b="2", a="1"), "same"),
    ("Container", "ports", [PORT], [{**PORT, "external": 18203}], "replace"),
    ("Container", "ports", [PORT], [{**PORT, "ip": "0.0.0.0"}], "replace"),
    ("Container", "ports", PORTS, PORTS[::-1], "same"),
    ("Container", "ports", None, [PORT], "replace"),
    ("Container", "volumes", [VOLUME], [{**VOLUME, "container_path": "/b"}], "replace"),
    ("Container", "volumes", [VOLUME], [{**VOLUME, "read_only": True}], "replace"),
    ("Container", "tmpfs", {"/tmp": "size=1m"}, {"/tmp": "size=2m"}, "update"),
    ("Container", "uploads", [{"file": "/a", "content": "1"}], [{"file": "/a", "content": "2"}], "replace"),
    ("Container", "log_opts", {"max-size": "1m"}, {"max-size": "2m"}, "replace"),
    ("Container", "log_opts", {"max-size": "1m"}, None, "replace"),
    ("Volume", "labels", labels(a="1"), labels(a="2"), "replace"),
    ("Volume", "labels", labels(a="1"), None, "replace"),
    ("Volume", "driver_opts", None, {"type": "tmpfs", "device": "tmpfs"}, "replace"),
    ("Volume", "driver", "local", None, "same"),
    ("Network", "labels", labels(a="1"), labels(a="2"), "replace"),
    ("Network", "driver", "bridge", None, "same"),
    ("RemoteImage", "keep_locally", True, True, "same"),
]
NAMES = [f"{number}-{kind}-{name}" for number, (kind, name, *_) in enumerate(EDITS)]


def _entries(unique: str, image: str, *, after: bool) -> list[Entry]:
    entries = []
    for name, (kind, edited, old, new, _) in zip(NAMES, EDITS, strict=True):
        props = {"name": image if kind == "RemoteImage" else f"{unique}-{name}", edited: new if after else old}
        if kind == "Container":
            fixed = {"start": False, "must_run": False, "memory": 64, "memory_swap": 64, "log_driver": "json-file"}
            entries.append(container(name, image, **{**fixed, **props}))
        else:
            entries.append({"type": kind, "name": name, "props": props})
    return entries


@pytest.fixture(scope="module")
def edited(stack: Stack, image: str, unique: str) -> dict[str, str]:
    """What a preview says to each edit that changes something."""
    stack.declare(*_entries(unique, image, after=False))
    stack.up().ok()
    stack.declare(*_entries(unique, image, after=True))
    return stack.changes()


@pytest.mark.parametrize(("name", "edit"), list(zip(NAMES, EDITS, strict=True)), ids=NAMES)
def test_an_edit_does_what_the_official_plugin_does(edited: dict[str, str], name: str, edit: tuple[Any, ...]) -> None:
    assert edited.get(name, "same") == edit[-1]


def test_the_provider_itself_is_unchanged(edited: dict[str, str]) -> None:
    assert "host" not in edited
