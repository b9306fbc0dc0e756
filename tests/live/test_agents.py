"""Jenkins' agents on a real engine: who has what, the sample on an agent, a lost controller, one agent less."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING, Any

import docker
import docker.errors
import pytest
import requests

from tests.support.containers import inside
from tests.support.jenkins import Remote
from tests.support.names import PREFIX
from tests.support.verbs import Verbs, clone
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker.models.containers import Container

NAME = f"{PREFIX}-agents"
ENGINE = f"{NAME}-engine"
AGENT = f"{NAME}-agent-1"
LONG = "node { sh 'rm -f go; echo is at work; until [ -e go ]; do sleep 1; done; echo went on' }"
"""A pipeline whose step ends when its workspace has a file."""


@pytest.fixture(scope="module")
def verbs(real_jenkins: str, engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verbs]:
    """Bring the stack agents up once."""
    made = clone(tmp_path_factory.mktemp("agents"), "agents")
    # After so many seconds Jenkins takes a step for lost, of which nothing is heard; by default 300.
    heartbeat = "-Dorg.jenkinsci.plugins.durabletask.BourneShellScript.HEARTBEAT_CHECK_INTERVAL=30"
    keys: dict[str, Any] = {
        "docker": {"dind": {"containerName": ENGINE, "memoryMib": 1024}},
        "jenkins": {"javaOptions": [heartbeat]},
        "jobs": [{"name": "long", "script": LONG}],
    }
    with made.deployed(NAME, f"{ENGINE}-images", **keys):
        yield made


def health(engine: docker.DockerClient, name: str) -> str:
    return str(engine.containers.get(name).health)


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
    assert len(secret) == 64
    container = engine.containers.get(AGENT)
    processes = str(container.top())
    # A process may end before its environment is read.
    read = "cat /proc/*/environ 2> /dev/null || true"
    environments = "".join(inside(name, "sh", "-c", read, user="1000") for name in (AGENT, NAME))
    assert environments.count("PATH=") > 1
    assert secret not in str(container.attrs) + processes + container.logs().decode() + environments
    assert "-secret @/run/ci-agents/agent-1 -workDir /var/jenkins_home/agent-1" in processes


def test_the_sample_is_green_on_an_agent_and_status_asks_there(verbs: Verbs) -> None:
    assert "This is a simple file." in verbs.run("sample")
    text = verbs.run("status")
    assert f"{NAME}-agent-2: running, healthy" in text
    assert text.count("engine from inside") == 2


def test_a_second_update_changes_nothing(verbs: Verbs) -> None:
    assert "Nothing changed" in verbs.run("up")


def test_a_step_on_an_agent_goes_on_while_the_controller_is_started_again(
    verbs: Verbs, engine: docker.DockerClient
) -> None:
    jenkins = Remote.of(verbs)
    agent = at_work(jenkins)
    engine.containers.get(NAME).restart(timeout=60)
    inside(f"{NAME}-{agent}", "touch", f"/var/jenkins_home/{agent}/workspace/long/go")
    eventually(lambda: jenkins.status() == requests.codes.ok, seconds=180, every=1)
    eventually(lambda: "Finished: " in jenkins.log("long"), seconds=120, every=1)
    assert "went on\n" in jenkins.log("long")
    assert "Finished: SUCCESS" in jenkins.log("long")


def end_program(container: Container) -> None:
    """Kill an agent's program, which its shell starts again."""
    for _, pid, *_, command in container.top()["Processes"]:
        if command.split()[0].endswith("java"):  # by its whole path, once it has started itself again
            os.kill(int(pid), signal.SIGKILL)


def test_a_step_goes_on_while_its_agents_program_is_started_again(verbs: Verbs, engine: docker.DockerClient) -> None:
    jenkins = Remote.of(verbs)
    agent = at_work(jenkins)
    end_program(engine.containers.get(f"{NAME}-{agent}"))
    inside(f"{NAME}-{agent}", "touch", f"/var/jenkins_home/{agent}/workspace/long/go")
    eventually(lambda: "Finished: " in jenkins.log("long"), seconds=120, every=1)
    assert "went on\n" in jenkins.log("long")
    assert jenkins.log("long").endswith("Finished: SUCCESS")


def test_a_killed_agent_comes_back_its_build_fails_with_the_reason_and_the_next_is_green(
    verbs: Verbs, engine: docker.DockerClient
) -> None:
    jenkins = Remote.of(verbs)
    name = f"{NAME}-{at_work(jenkins)}"
    os.kill(engine.containers.get(name).attrs["State"]["Pid"], signal.SIGKILL)
    eventually(lambda: "Finished: " in jenkins.log("long"), seconds=300, every=1)
    text = jenkins.log("long")
    assert "Finished: FAILURE" in text, text
    assert re.search(r"wrapper script does not seem to be touching the log file|was lost|is offline", text), text
    eventually(lambda: health(engine, name) == "healthy", seconds=120)
    assert jenkins.build("sample").endswith("Finished: SUCCESS")


def at_work(jenkins: Remote) -> str:
    """Start the long job; give its agent's name once its step runs there."""
    jenkins.start("long")
    eventually(lambda: "is at work\n" in jenkins.log("long"), seconds=60, every=0.5)
    found = re.search("Running on (agent-[0-9])", jenkins.log("long"))
    assert found
    return found[1]


def test_an_agent_is_unhealthy_while_the_controller_is_away_and_comes_back(
    verbs: Verbs, engine: docker.DockerClient
) -> None:
    engine.containers.get(NAME).stop(timeout=5)
    try:
        eventually(lambda: health(engine, AGENT) == "unhealthy", seconds=90)
    finally:
        engine.containers.get(NAME).start()
    eventually(lambda: health(engine, AGENT) == "healthy", seconds=180)


def test_an_agent_is_unhealthy_with_a_wrong_secret_or_a_program_that_does_not_start_and_comes_back(
    verbs: Verbs, engine: docker.DockerClient
) -> None:
    refused, broken = names = [f"{NAME}-agent-{number}" for number in (1, 2)]
    right = inside(NAME, "cat", "/run/ci-agents/agent-1")
    java = inside(broken, "sh", "-c", "readlink -f $(command -v java)").strip()
    try:
        inside(NAME, "sh", "-c", "printf %064d 0 > /run/ci-agents/agent-1")
        inside(broken, "chmod", "a-x", java, user="root")
        for agent in map(engine.containers.get, names):
            end_program(agent)
            # A connection to the controller that is not an agent's.
            agent.exec_run(["sh", "-c", "sleep 60 | curl -s telnet://jenkins:8080"], detach=True)
        eventually(lambda: {health(engine, name) for name in names} == {"unhealthy"}, seconds=60)
        assert "Failed to connect" in engine.containers.get(refused).logs(tail=20).decode()
    finally:
        inside(NAME, "sh", "-c", f"printf {right} > /run/ci-agents/agent-1")
        inside(broken, "chmod", "a+x", java, user="root")
        end_program(engine.containers.get(refused))
    eventually(lambda: {health(engine, name) for name in names} == {"healthy"}, seconds=60)


def test_an_agent_less_leaves_no_container_and_jenkins_is_told(verbs: Verbs, engine: docker.DockerClient) -> None:
    verbs.edit(jenkins={"agents": 1})
    verbs.run("up")
    assert Remote.of(verbs).script("print(jenkins.nodes*.name)") == "[agent-1]"
    with pytest.raises(docker.errors.NotFound):
        engine.containers.get(f"{NAME}-agent-2")
    eventually(lambda: health(engine, AGENT) == "healthy", seconds=180)


def test_without_agents_nothing_of_them_is_left_and_the_controller_has_the_engine_again(
    verbs: Verbs, engine: docker.DockerClient
) -> None:
    verbs.edit(jenkins={"agents": 0})
    verbs.run("up")
    assert [each.name for each in engine.networks.list() if str(each.name).startswith(NAME)] == [ENGINE]
    named = {each.name for each in engine.volumes.list() if str(each.name).startswith(NAME)}
    assert named == {f"{NAME}-home", f"{ENGINE}-images", f"{ENGINE}-certificates"}
    inside(NAME, "docker", "version")
