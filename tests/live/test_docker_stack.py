"""The Docker platform on a real engine: deployed, used, broken by hand, healed, destroyed."""

import re
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest
import requests

from components.jenkins import casc, hooks, jobs
from tests.support import containers, deployment
from tests.support.deployment import Deployment
from tests.support.names import PREFIX
from tests.support.verbs import free_port

CONTAINER = f"{PREFIX}-jenkins"
HOME = f"{CONTAINER}-home"
PASSWORD = "canary-9c41-password"
TOKEN = "canary-9c41-token"


PORTS = {"httpPort": free_port(), "agentPort": free_port()}


def settings(image: str, **jenkins: Any) -> dict[str, Any]:
    return {
        "platform": "docker",
        "docker": {"acceptRootOnHost": True},
        "jenkins": {"image": image, "containerName": CONTAINER, "homeVolume": HOME, **PORTS, **jenkins},
    }


@pytest.fixture(scope="module")
def deployed(
    tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient, controller: str
) -> Iterator[Deployment]:
    """Deploy once for this module; destroy and remove the kept volume afterwards.

    A test that sets all that it needs takes this, and leaves its settings; the others take `stack`.
    """
    made = deployment.copy(tmp_path_factory.mktemp("live"))
    made.configure(**settings(controller))
    made.secret("adminPassword", PASSWORD)
    made.secret("gitToken", TOKEN)
    try:
        made.up()
        yield made
    finally:
        made.destroy()
        engine.volumes.get(HOME).remove()


@pytest.fixture
def stack(deployed: Deployment, controller: str) -> Deployment:
    """Give the stack as it was configured at first, whatever a test before has done to its settings."""
    deployed.settle(**settings(controller))
    return deployed


inside = partial(containers.inside, CONTAINER)


def test_a_second_update_and_a_preview_change_nothing(stack: Deployment) -> None:
    assert set(stack.up()) == {"same"}
    assert set(stack.preview()) == {"same"}
    stack.pulumi("preview", "--expect-no-changes")


def test_the_user_of_jenkins_drives_the_hosts_engine_without_root_and_without_chmod(stack: Deployment) -> None:
    group = Path("/var/run/docker.sock").stat().st_gid
    before = Path("/var/run/docker.sock").stat()
    assert inside("id", "-u").strip() == "1000"
    assert str(group) in inside("id", "-G").split()
    assert CONTAINER in inside("docker", "ps", "--format", "{{.Names}}").split()
    after = Path("/var/run/docker.sock").stat()
    assert (before.st_mode, before.st_uid, before.st_gid) == (after.st_mode, after.st_uid, after.st_gid)


def test_every_uploaded_file_can_be_read_by_jenkins_user(stack: Deployment) -> None:
    for file in (casc.FILE, jobs.FILE, hooks.NOTIFY_TOKEN_FILE, "/run/secrets/gitToken"):
        assert inside("cat", file)


def test_the_ports_lead_into_the_container(stack: Deployment) -> None:
    for key, path in {"httpPort": "login", "agentPort": ""}.items():
        assert requests.get(f"http://127.0.0.1:{PORTS[key]}/{path}", timeout=10).status_code == requests.codes.ok


def test_the_container_meets_the_cis_benchmark_but_in_its_socket(
    stack: Deployment, engine: docker.DockerClient
) -> None:
    found = engine.containers.get(CONTAINER).attrs
    host, config = found["HostConfig"], found["Config"]
    misses = {
        "5.4 privileged": host["Privileged"],
        "5.3 capabilities": host["CapDrop"] != ["ALL"] or bool(host["CapAdd"]),
        "5.5 sensitive host folders": [
            mount["Source"]
            for mount in found["Mounts"]
            if mount["Type"] == "bind" and mount["Source"] != "/var/run/docker.sock"
        ],
        "5.8 privileged ports": [port for port in PORTS.values() if port < 1024],
        "5.9 host's network": host["NetworkMode"] == "host",
        "5.10 memory": host["Memory"] != 2048 * 2**20 or host["MemorySwap"] != host["Memory"],
        "5.14 interface": {entry["HostIp"] for entries in host["PortBindings"].values() for entry in entries}
        != {"127.0.0.1"},
        "5.14 restart": host["RestartPolicy"]["Name"] != "on-failure",
        "5.15 host's processes": host["PidMode"],
        "5.16 host's ipc": host["IpcMode"] == "host",
        "5.17 devices": host["Devices"],
        "5.20 host's uts": host["UTSMode"],
        "5.21 seccomp": [option for option in host["SecurityOpt"] if "seccomp" in option],
        "5.25 new privileges": "no-new-privileges:true" not in host["SecurityOpt"],
        "5.26 health check": not config.get("Healthcheck"),
        "5.30 host's users": host["UsernsMode"],
        "root": config["User"] != "1000:1000",
    }
    assert not {rule for rule, miss in misses.items() if miss}
    assert [m["Source"] for m in found["Mounts"] if m["Destination"] == "/var/run/docker.sock"] == [
        "/var/run/docker.sock"
    ]


def test_no_secret_is_anywhere_but_in_its_file(stack: Deployment, engine: docker.DockerClient) -> None:
    shown = stack.shown(engine.containers.get(CONTAINER))
    assert not {place for place, text in shown.items() if PASSWORD in text or TOKEN in text or "$2a$10$" in text}
    assert re.search(r"#jbcrypt:\$2a\$10\$", inside("cat", "/etc/ci/casc/jenkins.yaml"))
    assert inside("cat", "/run/secrets/gitToken") == TOKEN


def test_a_configuration_of_the_users_own_gets_its_secrets_and_nobody_else_does(
    deployed: Deployment, engine: docker.DockerClient, controller: str
) -> None:
    deployed.configure(**settings(controller, configuration="examples/jenkins.yaml"))
    try:
        for name in ("mailPassword", "registryPassword"):
            deployed.pulumi("config", "set", "--secret", "--path", f"ci:jenkinsSecrets.{name}", stdin=f"canary-{name}")
        deployed.up()
        assert inside("cat", "/run/secrets/mailPassword") == "canary-mailPassword"
        assert "password: ${mailPassword}" in inside("cat", casc.FILE)
        shown = deployed.shown(engine.containers.get(CONTAINER))
        assert not {place for place, text in shown.items() if "canary-mailPassword" in text}
        assert set(deployed.preview()) == {"same"}
    finally:
        deployed.pulumi("config", "rm", "ci:jenkinsSecrets")


def test_a_stopped_container_is_started_again(stack: Deployment, engine: docker.DockerClient) -> None:
    engine.containers.get(CONTAINER).stop(timeout=5)
    changes = stack.up()
    assert set(changes) != {"same"}
    assert engine.containers.get(CONTAINER).status == "running"


def test_restart_changes_in_place(stack: Deployment, engine: docker.DockerClient, controller: str) -> None:
    before = engine.containers.get(CONTAINER).id
    stack.configure(**settings(controller, restart="unless-stopped"))
    assert {kind: count for kind, count in stack.up().items() if kind != "same"} == {"update": 1}
    found = engine.containers.get(CONTAINER)
    assert found.id == before
    assert found.attrs["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert set(stack.up()) == {"same"}


def test_each_edit_replaces_the_container_and_then_nothing_changes_any_more(stack: Deployment, controller: str) -> None:
    edits: dict[str, Any] = {
        "memoryMib": 1024,  # the heap is a share of what there was as Java started
        "logMaxFiles": 5,
        "javaOptions": ["-Xss2m"],
        "executors": 1,
        "agentPort": None,
    }
    for key, value in edits.items():
        stack.configure(**settings(controller, **{key: value}))
        assert stack.preview().get("replace") == 1, key
    stack.configure(**settings(controller, **edits))
    text = stack.pulumi("preview", "--diff")
    assert "numExecutors" in text
    assert "2 => 1" in text
    assert stack.up().get("replace") == 1
    assert set(stack.up()) == {"same"}


def test_another_time_to_start_replaces_nothing(stack: Deployment, controller: str) -> None:
    stack.configure(**settings(controller, startTimeoutSeconds=300))
    assert {kind: count for kind, count in stack.up().items() if kind != "same"} == {"update": 1}


def test_jenkins_reaches_the_socket_by_its_group_alone(deployed: Deployment, controller: str) -> None:
    status = inside("cat", "/proc/1/status")
    assert re.search(r"^Uid:\s+1000\s+1000\s+1000\s+1000$", status, re.MULTILINE)
    assert re.search(r"^Cap(Eff|Bnd):\s+0{16}$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
    keys = settings(controller)
    deployed.configure(**{**keys, "docker": {**keys["docker"], "socketGroup": 4747}})
    deployed.up()
    with pytest.raises(AssertionError, match="permission denied"):
        inside("docker", "version")


def test_the_wizard_uploads_nothing_that_would_set_jenkins_up(
    deployed: Deployment, engine: docker.DockerClient, controller: str
) -> None:
    deployed.configure(**settings(controller, setup="wizard"))
    deployed.up()
    with pytest.raises(AssertionError, match="No such file"):
        inside("ls", "/etc/ci")
    assert "CASC_JENKINS_CONFIG" not in inside("env")
    assert any("initialAdminPassword" in step for step in deployed.outputs()["next"])


def test_the_hosts_docker_client_can_be_mounted_as_the_article_does(deployed: Deployment, controller: str) -> None:
    client = subprocess.run(
        ["sh", "-c", "command -v docker"], capture_output=True, text=True, check=True
    ).stdout.strip()
    deployed.configure(**settings(controller, dockerClient="host", dockerClientPath=client))
    deployed.up()
    assert "/usr/bin/docker" in inside("ls", "/usr/bin/docker")
    assert set(deployed.up()) == {"same"}


def test_a_volume_of_somebody_else_is_refused_and_stays(
    deployed: Deployment, engine: docker.DockerClient, controller: str
) -> None:
    foreign = f"{CONTAINER}-foreign"
    engine.volumes.create(foreign)
    try:
        deployed.configure(**settings(controller, homeVolume=foreign))
        assert f'ci:jenkins.homeVolume = "{foreign}"' in deployed.pulumi("up", "--yes", status=None)
        deployed.settle(**settings(controller, homeVolume=foreign, adoptHome=True))
        deployed.settle(**settings(controller))
        assert engine.volumes.get(foreign)
        assert engine.volumes.get(HOME)
    finally:
        engine.volumes.get(foreign).remove(force=True)
