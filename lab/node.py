"""The node's programs. Their flags are in `templates/flags.yaml`."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import yaml

from lab import configs, layout
from lab.host import SBIN
from lab.layout import Layout


@dataclasses.dataclass(frozen=True)
class Program:
    """One of the lab's long-running programs."""

    name: str
    command: tuple[str | Path, ...]
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    with_mounts: bool = False
    """Whether it is to see containerd's mounts."""


def containerd(lab: Layout, built: Mapping[str, Path]) -> Program:
    """Containerd, in mounts of its own. It finds its shim, and the shim runc, beside itself."""
    script = (configs.TEMPLATES / "mounts.sh").read_text()
    own_mounts = ("unshare", "--mount", "--propagation", "slave", "sh", "-c", script, "containerd", lab.data, lab.run)
    command = (*own_mounts, built["containerd"], "--config", lab.data / "config/containerd.toml")
    return Program("containerd", command, {"PATH": f"{built['containerd'].parent}:{SBIN}"})


def programs(lab: Layout, built: Mapping[str, Path]) -> dict[str, Program]:
    """Every other program of the node by its name. `built` are the files, as `programs.ensure` has them."""
    words = {
        name: tuple(f"--{flag}={value}" for flag, value in flags.items())
        for name, flags in yaml.safe_load(configs.render("flags.yaml", lab, queue=layout.POLICY_QUEUE)).items()
    }
    words["local-path-provisioner"] = ("start", *words["local-path-provisioner"])
    found = {name: Program(name, (built[name], *own), with_mounts=name == "kubelet") for name, own in words.items()}
    # The registry that stands for the public one.
    command = (built["registry"], "serve", lab.data / "config/upstream.yaml")
    found["upstream"] = Program("upstream", command, {"OTEL_TRACES_EXPORTER": "none"})
    return found
