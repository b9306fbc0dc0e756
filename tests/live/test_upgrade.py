"""An upgrade from the last release on a real engine: its stack goes on with its home."""

import docker
import pytest

from tests.support import containers, deployment, release
from tests.support.names import PREFIX
from tests.support.verbs import free_port

CONTAINER = f"{PREFIX}-upgrade"
HOME = f"{CONTAINER}-home"
JOB = "/var/jenkins_home/jobs/mine/config.xml"


def test_the_present_program_takes_over_what_the_last_release_deployed(
    engine: docker.DockerClient, controller: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = deployment.copy(tmp_path_factory.mktemp("upgrade"))
    ports = {"httpPort": free_port(), "agentPort": free_port()}
    jenkins = {"image": controller, "containerName": CONTAINER, "homeVolume": HOME, **ports}
    made.configure(platform="docker", docker={"acceptRootOnHost": True}, jenkins=jenkins)
    try:
        release.released(made.root)
        made.up()
        containers.inside(CONTAINER, "sh", "-c", f"mkdir -p $(dirname {JOB}) && echo mine > {JOB}")
        before = engine.volumes.get(HOME).attrs, made.outputs(), password(made)

        release.present(made.root)
        assert [urn for urn in release.lost(made) if "/volume:Volume::" in urn] == []
        made.up()
        assert containers.inside(CONTAINER, "cat", JOB) == "mine\n"
        assert (engine.volumes.get(HOME).attrs, password(made)) == (before[0], before[2])
        after = {**made.outputs(), "next": before[1]["next"]}  # its sentences may change
        assert {**after, **before[1]} == after
        assert made.preview().keys() <= {"same"}
    finally:
        made.destroy()
        engine.volumes.get(HOME).remove()


def password(made: deployment.Deployment) -> str:
    return made.pulumi("stack", "output", "--show-secrets", "adminPassword")
