"""The Pulumi CLI: the user's own, else the official download, else one that `offline` builds."""

# ruff: noqa: PLC0415, S603 - late imports cost a quiet run nothing; the program is the user's own CLI

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import platform
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ops.toolchain import cache, console, pins, process
from ops.toolchain.console import OpsError

if TYPE_CHECKING:
    from collections.abc import Mapping

HOST = "pulumi-language-python"
"""The language host: the program that the CLI starts to run a Python project."""

ENTRY = "pulumi", cache.digest(pins.PULUMI_VERSION, platform.machine())
"""What was downloaded or built, as an entry of the cache. Only the download has a language host."""

ARCHIVE = f"pulumi-v{pins.PULUMI_VERSION}-linux-{pins.ARCHES.get(platform.machine(), ['none'])[0]}.tar.gz"
ARCHIVES = "https://get.pulumi.com/releases/sdk/"
RELEASE = f"https://github.com/pulumi/pulumi/releases/download/v{pins.PULUMI_VERSION}"
CHECKSUMS = f"{RELEASE}/pulumi-{pins.PULUMI_VERSION}-checksums.txt"
"""The SHA-256 sums: another place than the archive's, so one tampered place alone is found out.

They are not pinned here: this was written on a network that can't reach them, and a hash that nobody has compared with
its file would be worse than none.
"""
TIMEOUTS = (5, 60)
"""Seconds to connect (a closed network often drops packets), and of silence in a transfer that has begun."""


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


def users_own(env: Mapping[str, str]) -> list[Part]:
    """The user's own CLIs: on the PATH, and where Pulumi's installer puts it. Raises OpsError for a broken one."""
    homes = (Path(env.get("PULUMI_HOME", "")), Path.home() / ".pulumi")
    places = (env.get("PATH"), *(home / "bin" for home in homes))
    found = dict.fromkeys(shutil.which("pulumi", path=place) for place in places)
    return [Part("official", Path(path), _version(path)) for path in found if path]


def is_too_old(part: Part) -> bool:
    """Whether a CLI is older than this project can use."""
    return _numbers(part.version) < _numbers(pins.PULUMI_OLDEST)


def find(env: Mapping[str, str]) -> Cli | None:
    """The best CLI that is already on this machine: no network, no change.

    The order: one with a language host, a user's own before the download; then one without, in the same order.
    """
    found = [part for part in users_own(env) if not is_too_old(part)]
    made = cache.entry(*ENTRY)
    if cache.whole(made):
        kind: Literal["official", "built"] = "official" if (made / "bin" / HOST).exists() else "built"
        found.append(Part(kind, made / "bin" / "pulumi", pins.PULUMI_VERSION))
    return min((_with_host(part, env) for part in found), key=lambda cli: cli.host is None, default=None)


def ensure(env: Mapping[str, str]) -> Cli:
    """A CLI that works, downloaded or built if need be. Raises OpsError when neither can be done."""
    if not (found := find(env)):
        for part in users_own(env):
            console.note(f"the Pulumi CLI at {part.path} is {part.version}, but {pins.PULUMI_OLDEST} is needed")
        cache.make(*ENTRY, _get, waiting_for="downloading or building the Pulumi CLI")
        found = find(env)
        assert found  # noqa: S101
    return found


def _get(made: Path) -> None:
    import requests

    try:
        _download(made)
    except requests.RequestException as failed:
        reason = failed if failed.response is not None else type(failed).__name__
        console.note(f"the official Pulumi CLI can't be downloaded ({reason}); building it from its Go module")
        process.offline("cli", made)


def _download(made: Path) -> None:
    import requests

    def get(url: str) -> bytes:
        answer = requests.get(url, timeout=TIMEOUTS)
        answer.raise_for_status()
        return answer.content

    sums = get(CHECKSUMS).decode()
    with console.step(f"downloading the Pulumi CLI v{pins.PULUMI_VERSION}", "about 120 MB"):
        data = get(ARCHIVES + ARCHIVE)
    seen = hashlib.sha256(data).hexdigest()
    if not re.search(rf"^{seen} [ *]{re.escape(ARCHIVE)}$", sums, re.MULTILINE):
        raise OpsError(
            f"{ARCHIVES}{ARCHIVE} has the SHA-256 {seen}, which is not what the release published in {CHECKSUMS}.",
            "The file is not used. Try again; if it stays so, tell Pulumi, and install the CLI yourself.",
        )
    (made / "bin").mkdir()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            if source := tar.extractfile(member):
                program = made / "bin" / Path(member.name).name  # no path of the archive is trusted
                program.write_bytes(source.read())
                program.chmod(0o755)


def _with_host(part: Part, env: Mapping[str, str]) -> Cli:
    path = shutil.which(HOST, path=os.pathsep.join([str(part.path.resolve().parent), env.get("PATH", "")]))
    return Cli(part, Part("official", Path(path), part.version) if path else None)


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


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
