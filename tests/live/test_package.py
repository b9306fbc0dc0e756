"""The wheel, in a fresh environment, with the example program outside of the repository."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import docker
import pytest
import yaml

from offline import toolchain as bundled
from setup import toolchain
from tests.support.names import PREFIX
from tests.support.verbs import ROOT

PORT = 18470
TEAMS = ("web", "data")
PASSWORD = "correct-horse-battery"


def test_the_wheel_deploys_two_cis_on_one_engine_and_each_keeps_to_its_own(
    engine: docker.DockerClient, controller: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, pip = tmp_path / "program", ("-m", "pip", "--quiet")
    shutil.copytree(ROOT / "examples/programs", folder)
    run(sys.executable, *pip, "wheel", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT))
    run(sys.executable, "-m", "venv", str(folder / ".venv"))
    [wheel] = tmp_path.glob("pulumi_container_ci-*.whl")
    run(str(folder / ".venv/bin/python"), *pip, "install", "--constraint", str(ROOT / "requirements.in"), str(wheel))
    project = folder / "Pulumi.yaml"
    runtime = {"name": "python", "options": {"toolchain": "pip", "virtualenv": ".venv"}}
    project.write_text(yaml.safe_dump({**yaml.safe_load(project.read_text()), "runtime": runtime}))
    tools = toolchain.ensure("docker")
    cli, env = tools.pulumi, {**tools.env, "PULUMI_CONFIG_PASSPHRASE": "x", "PULUMI_BACKEND_URL": f"file://{tmp_path}"}
    if tools.parts["language host"][0] == "bundled":
        # That one runs programs in its own Python. So the program's Python gets one of its own.
        monkeypatch.setattr(sys, "prefix", str(folder / ".venv"))
        bundled.bundle(tmp_path / "bundle", cli.parents[1] / "lib/pulumi", ["host"])
        cli, env = tmp_path / "bundle/bin/pulumi", {**env, "PULUMI_HOME": str(cli.parents[1] / "home")}

    def pulumi(*words: str) -> str:
        return run(str(cli), *words, cwd=folder, env=env)

    pulumi("stack", "init", "dev")
    pulumi("config", "set", "--secret", "password", PASSWORD)
    for key, value in {"image": controller, "port": str(PORT), "prefix": f"{PREFIX}-"}.items():
        pulumi("config", "set", key, value)
    try:
        pulumi("up", "--yes", "--skip-preview", "--non-interactive")
        before = {team: engine.containers.get(f"{PREFIX}-{team}-jenkins").id for team in TEAMS}
        outputs = json.loads(pulumi("stack", "output", "--json", "--show-secrets"))
        assert {team: outputs[team]["adminPassword"] for team in TEAMS} == dict.fromkeys(TEAMS, PASSWORD)
        # The preflight of each finds the other's containers, and none is in its way.
        steps = json.loads(pulumi("preview", "--json", "--refresh"))["steps"]
        assert {step["op"] for step in steps} <= {"same", "refresh"}
        assert {team: engine.containers.get(f"{PREFIX}-{team}-jenkins").id for team in TEAMS} == before
    finally:
        pulumi("destroy", "--yes", "--skip-preview", "--non-interactive")
        for volume in engine.volumes.list(filters={"name": PREFIX}):
            volume.remove()


def run(*command: str, **where: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **where)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)
