"""The configuration files of the lab's programs, as text."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from lab import layout
from lab.policy import cni as cni_source

if TYPE_CHECKING:
    from lab.layout import Layout

PAUSE = "docker.io/ci-lab/pause:1"
CNI_PLUGINS = "/usr/lib/cni"
"""Where Debian's containernetworking-plugins are."""
POLICY_PLUGIN = "ci-lab-policy"
"""The name of the plugin that tells the enforcer of NetworkPolicies about each pod."""


def containerd(lab: Layout, snapshotter: str) -> str:
    """Containerd's config.toml (version 2 of it, which 1.6 and 1.7 read).

    Args:
        lab: whose containerd it is.
        snapshotter: `overlayfs`, or `native` where the data is itself on an overlay.
    """
    return f"""\
version = 2
root = {_quoted(lab.data / "containerd")}
state = {_quoted(lab.run / "containerd")}
oom_score = 0
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp",
]

[grpc]
address = {_quoted(lab.socket)}

[plugins."io.containerd.internal.v1.opt"]
path = {_quoted(lab.data / "containerd" / "opt")}

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
# A process that may not lower its own score, as in many containers, could start no pod without this.
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
stream_server_address = "127.0.0.1"
stream_server_port = "0"

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = {_quoted(lab.cni_plugins)}
conf_dir = {_quoted(lab.config / "cni")}

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "{snapshotter}"
default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false

[plugins."io.containerd.grpc.v1.cri".registry]
config_path = {_quoted(lab.certs_d)}
"""


def cni(lab: Layout) -> str:
    """The pods' network. It routes every packet (ptp), so that the node's firewall sees those between pods too."""
    ptp = {
        "type": "ptp",
        "ipMasq": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": str(layout.PODS)}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    # 0.4.0 is the newest version that Debian's containerd and plugins both speak.
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    plugins = [ptp, portmap, {"type": POLICY_PLUGIN, "enforcer": str(lab.enforcer_socket)}]
    return json.dumps({"cniVersion": "0.4.0", "name": "ci-lab", "plugins": plugins}, indent=2)


def policy_plugin() -> str:
    """The plugin's program: a shell's one line, since a `#!` line takes no path with a space in it."""
    words = [sys.executable, "-I", "-S", str(Path(cni_source.__file__).resolve())]
    return f"#!/bin/sh\nexec {shlex.join(words)}\n"


def kubelet(lab: Layout) -> str:
    """The kubelet's configuration."""
    return yaml.safe_dump(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(lab.ca)},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(lab.pki / "kubelet.crt"),
            "tlsPrivateKeyFile": str(lab.pki / "kubelet.key"),
            "clusterDNS": [str(layout.DNS)],
            "clusterDomain": "cluster.local",
            "resolvConf": str(lab.config / "resolv.conf"),
            "containerRuntimeEndpoint": f"unix://{lab.socket}",
            "cgroupDriver": "cgroupfs",
            # Below the lab's own group, so that taking the lab down finds every process of a pod.
            "cgroupRoot": f"/{lab.cgroup}",
            "cgroupsPerQOS": True,
            "enforceNodeAllocatable": [],
            "failSwapOn": False,
            "failCgroupV1": False,
            "oomScoreAdj": 0,
            # A full disk of the machine must not evict pods, nor have images thrown away that can't be pulled again.
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "volumePluginDir": str(lab.data / "flexvolume"),
            "serializeImagePulls": False,
            "registryPullQPS": 0,
            "eventRecordQPS": 0,
            "kubeAPIQPS": 200,
            "kubeAPIBurst": 400,
            "nodeStatusUpdateFrequency": "5s",
            "shutdownGracePeriod": "0s",
            "syncFrequency": "10s",
        }
    )


def kube_proxy(lab: Layout) -> str:
    """Kube-proxy's configuration. By iptables: with nftables no NodePort can be reached at 127.0.0.1."""
    return yaml.safe_dump(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(lab.config / "kube-proxy.kubeconfig")},
            "clusterCIDR": str(layout.PODS),
            "hostnameOverride": lab.netns,
            "mode": "iptables",
            "iptables": {"minSyncPeriod": "200ms", "localhostNodePorts": True},
            # The connections' table has one size for the whole machine, which is not ours to change.
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
            "oomScoreAdj": 0,
        }
    )


def resolv_conf() -> str:
    """What pods look names up with that do not ask for the cluster's DNS by policy. It knows the lab's names too."""
    return f"nameserver {layout.DNS}\n"


def upstream(lab: Layout, *, tls: bool) -> str:
    """The configuration of the registry that stands for the public one; both of its processes serve the same images."""
    port = layout.UPSTREAM_TLS_PORT if tls else layout.UPSTREAM_PORT
    http: dict[str, object] = {"addr": f"0.0.0.0:{port}", "secret": "one for both"}
    if tls:
        http["tls"] = {"certificate": str(lab.pki / "node.crt"), "key": str(lab.pki / "node.key")}
    return yaml.safe_dump(
        {
            "version": 0.1,
            "log": {"level": "info", "accesslog": {"disabled": False}},
            "storage": {"filesystem": {"rootdirectory": str(lab.data / "upstream")}, "delete": {"enabled": True}},
            "http": http,
        }
    )


def mirror(server: str, ca: Path | None = None) -> str:
    """A hosts.toml for containerd: where a registry's images are pulled from.

    Args:
        server: with its scheme, `http://10.0.0.1:5000`.
        ca: the authority of its certificate.
    """
    verify = f"ca = {_quoted(ca)}\n" if ca else ""
    return f'server = "{server}"\n\n[host."{server}"]\ncapabilities = ["pull", "resolve"]\n{verify}'


def corefile(lab: Layout) -> str:
    """CoreDNS' configuration: the cluster's names, the lab's own, and a quick no to all others."""
    hosts = "\n".join(f"        {lab.node_address} {name}" for name in layout.NAMES)
    return f"""\
cluster.local in-addr.arpa ip6.arpa {{
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        pods insecure
        ttl 5
    }}
    cache 5
}}
lab.test {{
    hosts {{
{hosts}
    }}
}}
. {{
    health :8080
    ready :8181
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""


def _quoted(path: Path) -> str:
    """A path as a TOML string: JSON's escapes are a part of TOML's."""
    return json.dumps(str(path))
