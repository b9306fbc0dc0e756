"""A GitLab Runner on a real engine: deployed, its token rotated, destroyed; and what a real one does, where it is had.

No package mirror has GitLab Runner, so a stand-in starts in its place and runs no job. CI_TEST_GITLAB_RUNNER and
CI_TEST_GITLAB_HELPER may name images of the real one and its helper on this engine: then the sample's job is run too,
by a GitLab that the tests serve, in CI_TEST_DOCKER_CLI, an image with a docker client and a shell.
"""

import contextlib
import os
import secrets
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest
import yaml

from components.gitlab import config
from tests.support import containers, deployment, fake_gitlab
from tests.support.deployment import Deployment
from tests.support.fake_gitlab import FakeGitlab
from tests.support.names import PREFIX
from tests.support.verbs import ROOT
from tests.support.waiting import eventually

NAME = f"{PREFIX}-runner"
TOKEN = f"glrt-canary_{secrets.token_hex(12)}"
EXAMPLE = ROOT / "examples" / "gitlab-docker"
RUNNER = os.environ.get("CI_TEST_GITLAB_RUNNER")
HELPER = os.environ.get("CI_TEST_GITLAB_HELPER")
CLIENT = os.environ.get("CI_TEST_DOCKER_CLI", "docker:28.5.2-cli")
NO_RUNNER = "no GitLab Runner: CI_TEST_GITLAB_RUNNER and CI_TEST_GITLAB_HELPER name no images of one"


@pytest.fixture(scope="module")
def gitlab(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeGitlab]:
    """A GitLab that the engine's containers reach: at the bridge's own address, on this machine."""
    [bridge] = engine.networks.get("bridge").attrs["IPAM"]["Config"]
    gateway = bridge.get("Gateway") or "172.17.0.1"
    with fake_gitlab.serve(gateway, TOKEN, tmp_path_factory.mktemp("gitlab"), EXAMPLE) as fake:
        yield fake


@pytest.fixture(scope="module")
def image(engine: docker.DockerClient) -> str:
    from offline import images  # noqa: PLC0415

    if RUNNER:
        return RUNNER
    images.ensure("unix:///var/run/docker.sock", [images.GITLAB_RUNNER])
    return images.GITLAB_RUNNER


def settings(gitlab: FakeGitlab, image: str, **runner: Any) -> dict[str, Any]:
    """The committed stack, with what this machine has in the place of what it would pull."""
    stack = yaml.safe_load((ROOT / "examples/stacks/Pulumi.gitlab.yaml").read_text())["config"]
    keys = {key.removeprefix("ci:"): value for key, value in stack.items()}
    own = {
        "url": gitlab.url,
        "plainHttp": True,
        "image": image,
        "containerName": NAME,
        "checkIntervalSeconds": 1,
        "stopTimeoutSeconds": 20,
        **({"helperImage": HELPER} if HELPER else {}),
        **runner,
    }
    return {**keys, "gitlabRunner": {**keys["gitlabRunner"], **own}}


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient, gitlab: FakeGitlab, image: str
) -> Iterator[Deployment]:
    made = deployment.copy(tmp_path_factory.mktemp("runner"))
    made.configure(**settings(gitlab, image))
    made.secret("gitlabRunnerToken", TOKEN)
    try:
        made.up()
        yield made
    finally:
        made.destroy()


inside = partial(containers.inside, NAME)


def test_a_second_update_changes_nothing(stack: Deployment) -> None:
    assert set(stack.up()) == {"same"}


def test_a_plain_user_reaches_the_engine_by_the_group_alone(stack: Deployment, engine: docker.DockerClient) -> None:
    found = engine.containers.get(NAME).attrs
    host = found["HostConfig"]
    assert found["Config"]["User"] == f"{config.USER}:{config.USER}"
    assert host["GroupAdd"] == [str(Path("/var/run/docker.sock").stat().st_gid)]
    assert (host["Privileged"], host["CapDrop"], host["CapAdd"]) == (False, ["ALL"], None)
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert host["Memory"] == host["MemorySwap"] == 256 * 2**20
    assert not host["PortBindings"]
    assert found["State"]["Health"]["Status"] == "healthy"
    # Neither the token nor the socket in a volume that would outlive it.
    assert not [mount for mount in found["Mounts"] if mount["Destination"].startswith(config.FOLDER)]


def test_the_token_is_nowhere_but_in_its_file(stack: Deployment, engine: docker.DockerClient) -> None:
    shown = stack.shown(engine.containers.get(NAME))
    assert not {place for place, text in shown.items() if TOKEN in text}
    assert TOKEN in inside("cat", f"{config.FOLDER}/{config.CONFIG}")


def test_a_preview_shows_what_of_the_configuration_changes(stack: Deployment, gitlab: FakeGitlab, image: str) -> None:
    stack.configure(**settings(gitlab, image, concurrency=7))
    try:
        text = stack.pulumi("preview", "--diff")
        assert "concurrent = 7" in text
        assert TOKEN not in text
    finally:
        stack.configure(**settings(gitlab, image))


def test_a_foreign_container_of_its_name_is_refused(
    stack: Deployment, engine: docker.DockerClient, gitlab: FakeGitlab, image: str
) -> None:
    foreign = engine.containers.create(image, name=f"{NAME}-foreign")
    try:
        stack.configure(**settings(gitlab, image, containerName=f"{NAME}-foreign"))
        text = stack.pulumi("up", "--yes", status=None)
        assert f'ci:gitlabRunner.containerName = "{NAME}-foreign"' in text
    finally:
        stack.configure(**settings(gitlab, image))
        foreign.remove(force=True, v=True)


@pytest.mark.skipif(not (RUNNER and HELPER), reason=NO_RUNNER)
def test_a_real_runner_takes_the_samples_job_and_the_host_has_its_image(
    stack: Deployment, engine: docker.DockerClient, gitlab: FakeGitlab
) -> None:
    job = yaml.safe_load((EXAMPLE / ".gitlab-ci.yml").read_text())["build"]
    built = f"{fake_gitlab.PROJECT.replace('/', '-')}:{gitlab.commit()[:8]}"
    gitlab.offer(1, {**job, "image": CLIENT})
    try:
        state = eventually(lambda: gitlab.states.get("1") in {"success", "failed"}, seconds=120)
        assert state
        assert gitlab.states["1"] == "success", gitlab.traces["1"]
        assert "This is a simple file." in gitlab.traces["1"]
        assert engine.images.get(built)
        [machine] = set(gitlab.verified)
        assert machine == inside("cat", f"{config.FOLDER}/{config.SYSTEM_ID}")
    finally:
        with contextlib.suppress(docker.errors.ImageNotFound):  # if the job did not get that far
            engine.images.remove(built, force=True)


def test_another_token_is_one_restart_of_the_same_machine(stack: Deployment, engine: docker.DockerClient) -> None:
    # The last test, since the GitLab of the others does not know this token.
    before = engine.containers.get(NAME)
    machine = inside("cat", f"{config.FOLDER}/{config.SYSTEM_ID}")
    stack.secret("gitlabRunnerToken", f"{TOKEN}-rotated")
    assert stack.up().get("replace") == 1
    assert engine.containers.get(NAME).id != before.id
    assert f"{TOKEN}-rotated" in inside("cat", f"{config.FOLDER}/{config.CONFIG}")
    assert inside("cat", f"{config.FOLDER}/{config.SYSTEM_ID}") == machine
