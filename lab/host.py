"""What a lab needs of the machine: root, Debian's packages, a file system that containerd can work on."""

import os
import shutil
import subprocess
from pathlib import Path

from lab import configs
from lab.layout import Layout
from ops.toolchain import process
from ops.toolchain.console import OpsError

SBIN = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where the programs are that need root; a user's PATH often lacks half of it."""
NEEDED = {
    "containerd": "containerd",
    "runc": "runc",
    "ctr": "containerd",
    "iptables": "iptables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "mount": "mount",
    "buildah": "buildah",
    "newuidmap": "uidmap",
    "conntrack": "conntrack",  # kube-proxy forgets connections to pods that are gone with it
}
"""Programs and the Debian packages that bring them."""


def prepare() -> None:
    """Make sure that the machine can hold a lab; what is missing is installed.

    Raises:
        OpsError: for a user who is not root, or when a package can't be had.
    """
    if os.geteuid() != 0:
        raise OpsError(
            f"The lab takes root: it makes network namespaces and mounts. You are user {os.geteuid()}.",
            "Run: sudo --preserve-env=HOME make lab",
        )
    missing = {package for name, package in NEEDED.items() if not find(name)}
    if not (Path(configs.CNI_PLUGINS) / "ptp").exists():
        missing.add("containernetworking-plugins")
    if missing:
        process.install(sorted(missing), "to run the lab's Kubernetes node")
    for name, package in NEEDED.items():
        if not find(name):
            raise OpsError(f"{name} is still missing, with the package {package} installed.", f"Look for it in {SBIN}.")


def find(program: str) -> Path | None:
    """A system program's path."""
    found = shutil.which(program, path=SBIN)
    return Path(found) if found else None


def snapshotter(lab: Layout) -> str:
    """How containerd keeps file systems: overlays, unless the data is on one itself, as in a container."""
    done = subprocess.run(
        ["stat", "--file-system", "--format=%T", str(lab.data)], capture_output=True, text=True, check=False
    )
    return "native" if done.stdout.strip() == "overlayfs" else "overlayfs"
