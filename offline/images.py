"""The images that stand in on a closed network: for Jenkins, GitLab Runner, a sample's base, an engine, a proxy.

All are made here without a registry: from packages of Debian, a docker client built from its Go module and this
machine's own engine. Each carries a label that says so.
"""

import io
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from offline import archive, binaries, controller, dind, engine, gitlab_runner, proxy
from setup import cache, console
from setup.console import OpsError

CONTROLLER = "ci-offline-controller:1"
PROXY = "ci-offline-proxy:1"
DIND = "ci-offline-dind:1"
GITLAB_RUNNER = "ci-offline-gitlab-runner:1"
BASE = "alpine:latest"
STAND_IN = "ci.stand-in"
"""The label of these images: what they stand in for, in words."""
INPUTS = "ci.stand-in.inputs"
"""The label with the hash of what the image was made from."""

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CONFIGS = Path(__file__).with_name("images.yaml")
PASSWD = f"""\
root:x:0:0:root:/root:/bin/sh
jenkins:x:{controller.UID}:{controller.UID}:jenkins:{controller.HOME}:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false
"""
GROUP = f"root:x:0:\njenkins:x:{controller.UID}:\nnogroup:x:65534:\n"


class StandIn(NamedTuple):
    """An image of ours: what it stands in for, and what is in it beside a shell."""

    instead_of: str
    entries: Callable[[], Sequence[archive.Entry]]


STAND_INS = {
    CONTROLLER: StandIn("Jenkins", controller.entries),
    # Its engine can pull nothing, so it is given the base of the sample's build along.
    DIND: StandIn("docker:dind", lambda: dind.entries(_base())),
    GITLAB_RUNNER: StandIn("GitLab Runner; it runs no jobs", gitlab_runner.entries),
    PROXY: StandIn("haproxy", proxy.entries),
}


def ensure(host: str, wanted: Iterable[str] = (CONTROLLER,)) -> None:
    """Make sure that an engine holds the stand-ins that a stack needs, of this version of the project.

    Takes milliseconds if it does, two minutes the first time. One is made anew when a file of this folder has changed;
    programs that come with the machine, busybox for one, are not among that.

    Args:
        host: the engine, as `unix:///var/run/docker.sock` or `tcp://...`.
        wanted: which, of STAND_INS. The base that the sample builds from is wanted always.

    Raises:
        OpsError: when one can't be made or put there.
    """
    here = Path(__file__).resolve().parent
    sources = sorted(path for glob in ("*.*", "controller/*.*", "docker-cli/*.*") for path in here.glob(glob))
    inputs = cache.digest(binaries.architecture(), *sources)
    for name in wanted:
        if name not in STAND_INS:
            raise OpsError(f"{name} is no stand-in image.", f"Use one of {', '.join(STAND_INS)}.", code=2)
        made = STAND_INS[name]
        found = (engine.inspect(host, name).get("Config") or {}).get("Labels") or {}
        if found.get(INPUTS) != inputs:
            labels = {STAND_IN: f"{made.instead_of}, on networks where its image can't be pulled", INPUTS: inputs}
            entries = [*userland(binaries.busybox()), *made.entries()]
            engine.load(host, name, entries, config(name, labels))
    if not engine.inspect(host, BASE) and (reason := engine.pull(host, BASE)):
        console.note(
            f"{BASE} can't be pulled ({reason}). busybox stands in for it under that name, so that the sample can "
            f"be built; where there is a way out, `docker pull {BASE}` puts the real one in its place."
        )
        engine.load(host, BASE, list(userland(binaries.busybox())), _base_config())


def config(name: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
    """How one of the images is run: the runtime part of its configuration."""
    return {**yaml.safe_load(CONFIGS.read_text())[name], "Labels": labels or {}}


def _base_config() -> dict[str, Any]:
    return config(BASE, {STAND_IN: f"{BASE}, on networks where it can't be pulled"})


def _base() -> bytes:
    made = io.BytesIO()
    entries, architecture = userland(binaries.busybox()), binaries.architecture()
    archive.write(made, name=BASE, entries=entries, config=_base_config(), architecture=architecture)
    return made.getvalue()


def userland(busybox: Path) -> Iterator[archive.Entry]:
    """A file system in which a shell and the usual commands work: busybox under each of its names."""
    told = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True, timeout=30)  # noqa: S603
    yield archive.Entry("/bin/busybox", source=busybox)
    for name in sorted(set(told.stdout.split()) - {"busybox"}):
        yield archive.Entry(f"/bin/{name}", link="/bin/busybox")
    yield archive.Entry("/usr/bin/env", link="/bin/busybox")
    # Debian's busybox lacks it, and Jenkins starts each `sh` step of a pipeline's `inside` with it.
    yield archive.Entry("/usr/bin/nohup", content="#!/bin/sh\ntrap '' HUP\nexec \"$@\"\n")
    yield archive.Entry("/etc/passwd", mode=0o644, content=PASSWD)
    yield archive.Entry("/etc/group", mode=0o644, content=GROUP)
    yield archive.Entry("/root", mode=0o700)
    yield archive.Entry("/tmp", mode=0o1777)  # noqa: S108  # of the image
