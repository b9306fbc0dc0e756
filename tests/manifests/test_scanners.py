"""What checkov and kube-score have against the manifests: nothing but what accepted.yaml lists with its reason."""

import functools
import json
import os
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.manifests import programs
from tests.manifests.test_schema import OLDEST
from tests.support.manifests import SCANNED, Stack

Finding = tuple[str, str]
"""The check's id, and what it is about: kind and namespace, and for kube-score the container where there is one."""

ACCEPTED = yaml.safe_load(Path(__file__).with_name("accepted.yaml").read_text())
LISTED: Mapping[str, set[Finding]] = {
    scanner: {
        (check, place) for each in ACCEPTED for check, places in each.get(scanner, {}).items() for place in places
    }
    for scanner in ("checkov", "kube-score")
}
"""All that each scanner is let find."""

OPTIONAL = ("container-memory-requests-equal-limits", "container-ports-check", "container-seccomp-profile")
"""What kube-score checks only when asked. What else it could want is as much CPU and disk reserved as is allowed."""


ENVIRONMENT = {**os.environ, "CKV_SKIP_PACKAGE_UPDATE_CHECK": "true"}
"""Else checkov would ask the package index for a newer one of itself."""


def run(program: Path, words: list[str], stack: Stack, folder: Path) -> Any:
    """Run a scanner on all objects of a stack together, since some checks look from a pod to its policies."""
    file = folder / "stack.yaml"
    file.write_text(stack.text())
    command = [str(program), *words, str(file)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False)
    # With 1 it says that it found something.
    assert done.returncode in {0, 1}, done.stderr
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def by_checkov(stack: Stack, folder: Path) -> set[Finding]:
    """Give what checkov finds in a stack, or fail where it did not look at everything."""
    words = ["--skip-download", "--framework", "kubernetes", "--quiet", "--compact", "--output", "json", "--file"]
    report = run(programs.checkov(), words, stack, folder)
    summary = report["summary"]
    assert summary["parsing_errors"] == summary["skipped"] == 0
    # Pods count beside what they are in.
    assert summary["resource_count"] >= len(stack.objects)
    found = set()
    for each in report["results"]["failed_checks"]:
        kind, namespace, _ = each["resource"].split(".", 2)
        found.add((each["check_id"], f"{kind} {_role(namespace)}"))
    return found


def by_kube_score(stack: Stack, folder: Path) -> set[Finding]:
    """Give what kube-score finds in a stack, or fail where it did not look at every pod."""
    words = ["score", "--kubernetes-version", f"v{OLDEST}", "--output-format", "json"]
    words += [word for check in OPTIONAL for word in ("--enable-optional-test", check)]
    report = run(programs.KUBE_SCORE.ensure() / "kube-score", words, stack, folder)
    seen = {f"{each['type_meta']['kind']} {each['object_meta']['name']}" for each in report}
    assert {pod.owner for pod in stack.pods()} <= seen
    return {
        (check["check"]["id"], _about(each, comment["path"]))
        for each in report
        for check in each["checks"]
        if not check["skipped"] and check["grade"] < 10
        for comment in check["comments"] or [{"path": ""}]
    }


def _about(scored: Mapping[str, Any], container: str) -> str:
    kind, meta = scored["type_meta"]["kind"], scored["object_meta"]
    # One that selects no pod may be wanted, the next one not.
    part = meta["name"] if kind == "NetworkPolicy" else container
    where = f"{kind} {_role(meta['namespace'])}"
    return f"{where}/{part}" if part else where


def _role(namespace: str) -> str:
    """Give what a namespace would be called by default: a stack may have another name before `-builds`."""
    return "ci-builds" if namespace.endswith("-builds") else "ci"


Findings = Callable[[str], Mapping[str, set[Finding]]]


@pytest.fixture(scope="session")
def findings(stacks: dict[str, Stack], tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """Give what a scanner finds in each stack. Checkov takes 6 s each, of one processor."""

    @functools.cache
    def found(scanner: str) -> Mapping[str, set[Finding]]:
        scan = {"checkov": by_checkov, "kube-score": by_kube_score}[scanner]
        folders = [tmp_path_factory.mktemp(scanner) for _ in SCANNED]
        with ThreadPoolExecutor(2) as pool:
            return dict(zip(SCANNED, pool.map(scan, [stacks[name] for name in SCANNED], folders), strict=True))

    return found


@pytest.mark.parametrize("name", SCANNED)
@pytest.mark.parametrize("scanner", LISTED)
def test_a_scanner_finds_nothing_but_what_is_listed(findings: Findings, scanner: str, name: str) -> None:
    assert findings(scanner)[name] - LISTED[scanner] == set()


@pytest.mark.parametrize("scanner", LISTED)
def test_nothing_is_listed_that_a_scanner_finds_no_more(findings: Findings, scanner: str) -> None:
    assert LISTED[scanner] - set().union(*findings(scanner).values()) == set()
