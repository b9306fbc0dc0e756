"""A stack with settings that a test gives, without Pulumi."""

from pathlib import Path
from typing import Any

from components.settings import Settings
from ops.clone import Clone
from ops.stack import Stack
from setup.toolchain import Toolchain
from tests.support import kubernetes_stack
from tests.support import settings as docker_stack


def of(root: Path, name: str, program: Path | None = None) -> Stack:
    """Give a stack of a clone that has a file for it; `program` stands for the CLI."""
    (root / "Pulumi.yaml").write_text("name: ci\nstackConfigDir: stacks\n")
    for each in {name, "dev", "offline"}:
        (root / "stacks").mkdir(exist_ok=True)
        (root / f"stacks/Pulumi.{each}.yaml").write_text("config: {}\n")
    env = {"PULUMI_HOME": str(root / "home"), "PATH": "/usr/bin:/bin"}
    return Stack(Clone(root), name, Toolchain(program or root / "pulumi", env, {}))


def on_docker(root: Path, name: str = "dev", **keys: Any) -> Stack:
    """Give one on a Docker host."""
    return _with(of(root, name), docker_stack.settings(**keys))


def on_cluster(root: Path, name: str = "prod", **keys: Any) -> Stack:
    """Give one in a cluster."""
    return _with(of(root, name), kubernetes_stack.settings(**keys))


def _with(stack: Stack, settings: Settings) -> Stack:
    vars(stack)["settings"] = settings
    vars(stack)["_config"] = {"platform": {"value": settings.platform, "secret": False}}
    return stack
