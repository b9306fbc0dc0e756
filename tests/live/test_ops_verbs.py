"""The operator's verbs from start to end on the real engine, in a clone of its own: what `make up` promises."""

import json
import shutil
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import docker
import docker.errors
import pytest
import yaml

from ops import recover
from tests.support import containers
from tests.support.names import PREFIX
from tests.support.verbs import ROOT, Verbs, clone

NAME = f"{PREFIX}-verbs"


@pytest.fixture(scope="module")
def verbs(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verbs]:
    """A clone whose offline stack is up; each test leaves it up but the last."""
    made = clone(tmp_path_factory.mktemp("verbs"), "offline")
    made.run("set", "ci:jenkins.memoryMib", stdin="1024")
    with made.deployed(NAME):
        yield made


inside = partial(containers.inside, NAME)


def committed(root: Path) -> dict[str, bytes]:
    """The stacks' files but for that of the stack that is up, which Pulumi writes to."""
    return {path.name: path.read_bytes() for path in (root / "stacks").iterdir() if "offline" not in path.name}


def test_up_says_what_there_is_and_the_second_says_that_nothing_changed(verbs: Verbs) -> None:
    assert "Stack offline is up" in verbs.first
    assert "http://127.0.0.1:" in verbs.first
    second = verbs.run("up")
    assert "Nothing changed" in second
    assert committed(verbs.root) == committed(ROOT)


def test_the_password_is_all_its_verb_prints_and_lies_open_nowhere(verbs: Verbs, engine: docker.DockerClient) -> None:
    password = verbs.run("password").removesuffix("\n")
    assert len(password) >= 24
    assert not set(password) & set(" \n")
    assert password not in json.dumps(engine.containers.get(NAME).attrs)
    hits = [path for path in verbs.root.rglob("*") if path.is_file() and password.encode() in path.read_bytes()]
    assert hits == []


def test_status_fails_for_a_container_that_was_removed_by_hand_and_up_brings_it_back_with_its_home(
    verbs: Verbs, engine: docker.DockerClient
) -> None:
    inside("sh", "-c", "echo kept > /var/jenkins_home/marker")
    said = verbs.run("status")
    assert f"version {engine.version()['Version']}, as user 1000" in said
    engine.containers.get(NAME).stop(timeout=1)
    assert f"{NAME}: exited" in verbs.run("status", status=1)
    engine.containers.get(NAME).remove(force=True)
    assert "`make up` brings it back" in verbs.run("status", status=1)
    verbs.run("up")
    assert inside("cat", "/var/jenkins_home/marker") == "kept\n"


def test_an_update_killed_while_it_makes_the_container_is_recovered(verbs: Verbs, engine: docker.DockerClient) -> None:
    engine.containers.get(NAME).remove(force=True)
    there = partial(engine.api.containers, all=True, filters={"name": f"^/{NAME}$"})
    assert verbs.kill_pulumi_when(there, "up") == 128 + signal.SIGKILL
    said = verbs.run("recover")
    assert f"removed the half-made container {NAME}" in said
    verbs.run("up")
    again = verbs.run("up")
    assert "Nothing changed" in again, again


def test_a_container_that_the_state_forgot_is_found_by_recover(verbs: Verbs, engine: docker.DockerClient) -> None:
    state = verbs.root / ".local/state/.pulumi/stacks/ci/offline.json"
    made = str(engine.containers.get(NAME).id)
    state.write_text(state.read_text().replace(made, f"{int(made[0], 16) ^ 1:x}{made[1:]}"))
    assert "make recover STACK=offline" in verbs.run("up", status=None)
    assert "put back the state" in verbs.run("recover")
    assert "Nothing changed" in verbs.run("up")
    assert engine.containers.get(NAME).id == made


def test_what_the_stack_made_and_its_state_does_not_know_is_named_before_the_update_and_removed_by_recover(
    verbs: Verbs, engine: docker.DockerClient
) -> None:
    backend = verbs.root / ".local/state/.pulumi"
    state = backend / "stacks/ci/offline.json"
    content = json.loads(state.read_text())
    resources = content["checkpoint"]["latest"]["resources"]
    # As in a checkpoint from before the container: what depends on it is not there either.
    content["checkpoint"]["latest"]["resources"] = [
        each for each in resources if each["type"] != recover.CONTAINER and not each["urn"].endswith("-deployed")
    ]
    for kind in ("history", "backups"):  # else the newest is put back, and Jenkins goes on
        shutil.rmtree(backend / kind)
    state.with_name("offline.json.bak").unlink()
    state.write_text(json.dumps(content))
    made = engine.containers.get(NAME).id
    assert "make recover STACK=offline" in verbs.run("up", status=None)
    assert engine.containers.get(NAME).id == made
    assert f"removed the unknown container {NAME}" in verbs.run("recover")
    verbs.run("up")
    assert inside("cat", "/var/jenkins_home/marker") == "kept\n"


def test_another_clones_stack_of_the_same_name_takes_and_removes_nothing(
    verbs: Verbs, engine: docker.DockerClient, tmp_path: Path
) -> None:
    made = engine.containers.get(NAME).id
    second = clone(tmp_path, "offline")
    settings = yaml.safe_load((verbs.root / "stacks/Pulumi.offline.yaml").read_text())["config"]
    second.edit(jenkins=settings["ci:jenkins"])
    assert "another stack or clone made" in second.run("up", status=None)
    second.run("recover")
    second.run("down")
    assert engine.containers.get(NAME).id == made
    assert "Nothing changed" in verbs.run("up")


def test_down_leaves_the_home_and_says_so(verbs: Verbs, engine: docker.DockerClient) -> None:
    said = verbs.run("down")
    assert f"docker volume rm {NAME}-home" in said
    assert engine.volumes.get(f"{NAME}-home")
    with pytest.raises(docker.errors.NotFound):
        engine.containers.get(NAME)
    assert committed(verbs.root) == committed(ROOT)
