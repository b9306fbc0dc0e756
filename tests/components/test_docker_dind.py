"""What `access: dind` registers: each claim in both modes, as a preview and as an update."""

from typing import Any

from components import docker
from tests.support.engine import Engine
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


def test_the_engine_has_jenkins_home_at_jenkins_own_path_so_that_inside_finds_the_workspace(engine: Engine) -> None:
    container = deploy(engine)
    home = mounts(container)["/var/jenkins_home"]
    assert home == mounts(engine.inputs[CONTROLLER])["/var/jenkins_home"] == ("jenkins_home", False)
