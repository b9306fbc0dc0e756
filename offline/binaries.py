"""The two programs of the stand-in images: the docker CLI, built from its Go module, and busybox."""

import platform
import shutil
from pathlib import Path

from offline import debian, go, programs
from setup import cache, pins
from setup.console import OpsError

DOCKER_CLI_MODULE = Path(__file__).with_name("docker-cli")
DOCKER_CLI_PACKAGE = "github.com/docker/cli/cmd/docker"
INSTALLED_BUSYBOX = (Path("/bin/busybox"), Path("/usr/bin/busybox"))
BUSYBOX_PACKAGE = "busybox-static"


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

    key = cache.digest(architecture(), DOCKER_CLI_MODULE / "go.mod", DOCKER_CLI_MODULE / "go.sum")
    return cache.make(what, key, build, waiting_for=what) / what


def docker_cli_version() -> str:
    """The CLI's version as its go.mod pins it, for example `28.5.2`."""
    return go.pinned(DOCKER_CLI_MODULE, "github.com/docker/cli").removeprefix("v")


def busybox() -> Path:
    """A static busybox: the machine's own if it has one, else Debian's, unpacked into the cache and not installed."""
    for installed in INSTALLED_BUSYBOX:
        if installed.is_file() and not programs.libraries(installed):
            return installed
    key = cache.digest(BUSYBOX_PACKAGE, platform.machine())
    return cache.make("busybox", key, _download_busybox, waiting_for="busybox") / "busybox"


def _download_busybox(part: Path) -> None:
    remedy = "Install a statically linked busybox at /bin/busybox."
    root = debian.unpack(BUSYBOX_PACKAGE, part, remedy=remedy)
    [found] = {path.resolve() for path in root.glob("**/bin/busybox")}
    found.rename(part / "busybox")
    shutil.rmtree(root)
