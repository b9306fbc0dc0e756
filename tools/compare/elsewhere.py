"""A Docker engine that stands for one on another host: its own network, storage and certificates, on this machine."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import ipaddress
import secrets
import ssl
import subprocess
import time
from typing import TYPE_CHECKING, Any, Final

from lab import pki
from ops.toolchain.errors import Trouble
from tools.compare import engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.lab import Lab

PORT: Final = 2376
_SECONDS: Final = 60
_LOOK_SECONDS: Final = 0.1
_LAST: Final = 200
"""It takes one of so many last addresses of the host engine's network, since the engine gives out the first ones."""
_INNER: Final = "172.31.255.1/24"
"""The network of its own containers. It must be another than the host engine's."""
_BRIDGE: Final = "docker0"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """An engine that runs."""

    address: str
    """As the settings have it: `tcp://172.17.255.250:2376`."""

    ca: Path
    certificate: Path
    key: Path
    """A client's, as PEM."""

    processes: tuple[int, ...]
    """The engine and its containerd, whose work is counted."""

    def settings(self) -> dict[str, Any]:
        """Give what a stack needs to be told under `ci:docker`."""
        files = {"caFile": self.ca, "certificateFile": self.certificate, "keyFile": self.key}
        return {"access": "tcp", "tcp": {"host": self.address, **{key: str(path) for key, path in files.items()}}}


@contextlib.contextmanager
def running(lab: Lab, root: Path, network: dict[str, Any]) -> Iterator[Elsewhere]:
    """Start it, and end it with all that it has when the block ends.

    It is joined to the host engine's own bridge, whose rules let it out to registries as they let containers out; the
    machine's firewall is not changed.

    Args:
        lab: whose authority signs the certificates.
        root: a folder of a short path for its sockets and images.
        network: what the host's engine says of its network `bridge`.

    Raises:
        Trouble: when it does not start.
    """
    [ipam] = network["IPAM"]["Config"]
    subnet = ipaddress.ip_network(ipam["Subnet"])
    address, gateway = str(subnet[-2 - secrets.randbelow(_LAST)]), ipam.get("Gateway") or str(subnet[1])
    name = f"cicmp{secrets.token_hex(3)}"
    certificate, key = lab.certificate("compare-engine", address)
    pki.Authority.load(lab.layout.pki).client("compare-client", "ci", "")
    with contextlib.ExitStack() as steps:
        steps.callback(_ip, f"netns delete {name}")
        _ip(f"netns add {name}")
        _ip(f"link add {name} type veth peer name eth0 netns {name}")
        _ip(f"link set {name} master {_BRIDGE} up")
        for words in (
            f"addr add {address}/{subnet.prefixlen} dev eth0", "link set lo up", "link set eth0 up",
            f"route add default via {gateway}",
        ):  # fmt: skip
            _ip(f"-n {name} {words}")
        log = steps.enter_context((root / "dockerd.log").open("wb"))
        process = subprocess.Popen(  # noqa: S603 - our own words
            [
                # nsenter and not `ip netns exec`, which would hide the control groups.
                *("nsenter", f"--net=/run/netns/{name}", "dockerd", f"--host=tcp://{address}:{PORT}", "--tlsverify"),
                *(f"--tlscacert={lab.ca}", f"--tlscert={certificate}", f"--tlskey={key}", f"--bip={_INNER}"),
                *(f"--data-root={root}/data", f"--exec-root={root}/exec", f"--pidfile={root}/pid"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        steps.callback(_end, process)
        client = {kind: lab.layout.pki / f"compare-client.{kind}" for kind in ("crt", "key")}
        _await(process, address, lab.ca, client["crt"], client["key"], root / "dockerd.log")
        yield Elsewhere(
            address=f"tcp://{address}:{PORT}",
            ca=lab.ca,
            certificate=client["crt"],
            key=client["key"],
            processes=engine.with_runtime(process.pid),
        )


def _await(  # noqa: PLR0913, PLR0917 - each is another file
    process: subprocess.Popen[bytes], address: str, ca: Path, certificate: Path, key: Path, log: Path
) -> None:
    trust = ssl.create_default_context(cafile=str(ca))
    trust.load_cert_chain(certificate, key)
    end = time.monotonic() + _SECONDS
    while process.poll() is None and time.monotonic() < end:
        connection = http.client.HTTPSConnection(address, PORT, timeout=5, context=trust)
        with contextlib.suppress(OSError), contextlib.closing(connection):
            connection.request("GET", "/_ping")
            if connection.getresponse().status == http.client.OK:
                return
        time.sleep(_LOOK_SECONDS)
    tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])
    raise Trouble(f"The engine that stands for one elsewhere does not start; the end of its log:\n{tail}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _ip(words: str) -> None:
    done = subprocess.run(["ip", *words.split()], capture_output=True, text=True, check=False)  # noqa: S603, S607 - our own
    if done.returncode:
        raise Trouble(f"ip {words}: {done.stderr.strip()}")
