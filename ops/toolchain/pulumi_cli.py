"""The Pulumi CLI: the user's own, else the one that Pulumi's installer brings, else one that `offline` builds."""

# ruff: noqa: PLC0415, S603 - late imports cost a quiet run nothing; the program is the user's own CLI

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ops.toolchain import cache, console, pins, process
from ops.toolchain.console import OpsError

HOST = "pulumi-language-python"
"""The language host: the program that the CLI starts to run a Python project."""

ENTRY = "pulumi", cache.digest(pins.PULUMI_VERSION, platform.machine())
"""What was downloaded or built, as an entry of the cache. Only the download has a language host."""

PLACE = "https://get.pulumi.com/releases/"


class Cli(NamedTuple):
    """A Pulumi CLI. One that was built here has no language host."""

    path: Path
    version: str
    host: Path | None


def find(env: Mapping[str, str]) -> Cli | None:
    """The CLI that is already on this machine: the user's own, or else what is in the cache. No network, no change.

    A user's own has to be new enough and to have a language host. Raises OpsError for one that does not work.
    """
    for path in _users_own(env):
        host = shutil.which(HOST, path=os.pathsep.join([str(path.resolve().parent), env.get("PATH", "")]))
        if host and not _is_too_old(version := _version(path)):
            return Cli(path, version, Path(host))
    made = cache.entry(*ENTRY)
    downloaded = made / "bin" / HOST
    found = Cli(made / "bin" / "pulumi", pins.PULUMI_VERSION, downloaded if downloaded.exists() else None)
    return found if cache.whole(made) else None


def _users_own(env: Mapping[str, str]) -> list[Path]:
    """The user's own CLIs: on the PATH, and where Pulumi's installer puts it."""
    places = (env.get("PATH"), Path(env.get("PULUMI_HOME") or Path.home() / ".pulumi") / "bin")
    return [Path(path) for place in places if (path := shutil.which("pulumi", path=place))]


def ensure(env: Mapping[str, str]) -> Cli:
    """A CLI that works, downloaded or built if need be. Raises OpsError when neither can be done."""
    if not (found := find(env)):
        for path in _users_own(env):
            console.note(f"{path} is not used: a CLI of {pins.PULUMI_OLDEST} or newer with its language host is needed")
        cache.make(*ENTRY, _get, waiting_for="downloading or building the Pulumi CLI")
        found = find(env)
        assert found  # noqa: S101 - it is there now
    return found


def unreachable() -> str:
    """Why Pulumi's downloads can't be reached; empty if they can. Its own programs would try for minutes."""
    import requests

    try:
        requests.head(PLACE, timeout=5)  # any answer is good
    except requests.RequestException as failed:
        return type(failed).__name__
    return ""


def _get(made: Path) -> None:
    problem = unreachable()
    if not problem:
        from pulumi.automation import PulumiCommand
        from semver import VersionInfo

        try:
            with console.step(f"downloading the Pulumi CLI v{pins.PULUMI_VERSION}", "about 120 MB"):
                PulumiCommand.install(str(made), VersionInfo.parse(pins.PULUMI_VERSION), skip_version_check=True)
        except (OSError, subprocess.SubprocessError) as failed:
            problem = str(failed)
    if problem:
        console.note(f"the official Pulumi CLI can't be downloaded ({problem}); building it from its Go module")
        process.offline("cli", made)


def _is_too_old(version: str) -> bool:
    have, least = ([int(each) for each in re.findall(r"\d+", text)[:3]] for text in (version, pins.PULUMI_OLDEST))
    return have < least


def _version(binary: Path) -> str:
    """What a CLI says its version is, without the v. Takes 0.2 s."""
    env = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "1"}
    try:
        done = subprocess.run([binary, "version"], capture_output=True, text=True, timeout=60, check=True, env=env)
    except (OSError, subprocess.SubprocessError) as failed:
        raise OpsError(
            f"{binary} does not work as the Pulumi CLI ({type(failed).__name__}).",
            "Remove it or take it off the PATH; then one that works is got.",
        ) from failed
    return done.stdout.strip().removeprefix("v")
