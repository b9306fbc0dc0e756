"""Finding, starting and asking the Docker engine."""

# ruff: noqa: FBT001 - a truth is often a case of a table

import grp
import io
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker.errors
import pytest

from components.settings import Settings
from ops import deploy, doctor, engine, recover
from setup import console, process
from setup import engine as local_engine
from setup.console import OpsError
from tests.support import fake_docker, made_stack, programs
from tests.support.settings import settings

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def answering(path: Path, answers: dict[str, tuple[int, object]]) -> Iterator[str]:
    """An engine that knows some answers and says 404 to the rest."""

    known = {"/version": (200, {"ApiVersion": "1.41", "Version": "20.10"}), **answers}

    def answer(target: str) -> tuple[int, object]:
        return known.get(re.sub(r"^/v[0-9.]+|\?.*$", "", target), (404, {"message": "no such thing"}))

    with fake_docker.serving(path, answer) as host:
        yield host


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_an_engine_that_answers_or_is_another_machines_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *words, **_: pytest.fail(f"started {words}"))
    monkeypatch.setattr(subprocess, "run", lambda *words, **_: pytest.fail(f"ran {words}"))
    with answering(tmp_path / "sock", {"/_ping": (200, "OK")}) as host:
        local_engine.ensure(host)
    local_engine.ensure("ssh://nobody@nowhere.invalid")


def test_a_silent_engine_at_a_place_of_the_users_own_is_named(tmp_path: Path) -> None:
    with pytest.raises(OpsError, match=re.escape(f"No Docker engine answers at unix://{tmp_path}/sock")):
        local_engine.ensure(f"unix://{tmp_path}/sock")


def test_a_socket_that_is_not_for_this_user_is_told_from_a_missing_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    # Tests run as root as well, and root may open every socket.
    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr(shutil, "which", lambda _: None)  # nothing with which to go on in another group
    with pytest.raises(OpsError, match="usermod -aG"):
        local_engine.ensure()


@pytest.mark.parametrize(("member", "asked"), [(True, []), (False, ["sudo usermod --append --groups"])])
def test_a_user_to_whom_the_socket_is_closed_goes_on_in_its_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, member: bool, asked: list[str]
) -> None:
    class RunsAgainError(Exception):
        pass

    def run_again(_: str, words: list[str]) -> None:
        raise RunsAgainError(*words)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "sock").touch()
    group = (tmp_path / "sock").stat().st_gid
    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getgroups", lambda: [group + 1])
    monkeypatch.setattr(os, "getgrouplist", lambda *_: [group] if member else [])
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    commands: list[str] = []
    monkeypatch.setattr(subprocess, "run", lambda words, check: commands.append(" ".join(words[:4])))
    monkeypatch.setattr(os, "execvp", run_again)
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "ops", "up", "a b"])
    monkeypatch.setenv("YES", "1")
    name = grp.getgrgid(group).gr_name
    with pytest.raises(RunsAgainError, match=re.escape(str(("sg", name, "-c", "python -m ops up 'a b'")))):
        local_engine.ensure(f"unix://{tmp_path}/sock")
    assert commands == asked
    # In the group already: it is closed for another reason, and running again would never end.
    monkeypatch.setattr(os, "getgroups", lambda: [group])
    with pytest.raises(OpsError, match="usermod -aG"):
        local_engine.ensure(f"unix://{tmp_path}/sock")


def on(host: str, **jenkins: Any) -> Settings:
    return settings(docker={"acceptRootOnHost": True, "host": host}, jenkins=jenkins)


def test_an_engine_that_is_gone_in_the_middle_is_told_in_words(tmp_path: Path) -> None:
    stack = on(f"unix://{tmp_path}/gone")
    with pytest.raises(OpsError, match="did not list its images"):
        engine.image_problem(stack)
    assert engine.show_ill(stack, "ci", "dev", starting=True) == []  # nothing to show, and no traceback


def test_a_silent_engine_is_given_up_and_one_that_answers_or_is_gone_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pulumi's plugin would wait for ever, so `make preview` and `make down` ask first."""
    path = tmp_path / "silent.sock"
    stack = made_stack.on_docker(tmp_path, docker={"acceptRootOnHost": True, "host": f"unix://{path}"})
    monkeypatch.setattr(engine, "SILENT_SECONDS", 0.2)
    monkeypatch.setattr(deploy, "_ready", lambda _: stack)
    monkeypatch.setattr(deploy, "pulumi", lambda *_: deploy.Done(1, {}, {}))
    monkeypatch.setattr(stack, "outputs", lambda *_: {})
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        for verb in (deploy.preview, deploy.down):
            with pytest.raises(OpsError, match="does not answer within"):
                verb(None, [])
    path.unlink()
    assert deploy.down(None, []) == 1
    with answering(path, {"/_ping": (200, "OK")}):
        assert deploy.down(None, []) == 1


@pytest.mark.parametrize("operation", ["creating", "updating"])
def test_recover_says_in_words_that_the_engine_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    """It goes on with a refresh, and Pulumi's plugin would wait for a silent engine for ever."""

    def gone(*_: object) -> None:
        raise docker.errors.DockerException("Error while fetching server API version")

    monkeypatch.setattr("ops.engine.client", gone)
    half_made = {"type": operation, "resource": {"type": recover.CONTAINER, "inputs": {"name": "c"}}}
    with pytest.raises(OpsError, match="can't be asked for what was half made") as caught:
        recover.remove_forgotten(made_stack.on_docker(tmp_path), {"pending_operations": [half_made]})
    assert "run recover again" in caught.value.remedy


@pytest.mark.parametrize(
    ("image", "why"),
    [("held:1", ""), ("registry:1", ""), ("ci-offline-controller:1", ""), ("gone:1", "lookup: no such host")],
)
def test_why_an_image_cannot_be_had_is_told_in_the_registrys_words(tmp_path: Path, image: str, why: str) -> None:
    known: dict[str, tuple[int, object]] = {
        "/images/held:1/json": (200, {}),
        "/distribution/registry:1/json": (200, {}),
        "/distribution/gone:1/json": (500, {"message": "Get lookup: no such host"}),
    }
    with answering(tmp_path / "sock", known) as host:
        problem = engine.image_problem(on(host, image=image))
    assert problem == (why and f"the image {image} is not on the engine and can't be pulled ({why})")


@pytest.mark.parametrize(
    ("state", "starting", "how"),
    [
        ({"Status": "running", "Health": {"Status": "healthy"}}, True, ""),
        ({"Status": "running", "Health": {"Status": "starting"}}, False, ""),
        ({"Status": "running", "Health": {"Status": "starting"}}, True, "starting"),
        ({"Status": "running"}, True, ""),
        ({"Status": "running", "Health": {"Status": "unhealthy"}}, False, "unhealthy"),
        ({"Status": "restarting"}, False, "restarting"),
        ({"Status": "restarting", "Of": "another clone"}, False, ""),
        ({"Status": "restarting", "Of": "server-agent-2"}, False, "restarting"),
    ],
)
def test_a_container_that_is_not_well_is_told_with_the_end_of_its_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], state: dict[str, object], starting: bool, how: str
) -> None:
    name = f"jenkins-{state.get('Of', 'server')}"
    whole = {"Id": "1", "Name": f"/{name}", "State": state, "Config": {"Tty": True}}
    known: dict[str, tuple[int, object]] = {
        "/containers/json": (200, [{"Id": "1"}]),
        "/containers/1/json": (200, whole),
        "/containers/1/logs": (200, "why it fails"),
    }
    with answering(tmp_path / "sock", known) as host, pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "RECONNECT_SECONDS", 0)
        found = engine.show_ill(on(host, agents=2), "ci", "dev", starting=starting)
    assert found == ([f"the container {name} is {how}"] if how else [])
    assert ("why it fails" in capfd.readouterr().err) == bool(how)


def test_an_agent_that_looks_for_a_replaced_controller_is_waited_for(tmp_path: Path) -> None:
    healths = iter(("unhealthy", "healthy"))

    def answer(target: str) -> tuple[int, object]:
        if "/containers/1/json" in target:
            state = {"Status": "running", "Health": {"Status": next(healths)}}
            return 200, {"Id": "1", "Name": "/jenkins-server-agent-1", "State": state, "Config": {"Tty": True}}
        return 200, [{"Id": "1"}] if "/containers/json" in target else {"ApiVersion": "1.41", "Version": "20.10"}

    with fake_docker.serving(tmp_path / "sock", answer) as host:
        assert engine.show_ill(on(host, agents=2), "ci", "dev", starting=False) == []
    assert next(healths, None) is None


@pytest.mark.parametrize(("usual", "mark"), [(False, "BAD"), (True, "note")])
def test_doctor_does_not_promise_that_up_starts_an_engine_that_it_would_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, usual: bool, mark: str
) -> None:
    host = f"unix://{tmp_path}/sock"
    if usual:
        monkeypatch.setattr(local_engine, "DEFAULT_HOST", host)
    [found] = doctor.of_settings(made_stack.on_docker(tmp_path, docker={"acceptRootOnHost": True, "host": host}))
    assert found.mark == mark


@pytest.fixture
def no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose engine's place is ours to watch; the PATH has only what a test puts there and the usual tools."""
    monkeypatch.setattr(local_engine, "DEFAULT_HOST", f"unix://{tmp_path}/docker.sock")
    monkeypatch.setattr(local_engine, "_sbin_path", lambda: f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(local_engine, "START_SECONDS", 20)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return tmp_path


def test_an_installed_engine_is_started_and_waited_for(no_engine: Path) -> None:
    # A program that listens after a while, as dockerd does.
    program = f"""\
import time; from pathlib import Path; from tests.support import fake_docker
time.sleep(0.5)
with fake_docker.serving(Path("{no_engine}/docker.sock"), lambda _: (200, {{"ApiVersion": "1.41", "Version": "20"}})):
    time.sleep(20)
"""
    (no_engine / "engine.py").write_text(program)
    run = f"PYTHONPATH={ROOT} exec {sys.executable} {no_engine}/engine.py"
    programs.script(
        no_engine / "bin/dockerd", f"[ -d /run/systemd/system ] && exit 9; echo $$ > {no_engine}/pid; {run}"
    )
    try:
        local_engine.ensure(local_engine.DEFAULT_HOST)
    finally:
        os.kill(int((no_engine / "pid").read_text()), 9)


def test_an_engine_that_ends_at_once_is_told_with_the_end_of_its_log(no_engine: Path) -> None:
    programs.script(no_engine / "bin/dockerd", "echo failed to mount overlay: no permission; exit 1")
    with pytest.raises(OpsError, match="failed to mount overlay"):
        local_engine.ensure(local_engine.DEFAULT_HOST)


@pytest.mark.parametrize(("typed", "agreed"), [("\n", True), ("y\n", True), ("what?\nn\n", False)])
def test_a_question_is_put_only_to_a_terminal(monkeypatch: pytest.MonkeyPatch, typed: str, agreed: bool) -> None:
    monkeypatch.setattr("sys.argv", ["ops", "down", "--stack", "a"])
    for answer in ("", "0", "no", "2"):
        monkeypatch.setenv("YES", answer)
        with pytest.raises(OpsError, match="ops down --stack a --yes; with make: YES=1"):
            console.agreed("Install?")  # pytest's stdin is none
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert console.agreed("Install?") is agreed
    monkeypatch.setenv("YES", "1")
    assert console.agreed("Install?")


@pytest.mark.parametrize(("apt", "said"), [("exit 9", "by hand: "), (None, "there is no apt-get here")])
def test_a_package_that_cannot_be_installed_is_told_with_the_command(
    no_engine: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], apt: str | None, said: str
) -> None:
    for tool in ("sh", "dirname", "sha256sum", "mkdir", "date", "ls", "tail", "sed", "id", "env"):
        (no_engine / "bin").mkdir(exist_ok=True)
        (no_engine / "bin" / tool).symlink_to(shutil.which(tool) or "")
    if apt:
        programs.script(no_engine / "bin/apt-get", apt)
        programs.script(no_engine / "bin/sudo", 'shift; exec "$@"')
    monkeypatch.setenv("PATH", str(no_engine / "bin"))
    monkeypatch.setenv("YES", "1")
    with pytest.raises(OpsError, match=r"docker\.io is needed to run containers"):
        process.install(["docker.io"], "to run containers")
    shown = capfd.readouterr().err
    assert said in shown
    assert "docker.io" in shown
    monkeypatch.setenv("YES", "0")
    with pytest.raises(OpsError, match=r"docker\.io is needed"):
        process.install(["docker.io"], "to run containers")
    shown = capfd.readouterr().err
    assert ("no terminal to ask on" in shown and "YES=1" in shown) == bool(apt)


def test_a_long_step_says_that_it_is_alive_and_one_that_takes_too_long_is_ended_and_its_log_shown(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "HEARTBEAT_SECONDS", 0.05)
    with pytest.raises(OpsError, match=r"timed out after [\s\S]*half way"):
        process.run_logged(
            ["sh", "-c", "echo half way; exec sleep 60"], title="waiting", expect="1 s", name="wait", timeout=0.3
        )
    begun = r"-> waiting \(1 s, log: .*\)\n(   still waiting, 0 s so far\n)+   failed after [0-9.]+ s: waiting\n"
    assert re.match(begun, capfd.readouterr().err)


def test_offline_is_run_as_a_process_and_its_failure_is_the_verbs() -> None:
    process.offline("cli", "--help")
    with pytest.raises(OpsError, match="offline nothing"):
        process.offline("nothing")


def test_of_the_numbers_of_engines_only_a_running_ones_stays(tmp_path: Path) -> None:
    left, inner = tmp_path / "docker.pid", tmp_path / "docker/containerd/containerd.pid"
    inner.parent.mkdir(parents=True)
    for path in (left, inner):
        path.write_text(str(os.getpid()))  # this process is no engine
    local_engine.clear_stale(tmp_path)
    assert not left.exists()
    assert not inner.exists()
    program = tmp_path / "dockerd"
    shutil.copy2(shutil.which("cat") or "/bin/cat", program)
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin
        assert running.stdout
        running.stdin.write(b"runs\n")
        running.stdin.flush()
        assert running.stdout.readline() == b"runs\n"  # only now it surely has its own name
        left.write_text(str(running.pid))
        local_engine.clear_stale(tmp_path)
        assert left.exists()
