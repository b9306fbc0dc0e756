"""Programs from Debian's packages, unpacked into a folder of their own: nothing of the machine's system changes."""

# ruff: noqa: S607 - the programs are the machine's own

import os
import shutil
import subprocess
from pathlib import Path

from setup import process
from setup.console import OpsError

_DOWNLOAD = ("--no-install-recommends", "--yes", "--download-only", "install")
_UNPACK = 'for package in cache/archives/*.deb; do dpkg-deb --extract "$package" ../root; done'
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def unpack(package: str, part: Path, *, remedy: str, release: str = "") -> Path:
    """Unpack a package with everything that it needs. Takes about 15 s.

    Args:
        package: its name.
        part: an empty folder.
        remedy: what else can be done.
        release: the codename of the Debian release that it is taken from, which may be another than this machine's:
            the machine's mirror has all that are supported. By default it is the machine's own, Debian or one like it.

    Returns:
        The root of the file system that the packages make, below `part`.

    Raises:
        OpsError: when this machine has no apt, or is no Debian, or its mirror lacks the release.
    """
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise OpsError(f"{package} is taken from Debian's packages, and this is no Debian-like system.", remedy)
    apt = part / "apt"
    for folder in ("lists/partial", "cache/archives/partial"):
        (apt / folder).mkdir(parents=True)
    # As on a machine with nothing installed, so that whatever it needs comes along.
    (apt / "status").touch()
    options = [
        "-o", f"Dir::State::Lists={apt / 'lists'}", "-o", f"Dir::State::status={apt / 'status'}",
        "-o", f"Dir::Cache={apt / 'cache'}", *(["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []),
    ]  # fmt: skip
    if release:
        (apt / "sources.list").write_text(f"deb [signed-by={_KEYRING}] {_mirror(remedy)} {release} main\n")
        options += ["-o", f"Dir::Etc::SourceList={apt / 'sources.list'}", "-o", "Dir::Etc::SourceParts=/dev/null"]
    commands = {
        f"reading the package lists for {package}": ["apt-get", "--quiet", *options, "update"],
        f"downloading {package}": ["apt-get", "--quiet", *options, *_DOWNLOAD, package],
        f"unpacking {package}": ["sh", "-ec", _UNPACK],
    }
    for title, command in commands.items():
        process.run_logged(command, title=title, expect="about 10 s", name="apt", cwd=apt, remedy=remedy)
    shutil.rmtree(apt)
    return part / "root"


def _mirror(remedy: str) -> str:
    """The mirror that this machine has its own release from."""
    if not _KEYRING.exists():
        raise OpsError(f"This machine is no Debian: it has no {_KEYRING}.", remedy)
    told = subprocess.run(
        ["apt-get", "indextargets", "--no-release-info", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    for line in told.stdout.splitlines():
        release, _, address = line.partition(" ")
        if release.isalpha():  # not its updates, nor its security
            return address
    raise OpsError("This machine's apt has no Debian release to take packages from.", remedy)
