"""`recover` on state files that the real CLI wrote: what is found again, what is kept, and what is never touched."""

import errno
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from ops import deploy, recover, state_files
from ops.stack import Stack
from setup.console import OpsError
from tests.support import programs, tiny
from tests.support.waiting import eventually

PROGRAM = """\
import pathlib, time
import pulumi

pulumi.Stash("kept", input=pulumi.Output.secret(pulumi.Config().get("value") or "first"))
wait = pathlib.Path("wait")
while wait.exists():
    pathlib.Path("started").touch()
    time.sleep(0.05)
"""


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with a stack that the real CLI has updated twice."""
    stack = tiny.stack(tiny.clone(tmp_path_factory.mktemp("recover") / "clone", PROGRAM))
    stack.prepare()
    assert up(stack).status == 0
    assert up(stack, "-c", "value=second").status == 0
    return stack.clone.root


@pytest.fixture
def stack(deployed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    shutil.copytree(deployed, tmp_path / "my clone", symlinks=True)
    made = tiny.stack(tmp_path / "my clone")
    monkeypatch.setattr(recover, "unprepared", lambda _: made)
    return made


def up(stack: Stack, *words: str) -> deploy.Done:
    return deploy.pulumi(stack, "up", ["--yes", "--skip-preview", *words])


def state(stack: Stack) -> Path:
    return stack.clone.state_file("dev")


def cut(path: Path) -> bytes:
    """Shorten a file as a full disk does; give what is left."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path.read_bytes()


def content(stack: Stack) -> dict[str, bytes]:
    folder = stack.clone.state
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_healthy_stack_is_left_as_it_is(stack: Stack) -> None:
    before = content(stack)
    assert recover.recover("dev") == 0
    assert content(stack) == before
    assert not [name for name in before if name.endswith(".attrs")], "a kill cuts one, and no command works then"


FLIPS = {
    "with a flipped bit": rb'(?<="ciphertext":"v1:.)[^:]',
    "with a provider that is not there": rb'(?<="provider":"urn:pulumi:dev::ci::pulumi:providers:pulumi::default::)\w',
    "with a dependency that is not there": rb'(?<="parent":"urn:pulumi:dev::ci::pulumi:pulumi:Stack::ci-de)v',
    "with a renamed resource": rb'(?<="urn":"urn:pulumi:dev::ci::pulumi:index:Stash::kep)t',
}
"""The byte of a state in which a bit is flipped."""


@pytest.mark.parametrize(
    ("damage", "source"),
    [
        (["state gone"], "history"),
        (["state cut"], "history"),
        (["state cut", "backup cut"], "history"),
        (["state gone", "history gone"], "backups"),
        (["state empty", "history gone", "backups gone"], "dev.json.bak"),
        (["state of another stack", "backup cut", "backups gone"], "history"),
        (["state with a flipped bit"], "history"),
        (["state with a provider that is not there"], "history"),
        (["state with a dependency that is not there", "history gone"], "backups"),
        (["state with a renamed resource"], "history"),
    ],
    ids=", ".join,
)
def test_the_newest_whole_checkpoint_is_put_back_and_the_rest_kept(
    stack: Stack, damage: list[str], source: str
) -> None:
    good, kinds = state(stack), stack.clone.state / ".pulumi"
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
            case ["state", how] if how in FLIPS:
                good.write_bytes(re.sub(FLIPS[how], lambda old: bytes([old[0][0] ^ 1]), last))
                found.append(good.read_bytes())
                assert found != [last]
            case ["state", _]:
                good.write_bytes(last.replace(b"ci/dev", b"ci/prod"))
                found.append(good.read_bytes())
            case ["backup", _]:
                found.append(cut(backup))
            case [kind, _]:
                shutil.rmtree(kinds / kind)
    assert recover.recover("dev") == 0
    assert good.read_bytes() == (before if source == "dev.json.bak" else last)
    assert sorted(path.read_bytes() for path in good.parent.glob("*.damaged-*")) == sorted(found)
    done = up(stack)
    assert (done.status, done.changes.get("create", 0)) == (0, 0), "what is deployed is known again"


def test_up_does_not_begin_anew_where_the_state_is_gone_and_names_recover(stack: Stack) -> None:
    state(stack).unlink()
    before = content(stack)
    with pytest.raises(OpsError) as refused:
        stack.prepare()
    assert "make recover STACK=dev" in refused.value.remedy
    assert content(stack) == before


def test_where_no_checkpoint_is_whole_nothing_is_changed(stack: Stack) -> None:
    for path in stack.clone.state.rglob("*.json*"):
        cut(path)
    before = content(stack)
    with pytest.raises(OpsError):
        recover.recover("dev")
    assert content(stack) == before


def test_with_another_passphrase_nothing_is_changed(stack: Stack) -> None:
    """The stack was once empty, and that checkpoint has no secret which another passphrase could not decrypt."""
    stack.ask("destroy", "--yes")
    up(stack)
    stack.clone.passphrase.write_text("another")
    before = content(stack)
    with pytest.raises(OpsError, match=r"is not that of stack dev .*incorrect passphrase") as refused:
        recover.recover("dev")
    assert str(stack.clone.passphrase) in refused.value.remedy
    assert content(stack) == before


def test_an_empty_passphrase_is_named_before_pulumi_runs(stack: Stack) -> None:
    stack.clone.passphrase.write_text("\n")
    with pytest.raises(OpsError, match="gone or empty") as refused:
        stack.prepare()
    assert "from a copy" in refused.value.remedy


@pytest.mark.parametrize("salt", ["v1:AAAAAAAAAAA=:v1:AAAAAAAAAAAAAAAA:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==", "v1:x"])
def test_a_stack_file_of_another_passphrase_is_named(
    stack: Stack, salt: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = stack.clone.file("dev")
    file.write_text(re.sub("encryptionsalt: .*", f"encryptionsalt: {salt}", file.read_text()))
    before = content(stack)
    assert up(stack).status != 0
    assert "make recover STACK=dev" in capsys.readouterr().err
    with pytest.raises(OpsError, match=r"Pulumi\.dev\.yaml was encrypted with another passphrase") as refused:
        recover.recover("dev")
    assert "encryptionsalt" in refused.value.remedy
    assert content(stack) == before


def test_a_stack_file_that_is_damaged_is_named(stack: Stack) -> None:
    file = stack.clone.file("dev")
    file.write_bytes(bytes(80))
    with pytest.raises(OpsError, match=r"Pulumi\.dev\.yaml can't be read") as refused:
        assert stack.platform
    assert f"git checkout '{file}'" in refused.value.remedy


def test_a_state_that_pulumi_itself_edited_is_no_damage(stack: Stack) -> None:
    stack.ask("stack", "rename", "dev2")
    stack.ask("stack", "rename", "dev", "--stack", "dev2", stack=False)
    [stash] = [each["urn"] for each in json.loads(stack.ask("stack", "export"))["deployment"]["resources"]][-1:]
    stack.ask("state", "delete", stash, "--yes")
    before = content(stack)
    stack.prepare()
    assert recover.recover("dev") == 0
    assert content(stack) == before


def test_a_flipped_bit_is_named_before_an_update_can_act_on_it(stack: Stack) -> None:
    before = state(stack).read_bytes()
    state(stack).write_bytes(before.replace(b"Stash::kept", b"Stash::kepu", 1))
    with pytest.raises(OpsError) as refused:
        stack.prepare()
    assert "make recover STACK=dev" in refused.value.remedy


def test_where_the_state_and_both_copies_have_a_bit_flipped_each_is_what_the_other_two_have(stack: Stack) -> None:
    whole, kinds = state(stack).read_bytes(), stack.clone.state / ".pulumi"
    copies = [max(kinds.rglob(name)) for name in ("history/*/*/*.checkpoint.json", "backups/*/*/*.json")]
    for path, letter in zip([state(stack), *copies], (b"k", b"e", b"p"), strict=True):
        path.write_bytes(re.sub(rb"(?<=Stash::)kept", b"kept".replace(letter, bytes([letter[0] ^ 1])), whole))
    with pytest.raises(OpsError, match="not what its last update wrote"):
        tiny.stack(stack.clone.root).prepare()
    assert recover.recover("dev") == 0
    assert state(stack).read_bytes() == whole
    assert not [*kinds.rglob("*.voted")]


def test_on_a_full_disk_nothing_is_changed(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    cut(state(stack))
    before = content(stack)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        recover.recover("dev")
    assert content(stack) == before


def test_a_stack_that_was_removed_is_not_brought_back(stack: Stack) -> None:
    stack.ask("destroy", "--yes")
    stack.ask("stack", "rm", "--yes", "--preserve-config")
    stack.prepare()
    assert up(stack).changes["create"] > 0


@pytest.mark.parametrize("name", ["bad.json", "bad.json.1f.tmp"])
@pytest.mark.parametrize("text", ["", "[]", "7", '{"pid": "many"}', '{"pid": "x", "username": "a", "hostname": "b"}'])
def test_a_lock_that_is_no_lock_is_named_by_up_and_removed(
    stack: Stack, text: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = stack.clone.state / ".pulumi/locks/organization/ci/dev"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    (unfinished := state(stack).with_name("dev.json.2e.tmp")).touch()
    assert up(stack).status != 0
    assert "make recover STACK=dev" in capsys.readouterr().err
    assert recover.recover("dev") == 0
    assert not unfinished.exists()
    assert up(stack).status == 0


def test_a_file_that_a_pulumi_is_writing_is_left_alone(stack: Stack, tmp_path: Path) -> None:
    folder = stack.clone.state / ".pulumi/locks/organization/ci/dev"
    folder.mkdir(parents=True, exist_ok=True)
    writer = programs.script(
        tmp_path / "pulumi", f"exec 3> {shlex.quote(str(folder))}/new.json.1f.tmp\necho\nread never"
    )
    with subprocess.Popen([writer], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writing:
        assert writing.stdout is not None
        writing.stdout.readline()
        with pytest.raises(OpsError, match=f"process {writing.pid} writes"):
            recover.recover("dev")
    assert recover.recover("dev") == 0


def held_update(stack: Stack) -> subprocess.Popen[bytes]:
    """An update that holds the stack's lock until the file `wait` is removed."""
    root = stack.clone.root
    (root / "wait").touch()
    words = ["up", "--yes", "--skip-preview", "--stack", "dev"]
    process = subprocess.Popen(
        [str(stack.tools.pulumi), *words], cwd=root, env=stack.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    eventually(lambda: (root / "started").exists() or process.poll() is not None, seconds=60)
    assert process.poll() is None, "the update ended early"
    return process


def test_a_second_update_is_refused_while_one_runs_and_recover_leaves_that_one_alone(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    with held_update(stack) as first:
        try:
            assert up(stack).status != 0
            assert "make recover" not in capsys.readouterr().err
            with pytest.raises(OpsError, match=f"kill -INT {first.pid}"):
                recover.recover("dev")
        finally:
            (stack.clone.root / "wait").unlink()
        assert first.wait(60) == 0


@pytest.mark.parametrize("verb", ["up", "destroy"])
def test_after_a_kill_the_verb_names_recover_which_frees_the_lock_and_ends_the_orphans(
    stack: Stack, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with held_update(stack) as killed:
        killed.send_signal(signal.SIGKILL)
        killed.wait(30)
    assert state_files.locks(stack.clone, "dev"), "nothing to recover from: the CLI frees its lock in another way now"
    assert deploy.pulumi(stack, verb, ["--yes", "--skip-preview"]).status != 0
    assert "make recover STACK=dev" in capsys.readouterr().err
    assert recover.recover("dev") == 0
    assert recover.orphaned_plugins(stack.clone.root) == []
    assert not state_files.locks(stack.clone, "dev")
    (stack.clone.root / "wait").unlink()
    assert up(stack).status == 0


def test_operations_that_were_not_finished_are_named(stack: Stack) -> None:
    found = json.loads(state(stack).read_text())
    resource = found["checkpoint"]["latest"]["resources"][-1]
    found["checkpoint"]["latest"]["pending_operations"] = [{"resource": resource, "type": "creating"}]
    assert recover.remains(stack) == ""
    state(stack).write_text(json.dumps(found))
    assert recover.remains(stack)
    assert state_files.mend(stack.clone, "dev", lambda _: "") == []


def test_the_state_that_a_restore_carries_over_has_the_kept_secrets_and_pulumi_takes_it(stack: Stack) -> None:
    before = json.loads(stack.ask("stack", "export", "--show-secrets"))["deployment"]["resources"]
    carried = json.dumps(state_files.carried(stack.clone, "dev", state(stack))).encode()
    shutil.rmtree(stack.clone.state)
    state_files.put(stack.clone.state, stack.clone, "dev", carried)
    assert up(stack).status == 0
    after = json.loads(stack.ask("stack", "export", "--show-secrets"))["deployment"]["resources"]
    outputs = [[each["outputs"]["output"] for each in found if "Stash" in each["type"]] for found in (before, after)]
    assert outputs[0] == outputs[1] != []
