"""Which stack a verb acts on, which images it needs, which keys are settings, and how Pulumi is run for it."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
import pytest

from components.settings import Settings
from components.settings.docker import PLUGIN_VARIABLES
from ops import deploy, engine, finding, jenkins, recover, settings, status
from ops.clone import Clone
from ops.finding import Finding
from ops.stack import Stack, environment
from setup import engine as local_engine
from setup import process
from setup.console import OpsError
from tests.support import made_stack, programs
from tests.support.settings import RUNNER_TOKEN
from tests.support.settings import settings as docker_settings

JENKINS, CLIENT = "jenkins/jenkins:2.568.2-lts-jdk21", "docker:28.5.2-cli"
HOST = {"acceptRootOnHost": True}


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ({}, [JENKINS, CLIENT]),
        ({"jenkins": {"dockerClient": "host"}}, [JENKINS]),
        ({"jenkins": {"image": "registry.example.org/jenkins:1"}}, ["registry.example.org/jenkins:1"]),
        ({"docker": {**HOST, "access": "proxy"}}, [JENKINS, CLIENT, "haproxy:3.2.21-alpine"]),
        ({"docker": {**HOST, "access": "dind", "dind": {"image": "x/dind:1"}}}, [JENKINS, CLIENT, "x/dind:1"]),
        (
            {
                "adminPassword": None,
                "gitlabRunner": {"url": "https://gitlab.example.org", "image": "x/runner:1"},
                "gitlabRunnerToken": RUNNER_TOKEN,
            },
            ["x/runner:1"],
        ),
    ],
)
def test_the_images_of_a_stack_are_those_of_its_settings(keys: dict[str, Any], wanted: list[str]) -> None:
    assert engine.images(docker_settings(**keys)) == wanted


def test_the_password_of_a_user_is_that_of_the_outputs_and_who_is_not_there_is_told_with_who_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = made_stack.on_docker(tmp_path)
    outputs = {"adminUser": "root", "adminPassword": "first", "userPasswords": {"alice": "second"}}
    monkeypatch.setattr(stack, "outputs", lambda *_: outputs)
    assert [settings.stack_password(stack, user) for user in (None, "root", "alice")] == ["first", "first", "second"]
    with pytest.raises(OpsError, match=r"has no user 'bob'\. It has alice") as raised:
        settings.stack_password(stack, "bob")
    assert "ci:jenkins.users" in raised.value.remedy


def test_make_leaves_out_what_leads_the_docker_plugin_to_another_engine(tmp_path: Path) -> None:
    kept = {"DOCKER_CONFIG": "/x", "PATH": "/bin", "PULUMI_BACKEND_URL": "file:///x"}
    assert environment(Clone(tmp_path), {**dict.fromkeys(PLUGIN_VARIABLES, "x"), **kept}) == (kept, False)


class World:
    """Two stacks, and an engine that may lack the image of the usual one, for the choice between them."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.problem = ""
        self.made: list[str] = []
        stand_in = made_stack.on_docker(root, "offline", jenkins={"image": "ci-offline-controller:1"})
        self.stacks = {"dev": made_stack.on_docker(root), "offline": stand_in}
        self.clone = stand_in.clone
        for stack in self.stacks.values():
            monkeypatch.setattr(stack, "outputs", lambda *_: {})
            monkeypatch.setattr(stack, "get_plugins", lambda: None)
        monkeypatch.setattr(deploy, "open_stack", lambda named: self.stacks[named or self.clone.chosen])
        monkeypatch.setattr(deploy, "pulumi", self.pulumi)
        monkeypatch.setattr(engine, "image_problem", self.image_problem)
        monkeypatch.setattr(local_engine, "ensure", lambda _: None)
        monkeypatch.setattr(engine, "client", mock.MagicMock())
        monkeypatch.setattr(engine, "show_ill", lambda *_, **__: [])
        monkeypatch.setattr(process, "offline", lambda *_: None)

    def pulumi(self, stack: Stack, *_: object) -> deploy.Done:
        self.made.append(stack.name)
        return deploy.Done(0, {}, {})

    def image_problem(self, wanted: Settings) -> str:
        return "" if wanted.jenkins.image else self.problem


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_the_usual_stack_comes_up_where_its_images_are(world: World) -> None:
    deploy.up(None, [])
    assert (world.made, world.clone.chosen) == (["dev"], "dev")


def test_where_an_image_cannot_be_had_the_stand_in_comes_up_and_stays_chosen_until_it_is_down(world: World) -> None:
    world.problem = "no such host"
    deploy.up(None, [])
    assert (world.made, world.clone.chosen) == (["offline"], "offline")
    world.problem = ""
    deploy.up(None, [])
    assert (world.made, world.clone.chosen) == (["offline"] * 2, "offline")
    assert world.clone.make("status", "offline") == "make status"
    assert world.clone.make("status", "prod") == "make status STACK=prod"
    deploy.down(None, [])
    assert world.clone.chosen == "dev"


@pytest.mark.parametrize(("mark", "status"), [("BAD", 1), ("note", 0), ("ok", 0)])
def test_an_update_after_which_jenkins_lacks_a_job_is_no_success(
    world: World, monkeypatch: pytest.MonkeyPatch, mark: Any, status: int
) -> None:
    monkeypatch.setattr(jenkins, "examine", lambda *_: [Finding("jobs", "seen", mark)])
    monkeypatch.setattr(deploy, "pulumi", lambda *_: deploy.Done(0, {}, {"jobs": ["website"]}))
    assert deploy.up("dev", []) == status


@pytest.mark.parametrize(
    ("problem", "remedy"),
    [
        ("toomanyrequests: You have reached your pull rate limit", "mirror"),
        ("pull access denied for x, repository does not exist", "docker login"),
        ("proxyconnect tcp: Proxy Authentication Required", "proxy"),
        ("proxyconnect tcp: dial tcp: lookup proxy on 10.0.0.1:53: no such host", "proxy"),
        ("x509: certificate signed by unknown authority", "ca.crt"),
        ("no answer in time", "Try again"),
        ("dial tcp 192.0.2.1:443: i/o timeout", "Try again"),
    ],
)
def test_what_has_a_remedy_is_no_reason_for_the_stand_in(world: World, problem: str, remedy: str) -> None:
    world.problem = problem
    with pytest.raises(OpsError, match=re.escape(problem)) as refused:
        deploy.up(None, [])
    assert remedy in refused.value.remedy
    assert world.made == []


@pytest.mark.parametrize("reason", ["no route to host", "network is unreachable", "connection refused"])
def test_a_registry_to_which_there_is_no_way_leads_to_the_stand_in(world: World, reason: str) -> None:
    world.problem = f"the image x can't be pulled (dial tcp 192.0.2.1:443: connect: {reason})"
    deploy.up(None, [])
    assert world.made == ["offline"]


def test_agents_of_a_stand_in_are_refused(world: World, tmp_path: Path) -> None:
    keys = {"image": "ci-offline-controller:1", "agents": 2}
    world.stacks["offline"] = made_stack.on_docker(tmp_path, "offline", jenkins=keys)
    with pytest.raises(OpsError, match="the stand-in for Jenkins has none"):
        deploy.up("offline", [])
    assert world.made == []


def test_a_stack_that_was_named_is_refused_and_not_replaced(world: World) -> None:
    world.problem = "no such host"
    with pytest.raises(OpsError, match="no such host") as refused:
        deploy.up("dev", [])
    assert "make up STACK=offline" in refused.value.remedy
    assert world.made == []


def test_a_stack_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    clone = made_stack.of(tmp_path, "dev").clone
    with pytest.raises(OpsError, match="acme/ci/dve") as refused:
        clone.require("acme/ci/dve")
    assert refused.value.code == 2
    assert "dev, offline" in refused.value.remedy
    clone.require("acme/ci/dev")


@pytest.mark.parametrize(
    ("key", "full"),
    [
        ("jenkins.httpPort", "ci:jenkins.httpPort"),
        ("ci:gitToken", "ci:gitToken"),
        ("ci:jobs[0].name", "ci:jobs[0].name"),
        ("ci:registry.tls.issuer", "ci:registry.tls.issuer"),
        ("docker:host", "docker:host"),
    ],
)
def test_a_key_of_the_model_or_of_a_provider_is_taken(key: str, full: str) -> None:
    assert settings.known_key(key) == full


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        (None, "make set KEY=ci:jenkins.httpPort"),
        ("ci:gitTokn", "did you mean ci:gitToken?"),
        ("jenkins.htpPort", "did you mean httpPort?"),
        ("nonsense", "ci:platform, ci:docker"),
        *(
            (key, "KEY=ci:jobs[0].name")
            for key in ("ci:jobs[999999999].name", ".".join("a" * 5000), "ci:jenkins..httpPort")
        ),
        *((key, "KEY=ci:jobs[0].name") for key in ("ci:", "ci:a\nb", "ci:jobs[-1]", 'ci:jobs["x', "ci:a b", "--all")),
    ],
)
def test_a_key_that_is_no_setting_is_refused_with_what_is_one(key: str | None, hint: str) -> None:
    with pytest.raises(OpsError) as refused:
        settings.known_key(key)
    assert refused.value.code == 2
    assert hint in refused.value.remedy


@pytest.mark.parametrize("name", ["a\nb", "a b", "../x/../y/z", "a/b/c/d", "", "é", "a" * 101, "$(x)", "a'b"])
def test_a_stack_has_a_name_that_pulumi_takes(tmp_path: Path, name: str) -> None:
    with pytest.raises(OpsError, match="is not a name for a stack"):
        made_stack.of(tmp_path, "prod").clone.require(name)


@pytest.mark.parametrize("text", [".inf", "-.INF", ".nan"])
def test_a_number_that_json_does_not_have_is_told_with_its_line(tmp_path: Path, text: str) -> None:
    clone = made_stack.of(tmp_path, "prod").clone
    clone.file("prod").parent.mkdir(exist_ok=True)
    clone.file("prod").write_text(f"config:\n  ci:platform: docker\n  ci:jenkins: {{memoryMib: {text}}}\n")
    with pytest.raises(OpsError, match=re.escape(f"line 3: {text} is no number")):
        clone.require_readable("prod")


@pytest.mark.parametrize("verb", ["up", "down"])
def test_a_verb_that_deploys_does_nothing_where_nobody_can_be_asked(monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    for opening in ("_ready", "_answering"):
        monkeypatch.setattr(deploy, opening, lambda named: pytest.fail(f"opened {named}"))
    monkeypatch.setenv("YES", "0")
    with pytest.raises(OpsError, match="YES=1"):
        getattr(deploy, verb)(None, [])
    with pytest.raises(pytest.fail.Exception, match="opened dev"):
        getattr(deploy, verb)("dev", ["--skip-preview"])


def test_what_a_verb_says_to_run_is_for_its_own_stack(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stack = made_stack.of(tmp_path, "prod")
    finding.show([Finding("x", "`make up`, `make set KEY=ci:a`, `make down STACK=y`")], stack.make)
    assert "`make up STACK=prod`, `make set KEY=ci:a STACK=prod`, `make down STACK=y`" in capsys.readouterr().out
    remedy = stack.refused("ci:gitToken is required; set it with `pulumi config set --secret ci:gitToken`").remedy
    assert all(
        each in remedy for each in ("make set KEY=... STACK=prod", "ops env -s prod", "pulumi config ... -s prod")
    )
    assert stack.refused("ci:x is taken").remedy == ""


def holder(folder: Path, pid: int, host: str = socket.gethostname()) -> str:
    lock = {"username": "ann", "timestamp": "2026-08-21T10:00:00Z", "hostname": host, "pid": pid}
    (folder / "lock.json").write_text(json.dumps(lock))
    return recover.holder(folder / "lock.json")


def test_a_lock_is_stale_only_if_its_process_is_surely_gone(tmp_path: Path) -> None:
    assert holder(tmp_path, os.getpid(), "elsewhere"), "nobody can tell from another machine"
    assert not holder(tmp_path, os.getpid()), "the number was used again"
    for gone in (2**22 + 1, -1, 2**70):
        assert not holder(tmp_path, gone)


def test_only_plugins_of_this_clone_without_a_pulumi_are_orphans(tmp_path: Path) -> None:
    plugin = programs.script(tmp_path / "pulumi-resource-x", "read never")
    bundled: list[str | Path] = ["sh", "-u", programs.script(tmp_path / ".pulumi-resource-x", "read never")]
    pulumi = programs.script(tmp_path / "pulumi", f"{plugin}; true")
    other = programs.script(tmp_path / "other", "read never")
    clone = tmp_path / "clone"
    clone.mkdir()
    with contextlib.ExitStack() as running:
        orphan, second, _, parent, _ = (
            running.enter_context(subprocess.Popen(command, cwd=cwd, stdin=subprocess.PIPE))
            for command, cwd in (
                ([plugin], clone),
                (bundled, clone),
                ([plugin], tmp_path),
                ([pulumi], clone),
                ([other], clone),
            )
        )
        end = time.monotonic() + 30
        while not psutil.Process(parent.pid).children() and time.monotonic() < end:
            time.sleep(0.02)
        assert {process.pid for process in recover.orphaned_plugins(clone)} == {orphan.pid, second.pid}
        assert holder(tmp_path, parent.pid)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("ci:jenkins: {httpPort: 8080}", "ci:jenkins"),
        ("confg: {}", "confg"),
        ("config: {ci:jenkins: {httpPort: 010}}", "010"),
        ("config:\n  ci:jenkins:\n    httpPort: 0o17", "0o17"),
        ('config: {a: "010", b: 0, c: 0.5}\nencryptionsalt: v1:x', ""),
        ("config:\n  a: |\n    RUN: 010", ""),
        ("config: {a: " + 3000 * "[" + 3000 * "]" + "}", ""),
    ],
)
def test_what_pulumi_would_read_in_another_way_than_meant_is_refused(tmp_path: Path, text: str, wrong: str) -> None:
    clone = made_stack.of(tmp_path, "dev").clone
    clone.file("dev").write_text(text)
    with pytest.raises(OpsError, match=wrong) if wrong else contextlib.nullcontext():
        clone.require_readable("dev")


def test_a_secret_output_is_not_shown() -> None:
    outputs = {"token": {"ciphertext": "canary"}, "url": "http://x"}
    found = status.in_state({"resources": [{"type": "pulumi:pulumi:Stack", "urn": "u", "outputs": outputs}]})
    seen = {each.name: each.seen for each in found}
    assert (seen["token"], seen["url"]) == ("[secret]", "http://x")


def test_pulumis_exit_status_and_its_own_words_pass_through(tmp_path: Path) -> None:
    assert made_stack.of(tmp_path, "dev", programs.script(tmp_path / "seven", "exit 7")).run() == 7
    assert made_stack.of(tmp_path, "dev", programs.script(tmp_path / "killed", "kill -9 $$")).run() == 137
    failing = programs.script(tmp_path / "failing", "echo 'error: no stack named x' >&2; exit 255")
    with pytest.raises(OpsError, match=r"^pulumi stack output: no stack named x") as caught:
        made_stack.of(tmp_path, "dev", failing).ask("stack", "output")
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
    body = (
        "import sys; from pathlib import Path; from tests.support import made_stack\n"
        f"sys.exit(made_stack.of(Path({str(tmp_path)!r}), 'dev', Path({str(program)!r})).run())"
    )
    root = Path(__file__).resolve().parents[2]
    # As in the background of a shell, which lets its children ignore interrupts.
    command = ["sh", "-c", 'trap "" INT; exec "$0" -c "$1"', sys.executable, body]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.DEVNULL) as ours:
        end = time.monotonic() + 30
        while not said.exists() and time.monotonic() < end:
            time.sleep(0.02)
        ours.send_signal(number)
        assert ours.wait(30) == 3
    assert said.read_text().split() == ["started", "INT", "ended"]
