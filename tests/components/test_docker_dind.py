"""What `access: dind` registers: each claim in both modes, as a preview and as an update."""

from typing import Any

import pulumi
import pytest

from components import docker
from tests.support.engine import Engine, is_unknown, urn_name
from tests.support.settings import settings

ENGINE, CONTROLLER = "engine-container", "jenkins-controller"


def deploy(engine: Engine, **dind: Any) -> dict[str, Any]:
    """Deploy a stack with an engine of its own; give the engine's container."""
    stack = settings(docker={"acceptRootOnHost": True, "access": "dind", **({"dind": dind} if dind else {})})
    engine.run(lambda: docker.deploy(stack))
    return engine.inputs[ENGINE]


def mounts(container: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    return {
        entry["containerPath"]: (entry.get("volumeName") or entry["hostPath"], entry["readOnly"])
        for entry in container["volumes"]
    }


def test_neither_container_has_the_hosts_socket_and_no_port_of_the_engine_is_published(engine: Engine) -> None:
    container = deploy(engine)
    for made in (container, engine.inputs[CONTROLLER]):
        assert not [path for path in mounts(made) if path.endswith("docker.sock")]
    assert "ports" not in container
    assert "groupAdds" not in engine.inputs[CONTROLLER] or engine.inputs[CONTROLLER]["groupAdds"] == []


def test_jenkins_reaches_it_by_tls_with_certificates_that_it_only_reads(engine: Engine) -> None:
    container = deploy(engine)
    jenkins = engine.inputs[CONTROLLER]
    assert {"DOCKER_HOST=tcp://docker:2376", "DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH=/certs/client"} <= set(
        jenkins["envs"]
    )
    assert container["envs"] == ["DOCKER_TLS_CERTDIR=/certs"]
    assert mounts(container)["/certs/client"] == ("jenkins-docker-certificates", False)
    assert mounts(jenkins)["/certs/client"] == ("jenkins-docker-certificates", True)


def test_the_authoritys_key_is_in_no_volume(engine: Engine) -> None:
    assert set(mounts(deploy(engine))) == {"/var/lib/docker", "/certs/client", "/var/jenkins_home"}


def test_they_are_in_a_network_of_their_own_where_the_engine_is_called_docker(engine: Engine) -> None:
    container = deploy(engine)
    assert engine.inputs["engine-network"]["name"] == "jenkins-docker"
    assert container["networksAdvanced"] == [{"name": "jenkins-docker", "aliases": ["docker"]}]
    assert engine.inputs[CONTROLLER]["networksAdvanced"] == [{"name": "jenkins-docker"}]


def test_the_engine_has_jenkins_home_at_jenkins_own_path_so_that_inside_finds_the_workspace(engine: Engine) -> None:
    container = deploy(engine)
    home = mounts(container)["/var/jenkins_home"]
    assert home == mounts(engine.inputs[CONTROLLER])["/var/jenkins_home"] == ("jenkins_home", False)


def test_jenkins_starts_once_the_engine_is_healthy_by_jenkins_own_way(engine: Engine) -> None:
    container = deploy(engine)
    assert ENGINE in {urn_name(urn) for urn in engine.requests[CONTROLLER].dependencies}
    assert container["wait"] is True
    [_, command] = container["healthcheck"]["tests"]
    assert "DOCKER_TLS_VERIFY=1" in command
    assert "tcp://localhost:2376" in command
    assert (container["healthcheck"]["startPeriod"], container["waitTimeout"]) == ("2m0s", 120)


def test_it_is_privileged_by_default_and_that_is_said_at_preview_and_in_the_next_steps(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    warned: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", warned.append)
    container = deploy(engine)
    assert container["privileged"] is True
    assert not {"capabilities", "securityOpts", "entrypoints"} & set(container)
    [warning] = warned
    assert "jenkins-docker is privileged: anyone who can run a job here can get root on the Docker host" in warning


def test_without_privileges_it_has_three_capabilities_and_makes_its_control_groups_writable_first(
    engine: Engine,
) -> None:
    container = deploy(engine, privileged=False)
    assert container["privileged"] is False
    assert container["capabilities"] == {"adds": ["CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_SYS_PTRACE"]}
    assert container["securityOpts"] == ["apparmor=unconfined", "seccomp=unconfined"]
    [shell, flags, script, *_] = container["entrypoints"]
    assert (shell, flags) == ("sh", "-ec")
    assert "mount -o remount,bind,rw" in script
    assert 'exec dockerd-entrypoint.sh "$@"' in script


def test_an_option_that_is_taken_out_again_goes_since_there_is_always_a_command(engine: Engine) -> None:
    container = deploy(engine, options=["--registry-mirror=https://mirror.example.org"])
    assert container["command"] == ["--shutdown-timeout=15", "--registry-mirror=https://mirror.example.org"]


def test_what_it_built_outlives_the_stack_and_its_certificates_do_not(engine: Engine) -> None:
    deploy(engine)
    assert engine.requests["engine-storage"].retainOnDelete
    assert list(engine.requests["engine-storage"].ignoreChanges) == ["labels"]
    assert not engine.requests["engine-certificates"].retainOnDelete


def test_its_memory_is_limited_without_swap(engine: Engine) -> None:
    container = deploy(engine, memoryMib=1024)
    assert (container["memory"], container["memorySwap"]) == (1024, 1024)


def test_everything_is_labelled_named_after_it_and_of_the_hosts_provider(engine: Engine) -> None:
    deploy(engine, containerName="team-engine")
    labels = [{"label": "ci.project", "value": "ci"}, {"label": "ci.stack", "value": "test"}]
    names = {
        "engine-container": "team-engine",
        "engine-network": "team-engine",
        "engine-storage": "team-engine-images",
        "engine-certificates": "team-engine-certificates",
    }
    for resource, name in names.items():
        assert engine.inputs[resource]["name"] == name
        assert engine.inputs[resource]["labels"] == labels
        assert "pulumi:providers:docker::host::host-id" in engine.requests[resource].provider, resource
        assert engine.requests[resource].parent.endswith("ci:docker:Engine::engine")
    assert "engine" in engine.finished


def test_its_image_is_used_by_its_id_and_kept(engine: Engine) -> None:
    container = deploy(engine)
    assert engine.inputs["engine-image"]["name"] == "docker:28.5.2-dind"
    assert engine.inputs["engine-image"]["keepLocally"] is True
    assert is_unknown(container["image"]) if engine.preview else container["image"] == "sha256:ready"


def test_the_outputs_name_the_engine_its_container_and_the_volume_that_stays(engine: Engine) -> None:
    stack = settings(docker={"acceptRootOnHost": True, "access": "dind"})

    found: dict[str, Any] = {}
    engine.run(lambda: pulumi.Output.from_input(dict(docker.deploy(stack))).apply(found.update))
    assert (found["access"], found["engine"]) == ("dind", "tcp://docker:2376")
    assert found["sidecars"] == {"engine": "jenkins-docker"}
    assert found["retainedVolumes"] == ["jenkins-docker-images"]
    assert any("docker exec jenkins-docker docker image ls" in step for step in found["next"])
