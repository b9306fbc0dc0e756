"""What goes wrong, and how the next update mends it."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from docker.errors import NotFound

from tests.parity.support import Look, Plugins, Stack, container
from tests.support.verbs import free_port
from tests.support.waiting import eventually

if TYPE_CHECKING:
    import docker

PORT = free_port()


def test_a_command_that_is_not_there_leaves_a_container_to_be_mended(
    stack: Stack, look: Look, image: str, unique: str
) -> None:
    """The failed start is reported, the container recorded, and a right command replaces it."""
    # Without docker-init, which would start and then fail to find the command.
    stack.declare(container("c", image, name=unique, command=["/nowhere"], init=False))
    run = stack.up().failed()
    assert "Unable to start container" in run.output
    assert stack.resources()["c"]["initErrors"]
    assert stack.changes() == {"c": "replace"}
    stack.declare(container("c", image, name=unique))
    assert stack.changes() == {"c": "replace"}
    stack.up().ok()
    found = look(unique)
    assert found.status == "running"
    assert stack.changes("--refresh") == {}


def test_a_taken_port_fails_and_is_mended_once_it_is_free(
    stack: Stack, engine: docker.DockerClient, look: Look, image: str, unique: str
) -> None:
    other = engine.containers.run(
        image, ["sleep", "600"], detach=True, init=True, ports={"80/tcp": ("127.0.0.1", PORT)}
    )
    try:
        ports = [{"internal": 80, "external": PORT, "ip": "127.0.0.1"}]
        stack.declare(container("c", image, name=unique, ports=ports))
        assert "port is already allocated" in stack.up().failed().output
    finally:
        other.remove(force=True)
    stack.up("--refresh").ok()
    found = look(unique)
    assert found.status == "running"
    assert stack.changes("--refresh") == {}


def test_a_container_that_never_gets_healthy_fails_in_time(stack: Stack, look: Look, image: str, unique: str) -> None:
    """The wait ends after waitTimeout, and the container is recorded."""
    check = {"tests": ["CMD", "false"], "interval": "1s", "retries": 1}
    stack.declare(container("c", image, name=unique, healthcheck=check, wait=True, wait_timeout=2))
    begun = time.monotonic()
    run = stack.up().failed()
    assert time.monotonic() - begun < 20
    assert "container failed to be in healthy state" in run.output
    assert stack.resources()["c"]["initErrors"]
    assert look(unique)


def test_waiting_without_a_health_check_is_refused(stack: Stack, image: str, unique: str) -> None:
    stack.declare(container("c", image, name=unique, wait=True))
    assert "healthcheck" in stack.up().failed().output


def test_an_image_that_cannot_be_had_is_named(stack: Stack, unique: str) -> None:
    """The error says which image."""
    stack.declare({"type": "RemoteImage", "name": "image", "props": {"name": f"{unique}.invalid/nothing:1"}})
    run = stack.up().failed()
    assert f"{unique}.invalid/nothing:1" in run.output


def test_a_missing_engine_is_named(stack: Stack, plugins: Plugins, image: str, unique: str) -> None:
    """A preview fails at once; the bundled plugin says where it looked and what to do."""
    stack.host = f"unix:///tmp/{unique}.sock"
    stack.declare(container("c", image, name=unique))
    run = stack.run("preview").failed()
    if plugins.bundled:
        assert f"no Docker engine answers at unix:///tmp/{unique}.sock: there is no /tmp/{unique}.sock" in run.output
        assert "systemctl start docker" in run.output


def test_a_property_that_is_not_implemented_is_refused_by_name(
    stack: Stack, plugins: Plugins, image: str, unique: str
) -> None:
    """Ignoring it would deploy something else than what was declared."""
    if not plugins.bundled:
        pytest.skip("the official plugin implements every property")
    stack.declare(container("c", image, name=unique, gpus="all"))
    run = stack.run("preview").failed()
    assert "the property `gpus` is not implemented by the bundled plugin" in run.output


def test_a_type_that_is_not_implemented_is_refused_by_name(stack: Stack, plugins: Plugins, unique: str) -> None:
    if not plugins.bundled:
        pytest.skip("the official plugin implements every type")
    stack.declare({"type": "Tag", "name": "t", "props": {"source_image": "a", "target_image": unique}})
    run = stack.run("preview").failed()
    assert "docker:index/tag:Tag is not implemented by the bundled plugin" in run.output


def test_a_bad_value_is_refused_before_anything_is_made(stack: Stack, look: Look, image: str, unique: str) -> None:
    """The preview names the property; test_parts.py has the other values."""
    uploads = [{"file": "/a", "content": "x", "permissions": "rw"}]
    stack.declare(container("c", image, name=unique, uploads=uploads))
    assert "uploads" in stack.run("preview").failed().output
    with pytest.raises(NotFound):
        look(unique)


def test_incomplete_certificates_are_refused(stack: Stack, image: str, unique: str) -> None:
    """A client certificate without an authority would trust any server."""
    stack.declare(container("c", image, name=unique))
    resources = (stack.folder / "resources.json").read_text()
    hidden = resources.replace('"host": "', '"cert_material": "x", "key_material": "y", "host": "', 1)
    (stack.folder / "resources.json").write_text(hidden)
    run = stack.run("preview").failed()
    assert "must all be" in run.output


def test_cancelling_stops_a_wait_and_keeps_the_container_recorded(
    stack: Stack, plugins: Plugins, engine: docker.DockerClient, image: str, unique: str
) -> None:
    """An interrupt ends the update soon, and nothing that was made is lost."""
    if not plugins.bundled:
        pytest.skip("the official plugin does not implement Cancel: it waits on")
    check = {"tests": ["CMD", "false"], "interval": "1s", "retries": 50}
    stack.declare(container("c", image, name=unique, healthcheck=check, wait=True, wait_timeout=100))
    stack.run("stack").ok()
    process = stack.start("up", "--yes", "--skip-preview")
    eventually(lambda: engine.containers.list(filters={"name": unique}, ignore_removed=True))
    begun = time.monotonic()
    process.send_signal(2)
    output, _ = process.communicate(timeout=60)
    assert time.monotonic() - begun < 20
    assert process.returncode != 0
    assert "Traceback" not in output
    assert stack.resources()["c"]["initErrors"]


def test_a_volume_that_exists_is_adopted_and_then_deleted(
    stack: Stack, engine: docker.DockerClient, unique: str
) -> None:
    """A known danger of the official plugin, which the components guard against."""
    engine.volumes.create(unique)
    stack.declare({"type": "Volume", "name": "v", "props": {"name": unique}})
    stack.up().ok()
    stack.run("destroy", "--yes", "--skip-preview").ok()
    with pytest.raises(NotFound):
        engine.volumes.get(unique)


def test_a_retained_volume_outlives_the_stack(stack: Stack, engine: docker.DockerClient, unique: str) -> None:
    stack.declare({"type": "Volume", "name": "v", "props": {"name": unique}, "opts": {"retain_on_delete": True}})
    stack.up().ok()
    stack.run("destroy", "--yes", "--skip-preview").ok()
    engine.volumes.get(unique).remove()


def test_a_stopped_container_without_ports_is_started_again(stack: Stack, look: Look, image: str, unique: str) -> None:
    """A refresh sees it as a change of mustRun, and the update starts the same container."""
    stack.declare(container("c", image, name=unique))
    stack.up().ok()
    before = look(unique)
    before.stop(timeout=1)
    assert stack.changes() == {}
    assert stack.changes("--refresh") == {"c": "update"}
    stack.up("--refresh").ok()
    after = look(unique)
    assert after.id == before.id
    assert after.status == "running"
    assert stack.changes("--refresh") == {}


def test_a_container_removed_before_the_end_is_no_error(
    stack: Stack, look: Look, engine: docker.DockerClient, image: str, unique: str
) -> None:
    volume = {"type": "Volume", "name": "v", "props": {"name": unique}}
    stack.declare(container("c", image, name=unique), volume)
    stack.up().ok()
    found = look(unique)
    found.remove(force=True)
    engine.volumes.get(unique).remove()
    stack.run("destroy", "--yes", "--skip-preview").ok()


def test_what_exists_can_be_imported_by_its_id(
    stack: Stack, engine: docker.DockerClient, image: str, unique: str
) -> None:
    """A volume, a network and a container; the program that declares them then changes nothing of the first two."""
    engine.volumes.create(unique, labels={"a": "b"})
    network = engine.networks.create(unique)
    found = engine.containers.run(image, ["sleep", "600"], name=unique, detach=True, init=True)
    try:
        volume = {"name": unique, "labels": [{"label": "a", "value": "b"}]}
        stack.declare(
            {"type": "Volume", "name": "v", "props": volume, "opts": {"import_": unique}},
            {"type": "Network", "name": "n", "props": {"name": unique}, "opts": {"import_": network.id}},
        )
        stack.up().ok()
        assert stack.resources()["v"]["id"] == unique
        # `pulumi import` has no explicit provider: the default one takes the engine from the environment.
        stack.variables["DOCKER_HOST"] = stack.host
        stack.run(
            "import", "docker:index/container:Container", "c", str(found.id), "--yes", "--generate-code=false"
        ).ok()
        recorded = stack.resources()["c"]
        assert recorded["id"] == found.id
        assert recorded["inputs"]["image"] == image
    finally:
        found.remove(force=True)


def test_a_replaced_volume_is_deleted_first(stack: Stack, engine: docker.DockerClient, unique: str) -> None:
    """Making it first would take over the old one, which is then deleted."""
    volume = {"type": "Volume", "name": "v", "props": {"name": unique}}
    stack.declare(volume)
    stack.up().ok()
    stack.declare({**volume, "props": {"name": unique, "labels": [{"label": "a", "value": "b"}]}})
    stack.up().ok()
    assert engine.volumes.get(unique).attrs["Labels"] == {"a": "b"}


def test_a_resource_without_a_name_gets_one_that_lasts(stack: Stack, image: str) -> None:
    nameless = container("c", image)
    del nameless["props"]["name"]
    stack.declare({"type": "Volume", "name": "v", "props": {}}, nameless)
    stack.up().ok()
    recorded = stack.resources()
    for name in ("v", "c"):
        assert re.fullmatch(name + "-[0-9a-f]{7}", recorded[name]["outputs"]["name"])
    assert stack.changes("--refresh") == {}
