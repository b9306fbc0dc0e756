"""The configuration files of the lab's programs: the files of `templates/` with one lab's paths and addresses."""

import json
import string
from collections.abc import Mapping
from pathlib import Path

from lab import layout
from lab.layout import Layout

TEMPLATES = Path(__file__).with_name("templates")
PAUSE = "docker.io/ci-lab/pause:1"
CNI_PLUGINS = Path("/usr/lib/cni")
"""Where Debian's containernetworking-plugins are."""


def render(template: str, **values: object) -> str:
    """Give a template's text with its values. A path becomes a quoted string that TOML, YAML and JSON all read."""
    quoted = {name: json.dumps(str(value)) if isinstance(value, Path) else value for name, value in values.items()}
    return string.Template((TEMPLATES / template).read_text()).substitute(quoted)


def files(lab: Layout, snapshotter: str) -> Mapping[str, str]:
    """Give every configuration file by its name under `Layout.config`.

    Args:
        lab: whose they are.
        snapshotter: containerd's: `overlayfs`, or `native` where the data is itself on an overlay.
    """
    certificate, key = lab.pki / "node.crt", lab.pki / "node.key"
    upstream = lab.data / "upstream"
    return {
        "containerd.toml": render(
            "containerd.toml",
            root=lab.data / "containerd",
            state=lab.run / "containerd",
            opt=lab.data / "containerd" / "opt",
            socket=lab.socket,
            pause=PAUSE,
            cni_plugins=CNI_PLUGINS,
            cni=lab.config / "cni",
            snapshotter=snapshotter,
            certs_d=lab.certs_d,
        ),
        "cni/10-ci-lab.conflist": render("cni.json", pods=layout.PODS),
        "kubelet.yaml": render(
            "kubelet.yaml",
            ca=lab.ca,
            certificate=lab.pki / "kubelet.crt",
            key=lab.pki / "kubelet.key",
            dns=layout.DNS,
            resolv_conf=lab.config / "resolv.conf",
            socket=str(lab.socket),
            cgroup=lab.cgroup,
            flexvolume=lab.data / "flexvolume",
        ),
        "kube-proxy.yaml": render(
            "kube-proxy.yaml", kubeconfig=lab.config / "kube-proxy.kubeconfig", pods=layout.PODS, node=lab.netns
        ),
        # For pods that do not ask for the cluster's DNS. It knows the lab's names too.
        "resolv.conf": f"nameserver {layout.DNS}\n",
        "upstream.yaml": render("upstream.yaml", root=upstream, port=layout.UPSTREAM_PORT),
        "upstream-tls.yaml": render(
            "upstream-tls.yaml", root=upstream, port=layout.UPSTREAM_TLS_PORT, certificate=certificate, key=key
        ),
    }


def objects(lab: Layout, coredns: str, busybox: str) -> str:
    """Give what the cluster has before anybody deploys to it, for `kubectl apply`.

    Args:
        lab: whose cluster it is.
        coredns: the DNS server's image.
        busybox: the image in which a volume's folder is made and removed.
    """
    names = " ".join(layout.NAMES)
    volumes = lab.data / "volumes"
    return render(
        "cluster.yaml",
        node=lab.node_address,
        names=names,
        dns=layout.DNS,
        volumes=volumes,
        coredns=coredns,
        busybox=busybox,
    )


def mirror(server: str, ca: Path | None = None) -> str:
    """Give a hosts.toml for containerd: where a registry's images are pulled from.

    Args:
        server: with its scheme, `http://10.0.0.1:5000`.
        ca: the authority of its certificate.
    """
    verify = f"ca = {json.dumps(str(ca))}\n" if ca else ""
    return f'server = "{server}"\n\n[host."{server}"]\ncapabilities = ["pull", "resolve"]\n{verify}'
