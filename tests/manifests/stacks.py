"""The names of the stacks whose manifests are judged."""

from typing import Final

import yaml

from tests.support.manifests import ROOT

COMMITTED: Final = tuple(
    path.name.split(".")[1]
    for path in sorted([*ROOT.glob("stacks/Pulumi.*.yaml"), *ROOT.glob("examples/stacks/Pulumi.*.yaml")])
    if yaml.safe_load(path.read_text())["config"]["ci:platform"] == "kubernetes"
)
"""Those in the repository."""

ALL: Final = (*COMMITTED, "everything", "everything, again", "every builder", "least")
SCANNED: Final = (*COMMITTED, "everything", "least")
"""Those for the slow scanners. The others have the same pods."""
