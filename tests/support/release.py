"""The program of the last release, in the place of the present one, for tests of an upgrade.

At a new release's tag: `git archive TAG Pulumi.yaml __main__.py components | xz -9 > tests/support/release.tar.xz`.
"""

import json
import shutil
import tarfile
from pathlib import Path

from tests.support.deployment import Deployment
from tests.support.verbs import ROOT

ARCHIVE = Path(__file__).with_name("release.tar.xz")
PROGRAM = ("Pulumi.yaml", "__main__.py", "components")


def released(root: Path) -> None:
    """Put the release's program into a copy of the project."""
    shutil.rmtree(root / "components")
    with tarfile.open(ARCHIVE) as packed:
        packed.extractall(root, filter="data")


def present(root: Path) -> None:
    """Put the present program there."""
    shutil.rmtree(root / "components")
    for name in PROGRAM:
        source = ROOT / name
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, root / name, ignore=ignored) if source.is_dir() else shutil.copy(source, root)


def lost(deployment: Deployment) -> list[str]:
    """Preview; show the plan, and give the URNs of what it deletes or replaces."""
    steps = json.loads(deployment.pulumi("preview", "--json"))["steps"]
    plan = {step["urn"]: step["op"] for step in steps if step["op"] not in {"same", "refresh"}}
    print("\n".join(f"{op} {urn}" for urn, op in plan.items()) or "nothing changes")  # noqa: T201 - for whoever reads it
    return [urn for urn, op in plan.items() if "delete" in op or "replace" in op]
