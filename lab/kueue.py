"""Kueue in a lab, for as long as a test needs it: its webhooks are asked about every Job of the cluster."""

import base64
import contextlib
import functools
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from lab import configs, health, processes
from lab.lab import Lab
from lab.programs import Module
from offline import go
from setup import cache

CERTIFICATES = "/etc/kueue/metrics/certs"
"""Where Kueue looks for a server's certificate, which can't be set."""
WITH_ETC = 'mount --bind "$0" /etc && exec "$@"'
"""Gives a program another /etc. Kueue is one static file and needs nothing of the machine's."""
GROUPS = {"batch", "kueue.x-k8s.io"}
"""The API groups whose objects Kueue is asked about. Its other webhooks are for kinds that the lab lacks."""


MODULE = Module("kueue", ("sigs.k8s.io/kueue/cmd/kueue",), pinned="sigs.k8s.io/kueue", expect="about 4 min")


@functools.cache
def kinds() -> Path:
    """Give the folder with the definitions of Kueue's kinds, which is in its module."""
    return go.source(MODULE.folder, MODULE.pinned) / "config/components/crd/bases"


@contextlib.contextmanager
def installed(lab: Lab) -> Iterator[None]:
    """Have Kueue in the cluster for the length of a block. What uses its queues must be gone before the end.

    Raises OpsError when it can't be built or started.
    """
    etc = lab.pki / "kueue/etc"
    certificate, key = lab.certificate("kueue", lab.node_address)
    for file, text in {
        f"kueue{CERTIFICATES}/tls.crt": certificate.read_text(),
        f"kueue{CERTIFICATES}/tls.key": key.read_text(),
        "kueue/etc/config.yaml": configs.render("kueue.yaml", lab, certificates=CERTIFICATES),
        "kueue/etc/webhooks.yaml": yaml.safe_dump_all(_webhooks(lab)),
    }.items():
        cache.write(lab.pki / file, text)

    def kubectl(file: Path, *verb: str) -> None:
        processes.run(lab, [lab.kubectl, "--kubeconfig", lab.kubeconfig, *verb, "--filename", file], title=verb[0])

    with contextlib.ExitStack() as undo:
        kubectl(kinds(), "apply", "--server-side")
        kubectl(kinds(), "wait", "--for=condition=Established")
        words = (MODULE.ensure() / "kueue", "--config=/etc/config.yaml", "--feature-gates=VisibilityOnDemand=false")
        command = ("unshare", "--mount", "sh", "-c", WITH_ETC, etc, *words)
        process = processes.start(lab, "kueue", command, env={"KUBECONFIG": str(lab.kubeconfig)})
        undo.callback((lab.pids / "kueue.json").unlink)
        undo.callback(os.kill, process.pid, signal.SIGKILL)
        # While it runs, since it holds on to its objects by finalizers.
        undo.callback(kubectl, etc / "webhooks.yaml", "delete", "--ignore-not-found")
        undo.callback(kubectl, kinds(), "delete", "--ignore-not-found", "--timeout=60s")
        health.wait(lab, "Kueue", lambda: bool(health.answer(f"http://{lab.node_address}:8081/readyz")))
        kubectl(etc / "webhooks.yaml", "apply", "--server-side")
        yield


def _webhooks(lab: Lab) -> Iterator[dict[str, Any]]:
    """Give the webhooks with the address of a process on the node, where a cluster has a Service."""
    authority = base64.b64encode(lab.ca.read_bytes()).decode()
    for found in yaml.safe_load_all((kinds().parents[1] / "webhook/manifests.yaml").read_text()):
        asked = [each for each in found["webhooks"] if GROUPS.issuperset(each["rules"][0]["apiGroups"])]
        for each in asked:
            url = f"https://{lab.node_address}:9443{each['clientConfig']['service']['path']}"
            each["clientConfig"] = {"url": url, "caBundle": authority}
        yield {**found, "webhooks": asked}
