"""The configuration of the lab's programs: the files of `templates/` with one lab's paths and addresses."""

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
_FILES = ("containerd.toml", "kubelet.yaml", "kube-proxy.yaml", "upstream.yaml")


def render(template: str, lab: Layout, **more: object) -> str:
    """Give a template's text with a lab's values and `more`, which stand between double quotes in any format."""
    values = {
        "data": lab.data,
        "run": lab.run,
        "netns": lab.netns,
        "node": lab.node_address,
        "pods": layout.PODS,
        "services": layout.SERVICES,
        "dns": layout.DNS,
        "upstream_name": layout.UPSTREAM_NAME,
        "api_port": layout.API_PORT,
        "upstream_port": layout.UPSTREAM_PORT,
        **more,
    }
    quoted = {name: json.dumps(str(value), ensure_ascii=False)[1:-1] for name, value in values.items()}
    return string.Template((TEMPLATES / template).read_text()).substitute(quoted)


def files(lab: Layout, snapshotter: str) -> Mapping[str, str]:
    """Give every configuration file by its name under `config`.

    snapshotter: containerd's: `overlayfs`, or `native` where the data is itself on an overlay.
    """
    more = {"snapshotter": snapshotter, "pause": PAUSE, "cni_plugins": CNI_PLUGINS}
    return {
        **{name: render(name, lab, **more) for name in _FILES},
        "cni/10-ci-lab.conflist": render("cni.json", lab),
        # For pods that do not ask for the cluster's DNS. It knows the lab's names too.
        "resolv.conf": f"nameserver {layout.DNS}\n",
    }


def mirror(server: str, ca: Path | None = None) -> str:
    """Give a hosts.toml for containerd: the server, as `http://10.0.0.1:5000`, and its certificate's authority."""
    verify = f"ca = {json.dumps(str(ca))}\n" if ca else ""
    return f'server = "{server}"\n\n[host."{server}"]\ncapabilities = ["pull", "resolve"]\n{verify}'
