"""An upgrade from the last release on a real engine: its stack goes on with its home."""

from collections.abc import Iterator
from typing import Any

import docker
import pytest

from tests.support import containers, deployment, jenkins, release
from tests.support.deployment import Deployment
from tests.support.jenkins import Remote
from tests.support.names import PREFIX
from tests.support.verbs import free_port

CONTAINER = f"{PREFIX}-upgrade"
HOME = f"{CONTAINER}-home"
MARKER = "/var/jenkins_home/marker"
PORTS = {"httpPort": free_port(), "agentPort": free_port()}
BUILDS = 30


@pytest.fixture(scope="module")
def upgraded(
    engine: docker.DockerClient, controller: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Deployment, Any, Any]]:
    """Deploy the last release, build if Jenkins is a real one, and upgrade; give what was before and is after."""
    made = deployment.copy(tmp_path_factory.mktemp("upgrade"))
    names = {"image": controller, "containerName": CONTAINER, "homeVolume": HOME, **PORTS}
    jobs = [{"name": "counts", "script": "echo 'a build of the release'"}]
    made.configure(platform="docker", docker={"acceptRootOnHost": True}, jenkins=names, jobs=jobs)
    try:
        release.released(made.root)
        made.up()
        containers.inside(CONTAINER, "sh", "-c", f"echo kept > {MARKER}")
        if jenkins.real():
            remote(made).script(f"{BUILDS}.times {{ jenkins.getItem('counts').scheduleBuild2(0).get() }}")
        before = engine.volumes.get(HOME).attrs, made.outputs(), password(made)

        release.present(made.root)
        assert [urn for urn in release.lost(made) if "/volume:Volume::" in urn] == []
        made.up()
        yield made, before, (engine.volumes.get(HOME).attrs, made.outputs(), password(made))
    finally:
        made.destroy()
        engine.volumes.get(HOME).remove()


def test_the_present_program_takes_over_what_the_last_release_deployed(upgraded: tuple[Deployment, Any, Any]) -> None:
    made, before, after = upgraded
    assert containers.inside(CONTAINER, "cat", MARKER) == "kept\n"
    # The engine tells the time of the folder's last change as that of the volume's making. The marker shows what it is.
    volumes = [{**found[0], "CreatedAt": ""} for found in (before, after)]
    assert volumes[0] == volumes[1]
    assert after[2] == before[2]
    outputs = {**after[1], "next": before[1]["next"]}  # its sentences may change
    assert {**outputs, **before[1]} == outputs
    assert made.preview().keys() <= {"same"}


def test_the_builds_of_the_last_release_are_there_and_the_next_one_has_the_next_number(
    real_jenkins: str, upgraded: tuple[Deployment, Any, Any]
) -> None:
    there = remote(upgraded[0])
    assert there.numbers()["counts"] == BUILDS
    assert "a build of the release" in there.log("counts", "getBuildByNumber(7)")
    assert there.build("counts").endswith("Finished: SUCCESS")
    assert there.numbers()["counts"] == BUILDS + 1


def remote(made: Deployment) -> Remote:
    return Remote(PORTS["httpPort"], password(made))


def password(made: Deployment) -> str:
    return made.pulumi("stack", "output", "--show-secrets", "adminPassword").strip()
