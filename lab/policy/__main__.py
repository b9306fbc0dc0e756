"""`python -m lab.policy DATA`: the enforcer, as a process in the lab's network namespace."""

from __future__ import annotations

import contextlib
import json
import socketserver
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from lab import host, layout
from lab.policy import rules
from lab.policy.store import Store

if TYPE_CHECKING:
    from lab.policy.store import Object

SETTLE_SECONDS = 0.05
"""How long changes are gathered before the rules are made anew: 20 pods that start at once are one or two steps."""


class Enforcer:
    """Keeps the node's firewall as the cluster's NetworkPolicies want it."""

    def __init__(self, lab: layout.Layout) -> None:
        """Take the lab whose node this is."""
        certificate = (str(lab.pki / "admin.crt"), str(lab.pki / "admin.key"))
        self.store = Store(lab.api, str(lab.ca), certificate, self.touch)
        self._told: dict[str, tuple[str, str, str]] = {}
        """Each pod's address, told by the plugin: its namespace, its name and the container that holds its network."""
        self._telling = threading.Lock()
        self._dirty = threading.Event()
        self._applying = threading.Lock()
        self._applied = ""

    def touch(self) -> None:
        """Something has changed: the rules are made anew soon."""
        self._dirty.set()

    def run(self) -> None:
        """Apply changes, for ever."""
        while True:
            self._dirty.wait()
            time.sleep(SETTLE_SECONDS)
            self._dirty.clear()
            with contextlib.suppress(subprocess.CalledProcessError):  # already told; the next change tries again
                self.apply()

    def serve(self, request: Object) -> str:
        """Answer the plugin: note the pod's address, and say `done` when its rules are in force."""
        namespace, name, container = request["namespace"], request["name"], request["container"]
        if request["command"] == "DEL":
            with self._telling:
                self._told = {ip: told for ip, told in self._told.items() if told[2] != container}
            self.touch()
            return "done"
        if self.store.pod(namespace, name) is None:
            return f"there is no pod {namespace}/{name}"
        with self._telling:
            self._told.update(dict.fromkeys(request["ips"], (namespace, name, container)))
        self.apply()
        return "done"

    def apply(self) -> None:
        """Make the rules and put them in force, if they are others than those that are.

        Raises:
            subprocess.CalledProcessError: when nft refuses them, after its words were written to stderr.
        """
        with self._applying:
            namespaces = {
                item["metadata"]["name"]: item["metadata"].get("labels") or {}
                for item in self.store.all_of("namespaces")
            }
            text = rules.ruleset(self._pods(), namespaces, self.store.all_of("policies"))
            if text == self._applied:
                return
            done = subprocess.run(["nft", "-f", "-"], input=text, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.stderr.write(f"nft: {done.stderr}\n{text}\n")
                done.check_returncode()
            self._applied = text

    def _pods(self) -> list[rules.Pod]:
        """The pods by their real addresses. What the kubelet reports would come too late, after a pod's start."""
        objects = {
            (item["metadata"]["namespace"], item["metadata"]["name"]): item for item in self.store.all_of("pods")
        }
        with self._telling:
            told = [(ip, objects.get((namespace, name))) for ip, (namespace, name, _) in self._told.items()]
        return [rules.pod(item, ip) for ip, item in told if item]


def main(lab: layout.Layout) -> None:
    """Enforce NetworkPolicies on a lab's node, for ever."""
    enforcer = Enforcer(lab)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            try:
                answer = enforcer.serve(json.loads(self.rfile.readline()))
            except (requests.RequestException, subprocess.CalledProcessError, ValueError, KeyError) as failed:
                answer = f"{type(failed).__name__}: {failed}".replace("\n", " ")
            self.wfile.write(f"{answer}\n".encode())

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True
        request_queue_size = 128

    enforcer.store.start()
    enforcer.apply()
    with Server(str(lab.enforcer_socket), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        enforcer.run()


if __name__ == "__main__":
    if host.find("nft") is None:
        sys.exit("nft is missing: apt-get install nftables")
    main(layout.at(Path(sys.argv[1])))
