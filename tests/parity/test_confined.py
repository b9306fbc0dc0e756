"""A container that can write nothing and has no network, and a volume that is a tmpfs: what the proxy's parts are."""

from __future__ import annotations

from typing import Any

import pytest

from tests.parity.support import Entry, Look, Stack, container, printed

OPTIONS = "uid=99,gid=1000,mode=0750,size=1m,nosuid,nodev,noexec"


def _stack(unique: str, image: str, *, options: str = OPTIONS, **changes: Any) -> list[Entry]:
    return [
        {
            "type": "Volume",
            "name": "socket",
            "props": {
                "name": f"{unique}-socket",
                "driver": "local",
                "driver_opts": {"type": "tmpfs", "device": "tmpfs", "o": options},
            },
            "opts": {"delete_before_replace": True},
        },
        container(
            "confined",
            image,
            {"delete_before_replace": True},
            **{
                "name": f"{unique}-confined",
                "user": "99:1000",
                "command": ["sh", "-c", "exec sleep 600"],
                "read_only": True,
                "network_mode": "none",
                "tmpfs": {"/tmp": "size=1m,nosuid,nodev,noexec"},
                "stop_signal": "SIGTERM",
                "stop_timeout": 5,
                "restart": "unless-stopped",
                "envs": ["RULES=one\ntwo"],
                "volumes": [
                    {"volume_name": {"$ref": ["socket", "name"]}, "container_path": "/run/x", "read_only": False}
                ],
                **changes,
            },
        ),
    ]


@pytest.fixture(scope="module")
def deployed(shared_stack: Stack, image: str, module_unique: str) -> Stack:
    """The stack, after its first update."""
    shared_stack.declare(*_stack(module_unique, image))
    shared_stack.up().ok()
    return shared_stack


def test_it_settles_also_after_a_refresh(deployed: Stack) -> None:
    assert deployed.changes() == {}
    assert deployed.changes("--refresh") == {}


def test_it_is_confined_as_declared(deployed: Stack, look: Look, module_unique: str) -> None:
    """It has no network, and its user can write to its volume and its tmpfs and to nothing else."""
    del deployed
    found = look(f"{module_unique}-confined")
    assert found.attrs["HostConfig"]["ReadonlyRootfs"]
    assert found.attrs["HostConfig"]["NetworkMode"] == "none"
    assert found.attrs["Config"]["StopSignal"] == "SIGTERM"
    assert printed(found, "sh -c 'echo kept > /run/x/a && echo kept > /tmp/a && cat /run/x/a /tmp/a'") == "kept\n" * 2
    assert "Read-only file system" in printed(found, "touch /etc/a")
    assert printed(found, "sh -c 'echo \"$RULES\"'") == "one\ntwo\n"


@pytest.mark.parametrize(
    ("changes", "replaced"),
    [
        ({"envs": ["RULES=three"]}, {"confined"}),
        ({"read_only": False}, {"confined"}),
        ({"options": "size=2m"}, {"socket"}),
    ],
    ids=["rules", "read-only", "volume"],
)
def test_an_edit_replaces_what_it_is_about(
    deployed: Stack, image: str, module_unique: str, changes: dict[str, Any], replaced: set[str]
) -> None:
    """A changed variable makes a new container, a changed option a new volume."""
    deployed.declare(*_stack(module_unique, image, **changes))
    found = {name for name, step in deployed.changes().items() if "replace" in step or step == "delete"}
    assert replaced <= found
