"""Official downloads: bounded in time, checked against the release's published sums."""

from __future__ import annotations

import hashlib
import platform
import tarfile
from pathlib import Path

import requests

from ops.toolchain import cache, console, pins
from ops.toolchain.console import OpsError

CONNECT_SECONDS = 5
"""A closed network often drops packets instead of refusing them; nobody is to wait for that for long."""

READ_SECONDS = 60
"""The longest silence in a transfer that has begun."""


class UnreachableError(Exception):
    """The official place can't be reached from here: no fault of this machine, the next way is tried."""


def pulumi() -> Path:
    """The official CLI with its language hosts, in the cache.

    Raises:
        UnreachableError: when it can't be fetched.
        OpsError: when what came is not what the release says it published.
    """
    machine = platform.machine()

    def build(part: Path) -> None:
        if machine not in pins.ARCHES:
            raise UnreachableError(f"there is none for {machine}")
        wanted = _published_sum(pins.pulumi_archive(machine))
        with console.step(f"downloading the Pulumi CLI v{pins.PULUMI_VERSION}", "about 120 MB"):
            archive = part / "archive.tar.gz"
            seen = _fetch(pins.pulumi_archive_url(machine), archive)
            if seen != wanted:
                raise OpsError(
                    f"{pins.pulumi_archive_url(machine)} has the SHA-256 {seen}, but the release published {wanted}.",
                    "The file is not used. Try again; if it stays so, tell Pulumi, and install the CLI yourself.",
                )
            _unpack(archive, part / "bin")
            archive.unlink()

    return cache.make("pulumi", pins.pulumi_archive_key(machine), build, waiting_for="downloading the Pulumi CLI")


def _published_sum(name: str) -> str:
    try:
        answer = requests.get(pins.PULUMI_CHECKSUMS_URL, timeout=(CONNECT_SECONDS, READ_SECONDS))
        answer.raise_for_status()
    except requests.RequestException as failed:
        raise UnreachableError(_reason(failed)) from failed
    for line in answer.text.splitlines():
        total, _, listed = line.partition(" ")
        if listed.strip(" *") == name:
            return total
    raise UnreachableError(f"the release lists no {name}")


def _fetch(url: str, into: Path) -> str:
    """Store what a URL has and return its SHA-256."""
    total = hashlib.sha256()
    try:
        with requests.get(url, timeout=(CONNECT_SECONDS, READ_SECONDS), stream=True) as answer:
            answer.raise_for_status()
            with into.open("wb") as out:
                for chunk in answer.iter_content(1 << 20):
                    total.update(chunk)
                    out.write(chunk)
    except requests.RequestException as failed:
        raise UnreachableError(_reason(failed)) from failed
    return total.hexdigest()


def _unpack(archive: Path, into: Path) -> None:
    """Take the programs out of the archive's one folder, by their plain names: no path of the archive is trusted."""
    into.mkdir()
    with tarfile.open(archive) as tar:
        for member in tar:
            source = tar.extractfile(member) if member.isfile() else None
            if source:
                target = into / Path(member.name).name
                target.write_bytes(source.read())
                target.chmod(0o755)


def _reason(failed: requests.RequestException) -> str:
    """A network failure in a few words."""
    if failed.response is not None:
        return f"{failed.response.url}: status {failed.response.status_code}"
    if isinstance(failed, requests.Timeout):
        return "no answer in time"
    if isinstance(failed, requests.exceptions.ProxyError):
        return "the proxy refuses it"
    return "no connection" if isinstance(failed, requests.ConnectionError) else type(failed).__name__


def check_reachable(url: str) -> None:
    """Find out quickly whether a place can be reached at all, before a program with long time-outs of its own tries.

    Raises:
        UnreachableError: when no answer comes. Any answer is good, an error status too.
    """
    try:
        requests.head(url, timeout=(CONNECT_SECONDS, CONNECT_SECONDS))
    except requests.RequestException as failed:
        raise UnreachableError(_reason(failed)) from failed
