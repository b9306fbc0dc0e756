"""The command line and the Makefile: every verb is there, says what it is for, and fails without a traceback."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ops import cli
from setup import console

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()


def ops(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ops", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_every_verb_says_in_one_line_what_it_is_for_and_make_has_each_but_the_one_for_a_shell() -> None:
    texts = {each.name or str(each.callback and each.callback.__name__): each for each in cli.app.registered_commands}
    for verb, found in texts.items():
        assert re.fullmatch(r"[A-Z].*[.)]", found.help or str(found.callback.__doc__)), verb
    assert set(re.findall(r"-m ops (\S+)", MAKEFILE)) == texts.keys() - {"env"}


def test_every_verb_of_the_makefile_is_listed() -> None:
    shown = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets, [phony] = re.findall(r"(?m)^([a-z-]+):", MAKEFILE), re.findall(r"(?m)^\.PHONY: (.*)$", MAKEFILE)
    assert sorted(re.findall(r"(?m)^make (\S+)", shown)) == sorted(targets) == sorted(phony.split())


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ((), 2, "Usage"),
        (("upp",), 2, "No such command 'upp'"),
        (("status", "--stak", "x"), 2, "No such option"),
        (("preview", "--stack", "nowhere"), 2, "There is no stack 'nowhere'"),
    ],
)
def test_wrong_usage_ends_with_2_and_no_traceback(words: tuple[str, ...], status: int, said: str) -> None:
    done = ops(*words)
    shown = done.stdout + done.stderr
    assert said in shown
    assert "Traceback" not in shown
    assert done.returncode == status


@pytest.mark.parametrize("verb", ["backup", "restore"])
def test_a_backup_by_make_without_a_file_names_what_make_takes(verb: str) -> None:
    done = subprocess.run(["make", "-n", verb], cwd=ROOT, capture_output=True, text=True, check=False)
    assert f"make {verb} FILE=/mnt/backup/ci.zip" in done.stderr
    assert done.returncode


def test_make_password_takes_a_user_that_is_typed_and_not_the_one_of_the_shell() -> None:
    def line(*words: str) -> str:
        command, env = ["make", "-n", "password", *words], {**os.environ, "USER": "somebody"}
        return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True).stdout

    assert '--user "$USER"' in line("USER=alice")
    assert "--user" not in line()


def test_what_the_system_refuses_is_said_with_the_file_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/some/where")

    with pytest.raises(SystemExit) as ended:
        console.run(full)
    assert (ended.value.code, capsys.readouterr().err) == (1, "error: /some/where: No space left on device\n")


def test_the_command_line_is_built_without_the_slow_libraries() -> None:
    program = (
        "import sys, ops.cli; print(*sorted({'docker', 'requests', 'rich', 'pulumi', 'tenacity'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "", "each of these costs every `make up` 0.05 to 0.4 s"
