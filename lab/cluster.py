"""Bringing the lab up and down."""

import contextlib
import os
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab import cgroups, configs, health, host, images, netns, node, pki, processes, programs
from lab.layout import Layout
from lab.node import Program
from lab.processes import Process
from lab.programs import Module
from setup import cache, console
from setup.console import OpsError

EXPECTED = {
    "containerd", "etcd", "kube-apiserver", "kube-controller-manager", "kube-network-policies", "kube-proxy",
    "kube-scheduler", "kubelet", "local-path-provisioner", "upstream",
}  # fmt: skip
"""The processes of a lab that is up."""
MARK = ".ci-lab"
"""The file that says that a folder is a lab's. It is the first in there."""


def up(lab: Layout) -> bool:
    """Bring the lab up, unless it is up and well; what is left of one that is not is removed first.

    Returns whether it had to be started. Raises OpsError when it can't be, with what to do.
    """
    built, archives = prepare()
    with cache.locked(lab.lock, "bringing the lab up or down"):
        if lab.data.exists() and not health.problems(lab, EXPECTED):
            return False
        clear(lab)
        with console.step(f"starting the lab's Kubernetes {programs.KUBERNETES.version}", "about 30 s", log=lab.logs):
            try:
                _start(lab, built, archives)
            except BaseException:
                # The logs stay for whoever reads the error; the rest goes at the next `up` or `down`.
                processes.stop(lab)
                raise
    return True


def prepare(*more: Module) -> tuple[Mapping[str, Path], Mapping[str, Path]]:
    """Install and build what a lab is made of, and more modules, as far as it is missing; nothing is started.

    Returns the programs and the images' archives, both by name. Raises OpsError when one can't be had.
    """
    host.prepare()
    built = programs.ensure(*more)
    return built, images.archives(images.all_of(built))


def down(lab: Layout) -> bool:
    """Take the lab down: processes, mounts, namespaces, data. Returns whether there was anything of it.

    Raises OpsError for a user who is not root, or when something of it can't be removed.
    """
    there = lab.data.exists() or netns.exists(lab) or lab.run.exists()
    if there and os.geteuid() != 0:
        raise OpsError("The lab belongs to root.", "Run: sudo make lab-down")
    with cache.locked(lab.lock, "bringing the lab up or down"):
        clear(lab)
    return there


def clear(lab: Layout) -> None:
    """Remove all of a lab, under its lock. Raises OpsError for a folder of others or a process that lives on."""
    # A lab's folder is removed as a whole.
    if lab.data.exists() and not (lab.data / MARK).exists() and any(lab.data.iterdir()):
        raise OpsError(
            f"{lab.data} holds things that are no lab's (there is no {MARK} in it), so it is left alone.",
            f"Name a folder that is not there yet: --data {lab.data / 'lab'}",
        )
    processes.stop(lab)
    cgroups.remove(lab)
    netns.remove(lab)
    # The mark goes last: a removal that is cut short is known for a lab's by the next one.
    rest = [path for path in lab.data.glob("*") if path.name != MARK]
    for path in (*rest, lab.run, lab.data):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _start(lab: Layout, built: Mapping[str, Path], archives: Mapping[str, Path]) -> None:
    lay_out(lab)
    netns.make(lab)
    cgroups.make(lab)
    containerd = _launch(lab, node.containerd(lab, built))
    started = node.programs(lab, built)
    for name in ("etcd", "kube-apiserver", "upstream"):
        _launch(lab, started[name])
    with ThreadPoolExecutor() as pool:
        imports = pool.submit(_import, lab, archives)
        _wait_for(lab, "The API server")
        for name in ("kube-network-policies", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"):
            _launch(lab, started[name], containerd)
        names = images.names()
        objects = configs.render("cluster.yaml", lab, coredns=names["coredns"], busybox=names["busybox"])
        kubectl = (built["kubectl"], "--kubeconfig", lab.kubeconfig)
        processes.run(
            lab, (*kubectl, "apply", "--server-side", "-f", "-"), title="kubectl apply", data=objects.encode()
        )
        _launch(lab, started["local-path-provisioner"])
        imports.result()
    _wait_for(lab, "The node")
    _wait_for(lab, "The cluster DNS")


def _wait_for(lab: Layout, part: str) -> None:
    health.wait(lab, part, lambda: health.ready(lab, part))


def lay_out(lab: Layout) -> None:
    """Everything on disk that the programs read."""
    others = netns.taken(lab)
    if others:
        raise OpsError(
            f"The lab's addresses {lab.link} are in use here, by {others}.",
            f"They follow from its folder's name, {lab.data}: keep the lab in another one.",
        )
    lab.data.mkdir(parents=True, mode=0o711, exist_ok=True)
    cache.write(lab.data / MARK, "A lab's data: removed as a whole when it is taken down.\n")
    for folder in ("cni", "log", "kubelet", "volumes", "upstream", "config/cni", "certs.d"):
        (lab.data / folder).mkdir(parents=True)
    for folder in ("shims", "kubelet"):
        (lab.run / folder).mkdir(parents=True)
    pki.make(lab)
    for name, text in configs.files(lab, host.snapshotter(lab)).items():
        cache.write(lab.data / "config" / name, text)
    # The registry that every image without a host in its name is from: here, the one that stands for it.
    for name in ("docker.io", lab.upstream):
        cache.write(lab.data / "certs.d" / name / "hosts.toml", configs.mirror(f"http://{lab.upstream}"))


def _launch(lab: Layout, program: Program, containerd: Process | None = None) -> Process:
    mounts_of = containerd if program.with_mounts else None
    return processes.start(lab, program.name, program.command, env=program.env, mounts_of=mounts_of)


def _import(lab: Layout, archives: Mapping[str, Path]) -> None:
    """Put each image where it belongs."""
    health.wait(lab, "containerd", lambda: _containerd_answers(lab))
    health.wait(lab, "The upstream registry", lambda: bool(health.answer(f"http://{lab.upstream}/v2/")))
    own = ("--namespace", "upstream", "images")  # apart from the node's, so that the kubelet has to pull
    for name, archive in archives.items():
        if name.startswith(images.UPSTREAM):
            ctr(lab, *own, "import", "--no-unpack", archive)
            ctr(lab, *own, "push", "--plain-http", f"{lab.upstream}/{name}", f"docker.io/{name}")
        else:
            ctr(lab, "--namespace", "k8s.io", "images", "import", archive)


def ctr(lab: Layout, *words: str | Path) -> None:
    """Run containerd's own client."""
    command = (programs.CONTAINERD.ensure() / "ctr", "--address", lab.run / "containerd.sock", *words)
    processes.run(lab, command, title=f"ctr {' '.join(map(str, words))}")


def _containerd_answers(lab: Layout) -> bool:
    with contextlib.suppress(OpsError):
        ctr(lab, "version")
        return True
    return False
