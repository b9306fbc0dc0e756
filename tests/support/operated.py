"""A stack on a real cluster, and `python -m ops` that deploys it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.cluster import Cluster, Stack
from tests.support.deployment import Deployment
from tests.support.verbs import Verbs, copy_project


class Operated(Stack):
    """A stack that an operator has: by `python -m ops` in a clone of its own."""

    def __init__(self, root: Path, cluster: Cluster) -> None:
        """Copy the project to this folder. The stack is `lab`, whose kubeconfig lies in the clone."""
        self.verbs = Verbs(copy_project(root), "lab")
        # Whoever runs the tests: their plugins are what is tried.
        self.verbs.env |= {name: value for name, value in os.environ.items() if name == "PULUMI_HOME"}
        super().__init__(Deployment(root, self.verbs.env, name="lab"), cluster)
        (root / ".local/lab").mkdir(parents=True)
        (root / ".local/lab/kubeconfig").symlink_to(cluster.kubeconfig)

    def configure(self, *builds: Mapping[str, Any], **sections: Mapping[str, Any]) -> None:
        """Write the stack's settings in the same way."""
        own = {"kubeconfig": ".local/lab/kubeconfig", **sections.pop("kubernetes", {})}
        super().configure(*builds, kubernetes=own, **sections)

    def remove(self) -> None:
        """Take it down, and what is kept on purpose."""
        self.verbs.run("recover")
        self.verbs.run("down")
        self.remove_namespaces()
