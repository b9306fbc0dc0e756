"""Containers in a network of their own, with a name there, an entry point, and capabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.parity.support import Entry, Look, Stack, container

if TYPE_CHECKING:
    from docker.models.containers import Container


def _entries(unique: str, image: str, *, option: str = "a") -> list[Entry]:
    labels = [{"label": "part", "value": "parity"}]
    inside = {"name": {"$ref": ["net", "name"]}}
    return [
        {"type": "Network", "name": "net", "props": {"name": f"{unique}-net", "driver": "bridge", "labels": labels}},
        container(
            "server",
            image,
            name=f"{unique}-server",
            networks_advanced=[{**inside, "aliases": ["docker"]}],
            entrypoints=["sh", "-ec", 'echo "$@" > /said; exec sleep 600', "sh"],
            command=["--first", option],
            privileged=False,
            capabilities={"adds": ["CAP_NET_ADMIN", "CAP_SYS_ADMIN"]},
            security_opts=["seccomp=unconfined"],
        ),
        container(
            "client",
            image,
            name=f"{unique}-client",
            command=["sleep", "600"],
            networks_advanced=[inside],
        ),
    ]


@pytest.fixture(scope="module")
def deployed(shared_stack: Stack, image: str, module_unique: str) -> Stack:
    """Deploy once."""
    shared_stack.declare(*_entries(module_unique, image))
    shared_stack.up().ok()
    return shared_stack


def _run(found: Container, command: str) -> str:
    done: Any = found.exec_run(["sh", "-c", command])
    assert done.exit_code == 0, done.output
    return str(done.output.decode())


def test_both_are_in_the_network_alone_and_one_has_its_alias_there(
    deployed: Stack, look: Look, module_unique: str
) -> None:
    server, client = look(f"{module_unique}-server"), look(f"{module_unique}-client")
    for found in (server, client):
        assert list(found.attrs["NetworkSettings"]["Networks"]) == [f"{module_unique}-net"]
    assert "docker" in server.attrs["NetworkSettings"]["Networks"][f"{module_unique}-net"]["Aliases"]


def test_the_entry_point_gets_the_command_as_its_words(deployed: Stack, look: Look, module_unique: str) -> None:
    """As `docker run --entrypoint` does."""
    server = look(f"{module_unique}-server")
    assert _run(server, "cat /said") == "--first a\n"


def test_it_settles_after_a_refresh_too(deployed: Stack) -> None:
    assert deployed.changes("--refresh") == {}


def test_another_word_of_the_command_replaces_only_that_container(
    deployed: Stack, image: str, module_unique: str
) -> None:
    deployed.declare(*_entries(module_unique, image, option="b"))
    assert deployed.changes() == {"server": "replace"}


def test_another_kind_of_network_replaces_it(deployed: Stack, image: str, module_unique: str) -> None:
    network, *containers = _entries(module_unique, image)
    network["props"]["internal"] = True
    deployed.declare(network, *containers)
    assert deployed.changes()["net"] == "replace"
