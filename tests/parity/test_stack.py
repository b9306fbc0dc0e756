"""One whole stack with every property that the project's stacks use, from the first update to the end of it."""

import io
import tarfile
from pathlib import Path
from string import Template
from typing import Any

import docker
import pytest
import yaml
from docker.errors import NotFound

from offline.toolchain import bundle
from tests.parity.support import HERE, Entry, Look, Plugins, Stack, container, labels, printed
from tests.support.verbs import free_port

CANARY = "canary-4f1d9b07"
PORTS = (free_port(), free_port())
VALUES = {"PORT_0": PORTS[0], "PORT_1": PORTS[1], "CANARY": CANARY}
CONTAINERS = yaml.safe_load(Template((HERE / "containers.yaml").read_text()).safe_substitute(VALUES))
TMPFS = {"type": "tmpfs", "device": "tmpfs", "o": "uid=99,gid=1000,mode=0750,size=1m,nosuid,nodev,noexec"}
NAMES = ("home", "socket", "net", "server", "confined", "joined")


def _stack(unique: str, image: str, **changes: Any) -> list[Entry]:
    own = labels(part="parity")
    return [
        {"type": "Volume", "name": "home", "props": {"name": f"{unique}-home", "labels": own}},
        {"type": "Volume", "name": "socket", "props": {"name": f"{unique}-socket", "driver_opts": TMPFS}},
        {"type": "Network", "name": "net", "props": {"name": f"{unique}-net", "driver": "bridge", "labels": own}},
        {"type": "RemoteImage", "name": "image", "props": {"name": image, "keep_locally": True}},
        container("server", image, **{**CONTAINERS["server"], "labels": own, "name": f"{unique}-server", **changes}),
        container("confined", image, name=f"{unique}-confined", **CONTAINERS["confined"]),
        container("joined", image, name=f"{unique}-joined", **CONTAINERS["joined"]),
    ]


@pytest.fixture(scope="module")
def deployed(stack: Stack, image: str, unique: str) -> Stack:
    """The stack, after its first update."""
    stack.declare(*_stack(unique, image))
    assert stack.changes() == dict.fromkeys(("host", "image", *NAMES), "create")
    stack.up()
    return stack


def test_nothing_changes_afterwards_with_and_without_a_refresh(deployed: Stack) -> None:
    deployed.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    assert deployed.changes() == {}


def test_ids_are_those_of_the_engine(deployed: Stack, look: Look, image: str, unique: str) -> None:
    """A container's id is the engine's, a volume's its name, an image's its id and name."""
    found = look(f"{unique}-server")
    recorded = deployed.resources()
    assert recorded["server"]["id"] == found.id
    assert recorded["home"]["id"] == f"{unique}-home"
    assert recorded["image"]["id"] == found.attrs["Image"] + image


def test_the_container_is_as_declared(deployed: Stack, look: Look, unique: str) -> None:
    found = look(f"{unique}-server")
    host, config = found.attrs["HostConfig"], found.attrs["Config"]
    assert host["Memory"] == host["MemorySwap"] == 64 * 1024 * 1024
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["GroupAdd"] == ["998"]
    assert host["RestartPolicy"]["Name"] == "on-failure"
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
    assert host["PortBindings"]["80/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": str(PORTS[0])}]
    assert sorted(host["Binds"]) == ["/tmp:/host:ro", f"{unique}-home:/data:rw"]
    assert config["Healthcheck"]["StartPeriod"] == 60 * 10**9
    assert (config["StopTimeout"], config["StopSignal"]) == (10, "SIGTERM")
    assert config["Labels"]["part"] == "parity"
    assert found.attrs["State"]["Health"]["Status"] == "healthy"


def test_a_confined_container_writes_to_its_volume_and_tmpfs_alone(deployed: Stack, look: Look, unique: str) -> None:
    found = look(f"{unique}-confined")
    assert list(found.attrs["NetworkSettings"]["Networks"]) == ["none"]
    assert printed(found, "sh -c 'echo kept > /run/x/a && echo kept > /tmp/a && cat /run/x/a /tmp/a'") == "kept\n" * 2
    assert "Read-only file system" in printed(found, "touch /etc/a")
    assert printed(found, "sh -c 'echo \"$RULES\"'") == "one\ntwo\n"


def test_a_container_is_in_one_network_with_its_alias_and_entry_point(deployed: Stack, look: Look, unique: str) -> None:
    found = look(f"{unique}-joined")
    [(name, network)] = found.attrs["NetworkSettings"]["Networks"].items()
    assert name == f"{unique}-net"
    assert "docker" in network["Aliases"]
    assert printed(found, "cat /said") == "--first a\n"


def test_uploaded_files_are_roots_and_readable(deployed: Stack, look: Look, unique: str) -> None:
    chunks, _ = look(f"{unique}-server").get_archive("/etc/ci")
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        modes = {entry.name: (entry.mode & 0o777, entry.uid, entry.gid) for entry in archive if entry.isfile()}
    assert modes == {"ci/plain.yaml": (0o644, 0, 0), "ci/secret.yaml": (0o644, 0, 0)}


def test_secrets_are_in_the_state_in_cipher_only_after_a_refresh_too(deployed: Stack) -> None:
    """The stack was refreshed above: reading a container again does not open what was sealed."""
    assert CANARY not in deployed.exported()
    state = "".join(path.read_text() for path in deployed.folder.glob("state/.pulumi/**/*.json*"))
    assert state
    assert CANARY not in state


def test_limits_change_in_place(deployed: Stack, look: Look, image: str, unique: str) -> None:
    """The container lives on when its limits and its restart policy change."""
    before = look(f"{unique}-server")
    deployed.declare(*_stack(unique, image, memory=96, memory_swap=96, restart="unless-stopped"))
    deployed.up()
    after = look(f"{unique}-server")
    assert after.id == before.id
    assert after.attrs["HostConfig"]["Memory"] == 96 * 1024 * 1024
    assert after.attrs["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"


def test_what_was_stopped_or_removed_by_hand_is_healed(deployed: Stack, look: Look, image: str, unique: str) -> None:
    """With ports made again, since none are read of one that stopped; without, the same one is started again."""
    deployed.declare(*_stack(unique, image))
    before = {name: look(f"{unique}-{name}") for name in ("server", "confined", "joined")}
    assert before["server"].exec_run("touch /data/kept").exit_code == 0
    before["server"].stop(timeout=1)
    before["confined"].stop(timeout=0)
    before["joined"].remove(force=True)
    assert deployed.changes("--refresh") == {"server": "replace", "confined": "update", "joined": "create"}
    deployed.up("--refresh")
    after = {name: look(f"{unique}-{name}") for name in before}
    assert [name for name in after if after[name].id == before[name].id] == ["confined"]
    assert {found.status for found in after.values()} == {"running"}
    assert printed(after["server"], "ls /data/kept") == "/data/kept\n"
    assert deployed.changes("--refresh") == {}


def test_a_replacement_stops_the_old_one_with_its_grace_and_takes_its_name_and_ports(
    deployed: Stack, look: Look, image: str, unique: str
) -> None:
    before = look(f"{unique}-server")
    before.exec_run(["sh", "-c", ": > /data/ended"])
    deployed.declare(*_stack(unique, image, user="0:1000", capabilities={"drops": ["CAP_CHOWN"]}))
    deployed.up()
    after = look(f"{unique}-server")
    assert after.id != before.id
    assert printed(after, "cat /data/ended") == "ended\n"


def test_official_plugins_take_the_bundled_ones_state(deployed: Stack, image: str, unique: str, tmp_path: Path) -> None:
    """And nothing is replaced for it."""
    official = deployed.plugins
    if official.bundled:
        pytest.skip("this takes the official plugins too: CI_TEST_PLUGINS=official")
    bundle(tmp_path, official.cli, ["host", "docker"])
    deployed.plugins = Plugins(tmp_path / "bin" / "pulumi", {}, bundled=True)
    deployed.variables["PULUMI_STACK"] = "organization/parity/test"
    deployed.declare(*_stack(unique, image))
    deployed.pulumi("destroy", "--yes", "--skip-preview")
    deployed.up()
    deployed.plugins = official
    assert deployed.changes() == {}


def test_the_end_leaves_nothing_but_the_image(
    deployed: Stack, engine: docker.DockerClient, look: Look, image: str, unique: str
) -> None:
    deployed.pulumi("destroy", "--yes", "--skip-preview")
    for lookup in (engine.containers.get, engine.volumes.get, engine.networks.get):
        for name in NAMES:
            with pytest.raises(NotFound):
                lookup(f"{unique}-{name}")
    assert engine.images.get(image)
