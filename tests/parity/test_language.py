"""The language host: programs run, fail and stop as with the official one."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.parity.support import Plugins, Stack

HEAD = "import pulumi\n"


@pytest.fixture
def program(shared_stack: Stack) -> Stack:
    """A stack that declares no resources."""
    return shared_stack


def _preview(stack: Stack, program: str, **settings: object) -> tuple[int, str]:
    stack.write(program, **settings)
    run = stack.run("preview")
    return run.code, run.output


def test_a_program_gets_its_settings(program: Stack, tmp_path: Path) -> None:
    """Project, stack, organisation, dry run, config, secrets, folder."""
    seen = tmp_path / "seen.json"
    program.write(
        HEAD
        + f"""
import json, os, sys
config = pulumi.Config()
found = dict(project=pulumi.get_project(), stack=pulumi.get_stack(), organization=pulumi.get_organization(),
    dry=pulumi.runtime.is_dry_run(), plain=config.require("plain"), cwd=os.getcwd(), argv=sys.argv,
    hidden="hidden-value-1" in json.dumps(dict(os.environ)),
    path=[p for p in sys.path if "plugins" in p or "pulumi-language" in p])
json.dump(found, open({str(seen)!r}, "w"))
pulumi.export("secret", config.require_secret("hidden"))
"""
    )
    program.run("config", "set", "plain", "value").ok()
    program.run("config", "set", "--secret", "hidden", "hidden-value-1").ok()
    program.run("preview").ok()
    found = json.loads(seen.read_text())
    assert found["project"] == "parity"
    assert found["stack"] == "test"
    assert found["organization"] == "organization"
    assert found["dry"] is True
    assert found["plain"] == "value"
    assert Path(found["cwd"]) == program.folder
    program.up().ok()
    assert json.loads(seen.read_text())["dry"] is False
    assert "hidden-value-1" not in program.exported()
    if program.plugins.bundled:
        assert found["hidden"] is False, "a secret is in the environment"
        assert found["path"] == []


def test_a_program_may_handle_signals(program: Stack) -> None:
    code, output = _preview(program, HEAD + "import signal\nsignal.signal(signal.SIGINT, signal.SIG_DFL)\n")
    assert code == 0, output


def test_what_a_program_prints_is_shown(program: Stack) -> None:
    """On both streams."""
    code, output = _preview(program, HEAD + "import sys\nprint('to-out')\nprint('to-err', file=sys.stderr)\n")
    assert code == 0, output
    assert "to-out" in output
    assert "to-err" in output


def test_a_run_error_is_shown_without_a_traceback(program: Stack) -> None:
    code, output = _preview(program, HEAD + "raise pulumi.RunError('set the key first')\n")
    assert code != 0
    assert "set the key first" in output
    assert "Traceback" not in output


def test_an_exception_is_shown_with_the_programs_own_frames(program: Stack) -> None:
    """And with none of the host's."""
    code, output = _preview(program, HEAD + "def broken():\n    raise ValueError('no such thing')\n\nbroken()\n")
    assert code != 0
    assert "ValueError: no such thing" in output
    assert "in broken" in output
    assert "run_in_stack" not in output
    assert "runpy" not in output


def test_a_syntax_error_is_shown(program: Stack) -> None:
    code, output = _preview(program, HEAD + "def (:\n")
    assert code != 0
    assert "SyntaxError" in output
    assert "__main__.py" in output


def test_an_exit_code_fails_the_update(program: Stack) -> None:
    """And is shown."""
    code, output = _preview(program, HEAD + "import sys\nsys.exit(3)\n")
    assert code != 0
    assert "exit code: 3" in output


def test_a_crash_fails_the_update_at_once(program: Stack) -> None:
    """A program that dies of a signal does not leave the engine waiting."""
    begun = time.monotonic()
    code, output = _preview(program, HEAD + "import os\nos.kill(os.getpid(), 9)\n")
    assert code != 0, output
    assert time.monotonic() - begun < 20


def test_a_missing_program_is_named(program: Stack) -> None:
    program.write(HEAD)
    (program.folder / "__main__.py").unlink()
    run = program.run("preview").failed()
    assert "__main__.py" in run.output


def test_main_may_be_a_folder_or_a_file(program: Stack) -> None:
    """As `main` in Pulumi.yaml says."""
    code, output = _preview(program, HEAD + "print('in-a-folder')\n", main="deeper/__main__.py")
    assert code == 0, output
    assert "in-a-folder" in output
    program.write(HEAD)


def test_a_missing_virtual_environment_is_named(program: Stack) -> None:
    before, program.runtime = program.runtime, {"virtualenv": "nowhere"}
    try:
        code, output = _preview(program, HEAD)
    finally:
        program.runtime = before
    if program.plugins.bundled:
        assert code != 0
        assert "'virtualenv' option in Pulumi.yaml" in output


def test_a_link_to_a_virtual_environment_is_followed(program: Stack, tmp_path: Path) -> None:
    """As when the clone's .venv leads to a cache."""
    link = tmp_path / "venv"
    link.symlink_to(program.runtime["virtualenv"])
    before, program.runtime = program.runtime, {"virtualenv": str(link)}
    try:
        code, output = _preview(program, HEAD)
    finally:
        program.runtime = before
    assert code == 0, output


def test_an_interrupt_ends_program_and_hosts(program: Stack, plugins: Plugins, tmp_path: Path) -> None:
    """Nothing is left running, and nothing but the cancellation is shown."""
    seen = tmp_path / "pid"
    program.write(HEAD + f"import os, time\nopen({str(seen)!r}, 'w').write(str(os.getpid()))\ntime.sleep(100)\n")
    process = program.start("preview")
    pid = _written(seen)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    _gone(pid)
    if plugins.bundled:
        assert "Traceback" not in output


def test_a_killed_engine_leaves_no_process_behind(program: Stack, plugins: Plugins, tmp_path: Path) -> None:
    if not plugins.bundled:
        pytest.skip("the official language host and its program outlive a killed engine")
    seen = tmp_path / "pids"
    program.write(
        HEAD
        + f"import os, time\nopen({str(seen)!r}, 'w').write(f'{{os.getpid()}} {{os.getppid()}}')\ntime.sleep(100)\n"
    )
    process = program.start("preview")
    pids = _written(seen, count=2)
    process.kill()
    process.communicate(timeout=60)
    for pid in pids:
        _gone([pid])
    program.run("cancel", "--yes")


def _written(path: Path, count: int = 1) -> list[int]:
    deadline = time.monotonic() + 30
    while not path.exists() or len(path.read_text().split()) < count:
        assert time.monotonic() < deadline, "the program did not start"
        time.sleep(0.05)
    return [int(pid) for pid in path.read_text().split()]


def _gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 15
    for pid in pids:
        while Path(f"/proc/{pid}").exists() and "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text():
            assert time.monotonic() < deadline, f"process {pid} still runs"
            time.sleep(0.05)
