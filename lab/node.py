"""The node's programs, in the order in which they are started, with the flags that matter and why."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from lab import layout
from lab.layout import Layout

CONTAINERD = "containerd"
MOUNTS = """\
set -e
data=$1 run=$2
shift 2
# What is mounted in here goes when the last process does, however it ends; pods may hand mounts on among themselves.
mount --make-rshared /
mkdir -p /var/lib/cni /run/containerd
mount --bind "$data/cni" /var/lib/cni
mount --bind "$data/log" /var/log
mount --bind "$run/shims" /run/containerd
mount --bind "$data/kubelet" "$run/kubelet"
exec "$@"
"""
"""Gives containerd, and all that share its mounts, folders of the lab's own in the places that can't be set."""


@dataclasses.dataclass(frozen=True)
class Program:
    """One of the lab's long-running programs."""

    name: str
    command: tuple[str | Path, ...]
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    with_mounts: bool = False
    """Whether it is to see containerd's mounts."""


def etcd(lab: Layout, programs: Mapping[str, Path]) -> Program:
    """The store. It need not survive the machine's end, so it does not wait for the disk."""
    here = f"http://127.0.0.1:{layout.ETCD_PORT}"
    peer = "http://127.0.0.1:2380"
    flags = {
        "name": lab.netns,
        "data-dir": lab.data / "etcd",
        "listen-client-urls": here,
        "advertise-client-urls": here,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"{lab.netns}={peer}",
        "unsafe-no-fsync": "true",
    }
    return Program("etcd", (programs["etcd"], *_flags(flags)))


def apiserver(lab: Layout, programs: Mapping[str, Path]) -> Program:
    """The API server."""
    pki = lab.pki
    flags = {
        "advertise-address": lab.node_address,
        "secure-port": layout.API_PORT,
        "etcd-servers": f"http://127.0.0.1:{layout.ETCD_PORT}",
        "service-cluster-ip-range": layout.SERVICES,
        "authorization-mode": "Node,RBAC",
        "allow-privileged": "true",  # Pod Security decides, as in any cluster
        "enable-admission-plugins": "NodeRestriction",
        "client-ca-file": lab.ca,
        "token-auth-file": pki / "known-tokens.csv",  # the enforcer's alone
        "tls-cert-file": pki / "apiserver.crt",
        "tls-private-key-file": pki / "apiserver.key",
        "kubelet-client-certificate": pki / "apiserver-kubelet-client.crt",
        "kubelet-client-key": pki / "apiserver-kubelet-client.key",
        "kubelet-certificate-authority": lab.ca,
        # Else logs, exec and port-forward look the node's name up in the machine's DNS.
        "kubelet-preferred-address-types": "InternalIP",
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "service-account-key-file": pki / "tokens.key",
        "service-account-signing-key-file": pki / "tokens.key",
        "profiling": "false",
    }
    return Program("kube-apiserver", (programs["kube-apiserver"], *_flags(flags)))


def controllers(lab: Layout, programs: Mapping[str, Path]) -> list[Program]:
    """The controller manager and the scheduler. There is one of each, so neither waits for a lease."""
    manager_config = lab.config / "controller-manager.kubeconfig"
    scheduler_config = lab.config / "scheduler.kubeconfig"
    manager = {
        "kubeconfig": manager_config,
        "authentication-kubeconfig": manager_config,
        "authorization-kubeconfig": manager_config,
        "bind-address": "127.0.0.1",
        "leader-elect": "false",
        "use-service-account-credentials": "true",
        "root-ca-file": lab.ca,
        "service-account-private-key-file": lab.pki / "tokens.key",
        "cluster-signing-cert-file": lab.ca,
        "cluster-signing-key-file": lab.pki / "ca.key",
        "flex-volume-plugin-dir": lab.data / "flexvolume",
        "profiling": "false",
    }
    scheduler = {
        "kubeconfig": scheduler_config,
        "authentication-kubeconfig": scheduler_config,
        "authorization-kubeconfig": scheduler_config,
        "bind-address": "127.0.0.1",
        "leader-elect": "false",
        "profiling": "false",
    }
    return [
        Program("kube-controller-manager", (programs["kube-controller-manager"], *_flags(manager))),
        Program("kube-scheduler", (programs["kube-scheduler"], *_flags(scheduler))),
    ]


def containerd(lab: Layout, binary: Path) -> Program:
    """Containerd, in mounts of its own."""
    own_mounts = ("unshare", "--mount", "--propagation", "slave", "sh", "-c", MOUNTS, CONTAINERD, lab.data, lab.run)
    return Program(CONTAINERD, (*own_mounts, binary, "--config", lab.config / "containerd.toml"))


def enforcer(lab: Layout, programs: Mapping[str, Path]) -> Program:
    """What enforces NetworkPolicies. It knows the API server as a pod does: by its environment and a fixed folder."""
    flags = {
        "hostname-override": lab.netns,
        "metrics-bind-address": "127.0.0.1:9080",
        "nfqueue-id": layout.POLICY_QUEUE,
        "disable-nri": "true",
    }
    in_cluster = {"KUBERNETES_SERVICE_HOST": lab.node_address, "KUBERNETES_SERVICE_PORT": str(layout.API_PORT)}
    name = "kube-network-policies"
    account = ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /run && exec "$@"', lab.pki / "run")
    return Program(name, (*account, programs[name], *_flags(flags)), in_cluster)


def workers(lab: Layout, programs: Mapping[str, Path]) -> list[Program]:
    """What runs pods and leads to them: the kubelet and kube-proxy."""
    kubelet = {
        "config": lab.config / "kubelet.yaml",
        "kubeconfig": lab.config / "kubelet-client.kubeconfig",
        "hostname-override": lab.netns,
        "node-ip": lab.node_address,
        "root-dir": lab.run / "kubelet",
    }
    return [
        Program("kubelet", (programs["kubelet"], *_flags(kubelet)), with_mounts=True),
        Program("kube-proxy", (programs["kube-proxy"], "--config", lab.config / "kube-proxy.yaml")),
    ]


def provisioner(lab: Layout, programs: Mapping[str, Path]) -> Program:
    """What makes a folder for each claim of a volume. It reads its ConfigMap at its start."""
    words = ("--namespace", "local-path-storage", "--configmap-name", "local-path")
    account = ("--service-account-name", "local-path")
    start = (programs["local-path-provisioner"], "start", "--kubeconfig", lab.kubeconfig)
    return Program("local-path-provisioner", (*start, *words, *account))


def upstreams(lab: Layout, programs: Mapping[str, Path]) -> list[Program]:
    """The registry that stands for the public one, without and with TLS."""
    quiet = {"OTEL_TRACES_EXPORTER": "none"}
    return [
        Program(name, (programs["registry"], "serve", lab.config / f"{name}.yaml"), quiet)
        for name in ("upstream", "upstream-tls")
    ]


def _flags(values: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(f"--{name}={value}" for name, value in values.items())
