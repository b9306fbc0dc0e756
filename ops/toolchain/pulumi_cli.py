"""The Pulumi CLI: the user's own, else the one that Pulumi's installer brings, else one that `offline` builds."""

# ruff: noqa: PLC0415, S603 - late imports cost a quiet run nothing; the program is the user's own CLI

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from ops.toolchain import cache, console, pins, process
from ops.toolchain.console import OpsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HOST = "pulumi-language-python"
"""The language host: the program that the CLI starts to run a Python project."""

ENTRY = "pulumi", cache.digest(pins.PULUMI_VERSION, platform.machine())
"""What was downloaded or built, as an entry of the cache. Only the download has a language host."""

PLACE = "https://get.pulumi.com/releases/"


class Cli(NamedTuple):
    """A CLI and, where one belongs to it or is on the PATH, its language host."""

    kind: Literal["official", "built"]
    path: Path
    version: str
    host: Path | None


def find(env: Mapping[str, str]) -> Cli | None:
    """The best CLI that is already on this machine: no network, no change.

    The order: one with a language host, a user's own before the download; then one without, in the same order. Raises
    OpsError for a user's own that does not work.
    """
    found = [cli for cli in users_own(env) if not _is_too_old(cli)]
    made = cache.entry(*ENTRY)
    if cache.whole(made):
        official = (made / "bin" / HOST).exists()
        found.append(_cli("official" if official else "built", made / "bin" / "pulumi", pins.PULUMI_VERSION, env))
    return min(found, key=lambda cli: cli.host is None, default=None)


def users_own(env: Mapping[str, str]) -> Iterator[Cli]:
    """The user's own CLIs: on the PATH, and where Pulumi's installer puts it."""
    homes = (Path(env.get("PULUMI_HOME", "")), Path.home() / ".pulumi")
    places = (env.get("PATH"), *(home / "bin" for home in homes))
    for path in dict.fromkeys(shutil.which("pulumi", path=place) for place in places):
        if path:
            yield _cli("official", Path(path), _version(path), env)


def ensure(env: Mapping[str, str]) -> Cli:
    """A CLI that works, downloaded or built if need be. Raises OpsError when neither can be done."""
    if not (found := find(env)):
        for cli in users_own(env):
            console.note(f"the Pulumi CLI at {cli.path} is {cli.version}, but {pins.PULUMI_OLDEST} is needed")
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


def _cli(kind: Literal["official", "built"], path: Path, version: str, env: Mapping[str, str]) -> Cli:
    host = shutil.which(HOST, path=os.pathsep.join([str(path.resolve().parent), env.get("PATH", "")]))
    return Cli(kind, path, version, Path(host) if host else None)


def _is_too_old(cli: Cli) -> bool:
    have, least = (re.findall(r"\d+", version)[:3] for version in (cli.version, pins.PULUMI_OLDEST))
    return [*map(int, have)] < [*map(int, least)]


def _version(binary: str) -> str:
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
