"""What goes wrong, and how the next update mends it."""

import socket
import time
from pathlib import Path

import docker
import pytest

from tests.parity.support import UP, Entry, Look, Stack, container, labels
from tests.support.verbs import free_port
from tests.support.waiting import eventually

PORT = free_port()
NEVER = {"healthcheck": {"tests": ["CMD", "false"], "interval": "1s", "retries": 1}, "wait": True}
CERTIFICATE = {"cert_material": "x", "key_material": "y"}


def test_a_missing_command_leaves_a_container_to_be_mended(stack: Stack, look: Look, image: str, unique: str) -> None:
    """The failed start is reported, the container recorded, and the next update replaces it."""
    stack.declare(container("c", image, name=unique, command=["/nowhere"]))
    assert "Unable to start container" in stack.fails(*UP)
    assert stack.resources()["c"]["initErrors"]
    assert stack.changes() == {"c": "replace"}
    stack.declare(container("c", image, name=unique))
    stack.up()
    assert look(unique).status == "running"


def test_a_taken_port_fails_and_is_mended_once_it_is_free(
    stack: Stack, engine: docker.DockerClient, look: Look, image: str, unique: str
) -> None:
    other = engine.containers.run(image, ["sleep", "600"], detach=True, ports={"80/tcp": ("127.0.0.1", PORT)})
    try:
        ports = [{"internal": 80, "external": PORT, "ip": "127.0.0.1"}]
        stack.declare(container("c", image, name=unique, ports=ports))
        assert "port is already allocated" in stack.fails(*UP)
    finally:
        other.remove(force=True)
    stack.up("--refresh")
    assert look(unique).status == "running"


@pytest.mark.parametrize(
    ("waiting", "said"),
    [({**NEVER, "wait_timeout": 2}, "container failed to be in healthy state"), ({"wait": True}, "healthcheck")],
    ids=["never-healthy", "no-health-check"],
)
def test_a_wait_that_cannot_succeed_ends_in_time_and_the_container_is_recorded(
    stack: Stack, image: str, unique: str, waiting: Entry, said: str
) -> None:
    stack.declare(container("c", image, name=unique, **waiting))
    begun = time.monotonic()
    assert said in stack.fails(*UP)
    assert time.monotonic() - begun < 20
    assert stack.resources()["c"]["initErrors"]


def test_cancelling_stops_a_wait_and_keeps_the_container_recorded(
    stack: Stack, engine: docker.DockerClient, image: str, unique: str
) -> None:
    """An interrupt ends the update soon, and nothing that was made is lost."""
    if not stack.plugins.bundled:
        pytest.skip("the official plugin does not implement Cancel: it waits on")
    stack.declare(container("c", image, name=unique, **NEVER, wait_timeout=100))
    stack.pulumi("stack")
    before = {each.id for each in engine.containers.list(filters={"name": unique})}
    process = stack.start("up", "--yes", "--skip-preview")
    eventually(
        lambda: [
            each
            for each in engine.containers.list(filters={"name": unique}, ignore_removed=True)
            if each.id not in before
        ]
    )
    begun = time.monotonic()
    process.send_signal(2)
    output, _ = process.communicate(timeout=60)
    assert time.monotonic() - begun < 20
    assert process.returncode != 0
    assert "Traceback" not in output
    assert stack.resources()["c"]["initErrors"]


REFUSED: dict[str, Entry] = {
    "does not implement `gpus`": container("c", "a", name="never", gpus="all"),
    "docker:index/tag:Tag is not implemented": {"type": "Tag", "props": {"source_image": "a", "target_image": "b"}},
    "cannot be imported": {"type": "Volume", "props": {"name": "never"}, "opts": {"import_": "never"}},
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_is_not_implemented_is_refused_by_name_at_preview(stack: Stack, said: str) -> None:
    """An ignored property would be a setting that does nothing. test_schema.py has more of them."""
    if not stack.plugins.bundled:
        pytest.skip("the official plugin implements it")
    stack.declare({"name": "refused", **REFUSED[said]})
    output = stack.fails("preview")
    assert said in output
    assert "official" in output


def test_an_image_that_cannot_be_had_is_named(stack: Stack, unique: str) -> None:
    name = f"{unique}.invalid/nothing:1"
    stack.declare({"type": "RemoteImage", "name": "image", "props": {"name": name, "keep_locally": True}})
    assert name in stack.fails(*UP)


def test_incomplete_certificates_are_refused(stack: Stack, unique: str) -> None:
    """A client certificate without an authority would trust any server."""
    provider = {"type": "Provider", "name": "p", "props": {"host": "tcp://x:2376", **CERTIFICATE}}
    stack.declare(provider, {"type": "Volume", "name": "v", "props": {"name": unique}, "opts": {"provider": "p"}})
    assert "must all be" in stack.fails("preview")


def test_a_missing_engine_is_named(stack: Stack, unique: str) -> None:
    """A preview fails at once; the bundled plugin says where it looked and what to do."""
    missing = f"unix:///tmp/{unique}.sock"
    provider = {"type": "Provider", "name": "p", "props": {"host": missing}}
    stack.declare(provider, {"type": "Volume", "name": "v", "props": {"name": unique}, "opts": {"provider": "p"}})
    output = stack.fails("preview")
    if stack.plugins.bundled:
        assert f"no Docker engine answers at {missing}: no such file or directory; start the engine" in output


def test_a_silent_engine_is_given_up(stack: Stack, tmp_path: Path, unique: str) -> None:
    if not stack.plugins.bundled:
        pytest.skip("the official plugin waits for ever; `make` asks the engine first")
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(f"{tmp_path}/s")
        silent.listen()
        provider = {"type": "Provider", "name": "p", "props": {"host": f"unix://{tmp_path}/s"}}
        stack.declare(provider, {"type": "Volume", "name": "v", "props": {"name": unique}, "opts": {"provider": "p"}})
        begun = time.monotonic()
        assert "no Docker engine answers" in stack.fails("preview")
        assert time.monotonic() - begun < 40


def test_volumes_are_adopted_retained_replaced_and_missed(
    stack: Stack, engine: docker.DockerClient, look: Look, image: str, unique: str
) -> None:
    """One that exists is taken over and deleted with the stack, a danger that the components guard against.

    Its labels are not the program's, which must not replace it where the program ignores them.
    A retained one outlives the stack. A replaced one is deleted first: made first, it would take over the old one,
    which is then deleted. One that is gone before the end, and a container, are no error.
    """
    names = ("adopted", "retained", "replaced", "gone")
    props: dict[str, Entry] = {name: {"name": f"{unique}-{name}"} for name in names}
    entries: dict[str, Entry] = {name: {"type": "Volume", "name": name, "props": props[name]} for name in names}
    entries["retained"]["opts"] = {"retain_on_delete": True}
    entries["adopted"]["opts"] = {"ignore_changes": ["labels"]}
    props["adopted"]["labels"] = labels(a="b")
    entries["c"] = container("c", image, name=unique)
    engine.volumes.create(f"{unique}-adopted")
    stack.declare(*entries.values())
    stack.up()
    props["replaced"]["labels"] = labels(a="b")
    stack.declare(*entries.values())
    stack.up()
    assert engine.volumes.get(f"{unique}-replaced").attrs["Labels"] == {"a": "b"}
    assert not engine.volumes.get(f"{unique}-adopted").attrs["Labels"]
    engine.volumes.get(f"{unique}-gone").remove()
    look(unique).remove(force=True)
    stack.pulumi("destroy", "--yes", "--skip-preview")
    left = engine.volumes.list(filters={"name": unique})
    assert [volume.name for volume in left] == [f"{unique}-retained"]
    left[0].remove()
