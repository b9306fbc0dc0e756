"""The clone's own side of a stack, with the real CLI: what is committed stays as it is, and nothing secret lies open.

The program is tiny and uses no provider. The CLI is the one that CI_TEST_PULUMI names, else the tool chain's.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops import deploy, local, run
from ops.clone import Clone, read_yaml
from ops.toolchain import plugins, toolchain
from ops.toolchain.errors import Trouble

ROOT = Path(__file__).resolve().parents[2]
CANARY = "canary-4b1c-of-a-secret"
COMMITTED = """\
# A comment that has to stay.
config:
  ci:platform: docker
  ci:jenkins: {httpPort: 18390}
"""
PROGRAM = """\
import pathlib, time
import pulumi

config = pulumi.Config()
pulumi.export("port", config.require_object("jenkins")["httpPort"])
pulumi.export("password", config.get_secret("adminPassword"))
wait = pathlib.Path("wait")
while wait.exists():
    (pathlib.Path("started")).touch()
    time.sleep(0.05)
"""


@pytest.fixture(scope="session")
def tools() -> toolchain.Toolchain:
    named = os.environ.get("CI_TEST_PULUMI")
    environ = dict(os.environ)
    if named:
        environ["PATH"] = f"{Path(named).parent}{os.pathsep}{environ['PATH']}"
    return toolchain.ensure(environ, [plugins.DOCKER])


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    root = tmp_path / "clone"
    (root / "stacks").mkdir(parents=True)
    (root / "stacks/Pulumi.dev.yaml").write_text(COMMITTED)
    (root / "__main__.py").write_text(PROGRAM)
    (root / ".venv").symlink_to(sys.prefix)
    project = {
        "name": "ci",
        "runtime": {"name": "python", "options": {"toolchain": "pip", "virtualenv": ".venv"}},
        "stackConfigDir": "stacks",
    }
    (root / "Pulumi.yaml").write_text(yaml.safe_dump(project))
    return Clone(root)


@pytest.fixture
def workspace(clone: Clone, tools: toolchain.Toolchain, tmp_path: Path) -> local.Workspace:
    # Another user's log-in or backend on this machine is not to be met.
    env = {name: value for name, value in tools.env.items() if not name.startswith("PULUMI_CONFIG_")}
    for name in ("PULUMI_BACKEND_URL", "PULUMI_ACCESS_TOKEN"):
        env.pop(name, None)
    env["PULUMI_CREDENTIALS_PATH"] = str(tmp_path / "nobody")
    return local.Workspace(clone, toolchain.Toolchain(tools.pulumi, env, tools.origin))


def up(workspace: local.Workspace, *words: str) -> deploy.Outcome:
    return deploy.pulumi(workspace, "up", "dev", ["--yes", "--skip-preview", *words])


def outputs(workspace: local.Workspace) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run.answer(workspace, ["stack", "output", "--json", "--stack", "dev"]))
    return found


def files_with(root: Path, text: str) -> list[str]:
    """The files anywhere under a folder that hold a text."""
    return [str(path) for path in root.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_an_update_leaves_the_committed_file_as_it_was_and_the_second_changes_nothing(
    workspace: local.Workspace, clone: Clone
) -> None:
    first = up(workspace)
    assert (first.status, first.changed) == (0, 1)
    second = up(workspace)
    assert (second.status, second.changed) == (0, 0)
    assert clone.committed("dev").read_text() == COMMITTED
    assert [path.name for path in (clone.root / "stacks").iterdir()] == ["Pulumi.dev.yaml"]
    assert outputs(workspace)["port"] == 18390
    assert workspace.exists("dev")
    assert not workspace.exists("prod")


def test_the_salt_and_the_password_are_made_once_and_stay(workspace: local.Workspace, clone: Clone) -> None:
    workspace.prepare("dev")
    first = read_yaml(clone.overlay("dev"))
    workspace.prepare("dev")
    assert read_yaml(clone.overlay("dev")) == first
    assert first["encryptionsalt"].startswith("v1:")
    effective = read_yaml(clone.effective("dev"))
    assert effective["encryptionsalt"] == first["encryptionsalt"]
    assert effective["config"]["ci:platform"] == "docker"


def test_the_generated_password_is_long_and_in_clear_nowhere(workspace: local.Workspace, clone: Clone) -> None:
    assert up(workspace).status == 0
    words = ["config", "get", local.ADMIN_PASSWORD, "--stack", "dev", "--config-file", str(clone.effective("dev"))]
    password = run.answer(workspace, words).strip()
    assert len(password) >= 24
    assert files_with(clone.root, password) == []


def test_a_secret_that_was_set_is_in_clear_nowhere_and_in_no_command_line(
    workspace: local.Workspace, clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    real = subprocess.run

    def watched(command: list[str], **options: Any) -> Any:
        seen.extend([*command, *(options.get("env") or {}).values()])
        return real(command, **options)

    monkeypatch.setattr(subprocess, "run", watched)
    workspace.prepare("dev", password=False)
    workspace.set("dev", local.ADMIN_PASSWORD, CANARY, secret=True)
    assert up(workspace).status == 0
    assert outputs(workspace)["password"] == "[secret]"
    assert files_with(tmp_path, CANARY) == []
    assert seen
    assert not any(CANARY in word for word in seen)


def test_what_belongs_to_the_clone_is_closed_to_other_users(workspace: local.Workspace, clone: Clone) -> None:
    workspace.prepare("dev")
    assert stat.S_IMODE(clone.local.stat().st_mode) == 0o700
    for path in (clone.passphrase, clone.overlay("dev"), clone.effective("dev")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_a_setting_of_this_clone_is_laid_over_the_committed_ones(workspace: local.Workspace, clone: Clone) -> None:
    workspace.prepare("dev")
    workspace.set("dev", "ci:jenkins.httpPort", "18391", secret=False, path=True)
    assert up(workspace).status == 0
    assert outputs(workspace)["port"] == 18391
    # And what is committed later still comes through.
    clone.committed("dev").write_text(COMMITTED.replace("docker", "docker\n  ci:extra: hello"))
    workspace.prepare("dev")
    assert read_yaml(clone.effective("dev"))["config"]["ci:extra"] == "hello"
    assert "ci:extra" not in read_yaml(clone.overlay("dev"))["config"]


def test_what_pulumi_itself_wrote_is_kept_even_if_we_were_killed(workspace: local.Workspace, clone: Clone) -> None:
    effective = workspace.prepare("dev")
    run.answer(workspace, ["config", "set", "ci:later", "kept", "--stack", "dev", "--config-file", str(effective)])
    # As after a kill: nobody carried it back. The next verb does, before it makes the file anew.
    workspace.prepare("dev")
    assert read_yaml(clone.overlay("dev"))["config"]["ci:later"] == "kept"
    assert read_yaml(clone.effective("dev"))["config"]["ci:later"] == "kept"
    assert clone.committed("dev").read_text() == COMMITTED


def test_a_salt_in_the_committed_file_is_respected(workspace: local.Workspace, clone: Clone, tmp_path: Path) -> None:
    workspace.open_local()
    workspace._init("dev")  # noqa: SLF001 - as if somebody had moved the salt into the committed file
    salt = read_yaml(clone.overlay("dev"))["encryptionsalt"]
    clone.overlay("dev").unlink()
    clone.committed("dev").write_text(f"encryptionsalt: {salt}\n{COMMITTED}")
    assert up(workspace).status == 0
    assert read_yaml(clone.overlay("dev"))["encryptionsalt"] == salt


def test_a_committed_salt_that_contradicts_our_secrets_is_told(workspace: local.Workspace, clone: Clone) -> None:
    workspace.prepare("dev")
    clone.committed("dev").write_text(f"encryptionsalt: v1:another=\n{COMMITTED}")
    with pytest.raises(Trouble, match="under another"):
        workspace.prepare("dev")


def test_a_committed_password_is_respected(workspace: local.Workspace, clone: Clone) -> None:
    clone.committed("dev").write_text(f"{COMMITTED}  ci:adminPassword: {{secure: 'v1:abc'}}\n")
    workspace.prepare("dev")
    assert "config" not in read_yaml(clone.overlay("dev"))


def test_a_lost_passphrase_is_told_and_not_silently_replaced(workspace: local.Workspace, clone: Clone) -> None:
    workspace.prepare("dev")
    clone.passphrase.unlink()
    with pytest.raises(Trouble, match="is gone"):
        workspace.prepare("dev")
    assert not clone.passphrase.exists()


def test_a_stack_without_a_file_is_told_with_those_that_have_one(workspace: local.Workspace) -> None:
    with pytest.raises(Trouble, match=r"no stack 'prod'[\s\S]*dev") as caught:
        workspace.prepare("prod")
    assert caught.value.code == 2


def test_two_verbs_at_once_prepare_one_stack_with_one_salt(workspace: local.Workspace, clone: Clone) -> None:
    body = (
        "import json, sys; from pathlib import Path; from ops import local; from ops.clone import Clone\n"
        "from ops.toolchain.toolchain import Toolchain; said = json.load(sys.stdin)\n"
        "local.Workspace(Clone(Path(said['root'])), Toolchain(Path(said['pulumi']), said['env'], {})).prepare('dev')"
    )
    told = json.dumps(
        {"root": str(clone.root), "pulumi": str(workspace.tools.pulumi), "env": dict(workspace.tools.env)}
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", body], cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for process in both:
        assert process.stdin is not None
        process.stdin.write(told)  # small enough for the pipe, so that both start before either is waited for
        process.stdin.flush()
    said = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum("made a password" in text for text in said) == 1
    assert read_yaml(clone.effective("dev"))["encryptionsalt"] == read_yaml(clone.overlay("dev"))["encryptionsalt"]
