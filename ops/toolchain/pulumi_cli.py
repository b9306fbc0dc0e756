"""The Pulumi CLI: the user's own, else the official download, else built from its Go module."""

# ruff: noqa: PLC0415, S603 - late imports cost a quiet run nothing; the program is the user's own CLI

from __future__ import annotations

import dataclasses
import json
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ops.toolchain import cache, go, pins, process
from ops.toolchain.console import OpsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HOST = "pulumi-language-python"
"""The language host: the program that the CLI starts to run a Python project."""

BUILD_FLAGS = (
    "-mod=readonly",
    "-trimpath",
    "-ldflags",
    # Without its version stamped in, the CLI calls itself 3.0.0-dev and the Automation API refuses it.
    f"-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{pins.PULUMI_VERSION}",
)
PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"


@dataclasses.dataclass(frozen=True)
class Part:
    """One program of the tool chain."""

    kind: Literal["official", "built", "bundled"]
    """official: Pulumi's own file. built: made here from Pulumi's source. bundled: this project's stand-in."""
    path: Path
    version: str


@dataclasses.dataclass(frozen=True)
class Cli:
    """A CLI and, where one belongs to it or is on the PATH, its language host."""

    part: Part
    host: Part | None


def candidates(env: Mapping[str, str]) -> Iterator[Path]:
    """Where a user's own CLI may be: on the PATH, and where Pulumi's installer puts it."""
    seen = set()
    homes = [Path(env["PULUMI_HOME"])] if env.get("PULUMI_HOME") else []
    for path in [
        shutil.which("pulumi", path=env.get("PATH")),
        *(h / "bin/pulumi" for h in [*homes, Path.home() / ".pulumi"]),
    ]:
        if path and os.access(path, os.X_OK) and Path(path).resolve() not in seen:
            seen.add(Path(path).resolve())
            yield Path(path)


def find(env: Mapping[str, str]) -> Cli | None:
    """The best CLI that is already on this machine: no network, no change.

    The order: a user's own that is new enough and has a language host; the official download; a user's own without a
    host; the one built here.
    """
    own = [_with_host(Part("official", path, version(path)), env) for path in candidates(env)]
    fit = [cli for cli in own if go.numbers(cli.part.version) >= go.numbers(pins.PULUMI_OLDEST)]
    for cli in fit:
        if cli.host:
            return cli
    for made, kind in ((downloaded_entry(), "official"), (built_entry(), "built")):
        binary = made / "bin" / "pulumi"
        if kind == "built" and fit:
            return fit[0]
        if binary.is_file():
            return _with_host(Part("official" if kind == "official" else "built", binary, version(binary)), env)
    return None


def too_old(env: Mapping[str, str]) -> list[Part]:
    """The user's own CLIs that are older than this project can use."""
    own = [Part("official", path, version(path)) for path in candidates(env)]
    return [part for part in own if go.numbers(part.version) < go.numbers(pins.PULUMI_OLDEST)]


def ensure(env: Mapping[str, str]) -> Cli:
    """A CLI that works, downloaded or built if need be.

    Raises:
        OpsError: when it can neither be downloaded nor built, with the reasons of both.
    """
    found = find(env)
    if found:
        return found
    from ops.toolchain import console, download

    for part in too_old(env):
        console.note(
            f"the Pulumi CLI at {part.path} is {part.version}; {pins.PULUMI_OLDEST} is needed, so another is got"
        )
    try:
        made = download.pulumi()
        return _with_host(Part("official", made / "bin" / "pulumi", pins.PULUMI_VERSION), env)
    except download.UnreachableError as reason:
        console.note(
            f"the official Pulumi CLI can't be downloaded here ({reason}); building it from its Go module instead"
        )
    binary = _build() / "bin" / "pulumi"
    return _with_host(Part("built", binary, pins.PULUMI_VERSION), env)


def downloaded_entry() -> Path:
    """Where the official download is, or would be."""
    return cache.entry("pulumi", pins.pulumi_archive_key(platform.machine()))


def built_entry() -> Path:
    """Where the built CLI is, or would be."""
    return cache.entry("pulumi-built", _built_key())


def _built_key() -> str:
    module = pins.PULUMI_MODULE
    return cache.digest(module / "go.mod", module / "go.sum", " ".join(BUILD_FLAGS), platform.machine())


def _build() -> Path:
    binary, env = go.ensure(pins.PULUMI_MODULE)
    # A static binary: no C compiler is needed to build it, and no particular libc to run it.
    env["CGO_ENABLED"] = "0"

    def build(part: Path) -> None:
        process.run_logged(
            [binary, "build", *BUILD_FLAGS, "-o", part / "bin" / "pulumi", PACKAGE],
            title=f"building the Pulumi CLI v{pins.PULUMI_VERSION} from its Go module",
            expect="about 4 min on 2 cores, once",
            name="pulumi-build",
            env=env,
            cwd=pins.PULUMI_MODULE,
            remedy=(
                f"Install the Pulumi CLI v{pins.PULUMI_OLDEST} or newer yourself, so that `pulumi` is on the PATH, "
                "or let Go reach its module proxy (GOPROXY)."
            ),
        )

    return cache.make("pulumi-built", _built_key(), build, waiting_for="building the Pulumi CLI")


def _with_host(part: Part, env: Mapping[str, str]) -> Cli:
    beside = part.path.resolve().parent / HOST
    on_path = shutil.which(HOST, path=env.get("PATH"))
    for path in (beside, Path(on_path) if on_path else None):
        if path and os.access(path, os.X_OK):
            return Cli(part, Part("official", path, part.version))
    return Cli(part, None)


def version(binary: Path) -> str:
    """What a CLI says its version is, without the v. Asked once for each state of the file (0.2 s), then remembered.

    Raises:
        OpsError: when the file is no working CLI.
    """
    memory = cache.root() / "versions.json"
    stat = binary.stat()
    key = f"{binary.resolve()} {stat.st_size} {stat.st_mtime_ns}"
    try:
        known: dict[str, str] = json.loads(memory.read_text())
    except (OSError, ValueError):
        known = {}
    if key not in known:
        try:
            done = subprocess.run(
                [str(binary), "version"], capture_output=True, text=True, timeout=60, check=True,
                env={**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "1"},
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as failed:
            raise OpsError(
                f"{binary} does not work as the Pulumi CLI ({type(failed).__name__}).",
                "Remove it or take it off the PATH; then one that works is got.",
            ) from failed
        known[key] = done.stdout.strip().removeprefix("v")
        cache.write(memory, json.dumps(known, indent=1))
    return known[key]
