"""One whole stack, from the first update to the end of it."""

from __future__ import annotations

import io
import tarfile
import time
from typing import TYPE_CHECKING, Any

import pytest
from docker.errors import NotFound

from tests.parity.support import Entry, Look, Stack, container, image_of
from tests.support.verbs import free_port

if TYPE_CHECKING:
    import docker

CANARY = "canary-4f1d9b07"
PORTS = (free_port(), free_port())


def _stack(unique: str, image: str, **changes: Any) -> list[Entry]:
    labels = [{"label": "part", "value": "parity"}]
    return [
        {"type": "Volume", "name": "home", "props": {"name": f"{unique}-home", "labels": labels}},
        {"type": "RemoteImage", "name": "image", "props": {"name": image, "keep_locally": True}},
        container(
            "server",
            image,
            **{
                "name": f"{unique}-server",
                "image": {"$ref": ["image", "image_id"]},
                "command": ["sh", "-c", "echo started > /data/log; exec sleep 600"],
                "user": "0:0",
                "group_adds": ["998"],
                "restart": "on-failure",
                "max_retry_count": 5,
                "capabilities": {"drops": ["ALL"]},
                "security_opts": ["no-new-privileges:true"],
                "ports": [
                    {"internal": 8080, "external": PORTS[0], "ip": "127.0.0.1"},
                    {"internal": 50000, "external": PORTS[1], "ip": "127.0.0.1"},
                ],
                "memory": 64,
                "memory_swap": 64,
                "cpu_shares": 512,
                "shm_size": 64,
                "stop_timeout": 10,
                "envs": ["MODE=test", {"$secret": f"TOKEN={CANARY}-env"}],
                "healthcheck": {
                    "tests": ["CMD", "true"],
                    "interval": "1s",
                    "timeout": "5s",
                    "retries": 3,
                    "start_period": "1m0s",
                },
                "wait": True,
                "wait_timeout": 30,
                "log_driver": "json-file",
                "log_opts": {"max-size": "10m", "max-file": "3"},
                "labels": labels,
                "tmpfs": {"/scratch": "rw,size=1m"},
                "uploads": [
                    {"file": "/etc/ci/plain.yaml", "content": "plain"},
                    {"file": "/etc/ci/secret.yaml", "content": {"$secret": CANARY}},
                    {"file": "/etc/ci/run.sh", "content": "#!/bin/sh", "executable": True},
                    {"file": "/etc/ci/private", "content": "x", "permissions": "0600"},
                ],
                "volumes": [
                    {"volume_name": {"$ref": ["home", "name"]}, "container_path": "/data"},
                    {"host_path": "/tmp", "container_path": "/host", "read_only": True},
                ],
                **changes,
            },
        ),
    ]


@pytest.fixture(scope="module")
def deployed(shared_stack: Stack, image: str, module_unique: str) -> Stack:
    """The stack, after its first update."""
    shared_stack.declare(*_stack(module_unique, image))
    assert shared_stack.changes() == dict.fromkeys(("host", "home", "image", "server"), "create")
    shared_stack.up().ok()
    return shared_stack


def test_a_second_update_changes_nothing(deployed: Stack) -> None:
    """The recorded state is what the program asks for."""
    assert deployed.changes() == {}


def test_a_refresh_changes_nothing(deployed: Stack) -> None:
    assert deployed.changes("--refresh") == {}
    deployed.run("refresh", "--yes", "--expect-no-changes", "--skip-preview")
    assert deployed.changes() == {}


def test_ids_are_those_of_the_engine(deployed: Stack, look: Look, image: str, module_unique: str) -> None:
    """A container's id is the engine's, a volume's its name, an image's its id and name."""
    found = look(f"{module_unique}-server")
    recorded = deployed.resources()
    assert recorded["server"]["id"] == found.id
    assert recorded["home"]["id"] == f"{module_unique}-home"
    assert recorded["image"]["id"] == f"{image_of(found)}{image}"


def test_the_container_is_as_declared(deployed: Stack, look: Look, module_unique: str) -> None:
    del deployed
    found = look(f"{module_unique}-server")
    host, config = found.attrs["HostConfig"], found.attrs["Config"]
    assert host["Memory"] == host["MemorySwap"] == 64 * 1024 * 1024
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["GroupAdd"] == ["998"]
    assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 5}
    assert host["Init"] is True
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
    assert host["PortBindings"]["8080/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": str(PORTS[0])}]
    assert host["Tmpfs"] == {"/scratch": "rw,size=1m"}
    assert sorted(host["Binds"]) == ["/tmp:/host:ro", f"{module_unique}-home:/data:rw"]
    assert config["Healthcheck"]["Interval"] == 10**9
    assert config["StopTimeout"] == 10
    assert found.attrs["State"]["Health"]["Status"] == "healthy"


def test_uploaded_files_are_roots(deployed: Stack, look: Look, module_unique: str) -> None:
    """Files are root's, readable by all unless their mode says otherwise."""
    del deployed
    found = look(f"{module_unique}-server")
    chunks, _ = found.get_archive("/etc/ci")
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        modes = {entry.name: (entry.mode & 0o777, entry.uid, entry.gid) for entry in archive if entry.isfile()}
    assert modes == {
        "ci/plain.yaml": (0o644, 0, 0),
        "ci/secret.yaml": (0o644, 0, 0),
        "ci/run.sh": (0o744, 0, 0),
        "ci/private": (0o600, 0, 0),
    }


def test_secrets_are_in_the_state_in_cipher_only(deployed: Stack) -> None:
    assert CANARY not in deployed.exported()
    state = "".join(path.read_text() for path in deployed.folder.glob("state/.pulumi/**/*.json*"))
    assert state
    assert CANARY not in state


def test_a_refresh_keeps_secrets_secret(deployed: Stack) -> None:
    """Reading the container again does not open what was sealed."""
    deployed.run("refresh", "--yes", "--skip-preview").ok()
    assert CANARY not in deployed.exported()


def test_limits_change_in_place(deployed: Stack, look: Look, image: str, module_unique: str) -> None:
    """The container lives on when its limits and its restart policy change."""
    before = look(f"{module_unique}-server")
    changed = {"memory": 96, "memory_swap": 96, "cpu_shares": 256, "max_retry_count": 7}
    deployed.declare(*_stack(module_unique, image, **changed))
    deployed.up().ok()
    after = look(f"{module_unique}-server")
    assert after.id == before.id
    assert after.attrs["HostConfig"]["Memory"] == 96 * 1024 * 1024
    assert after.attrs["HostConfig"]["RestartPolicy"]["MaximumRetryCount"] == 7
    assert deployed.changes("--refresh") == {}


def test_a_stopped_container_with_ports_is_made_again(deployed: Stack, look: Look, module_unique: str) -> None:
    """A refresh reads no ports of a stopped container, which looks like an edit of them."""
    before = look(f"{module_unique}-server")
    before.stop(timeout=1)
    assert deployed.changes("--refresh") == {"server": "replace"}
    deployed.up("--refresh").ok()
    after = look(f"{module_unique}-server")
    assert after.id != before.id
    assert after.status == "running"
    assert deployed.changes("--refresh") == {}


def test_a_removed_container_is_made_again_with_its_volume(
    deployed: Stack, engine: docker.DockerClient, look: Look, module_unique: str
) -> None:
    before = look(f"{module_unique}-server")
    assert before.exec_run("touch /data/kept").exit_code == 0
    before.remove(force=True)
    assert deployed.changes() == {}
    assert deployed.changes("--refresh") == {"server": "create"}
    deployed.up("--refresh").ok()
    after = look(f"{module_unique}-server")
    assert after.id != before.id
    assert after.exec_run("ls /data/kept").exit_code == 0
    engine.volumes.get(f"{module_unique}-home")


def test_a_replacement_deletes_first(deployed: Stack, look: Look, image: str, module_unique: str) -> None:
    """The new container takes the name and the ports of the old one."""
    before = look(f"{module_unique}-server")
    deployed.declare(*_stack(module_unique, image, user="1000:1000", capabilities={"drops": ["CAP_CHOWN"]}))
    assert deployed.changes() == {"server": "replace"}
    # uid 1000 may not write to the volume: the command fails, and so would its health; nothing is waited for.
    changes = {"user": "1000:1000", "command": ["sleep", "600"], "wait": False}
    deployed.declare(*_stack(module_unique, image, **changes))
    deployed.up().ok()
    after = look(f"{module_unique}-server")
    assert after.id != before.id
    assert deployed.changes("--refresh") == {}


def test_a_container_is_stopped_with_its_grace(deployed: Stack, look: Look, image: str, module_unique: str) -> None:
    """Without grace a container is killed; with it, it may end by itself."""
    waits = [
        "sh",
        "-c",
        "trap 'echo ended > /data/ended; exit 0' TERM; echo up > /data/up; while :; do sleep 0.1; done",
    ]
    deployed.declare(*_stack(module_unique, image, command=waits, init=False, destroy_grace_seconds=10))
    deployed.up().ok()
    deployed.declare(*_stack(module_unique, image, user="0:0"))
    deployed.up().ok()
    found = look(f"{module_unique}-server")
    assert found.exec_run("cat /data/ended").output == b"ended\n"


def test_the_end_leaves_nothing_but_the_image(
    deployed: Stack, engine: docker.DockerClient, look: Look, image: str, module_unique: str
) -> None:
    """Destroying removes container and volume; the image is kept locally."""
    begun = time.monotonic()
    deployed.run("destroy", "--yes", "--skip-preview").ok()
    assert time.monotonic() - begun < 30
    with pytest.raises(NotFound):
        look(f"{module_unique}-server")
    with pytest.raises(NotFound):
        engine.volumes.get(f"{module_unique}-home")
    assert engine.images.get(image)
