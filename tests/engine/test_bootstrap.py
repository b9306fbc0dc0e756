"""The Python environment, made for real from an empty lock file: no network, a few seconds each."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import programs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "YES": "1"}


def clone(folder: Path, lock: str = "# nothing\n") -> Path:
    """A clone that has what the bootstrap needs."""
    (folder / "setup").mkdir(parents=True)
    shutil.copy(ROOT / "setup/bootstrap.sh", folder / "setup/bootstrap.sh")
    (folder / "requirements.txt").write_text(lock)
    (folder / "requirements-dev.txt").write_text(lock)
    return folder


def start(root: Path, env: dict[str, str], kind: str = "runtime") -> subprocess.Popen[str]:
    command = ["sh", str(root / "setup/bootstrap.sh"), kind]
    return subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)


def run(root: Path, env: dict[str, str], kind: str = "runtime", status: int = 0) -> str:
    with start(root, env, kind) as process:
        said = process.communicate(timeout=300)[1]
    assert process.returncode == status, said
    return said


def test_two_clones_at_once_share_one_whole_environment_until_it_is_broken_or_a_lock_changes(
    tmp_path: Path, env: dict[str, str]
) -> None:
    both = [clone(tmp_path / name) for name in ("one", "two")]
    running = [start(root, env) for root in both]
    said = [process.communicate(timeout=300)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    assert sum("making an environment" in text for text in said) == 1
    made, other = [(root / ".venv").resolve() for root in both]
    assert made == other
    assert run(both[0], env) == ""
    (made / ".pins").unlink()  # as if its making had been broken off
    (made / "bin/python").unlink()
    assert "making an environment" in run(both[0], env)
    subprocess.run([both[0] / ".venv/bin/python", "-c", ""], check=True)
    (both[0] / "requirements.txt").write_text("# still nothing\n")
    run(both[0], env)
    assert (both[0] / ".venv").resolve() != made
    assert "give runtime or dev" in run(both[0], env, "dve", status=2)


def test_what_has_no_hash_is_refused_and_the_end_of_the_log_is_shown(tmp_path: Path, env: dict[str, str]) -> None:
    root = clone(tmp_path / "clone", "./package\n")
    (root / "package").mkdir()
    (root / "package/pyproject.toml").write_text("[project]\nname = 'package'\nversion = '1'\n")
    said = run(root, env, status=1)
    assert "the last lines of" in said
    assert "verify hashes" in said
    assert not (root / ".venv").exists()


def test_a_folder_of_the_users_own_is_kept(tmp_path: Path, env: dict[str, str]) -> None:
    root = clone(tmp_path / "clone")
    subprocess.run(["python3", "-m", "venv", root / ".venv"], check=True)
    (root / ".venv/mine").touch()
    run(root, env)
    assert not (root / ".venv").is_symlink()
    assert (root / ".venv/mine").exists()
    assert run(root, env) == ""


def test_a_python_that_is_too_old_is_told_with_what_to_do(tmp_path: Path, env: dict[str, str]) -> None:
    root = clone(tmp_path / "clone")
    for name in ("python3", "python3.11", "python3.12", "python3.13", "python3.14"):
        programs.script(tmp_path / "bin" / name, 'case "$1" in --version) echo Python 3.9.2;; *) exit 1;; esac')
    for tool in ("apt-get", "id", "sudo"):
        programs.script(tmp_path / "bin" / tool, 'case "$0" in *id) echo 0;; esac')
    said = run(root, {**env, "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}, status=1)
    assert "Python 3.11 or newer is needed" in said
    assert "PYTHON=" in said


def test_what_a_mac_lacks_is_named_with_where_it_is(tmp_path: Path, env: dict[str, str]) -> None:
    root = clone(tmp_path / "clone")
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ["sh", "dirname", "cat", "mkdir", "date", "sha256sum", "cut"]:
        (tools / name).symlink_to(shutil.which(name) or name)
    (tools / "python3").symlink_to(sys.executable)
    env["PATH"] = str(tools)
    without_flock = run(root, env, status=1)
    assert "Homebrew's formula flock" in without_flock
    assert "another process" not in without_flock
    (tools / "sha256sum").unlink()
    assert "Homebrew's formula coreutils" in run(root, env, status=1)


def test_package_lists_that_are_old_are_read_again_and_the_package_installed(
    tmp_path: Path, env: dict[str, str]
) -> None:
    log = tmp_path / "asked"
    old = f'echo "$1" >> {log}; [ "$1" = update ] || grep -q update {log} || {{ echo "404 Not Found"; exit 100; }}'
    programs.script(tmp_path / "bin/apt-get", old)
    programs.script(tmp_path / "bin/id", "echo 0")
    programs.script(tmp_path / "bin/ls", "exit 0")  # there are lists
    root = clone(tmp_path / "clone")
    command = ["sh", str(root / "setup/bootstrap.sh"), "install", "for a test", "some-package"]
    subprocess.run(command, env={**env, "PATH": f"{tmp_path / 'bin'}:{env['PATH']}"}, check=True, capture_output=True)
    assert log.read_text().split() == ["install", "update", "install"]
