"""The lab's network namespace: one wire to the machine, nothing of the machine's own network changed."""

import subprocess
from pathlib import Path

from lab import layout
from lab.layout import Layout
from setup.console import OpsError

JUDGED = (
    "POSTROUTING -m owner --uid-owner 0 -j RETURN",  # the node's own: probes of the kubelet
    "POSTROUTING -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN",
    f"POSTROUTING -s {layout.PODS} -j NFQUEUE --queue-num {layout.POLICY_QUEUE}",
    f"POSTROUTING -d {layout.PODS} -j NFQUEUE --queue-num {layout.POLICY_QUEUE}",
    "INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN",
    f"INPUT -s {layout.PODS} -j NFQUEUE --queue-num {layout.POLICY_QUEUE}",
)
"""What kube-network-policies judges: each new connection of a pod, also to the node itself.

The rules that it makes itself are of nftables, and need a module that not every kernel has (CONFIG_NFT_QUEUE). Without
a listener, what is queued is dropped.
"""


def make(lab: Layout) -> None:
    """Make the namespace and the wire: the node's end is eth0.

    Raises OpsError when the machine already uses the wire's addresses, or does not let us.
    """
    _ip(f"netns add {lab.netns}")
    inside = f"-n {lab.netns}"
    _ip(f"link add {lab.veth} type veth peer name eth0 netns {lab.netns}")
    _ip(f"addr add {lab.host_address}/{lab.link.prefixlen} dev {lab.veth}")
    _ip(f"link set {lab.veth} up")
    _ip(f"{inside} addr add {lab.node_address}/{lab.link.prefixlen} dev eth0")
    _ip(f"{inside} link set lo up")
    _ip(f"{inside} link set eth0 up")
    # Not a way out, but without a default route the API server finds no address to tell, nor a pod its gateway.
    _ip(f"{inside} route add default via {lab.host_address}")
    inside_it = ["nsenter", f"--net=/run/netns/{lab.netns}", "--"]  # /proc/sys/net is that of whoever looks at it
    _run([*inside_it, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"])
    for rule in JUDGED:
        _run([*inside_it, "iptables", "-t", "mangle", "-A", *rule.split()])


def remove(lab: Layout) -> None:
    """Remove the namespace and the wire, as far as they are there."""
    if (Path("/sys/class/net") / lab.veth).exists():
        _ip(f"link delete {lab.veth}")
    if exists(lab):
        _ip(f"netns delete {lab.netns}")


def exists(lab: Layout) -> bool:
    """Whether the namespace is there."""
    return (Path("/run/netns") / lab.netns).exists()


def taken(lab: Layout) -> str:
    """Which other interface of the machine has an address of the wire's four; empty when none has."""
    done = subprocess.run(
        ["ip", "-oneline", "addr", "show", "to", str(lab.link)], capture_output=True, text=True, check=False
    )
    others = {line.split()[1] for line in done.stdout.splitlines()} - {lab.veth}
    return ", ".join(sorted(others))


def _ip(words: str) -> None:
    _run(["ip", *words.split()])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OpsError(f"{' '.join(command)}: {done.stderr.strip() or f'status {done.returncode}'}")
