"""`recover` on state files that the real CLI wrote: what is found again, what is kept, and what is never touched."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import yaml

from ops import deploy, local, recover, run, state_files
from ops.clone import Clone
from ops.toolchain import cache, plugins, toolchain
from ops.toolchain.errors import OpsError

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """\
import pathlib, time
import pulumi

pulumi.Stash("kept", input=pulumi.Config().get("value") or "first")
wait = pathlib.Path("wait")
while wait.exists():
    pathlib.Path("started").touch()
    time.sleep(0.05)
"""
PROJECT = {
    "name": "ci",
    "runtime": {"name": "python", "options": {"toolchain": "pip", "virtualenv": ".venv"}},
    "stackConfigDir": "stacks",
}


def open_workspace(root: Path, tools: toolchain.Toolchain) -> local.Workspace:
    """The clone's workspace, whatever backend the user of this machine is logged in to."""
    env = {name: value for name, value in tools.env.items() if not name.startswith("PULUMI_CONFIG_")}
    env = {name: value for name, value in env.items() if name not in {"PULUMI_BACKEND_URL", "PULUMI_ACCESS_TOKEN"}}
    env["PULUMI_CREDENTIALS_PATH"] = str(root / "nobody")
    return local.Workspace(Clone(root), toolchain.Toolchain(tools.pulumi, env, tools.origin))


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, toolchain.Toolchain]:
    """A clone with a stack that the real CLI has updated twice."""
    root = tmp_path_factory.mktemp("recover") / "clone"
    (root / "stacks").mkdir(parents=True)
    (root / "stacks/Pulumi.dev.yaml").write_text("config:\n  ci:platform: docker\n")
    (root / "__main__.py").write_text(PROGRAM)
    (root / "Pulumi.yaml").write_text(yaml.safe_dump(PROJECT))
    (root / ".venv").symlink_to(sys.prefix)
    tools = toolchain.ensure(providers=[plugins.DOCKER])
    workspace = open_workspace(root, tools)
    assert deploy.pulumi(workspace, "up", "dev", ["--yes", "--skip-preview"]).status == 0
    assert deploy.pulumi(workspace, "up", "dev", ["--yes", "--skip-preview", "-c", "value=second"]).status == 0
    return root, tools


@pytest.fixture
def workspace(
    deployed: tuple[Path, toolchain.Toolchain], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> local.Workspace:
    shutil.copytree(deployed[0], tmp_path / "clone", symlinks=True)
    made = open_workspace(tmp_path / "clone", deployed[1])
    monkeypatch.setattr(deploy, "open_workspace", lambda _=None: made)
    monkeypatch.setattr(deploy, "known_settings", lambda *_: {})
    return made


def up(workspace: local.Workspace) -> deploy.Outcome:
    return deploy.pulumi(workspace, "up", "dev", ["--yes", "--skip-preview"])


def state(workspace: local.Workspace) -> Path:
    return workspace.clone.state_file("dev")


def cut(path: Path) -> bytes:
    """Shorten a file as a full disk does; give what is left."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path.read_bytes()


def content(workspace: local.Workspace) -> dict[str, bytes]:
    folder = workspace.clone.state
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_healthy_stack_is_left_as_it_is(workspace: local.Workspace) -> None:
    before = content(workspace)
    assert recover.recover("dev", yes=True) == 0
    assert content(workspace) == before


@pytest.mark.parametrize(
    ("damage", "source"),
    [
        (["state gone"], "history"),
        (["state cut"], "history"),
        (["state cut", "backup cut"], "history"),
        (["state gone", "history gone"], "backups"),
        (["state empty", "history gone", "backups gone"], "dev.json.bak"),
        (["state of another stack", "backup cut", "backups gone"], "history"),
    ],
    ids=", ".join,
)
def test_the_newest_whole_checkpoint_is_put_back_and_what_was_found_is_kept(
    workspace: local.Workspace, damage: list[str], source: str
) -> None:
    good, kinds = state(workspace), workspace.clone.state / ".pulumi"
    backup = good.with_name("dev.json.bak")
    last, before = good.read_bytes(), backup.read_bytes()
    found = []
    for each in damage:
        match each.split(maxsplit=1):
            case ["state", "gone"]:
                good.unlink()
            case ["state", "cut"]:
                found.append(cut(good))
            case ["state", "empty"]:
                good.write_bytes(b"")
                found.append(b"")
            case ["state", _]:
                good.write_bytes(last.replace(b"ci/dev", b"ci/prod"))
                found.append(good.read_bytes())
            case ["backup", _]:
                found.append(cut(backup))
            case [kind, _]:
                shutil.rmtree(kinds / kind)
    assert recover.recover("dev", yes=True) == 0
    assert good.read_bytes() == (before if source == "dev.json.bak" else last)
    assert sorted(path.read_bytes() for path in good.parent.glob("*.damaged-*")) == sorted(found)
    outcome = up(workspace)
    assert (outcome.status, outcome.changes.get("create", 0)) == (0, 0), "what is deployed is known again"


def test_up_does_not_begin_anew_where_the_state_is_gone_and_names_recover(workspace: local.Workspace) -> None:
    state(workspace).unlink()
    before = content(workspace)
    with pytest.raises(OpsError) as refused:
        up(workspace)
    assert "make recover STACK=dev" in refused.value.remedy
    assert content(workspace) == before


def test_where_no_checkpoint_is_whole_nothing_is_changed(workspace: local.Workspace) -> None:
    for path in workspace.clone.state.rglob("*.json*"):
        if not path.name.endswith(".attrs"):
            cut(path)
    before = content(workspace)
    with pytest.raises(OpsError):
        recover.recover("dev", yes=True)
    assert content(workspace) == before


def test_on_a_full_disk_nothing_is_changed(workspace: local.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    cut(state(workspace))
    before = content(workspace)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cache.os, "fsync", full)
    with pytest.raises(OpsError) as failed:
        recover.recover("dev", yes=True)
    assert os.strerror(errno.ENOSPC) in str(failed.value)
    assert content(workspace) == before


def test_a_stack_that_was_removed_is_not_brought_back(workspace: local.Workspace) -> None:
    run.answer(
        workspace, ["destroy", "--yes", "--stack", "dev", "--config-file", str(workspace.clone.effective("dev"))]
    )
    run.answer(workspace, ["stack", "rm", "--yes", "dev", "--preserve-config"])
    assert up(workspace).changes["create"] > 0


def test_half_written_files_are_removed_but_another_stacks_are_not(workspace: local.Workspace) -> None:
    attributes, other = state(workspace).with_name("dev.json.attrs"), state(workspace).with_name("dev2.json.attrs")
    unfinished = state(workspace).with_name("dev.json.18eadbf8767cba2e.tmp")
    attributes.write_text("")
    other.write_text("")
    unfinished.write_text("{")
    assert up(workspace).status != 0, "the CLI takes an empty file of attributes now: nothing to mend"
    assert recover.recover("dev", yes=True) == 0
    assert not attributes.exists()
    assert not unfinished.exists()
    assert other.exists()
    assert up(workspace).status == 0


@pytest.mark.parametrize("text", ["", "[]", "7", '{"pid": "many"}', '{"pid": "x", "username": "a", "hostname": "b"}'])
def test_a_lock_that_is_no_lock_is_named_by_up_and_removed(
    workspace: local.Workspace, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = workspace.clone.state / ".pulumi/locks/organization/ci/dev"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bad.json").write_text(text)
    assert up(workspace).status != 0
    assert "make recover STACK=dev" in capsys.readouterr().err
    assert recover.recover("dev", yes=True) == 0
    assert up(workspace).status == 0


def held_update(workspace: local.Workspace) -> subprocess.Popen[bytes]:
    """An update that holds the stack's lock until the file `wait` is removed."""
    root = workspace.clone.root
    (root / "wait").touch()
    words = ["up", "--yes", "--skip-preview", "--stack", "dev", "--config-file", str(workspace.prepare("dev"))]
    process = subprocess.Popen(
        [str(workspace.tools.pulumi), *words],
        cwd=root,
        env=workspace.env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 60
    while not (root / "started").exists():
        assert process.poll() is None, "the update ended early"
        assert time.monotonic() < end, "the update did not reach the program"
        time.sleep(0.05)
    return process


def test_a_second_update_is_refused_while_one_runs_and_recover_leaves_that_one_alone(
    workspace: local.Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    with held_update(workspace) as first:
        try:
            assert up(workspace).status != 0
            assert "make recover" not in capsys.readouterr().err
            with pytest.raises(OpsError, match=f"kill -INT {first.pid}"):
                recover.recover("dev", yes=True)
        finally:
            (workspace.clone.root / "wait").unlink()
        assert first.wait(60) == 0


@pytest.mark.parametrize("verb", ["up", "destroy"])
def test_after_a_kill_the_verb_names_recover_which_frees_the_lock_and_ends_the_orphans(
    workspace: local.Workspace, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with held_update(workspace) as killed:
        killed.send_signal(signal.SIGKILL)
        killed.wait(30)
    assert recover.locks(workspace, "dev"), "nothing to recover from: the CLI frees its lock in another way now"
    assert deploy.pulumi(workspace, verb, "dev", ["--yes", "--skip-preview"]).status != 0
    assert "make recover STACK=dev" in capsys.readouterr().err
    assert recover.recover("dev", yes=True) == 0
    assert list(recover.orphaned_plugins(workspace.clone.root, recover._processes())) == []  # noqa: SLF001 - the machine's own
    assert recover.locks(workspace, "dev") == []
    (workspace.clone.root / "wait").unlink()
    assert up(workspace).status == 0


def test_operations_that_were_not_finished_are_named(workspace: local.Workspace) -> None:
    found = json.loads(state(workspace).read_text())
    resource = found["checkpoint"]["latest"]["resources"][-1]
    found["checkpoint"]["latest"]["pending_operations"] = [{"resource": resource, "type": "creating"}]
    assert recover.remains(workspace, "dev") == ""
    state(workspace).write_text(json.dumps(found))
    assert recover.remains(workspace, "dev")
    assert state_files.mend(workspace.clone, "dev") == []
