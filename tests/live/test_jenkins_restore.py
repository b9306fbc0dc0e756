"""A backup while Jenkins works, and its restore on an engine that has nothing of the stack."""

import shutil
from pathlib import Path

import docker
import pytest

from tests.support.jenkins import Remote
from tests.support.names import PREFIX
from tests.support.verbs import clone
from tests.support.waiting import eventually

NAME = f"{PREFIX}-restored"
JOBS = [
    {"name": "counts", "script": "echo 'a build'"},
    {"name": "sleeps", "script": "echo 'begun'; sleep 5; input 'go on?'; echo 'went on'"},
]


def test_a_paused_build_outlives_the_backup_and_a_restore_brings_builds_keys_and_agents_back(
    real_jenkins: str,
    engine: docker.DockerClient,
    sample_image: str,
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
) -> None:
    made, file = clone(tmp_path_factory.mktemp("restored"), "offline"), tmp_path / "ci.zip"
    with made.deployed(NAME, jenkins={"agents": 1}, jobs=JOBS):
        jenkins = Remote.of(made)
        for _ in range(3):
            assert jenkins.build("counts").endswith("Finished: SUCCESS")
        cipher = jenkins.script("print(hudson.util.Secret.fromString('canary').encryptedValue)")
        jenkins.start("sleeps")
        made.run("backup", "--file", str(file))
        eventually(lambda: jenkins.status() == 200, seconds=240, every=1)
        jenkins.answer("sleeps")
        eventually(lambda: "Finished: SUCCESS" in jenkins.log("sleeps"), seconds=60, every=1)

        made.run("down")
        engine.volumes.get(f"{NAME}-home").remove()
        shutil.rmtree(made.root / ".local/state")
        made.run("restore", "--file", str(file))
        assert jenkins.numbers() == {"counts": 3, "sleeps": 1, "sample": 0}
        assert "a build" in jenkins.log("counts", "getBuildByNumber(2)")
        assert jenkins.script(f"print(hudson.util.Secret.decrypt('{cipher}').plainText)") == "canary"
        assert "Finished: SUCCESS" in made.run("sample")
        assert "Running on agent-1" in jenkins.log("sample")
