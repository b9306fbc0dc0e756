"""Git on repositories of tests, whatever the user of this machine has configured."""

import os
import subprocess
from pathlib import Path

QUIET = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}


def git(folder: Path, *words: str) -> str:
    """Run git in a folder; give what it printed. Fails where it fails."""
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "init.defaultBranch=main"]
    command, env = ["git", *who, *words], {**os.environ, **QUIET}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()
