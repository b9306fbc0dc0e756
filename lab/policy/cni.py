"""The last plugin of the pods' network: tells the enforcer of a pod's address and waits for its rules.

Run by containerd for each pod, as CNI 0.4.0 has it: a program of its own, which imports nothing but the standard
library, to start in 20 ms.
"""

from __future__ import annotations

import json
import os
import socket
import sys

SECONDS = 20.0


def main() -> int:
    """Do what the CNI command says; 0 when it is done."""
    command = os.environ.get("CNI_COMMAND", "")
    config = json.load(sys.stdin)
    if command == "VERSION":
        print(json.dumps({"cniVersion": "0.4.0", "supportedVersions": ["0.3.0", "0.3.1", "0.4.0"]}))  # noqa: T201
        return 0
    if command in {"ADD", "DEL"}:
        words = dict(word.split("=", 1) for word in os.environ.get("CNI_ARGS", "").split(";") if "=" in word)
        result = config.get("prevResult") or {}
        request = {
            "command": command,
            "namespace": words.get("K8S_POD_NAMESPACE", ""),
            "name": words.get("K8S_POD_NAME", ""),
            "container": os.environ.get("CNI_CONTAINERID", ""),
            "ips": [entry["address"].partition("/")[0] for entry in result.get("ips", [])],
        }
        try:
            answer = ask(config["enforcer"], request)
        except OSError as failed:
            answer = f"the enforcer at {config['enforcer']} does not answer: {failed}"
        # A pod that goes is let go, whatever the enforcer says: its address is told anew when another pod takes it.
        if answer != "done" and command == "ADD":
            print(json.dumps({"cniVersion": "0.4.0", "code": 11, "msg": f"NetworkPolicy: {answer}"}))  # noqa: T201
            return 1
        if command == "ADD":
            print(json.dumps(result))  # noqa: T201
    return 0


def ask(path: str, request: object) -> str:
    """Send one request to the enforcer's socket and return its answer: `done`, or what is wrong."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(SECONDS)
        connection.connect(path)
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile() as answer:
            return answer.readline().strip()


if __name__ == "__main__":
    sys.exit(main())
