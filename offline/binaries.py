"""The two programs of the stand-in images: the docker CLI, built from its Go module, and busybox."""

from __future__ import annotations

import os
import platform
import shutil
import struct
from pathlib import Path

from offline import go
from ops.toolchain import cache, pins, process
from ops.toolchain.console import OpsError

DOCKER_CLI_MODULE = Path(__file__).with_name("docker-cli")
DOCKER_CLI_PACKAGE = "github.com/docker/cli/cmd/docker"
INSTALLED_BUSYBOX = (Path("/bin/busybox"), Path("/usr/bin/busybox"))
BUSYBOX_PACKAGE = "busybox-static"
PT_INTERP = 3
"""The kind of ELF program header that names a dynamic loader; a static program has none (elf(5))."""


def sources() -> list[Path]:
    """The files that decide what the docker CLI is, in a fixed order."""
    return [DOCKER_CLI_MODULE / "go.mod", DOCKER_CLI_MODULE / "go.sum"]


def architecture() -> str:
    """Go's name of this machine's processor.

    Raises:
        OpsError: for one that the images are not made for.
    """
    try:
        return pins.ARCHES[platform.machine()][1]
    except KeyError:
        raise OpsError(
            f"The stand-in images can't be made for {platform.machine()}, only for {', '.join(pins.ARCHES)}."
        ) from None


def docker_cli() -> Path:
    """The docker CLI, compiled static, with its version stamped in; built at the first call in about 75 s."""
    what, stamp = "docker-cli", "github.com/docker/cli/cli/version"

    def build(part: Path) -> None:
        go.build(
            DOCKER_CLI_MODULE,
            DOCKER_CLI_PACKAGE,
            output=part / what,
            # The commit is not in the module that the proxy serves, so it says where it comes from instead.
            ldflags=f"-s -w -buildid= -X {stamp}.Version={docker_cli_version()} -X {stamp}.GitCommit=go-module",
            title=f"building {what} from its Go module",
            expect="about 75 s on two cores",
            name=what,
        )

    return cache.make(what, cache.digest(architecture(), *sources()), build, waiting_for=what) / what


def docker_cli_version() -> str:
    """The CLI's version as its go.mod pins it, for example `28.5.2`."""
    return go.pinned(DOCKER_CLI_MODULE, "github.com/docker/cli").removeprefix("v")


def busybox() -> Path:
    """A static busybox: the machine's own if it has one, else Debian's, unpacked into the cache and not installed."""
    for installed in INSTALLED_BUSYBOX:
        if installed.is_file() and is_static(installed):
            return installed
    key = cache.digest(BUSYBOX_PACKAGE, platform.machine())
    return cache.make("busybox", key, _download_busybox, waiting_for="busybox") / "busybox"


def is_static(program: Path) -> bool:
    """Whether a 64-bit little-endian ELF program runs without a dynamic loader, so in an image of nothing else."""
    data = program.read_bytes()
    if data[:6] != b"\x7fELF\x02\x01":
        return False
    start, size, count = struct.unpack_from("<Q", data, 32)[0], *struct.unpack_from("<HH", data, 54)
    return all(struct.unpack_from("<I", data, start + size * i)[0] != PT_INTERP for i in range(count))


def _download_busybox(part: Path) -> None:
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise OpsError(
            "A static busybox is needed for the stand-in images, and this is no Debian-like system to get one from.",
            "Install a statically linked busybox at /bin/busybox.",
        )
    # Lists of our own, so that neither root nor a recent `apt-get update` is needed and nothing of the system changes.
    apt = part / "apt"
    (apt / "lists" / "partial").mkdir(parents=True)
    options = ["-o", f"Dir::State::Lists={apt / 'lists'}", "-o", f"Dir::Cache={apt / 'cache'}"]
    if os.geteuid() == 0:
        options += ["-o", "APT::Sandbox::User=root"]
    remedy = f"Install it by hand: apt-get install {BUSYBOX_PACKAGE}"
    for title, words in (
        ("reading the package lists", ["update"]),
        (f"downloading {BUSYBOX_PACKAGE}", ["download", BUSYBOX_PACKAGE]),
    ):
        process.run_logged(
            ["apt-get", "--quiet", *options, *words],
            title=title,
            expect="about 10 s",
            name="apt",
            cwd=apt,
            remedy=remedy,
        )
    packages = sorted(apt.glob("*.deb"))
    if not packages:
        raise OpsError(f"apt-get downloaded no {BUSYBOX_PACKAGE}.", remedy)
    process.run_logged(
        ["dpkg-deb", "--extract", packages[0], apt / "tree"],
        title="unpacking busybox",
        expect="1 s",
        name="dpkg",
        remedy=remedy,
    )
    found = [path for path in (apt / "tree/bin/busybox", apt / "tree/usr/bin/busybox") if path.is_file()]
    if not found or not is_static(found[0]):
        raise OpsError(f"The package {BUSYBOX_PACKAGE} holds no static busybox.", remedy)
    found[0].rename(part / "busybox")
    shutil.rmtree(apt)
