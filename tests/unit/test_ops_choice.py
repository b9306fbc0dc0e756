"""Which stack a verb acts on, whose backend it uses, and what it recovers: decisions without a CLI."""

# ruff: noqa: FBT001 - a truth is often a case of a table

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops import choice, deploy, local, recover, run, status
from ops.clone import Clone, short
from ops.toolchain import docker_engine
from ops.toolchain.errors import Trouble
from ops.toolchain.toolchain import Toolchain
from tests.support import programs

DOCKER = {"config": {"ci:platform": "docker", "ci:docker": {"acceptRootOnHost": True}}}


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    (tmp_path / "Pulumi.yaml").write_text("name: ci\nstackConfigDir: stacks\n")
    (tmp_path / "stacks").mkdir()
    for stack in ("dev", "offline"):
        (tmp_path / f"stacks/Pulumi.{stack}.yaml").write_text(yaml.safe_dump(DOCKER))
    return Clone(tmp_path)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """An engine and a registry as a test wants them: images that are there, and why none can be pulled."""
    world: dict[str, Any] = {"held": set(), "trouble": None, "asked": 0}

    def pull_trouble(host: str, reference: str) -> str | None:
        world["asked"] += 1
        return str(world["trouble"]) if world["trouble"] else None

    monkeypatch.setattr(docker_engine, "has_image", lambda host, reference: reference in world["held"])
    monkeypatch.setattr(docker_engine, "pull_trouble", pull_trouble)
    return world


def test_the_usual_stack_is_taken_where_its_images_can_be_had(clone: Clone, registry: dict[str, Any]) -> None:
    assert choice.for_up(clone, None, DOCKER) == "dev"


def test_offline_is_taken_and_remembered_where_they_cannot(
    clone: Clone, registry: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    registry["trouble"] = "no such host"
    assert choice.for_up(clone, None, DOCKER) == "offline"
    said = capfd.readouterr().err
    assert "jenkins/jenkins:" in said
    assert "no such host" in said
    assert choice.remembered(clone) == "offline"
    asked = registry["asked"]
    assert choice.for_up(clone, None, DOCKER) == "offline"
    assert registry["asked"] == asked, "the registry was asked again, which costs seconds"
    choice.forget(clone)
    assert choice.remembered(clone) == "dev"


def test_only_the_usual_stack_and_its_stand_in_are_remembered(clone: Clone) -> None:
    clone.committed("prod").write_text("config: {}\n")
    choice.came_up(clone, "prod")
    assert choice.remembered(clone) == "dev"
    choice.came_up(clone, "offline")
    assert choice.remembered(clone) == "offline"
    choice.came_up(clone, "dev")
    assert choice.remembered(clone) == "dev"


def test_a_named_stack_whose_images_cannot_be_had_fails_with_the_reason(clone: Clone, registry: dict[str, Any]) -> None:
    registry["trouble"] = "no such host"
    with pytest.raises(Trouble, match="no such host"):
        choice.for_up(clone, "dev", DOCKER)


def test_a_stack_that_runs_already_is_not_asked_for_its_images(clone: Clone, registry: dict[str, Any]) -> None:
    registry["trouble"] = "no such host"
    clone.state_file("dev").parent.mkdir(parents=True)
    clone.state_file("dev").write_text(json.dumps({"checkpoint": {"latest": {"resources": [{"urn": "x"}]}}}))
    assert choice.for_up(clone, "dev", DOCKER) == "dev"
    assert registry["asked"] == 0


def test_images_on_the_engine_need_no_registry(clone: Clone, registry: dict[str, Any]) -> None:
    registry["trouble"] = "no such host"
    registry["held"] = set(choice.images(DOCKER))
    assert choice.for_up(clone, None, DOCKER) == "dev"


def test_the_images_follow_the_settings() -> None:
    def images(**jenkins: str) -> list[str]:
        return choice.images({"config": {"ci:jenkins": jenkins}})

    assert images(image="a/b:1") == ["a/b:1"]
    assert images(image="ci-offline-controller:1") == []
    assert images(baseImage="x:1", dockerClient="host") == ["x:1"]
    assert images(baseImage="x:1", dockerCliImage="y:2") == ["x:1", "y:2"]


def test_the_images_are_those_of_the_chosen_access_too() -> None:
    def config(**docker: Any) -> dict[str, Any]:
        return {"config": {"ci:jenkins": {"image": "a/b:1"}, "ci:docker": docker}}

    assert choice.images(config(access="dind")) == ["a/b:1", "docker:28.5.2-dind"]
    assert choice.images(config(access="dind", dind={"image": "x:2"})) == ["a/b:1", "x:2"]
    assert choice.images(config(dind={"image": "x:2"})) == ["a/b:1"]
    offline = config(access="dind", dind={"image": "ci-offline-dind:1"})
    assert choice.images(offline) == ["a/b:1"]
    assert choice.stand_ins(offline) == ["ci-offline-dind:1"]


def test_a_stack_whose_images_cannot_be_had_is_told_its_own_stand_in(clone: Clone, registry: dict[str, Any]) -> None:
    registry["trouble"] = "no such host"
    for name in ("dind", "dind-offline"):
        clone.committed(name).write_text("config: {}\n")
    with pytest.raises(Trouble, match="make up STACK=dind-offline"):
        choice.for_up(clone, "dind", DOCKER)


def test_a_stack_with_a_runner_is_told_the_stand_in_of_a_runner_and_never_given_jenkins(
    clone: Clone, registry: dict[str, Any]
) -> None:
    registry["trouble"] = "no such host"
    runner = {"config": {**DOCKER["config"], "ci:gitlabRunner": {"url": "https://gitlab.example.org"}}}
    for named in ("mine", None):
        with pytest.raises(Trouble, match="make up STACK=gitlab-offline"):
            choice.for_up(clone, named, runner)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"stack": 3}', '{"stack": "gone"}'])
def test_a_broken_or_stale_memory_means_the_usual_stack(clone: Clone, text: str) -> None:
    clone.local.mkdir()
    clone.remembered.write_text(text)
    assert choice.remembered(clone) == "dev"


def test_the_backend_is_the_clones_own_unless_the_user_chose_one(clone: Clone, tmp_path: Path) -> None:
    home = tmp_path / "home"
    base = {"PULUMI_HOME": str(home)}
    env, own = local.environment(clone, base)
    assert own
    assert env["PULUMI_BACKEND_URL"] == clone.state.as_uri()
    assert env["PULUMI_CONFIG_PASSPHRASE_FILE"] == str(clone.passphrase)
    # Run again from an environment that has ours already, as `env` prints it.
    assert local.environment(clone, env) == (env, True)

    assert not local.environment(clone, {**base, "PULUMI_BACKEND_URL": "s3://state"})[1]
    assert not local.environment(clone, {**base, "PULUMI_ACCESS_TOKEN": "x"})[1]
    home.mkdir()
    (home / "credentials.json").write_text(json.dumps({"current": "https://pulumi.example.org"}))
    env, own = local.environment(clone, base)
    assert not own
    assert "PULUMI_BACKEND_URL" not in env
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in env


@pytest.mark.parametrize("text", ["", "not json", "[]", '{"current": ""}', "{}"])
def test_a_log_in_file_without_a_log_in_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "credentials.json").write_text(text)
    assert local.logged_in({"PULUMI_HOME": str(tmp_path)}) == ""


def test_a_users_own_passphrase_is_kept(clone: Clone) -> None:
    env, _ = local.environment(clone, {"PULUMI_HOME": "/nowhere", "PULUMI_CONFIG_PASSPHRASE": ""})
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in env


@pytest.mark.parametrize(
    ("committed", "wanted"),
    [
        (DOCKER, "ci:adminPassword"),
        ({"config": {"ci:platform": "docker", "ci:jenkins": {"setup": "wizard"}}}, ""),
        ({"config": {"ci:platform": "docker", "ci:adminPassword": {"secure": "v1:x"}}}, ""),
        ({"config": {"ci:platform": "kubernetes"}}, "ci:registryPassword"),
        ({}, ""),
    ],
)
def test_a_password_is_made_only_where_one_is_needed_and_none_is_set(committed: dict[str, Any], wanted: str) -> None:
    assert local.wanted_password(committed, {}) == wanted


def test_the_organization_is_no_part_of_the_files_name(clone: Clone) -> None:
    assert short("acme/ci/dev") == "dev"
    assert clone.committed("acme/ci/dev") == clone.root / "stacks/Pulumi.dev.yaml"


def test_a_text_names_the_stack_where_a_verb_without_one_would_act_on_another(clone: Clone) -> None:
    text = "`make up` heals it; make set KEY=ci:gitToken; make up STACK=offline"
    assert choice.with_stack(clone, "dev", text) == text
    named = "`make up STACK=prod` heals it; make set KEY=ci:gitToken STACK=prod; make up STACK=offline"
    assert choice.with_stack(clone, "prod", text) == named
    choice.remember(clone, "offline")
    assert choice.with_stack(clone, "offline", text) == text


LOCK = {"pid": 7, "username": "ann", "hostname": "here", "timestamp": "2026-08-21T10:00:00Z"}


@pytest.mark.parametrize(
    ("hostname", "alive", "held"),
    [
        ("here", {7: "pulumi"}, True),
        ("here", {}, False),
        ("here", {7: "bash"}, False),  # the number was used again
        ("elsewhere", {}, True),  # nobody can tell from another machine
    ],
)
def test_a_lock_is_stale_only_if_its_process_is_surely_gone(
    hostname: str,
    alive: dict[int, str],
    held: bool,
) -> None:
    assert bool(recover.holder(LOCK, hostname, alive)) is held


def test_only_plugins_of_this_clone_without_a_pulumi_are_orphans() -> None:
    def process(pid: int, parent: int, name: str, cwd: str = "/clone") -> dict[str, Any]:
        return {"pid": pid, "parent": parent, "name": name, "cwd": cwd}

    processes = [
        process(1, 0, "init"),
        process(10, 1, "pulumi"),
        process(11, 10, "pulumi-resource"),
        process(12, 1, "pulumi-resource"),
        process(13, 1, "pulumi-language-python"),
        process(14, 1, "pulumi-resource", "/elsewhere"),
        process(15, 1, "python3"),
    ]
    assert list(recover.orphaned_plugins(Path("/clone"), processes)) == [12, 13]


def test_a_container_is_removed_only_by_labels_that_its_resource_asked_for() -> None:
    assert recover.wanted_labels({"labels": [{"label": "ci.stack", "value": "dev"}]}) == {"ci.stack": "dev"}
    assert recover.wanted_labels({}) == {}


def test_the_plain_signs_of_drift_are_seen() -> None:
    deployed = {"id": "abc", "outputs": {"mustRun": True, "groupAdds": ["105"]}}
    seen = {"Id": "abc", "State": {"Status": "running"}, "HostConfig": {"GroupAdd": ["105"]}}
    assert status.drifted(seen, deployed) == []
    changed = {"Id": "xyz", "State": {"Status": "exited"}, "HostConfig": {"GroupAdd": None}}
    assert len(status.drifted(changed, deployed)) == 3


def test_a_secret_output_is_not_shown() -> None:
    stack = {
        "type": "pulumi:pulumi:Stack",
        "urn": "u",
        "outputs": {"token": {"ciphertext": "canary"}, "url": "http://x"},
    }
    rows = dict(status.resource_rows({"resources": [stack]}))
    assert rows["token"] == "[secret]"
    assert rows["url"] == "http://x"


def test_changes_are_counted_by_what_changes_something() -> None:
    assert deploy.Outcome(0, {"same": 4, "refresh": 4}).changed == 0
    assert deploy.Outcome(0, {"same": 4, "create": 1, "replace": 2}).changed == 3


def workspace(clone: Clone, program: Path) -> local.Workspace:
    tools = Toolchain(program, {**os.environ, "PULUMI_HOME": str(clone.root / "home")}, {})
    return local.Workspace(clone, tools)


def test_pulumis_exit_status_passes_through(clone: Clone, tmp_path: Path) -> None:
    assert run.attached(workspace(clone, programs.script(tmp_path / "pulumi", "exit 7")), []) == 7
    assert run.attached(workspace(clone, programs.script(tmp_path / "pulumi", "kill -9 $$")), []) == 137


def test_a_failed_question_is_told_in_pulumis_words(clone: Clone, tmp_path: Path) -> None:
    program = programs.script(tmp_path / "pulumi", "echo 'error: no stack named x' >&2; exit 255")
    with pytest.raises(Trouble, match=r"^pulumi stack output: no stack named x") as caught:
        run.answer(workspace(clone, program), ["stack", "output"])
    assert caught.value.code == 255


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_pulumi_once_and_pulumi_is_waited_for(tmp_path: Path, number: signal.Signals) -> None:
    said = tmp_path / "said"
    # Counts its interrupts, and takes a while to end, as Pulumi does when it finishes what it has begun.
    program = programs.script(
        tmp_path / "pulumi",
        f"trap 'echo INT >> {said}' INT\necho started >> {said}\n"
        f"until grep -q INT {said}; do sleep 0.05; done\nsleep 0.5\necho ended >> {said}\nexit 3",
    )
    (tmp_path / "Pulumi.yaml").write_text("name: ci\n")
    body = (
        "import sys; from pathlib import Path; from ops import local, run; from ops.clone import Clone\n"
        "from ops.toolchain.toolchain import Toolchain\n"
        f"tools = Toolchain(Path({str(program)!r}), {{'PATH': '/usr/bin:/bin'}}, {{}})\n"
        f"w = local.Workspace(Clone(Path({str(tmp_path)!r})), tools)\n"
        "sys.exit(run.attached(w, []))"
    )
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen([sys.executable, "-c", body], cwd=root, stdin=subprocess.DEVNULL) as ours:
        end = time.monotonic() + 30
        while not said.exists() and time.monotonic() < end:
            time.sleep(0.02)
        ours.send_signal(number)
        assert ours.wait(30) == 3
    assert said.read_text().split() == ["started", "INT", "ended"]
