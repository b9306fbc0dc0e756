"""A stack with the real CLI: its own file, its settings as the program reads them, and no secret in clear."""

import json
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ops import deploy, settings
from ops.stack import Stack, backend
from setup.console import OpsError
from tests.support import tiny

ROOT = Path(__file__).resolve().parents[2]
CANARY = "canary-4b1c-of-a-secret"
PROGRAM = f"""\
import sys
import pulumi
sys.path.insert(0, {str(ROOT)!r})
from components import password
from pydantic import SecretStr

config = pulumi.Config()
given = config.get("adminPassword")
clear = password.kept("admin-password", SecretStr(given) if given else None, pulumi.ResourceOptions())
pulumi.export("adminPassword", clear)
pulumi.export("hash", clear.apply(lambda known: password.jbcrypt(known, realm="test")))
pulumi.export("jenkins", config.get_object("jenkins"))
"""


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    # A proxy that the user's other programs need: none is between Pulumi's engine and the program.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    made = tiny.stack(tiny.clone(tmp_path / "my clöne", PROGRAM))
    monkeypatch.setattr(settings, "open_stack", lambda _: made)
    made.prepare()
    return made


def up(stack: Stack, *words: str) -> int:
    done = deploy.pulumi(stack, "up", ["--yes", "--skip-preview", *words])
    assert done.status == 0
    assert done.outputs.keys() == stack.outputs().keys(), "the event log has them too"
    assert done.outputs.get("jenkins") == stack.outputs().get("jenkins")
    return done.changed


def secrets(stack: Stack) -> tuple[str, str]:
    found = stack.outputs("--show-secrets")
    return found["adminPassword"], found["hash"]


def files_with(root: Path, text: str) -> list[str]:
    return [str(path) for path in root.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_a_generated_password_stays_is_shown_on_request_and_is_in_clear_nowhere(stack: Stack) -> None:
    assert deploy.pulumi(stack, "preview", []).status == 0, "a preview before the first update knows no password"
    assert up(stack) == 2, "the stack and the Stash"
    first, shown = secrets(stack)
    assert len(first) == 32
    assert shown.startswith("#jbcrypt:$2a$10$")
    assert up(stack) == 0
    assert secrets(stack) == (first, shown)
    assert settings.stack_password(stack) == first
    assert stack.outputs()["adminPassword"] == "[secret]"
    kinds = {path.relative_to(stack.clone.state).parts[1] for path in stack.clone.state.rglob("*.json*")}
    assert {"stacks", "backups", "history"} <= kinds
    assert files_with(stack.clone.root, first) == []


def test_a_password_that_is_set_wins_and_is_in_clear_nowhere(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    real = subprocess.run

    def watched(command: list[str], **options: Any) -> Any:
        seen.extend([*command, *(options.get("env") or {}).values()])
        return real(command, **options)

    monkeypatch.setattr(subprocess, "run", watched)
    monkeypatch.setattr("sys.stdin.read", lambda: f"{CANARY}\n", raising=False)
    settings.set_one(None, "adminPassword", secret=False)
    up(stack)
    assert secrets(stack)[0] == CANARY
    assert files_with(stack.clone.root, CANARY) == []
    assert seen
    assert not any(CANARY in word for word in seen)


def test_a_setting_goes_into_the_stacks_file_and_comments_stay(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.read", lambda: "18391\n", raising=False)
    settings.set_one(None, "ci:jenkins.httpPort", secret=False)
    lines = stack.clone.file("dev").read_text().splitlines()
    salt = [line for line in lines if line.startswith("encryptionsalt: v1:")]
    before = tiny.FILE.replace("18390", "18391").splitlines()
    assert sorted(lines) == sorted([*before, *salt])
    assert len(salt) == 1
    assert stack.settings.jenkins.http_port == 18391
    up(stack)
    assert stack.outputs()["jenkins"] == {"httpPort": 18391}, "a key that Pulumi.yaml does not declare is read"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ci:jenkins.httpPort", "abc"),
        ('ci:jobs["x"]', "1"),
        ("ci:jobs[7].name", "a"),
        ("ci:jenkins.image", "jenkins/jenkins:latest"),
        ("ci:adminPassword", "hunter2"),
    ],
)
def test_a_value_that_the_next_verb_would_refuse_is_not_written(
    stack: Stack, key: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.read", lambda: value, raising=False)
    before = stack.clone.file("dev").read_bytes()
    with pytest.raises(OpsError, match="Nothing was changed") as refused:
        settings.set_one(None, key, secret=False)
    assert "hunter2" not in str(refused.value)
    assert stack.clone.file("dev").read_bytes() == before


def test_a_value_that_needs_another_setting_is_written_and_the_other_one_named(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin.read", lambda: "a", raising=False)
    settings.set_one(None, "ci:jobs[0].name", secret=False)
    assert "Before it can be deployed: ci:jobs[0] has neither a repository nor a script" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["", "\n"])
def test_an_empty_value_is_refused(stack: Stack, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.read", lambda: value, raising=False)
    with pytest.raises(OpsError) as refused:
        settings.set_one(None, "gitToken", secret=False)
    assert refused.value.code == 2
    assert "gitToken" not in stack.clone.file("dev").read_text()


def test_wrong_settings_are_reported_before_anything_is_run_and_can_be_put_right(stack: Stack) -> None:
    stack.ask("config", "set", "--path", "ci:jenkins.httpPort", "99999")
    with pytest.raises(OpsError, match=r"ci:jenkins\.httpPort") as refused:
        _ = stack.settings
    assert refused.value.code == 2
    assert stack.platform == "docker"


def test_what_belongs_to_the_clone_is_closed_to_other_users(stack: Stack) -> None:
    assert stat.S_IMODE(stack.clone.local.stat().st_mode) == 0o700
    assert stat.S_IMODE(stack.clone.passphrase.stat().st_mode) == 0o600


def test_an_example_becomes_the_stacks_own_file_when_it_is_first_used_and_the_place_of_the_state_is_told(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    example = stack.clone.example("way")
    example.parent.mkdir(parents=True)
    example.write_text(tiny.FILE)
    way = tiny.stack(stack.clone.root, "way")
    way.prepare()
    said = " ".join(capsys.readouterr().err.split())
    assert f"the state of stack way is in {way.clone.state}, its passphrase in {way.clone.passphrase}: keep a" in said
    elsewhere = {"PULUMI_BACKEND_URL": "postgres://ci:hidden@db.example.org/state"}
    assert backend(elsewhere) == "postgres://db.example.org/state"
    assert example.read_text() == tiny.FILE
    assert way.settings.jenkins.http_port == 18390
    assert tiny.FILE.splitlines()[0] in stack.clone.file("way").read_text()


def test_a_lost_passphrase_and_a_foreign_one_are_named(stack: Stack) -> None:
    kept = stack.clone.passphrase.read_text()
    stack.clone.passphrase.unlink()
    with pytest.raises(OpsError, match="passphrase is gone"):
        tiny.stack(stack.clone.root).prepare()
    stack.clone.passphrase.write_text(kept + "x")
    stack.clone.file("two").write_text(stack.clone.file("dev").read_text())
    with pytest.raises(OpsError, match="another passphrase") as refused:
        tiny.stack(stack.clone.root, "two").prepare()
    assert "encryptionsalt" in refused.value.remedy


def test_plain_pulumi_needs_no_further_step(tmp_path: Path) -> None:
    root = tiny.clone(tmp_path / "clone", PROGRAM)
    stack = tiny.stack(root)
    env = {**stack.tools.env, "PULUMI_BACKEND_URL": tmp_path.as_uri(), "PULUMI_CONFIG_PASSPHRASE": "not-a-secret"}

    def pulumi(*words: str) -> str:
        command = [str(stack.tools.pulumi), *words]
        done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    pulumi("stack", "init", "dev")
    pulumi("up", "--yes")
    assert len(pulumi("stack", "output", "--show-secrets", "adminPassword").strip()) == 32
    assert json.loads(pulumi("stack", "output", "--json"))["adminPassword"] == "[secret]"
