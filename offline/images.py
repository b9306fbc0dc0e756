"""The images that stand in on a closed network: for Jenkins, GitLab Runner, a sample's base, an engine, a proxy.

All are made here without a registry: from packages of Debian, a docker client built from its Go module and this
machine's own engine. Each carries a label that says so.
"""

from __future__ import annotations

import io
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offline import archive, binaries, controller, dind, gitlab_runner, proxy
from ops.toolchain import cache, console

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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
PASSWD = f"""\
root:x:0:0:root:/root:/bin/sh
jenkins:x:{controller.UID}:{controller.UID}:jenkins:{controller.HOME}:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false
"""
GROUP = f"root:x:0:\njenkins:x:{controller.UID}:\nnogroup:x:65534:\n"


def ensure(host: str, wanted: Iterable[str] = (CONTROLLER,)) -> None:
    """Make sure that an engine holds the images that a stack needs. Milliseconds if so, two minutes the first time.

    Args:
        host: the engine, as `unix:///var/run/docker.sock` or `tcp://...`.
        wanted: which, of CONTROLLER, DIND, GITLAB_RUNNER and PROXY. The base is wanted always.

    Raises:
        OpsError: when one can't be made or put there.
    """
    makers = {
        CONTROLLER: ensure_controller,
        DIND: ensure_dind,
        GITLAB_RUNNER: ensure_gitlab_runner,
        PROXY: ensure_proxy,
    }
    for name in wanted:
        if name in makers:
            makers[name](host)
    ensure_base(host)


def ensure_controller(host: str) -> str:
    """Make sure that the engine holds the stand-in for Jenkins of this version of the project. Returns its name.

    It is made anew only when what it is made from has changed. busybox is not among that: it comes with the machine.
    """
    inputs = cache.digest(binaries.architecture(), *controller.sources(), *binaries.sources(), *_own_sources())
    if _labels(host, CONTROLLER).get(INPUTS) != inputs:
        from offline import engine  # noqa: PLC0415  # 0.35 s, and only where there is something to do

        labels = {STAND_IN: "Jenkins, on networks where its image can't be pulled", INPUTS: inputs}
        entries = [*userland(binaries.busybox()), *controller.entries(binaries.docker_cli())]
        engine.load(host, CONTROLLER, entries, controller.config(labels, PATH))
    return CONTROLLER


def ensure_gitlab_runner(host: str) -> str:
    """Make sure that the engine holds the stand-in runner of this version of the project. Returns its name."""
    inputs = cache.digest(binaries.architecture(), *gitlab_runner.sources(), *_own_sources())
    if _labels(host, GITLAB_RUNNER).get(INPUTS) != inputs:
        from offline import engine  # noqa: PLC0415  # 0.35 s, and only where there is something to do

        labels = {
            STAND_IN: "GitLab Runner, on networks where its image can't be pulled; it runs no jobs",
            INPUTS: inputs,
        }
        entries = [*userland(binaries.busybox()), *gitlab_runner.entries()]
        engine.load(host, GITLAB_RUNNER, entries, gitlab_runner.config(labels, PATH))
    return GITLAB_RUNNER


def ensure_proxy(host: str) -> str:
    """Make sure that the engine holds the stand-in proxy of this version of the project. Returns its name."""
    inputs = cache.digest(binaries.architecture(), *proxy.sources(), *_own_sources())
    if _labels(host, PROXY).get(INPUTS) != inputs:
        from offline import engine  # noqa: PLC0415  # 0.35 s, and only where there is something to do

        labels = {STAND_IN: "haproxy, on networks where its image can't be pulled", INPUTS: inputs}
        engine.load(host, PROXY, [*userland(binaries.busybox()), *proxy.entries()], proxy.config(labels, PATH))
    return PROXY


def ensure_base(host: str) -> str:
    """Make sure that the engine holds the image that the sample builds from, pulled if possible. Returns its name."""
    if not _has(host, BASE):
        from offline import engine  # noqa: PLC0415  # 0.35 s, and only where there is something to do

        reason = engine.pull(host, BASE)
        if reason:
            console.note(
                f"{BASE} can't be pulled ({reason}). busybox stands in for it under that name, so that the sample can "
                f"be built; where there is a way out, `docker pull {BASE}` puts the real one in its place."
            )
            engine.load(host, BASE, list(userland(binaries.busybox())), _base_config())
    return BASE


def ensure_dind(host: str) -> str:
    """Make sure that the engine holds the stand-in for `docker:dind` of this version of the project. Returns its name.

    It is made anew only when the project's part of it has changed: the programs in it come with the machine.

    Raises:
        OpsError: when this machine has no engine's programs to make it from.
    """
    inputs = cache.digest(binaries.architecture(), *dind.sources(), *_own_sources())
    if _labels(host, DIND).get(INPUTS) != inputs:
        from offline import engine  # noqa: PLC0415  # 0.35 s, and only where there is something to do

        busybox, architecture = binaries.busybox(), binaries.architecture()
        labels = {STAND_IN: "docker:dind, on networks where it can't be pulled", INPUTS: inputs}
        # Its engine can pull nothing, so it is given the base of the sample's build along.
        base = io.BytesIO()
        archive.write(base, name=BASE, entries=userland(busybox), config=_base_config(), architecture=architecture)
        entries = [*userland(busybox), *dind.entries(base.getvalue())]
        engine.load(host, DIND, entries, dind.config(labels, PATH))
    return DIND


def remove(host: str) -> list[str]:
    """Remove the stand-in images, and only those: a real image of the same name stays. Returns the names removed.

    Raises:
        OpsError: when a container still uses one.
    """
    from offline import engine  # noqa: PLC0415  # 0.35 s, and only where there is something to do

    removed = [image for image in (CONTROLLER, GITLAB_RUNNER, PROXY, DIND, BASE) if STAND_IN in _labels(host, image)]
    for image in removed:
        engine.remove(host, image)
    return removed


def _own_sources() -> list[Path]:
    here = Path(__file__).resolve()
    return [here, here.with_name("archive.py"), here.with_name("binaries.py")]


def _base_config() -> dict[str, Any]:
    labels = {STAND_IN: f"{BASE}, on networks where it can't be pulled"}
    return {"Cmd": ["/bin/sh"], "Env": [PATH], "Labels": labels}


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


def _labels(host: str, image: str) -> dict[str, str]:
    """The image's labels; empty if the engine has no such image."""
    return (_inspect(host, image).get("Config") or {}).get("Labels") or {}


def _has(host: str, image: str) -> bool:
    return bool(_inspect(host, image))


def _inspect(host: str, image: str) -> dict[str, Any]:
    from offline import engine  # noqa: PLC0415

    return engine.inspect(host, image)
