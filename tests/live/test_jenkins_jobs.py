"""What a real Jenkins keeps of the stack's jobs, when it counts a build as paused, and what the setup wizard ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests
from pydantic import SecretStr

from components.jenkins.builds import Builds
from ops.jenkins import Jenkins
from tests.support import deployment
from tests.support.containers import inside
from tests.support.names import PREFIX
from tests.support.verbs import free_port
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

    from tests.support.deployment import Deployment

NAME = f"{PREFIX}-jobs"
PORTS = {"httpPort": free_port(), "agentPort": free_port()}
NIGHTLY = """pipeline {
    agent any
    triggers { cron('H 4 * * 1') }
    parameters { string(name: 'FLAVOUR', defaultValue: 'plain') }
    stages { stage('Build') { steps { sh 'true' } } }
}"""
SCRIPTED = "properties([pipelineTriggers([cron('H 5 * * 2')])])\nnode { sh 'true' }"
PARALLEL = "parallel first: { node { sh 'sleep 1'; sh 'true' } }, second: { node { sh 'sleep 40' } }"
JOBS: list[dict[str, Any]] = [
    {"name": "nightly", "script": NIGHTLY},
    {"name": "scripted", "script": SCRIPTED},
    {"name": "idle", "script": "node { sh 'true' }"},
    {"name": "parallel", "script": PARALLEL},
    {"name": "site", "repository": "https://127.0.0.1/site.git"},
]


def configure(stack: Deployment, image: str, *jobs: dict[str, Any], **jenkins: Any) -> None:
    own = {"image": image, "containerName": NAME, "homeVolume": f"{NAME}-home", **PORTS, **jenkins}
    stack.configure(
        platform="docker", docker={"acceptRootOnHost": True}, jenkins=own, **({"jobs": list(jobs)} if jobs else {})
    )


@pytest.fixture(scope="module")
def stack(
    engine: docker.DockerClient, real_jenkins: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    with deployment.of_jenkins(tmp_path_factory.mktemp("jobs"), engine, f"{NAME}-home") as made:
        configure(made, real_jenkins, *JOBS, sample=False, executors=4)
        made.up()
        yield made


@pytest.fixture
def outputs(stack: Deployment) -> dict[str, Any]:
    return stack.outputs("--show-secrets")


@pytest.fixture
def jenkins(outputs: dict[str, Any]) -> Jenkins:
    return Jenkins(outputs["url"], "admin", SecretStr(outputs["adminPassword"]), away_seconds=240)


def build(jenkins: Jenkins, job: str) -> str:
    """Start a build, and return its path once it runs."""
    item = jenkins.start(job)
    return (
        f"job/{job}/{eventually(lambda: isinstance(number := jenkins.started(job, item), int) and number, seconds=60)}"
    )


def end(jenkins: Jenkins, build: str) -> str:
    """Wait for a build's end, and return its result."""
    return str(eventually(lambda: jenkins.result(build), seconds=120))


def config(job: str) -> str:
    return inside(NAME, "cat", f"/var/jenkins_home/jobs/{job}/config.xml")


def log(build: str) -> str:
    _, job, number = build.split("/")
    return inside(NAME, "cat", f"/var/jenkins_home/jobs/{job}/builds/{number}/log")


def disable(job: str, outputs: dict[str, Any]) -> None:
    """Do what a click on the job's page does."""
    with requests.Session() as session:
        session.auth = "admin", outputs["adminPassword"]
        crumb = session.get(f"{outputs['url']}/crumbIssuer/api/json", timeout=60).json()
        session.headers[crumb["crumbRequestField"]] = crumb["crumb"]
        session.post(f"{outputs['url']}/job/{job}/disable", timeout=60).raise_for_status()


def test_a_restart_keeps_what_pipelines_declared_and_what_people_disabled(
    jenkins: Jenkins, outputs: dict[str, Any], engine: docker.DockerClient
) -> None:
    assert [end(jenkins, build(jenkins, job)) for job in ("nightly", "scripted")] == ["SUCCESS"] * 2
    disable("idle", outputs)
    before = {job: config(job) for job in ("nightly", "scripted", "idle")}
    assert "H 4 * * 1" in before["nightly"]
    assert "FLAVOUR" in before["nightly"]
    assert "H 5 * * 2" in before["scripted"]
    assert "<disabled>true</disabled>" in before["idle"]
    engine.containers.get(NAME).restart()
    jenkins.jobs()
    assert {job: config(job) for job in before} == before


def test_a_changed_job_keeps_what_its_declarative_pipeline_declared_and_another_kind_of_job_is_refused_with_the_way_out(
    stack: Deployment, jenkins: Jenkins, real_jenkins: str
) -> None:
    changed = [{**job, "description": "changed"} for job in JOBS[:-1]]
    configure(stack, real_jenkins, *changed, {**JOBS[-1], "multibranch": True}, sample=False, executors=4)
    stack.up()
    [refused] = jenkins.jobs()[1]
    assert "Refused: job site: " in refused
    assert "rename or delete it, then restart" in refused
    assert all(text in config("nightly") for text in ("changed", "H 4 * * 1", "FLAVOUR"))
    assert all(text in config("idle") for text in ("changed", "<disabled>true</disabled>"))


def test_a_build_is_at_work_until_each_of_its_branches_has_paused(jenkins: Jenkins, outputs: dict[str, Any]) -> None:
    builds = Builds(outputs["url"], "admin", outputs["adminPassword"])
    path = build(jenkins, "parallel")
    eventually(lambda: "+ sleep 40" in log(path), seconds=60)
    builds.quiet(on=True)
    try:
        eventually(lambda: "Pausing (Preparing for shutdown)" in log(path), seconds=30)
        assert builds.is_at_work(path)
        eventually(lambda: not builds.is_at_work(path), seconds=90)
    finally:
        builds.quiet(on=False)
    assert end(jenkins, path) == "SUCCESS"


def test_the_setup_wizard_ends_the_scripts_and_the_token_of_before(
    stack: Deployment, outputs: dict[str, Any], real_jenkins: str
) -> None:
    def notify() -> int:
        query = {"url": "https://127.0.0.1/x.git", "token": outputs["notifyToken"]}
        return requests.get(f"{outputs['url']}/git/notifyCommit", query, timeout=60).status_code

    assert notify() == 200
    configure(stack, real_jenkins, setup="wizard")
    stack.up()
    assert notify() == 403
    assert inside(NAME, "ls", "/var/jenkins_home/init.groovy.d") == ""
