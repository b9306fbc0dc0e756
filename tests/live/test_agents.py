"""Jenkins' agents on a real engine: who has what, the sample on an agent, a lost controller, one agent less."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import docker
import docker.errors
import pytest

from tests.support.containers import inside
from tests.support.names import PREFIX
from tests.support.verbs import Verbs, clone
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = f"{PREFIX}-agents"
ENGINE = f"{NAME}-engine"
AGENT = f"{NAME}-agent-1"


@pytest.fixture(scope="module")
def verbs(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verbs]:
    """Bring the stack agents up once."""
    made = clone(tmp_path_factory.mktemp("agents"), "agents")
    with made.deployed(NAME, f"{ENGINE}-images", docker={"dind": {"containerName": ENGINE, "memoryMib": 1024}}):
        yield made


def mounts(engine: docker.DockerClient, name: str) -> dict[str, str]:
    attrs: Any = engine.containers.get(name).attrs
    return {mount["Destination"]: mount.get("Name", mount["Source"]) for mount in attrs["Mounts"]}


def test_the_agents_have_the_engine_and_the_controller_has_only_its_home_and_their_secrets(
    verbs: Verbs, engine: docker.DockerClient
) -> None:
    assert mounts(engine, NAME) == {"/var/jenkins_home": f"{NAME}-home", "/run/ci-agents": f"{NAME}-agents-secrets"}
    assert f"{NAME}-home" not in {*mounts(engine, AGENT).values(), *mounts(engine, ENGINE).values()}
    inside(AGENT, "docker", "version")
    for words in ([], ["--host", "tcp://docker:2376"]):
        with pytest.raises(AssertionError, match=r"Is the docker daemon running|lookup docker"):
            inside(NAME, "docker", *words, "version")


def test_an_agent_is_an_unprivileged_user_whose_secret_is_in_memory_and_in_no_argument(
    verbs: Verbs, engine: docker.DockerClient
) -> None:
    status = inside(AGENT, "cat", "/proc/1/status")
    assert "Uid:\t1000\t1000\t1000\t1000\n" in status
    assert "CapEff:\t0000000000000000\n" in status
    assert "tmpfs /run/ci-agents tmpfs ro," in inside(AGENT, "cat", "/proc/mounts")
    secret = inside(NAME, "cat", "/run/ci-agents/agent-1").strip()
    container = engine.containers.get(AGENT)
    assert secret not in str(container.attrs) + str(container.top()) + container.logs().decode()
    assert "-secret @/run/ci-agents/agent-1 -workDir /var/jenkins_home/agent-1" in container.logs().decode()


def test_the_sample_is_green_on_an_agent_and_status_asks_there(verbs: Verbs) -> None:
    assert "This is a simple file." in verbs.run("sample")
    text = verbs.run("status")
    assert f"{NAME}-agent-2: running, healthy" in text
    assert text.count("engine from inside") == 2


def test_a_second_update_changes_nothing(verbs: Verbs) -> None:
    assert "Nothing changed" in verbs.run("up")


def test_an_agent_is_unhealthy_while_the_controller_is_away_and_comes_back(
    verbs: Verbs, engine: docker.DockerClient
) -> None:
    def health() -> str:
        return str(engine.containers.get(AGENT).health)

    engine.containers.get(NAME).stop(timeout=5)
    try:
        eventually(lambda: health() == "unhealthy", seconds=90)
    finally:
        engine.containers.get(NAME).start()
    eventually(lambda: health() == "healthy", seconds=60)


def test_an_agent_less_leaves_no_container_and_jenkins_is_told(verbs: Verbs, engine: docker.DockerClient) -> None:
    verbs.edit(jenkins={"agents": 1})
    verbs.run("up")
    assert '"agents": ["agent-1"]' in inside(NAME, "cat", "/etc/ci/accounts.json")
    with pytest.raises(docker.errors.NotFound):
        engine.containers.get(f"{NAME}-agent-2")
    assert engine.containers.get(AGENT).health == "healthy"


def test_without_agents_nothing_of_them_is_left_and_the_controller_has_the_engine_again(
    verbs: Verbs, engine: docker.DockerClient
) -> None:
    verbs.edit(jenkins={"agents": 0})
    verbs.run("up")
    assert [each.name for each in engine.networks.list() if str(each.name).startswith(NAME)] == [ENGINE]
    named = {each.name for each in engine.volumes.list() if str(each.name).startswith(NAME)}
    assert named == {f"{NAME}-home", f"{ENGINE}-images", f"{ENGINE}-certificates"}
    inside(NAME, "docker", "version")
