"""A clone with a tiny program, on the real CLI and a file backend of its own. It needs no provider."""

import sys
from pathlib import Path

import yaml

from ops.clone import Clone
from ops.stack import Stack
from setup import toolchain

PROJECT = {
    "name": "ci",
    "runtime": {"name": "python", "options": {"toolchain": "pip", "virtualenv": ".venv"}},
    "stackConfigDir": "stacks",
}
FILE = """\
# A comment that stays.
config:
  ci:platform: docker
  ci:docker: {acceptRootOnHost: true}
  ci:jenkins: {httpPort: 18390}
"""


def clone(root: Path, program: str) -> Path:
    """Make a clone with this program and the stack dev."""
    (root / "stacks").mkdir(parents=True)
    (root / "stacks/Pulumi.dev.yaml").write_text(FILE)
    (root / "__main__.py").write_text(program)
    (root / "Pulumi.yaml").write_text(yaml.safe_dump(PROJECT))
    (root / ".venv").symlink_to(sys.prefix)
    return root


def stack(root: Path, name: str = "dev") -> Stack:
    """Give a stack of such a clone, whatever backend the user of this machine is logged in to."""
    tools = toolchain.ensure()
    env = {name: value for name, value in tools.env.items() if not name.startswith("PULUMI_CONFIG_")}
    env = {name: value for name, value in env.items() if name not in {"PULUMI_BACKEND_URL", "PULUMI_ACCESS_TOKEN"}}
    env["PULUMI_CREDENTIALS_PATH"] = str(root / "nobody")
    return Stack(Clone(root), name, toolchain.Toolchain(tools.pulumi, env, tools.parts))
