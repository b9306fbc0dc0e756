"""What the Docker platform registers: each claim in both modes, as a preview and as an update."""

from pathlib import Path
from typing import Any, get_args

import pytest

from components import docker
from components.docker import access
from components.settings import DockerSettings, Settings
from tests.support.engine import Engine
from tests.support.settings import settings

CONTAINER = "jenkins-controller"


def deploy(engine: Engine, stack: Settings | None = None) -> dict[str, Any]:
    """Deploy a stack; give the container's inputs."""
    engine.run(lambda: docker.deploy(stack or settings()))
    return engine.inputs[CONTAINER]


@pytest.mark.parametrize(("seconds", "written"), [(90, "1m30s"), (600, "10m0s"), (3600, "1h0m0s"), (45, "45s")])
def test_a_duration_is_written_as_the_engine_reads_it_back(engine: Engine, seconds: int, written: str) -> None:
    container = deploy(engine, settings(jenkins={"startTimeoutSeconds": seconds}))
    assert container["healthcheck"]["startPeriod"] == written
    assert container["waitTimeout"] == seconds


def test_the_build_context_is_named_relative_to_the_project_so_that_two_clones_have_one_state(engine: Engine) -> None:
    deploy(engine)
    build = engine.inputs["jenkins-image"]["build"]
    assert build["context"] == "components/jenkins/image"
    assert (Path(build["context"]) / "plugins.txt").is_file()
    assert Path(build["dockerfile"]).is_file()


def test_each_way_to_an_engine_that_the_settings_take_has_its_module() -> None:
    taken = get_args(DockerSettings.model_fields["access"].annotation)
    assert set(taken) == set(access.MODES)
