"""What a lab needs of the machine: root, Debian's packages, a file system that containerd can work on."""

import os
import shutil
import subprocess
from pathlib import Path

from lab import configs
from lab.layout import Layout
from setup import process
from setup.console import OpsError

SBIN = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where the programs are that need root; a user's PATH often lacks half of it."""
NEEDED = {
    "gcc": "gcc",
    "pkg-config": "pkg-config",
    "iptables": "iptables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "mount": "mount",
    "buildah": "buildah",
    "newuidmap": "uidmap",
    "conntrack": "conntrack",  # kube-proxy forgets connections to pods that are gone with it
}
"""Programs and the Debian packages that bring them."""

_FILES = {
    configs.CNI_PLUGINS / "ptp": "containernetworking-plugins",
    Path("/usr/include/seccomp.h"): "libseccomp-dev",  # runc's, as is the compiler
    Path("/usr/include/stdlib.h"): "libc6-dev",
}
"""Files that are no programs, and the packages that bring them."""


def prepare() -> None:
    """Make sure that the machine can hold a lab; what is missing is installed.

    Raises OpsError for a user who is not root, or when a package can't be had.
    """
    if os.geteuid() != 0:
        raise OpsError(
            f"The lab needs root, to make network namespaces and mounts. You are user {os.geteuid()}.",
            "Run: sudo --preserve-env=HOME make lab",
        )
    if missing := _missing():
        process.install(missing, "to run the lab's Kubernetes node")
    if missing := _missing():
        raise OpsError(f"{', '.join(missing)} is installed, and its programs are missing.", f"Look for them in {SBIN}.")


def _missing() -> list[str]:
    """The packages of what is not there."""
    found = {package for name, package in NEEDED.items() if not shutil.which(name, path=SBIN)}
    return sorted(found | {package for path, package in _FILES.items() if not path.exists()})


def snapshotter(lab: Layout) -> str:
    """How containerd keeps file systems: overlays, unless the data is on one itself, as in a container."""
    done = subprocess.run(
        ["stat", "--file-system", "--format=%T", str(lab.data)], capture_output=True, text=True, check=False
    )
    return "native" if done.stdout.strip() == "overlayfs" else "overlayfs"
