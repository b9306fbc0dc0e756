"""The stand-in controller's own tests, which are in its language."""

import subprocess
from pathlib import Path

from ops.toolchain import go

SOURCE = Path(__file__).parent.parent.parent / "offline" / "controller"


def test_the_stand_in_controllers_own_tests_pass() -> None:
    program, env = go.ensure(SOURCE)
    command = [str(program), "test", "-mod=readonly", "./..."]
    done = subprocess.run(command, cwd=SOURCE, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no test files" not in done.stdout
