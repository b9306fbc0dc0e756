"""The language host: programs run, fail and stop as with the official one."""

import json
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.parity.support import Stack
from tests.support.waiting import eventually

HEAD = "import os, signal, sys, time\nimport pulumi\n"
SEEN = """
import json
config = pulumi.Config()
found = dict(project=pulumi.get_project(), stack=pulumi.get_stack(), organization=pulumi.get_organization(),
    dry=pulumi.runtime.is_dry_run(), plain=config.require("plain"), cwd=os.getcwd(),
    hidden="hidden-value-1" in json.dumps(dict(os.environ)),
    path=[p for p in sys.path if "plugins" in p or "pulumi-language" in p])
json.dump(found, open("seen.json", "w"))
pulumi.export("secret", config.require_secret("hidden"))
"""


def test_a_program_gets_its_settings(stack: Stack) -> None:
    """Project, stack, organisation, dry run, config, secrets, folder."""
    seen = stack.folder / "seen.json"
    stack.write(HEAD + SEEN)
    stack.pulumi("config", "set-all", "--plaintext", "plain=value", "--secret", "hidden=hidden-value-1")
    stack.pulumi("preview")
    found = json.loads(seen.read_text())
    told = {"project": "parity", "stack": "test", "organization": "organization", "dry": True, "plain": "value"}
    assert told.items() <= found.items()
    assert Path(found["cwd"]) == stack.folder
    stack.up()
    assert json.loads(seen.read_text())["dry"] is False
    assert "hidden-value-1" not in stack.exported()
    if stack.plugins.bundled:
        assert found["hidden"] is False, "a secret is in the environment"
        assert found["path"] == []


def test_a_program_may_print_take_signals_be_in_a_folder_and_use_a_linked_venv(stack: Stack, tmp_path: Path) -> None:
    """As `main` in Pulumi.yaml says, and as when the clone's .venv leads to a cache."""
    prints = "signal.signal(signal.SIGINT, signal.SIG_DFL)\nprint('to-out')\nprint('to-err', file=sys.stderr)\n"
    link = tmp_path / "venv"
    link.symlink_to(sys.prefix)
    stack.write(HEAD + prints, venv=str(link), main="deeper/__main__.py")
    output = stack.pulumi("preview")
    assert "to-out" in output
    assert "to-err" in output


@pytest.mark.parametrize(
    ("text", "shown", "hidden"),
    [
        ("raise pulumi.RunError('set the key first')", ["set the key first"], ["Traceback"]),
        # With the program's own frames, and none of the host's.
        ("def broken():\n    1 / 0\n\nbroken()", ["ZeroDivisionError", "in broken"], ["run_in_stack", "runpy"]),
        ("def (:", ["SyntaxError", "__main__.py"], []),
        ("sys.exit(3)", ["exit code: 3"], []),
        ("pulumi.log.error('set the key'); sys.exit(32)", ["set the key"], ["Traceback", "exit code", "unhandled"]),
        # Of a signal, which must not leave the engine waiting.
        ("os.kill(os.getpid(), 9)", [], []),
        ("", ["__main__.py"], []),
    ],
    ids=["run-error", "exception", "syntax", "exit", "told", "crash", "no-program"],
)
def test_a_program_that_fails_fails_the_update_at_once_and_shows_why(
    stack: Stack, text: str, shown: list[str], hidden: list[str]
) -> None:
    stack.write(HEAD + text)
    if not text:
        (stack.folder / "__main__.py").unlink()
    begun = time.monotonic()
    output = stack.pulumi("preview", status=None)
    assert time.monotonic() - begun < 20
    assert [word for word in shown if word not in output] == []
    assert [word for word in hidden if word in output] == []


def test_a_missing_virtual_environment_is_named(stack: Stack) -> None:
    stack.write(HEAD, venv="nowhere")
    if stack.plugins.bundled:
        assert "'virtualenv' option in Pulumi.yaml" in stack.pulumi("preview", status=None)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_or_killed_engine_leaves_no_process_behind(stack: Stack, how: signal.Signals) -> None:
    """And nothing but the cancellation is shown."""
    if how == signal.SIGKILL and not stack.plugins.bundled:
        pytest.skip("the official language host and its program outlive a killed engine")
    # Of another length each: Python takes a program of the same second and size for the one that it has compiled.
    seen = stack.folder / f"pid-{how.name}"
    stack.write(HEAD + f"print(os.getpid(), file=open({seen.name!r}, 'w'), flush=True)\ntime.sleep(100)\n")
    process = stack.start("preview")
    pid = eventually(lambda: seen.exists() and seen.read_text().strip())
    process.send_signal(how)
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    eventually(lambda: _gone(Path("/proc") / pid))
    if stack.plugins.bundled:
        assert "Traceback" not in output
    if how == signal.SIGKILL:
        stack.pulumi("cancel", "--yes")


def _gone(process: Path) -> bool:
    """Say whether a process has ended, or waits only for its parent to notice."""
    try:
        return "\nState:\tZ" in (process / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
