"""What checkov and kube-score have against the manifests: nothing but what is listed here, each with its reason."""

import json
import os
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.manifests import programs
from tests.manifests.stacks import SCANNED
from tests.manifests.test_schema import OLDEST
from tests.support.manifests import EVERYTHING, Stack

Finding = tuple[str, str]
"""The check's id, and what it is about: kind and namespace, and for kube-score the container where there is one."""

_TAG = "a digest that nobody has compared with its image would be worse than a version; a stack may give one"
_PULL = "a pinned version; to ask another's registry at every start would let none start while that is away"
_ROOT = "kaniko and Buildah unpack images and give the files to their owners, as root; kaniko over its own files"
_SSH = "ssh knows no user but those in the image, and only its owner, root, can read the key; no capability is left"
_MAPS = "newuidmap and newgidmap have a capability each as programs, which would count for nothing otherwise"
_OWN = "the user of BuildKit's own image; with another one, it would have no further ids"
_SANDBOX = "the runtime's seccomp profile forbids to make a user namespace, which these builders do the rest in"
_NONE_YET = "a stack may have no build yet"
_SERVICE = "nobody looks for the pod by a name of its own, the one thing that a headless Service is for"

CHECKOV: Mapping[Finding, str] = {
    ("CKV_K8S_15", "CronJob ci"): _PULL,
    ("CKV_K8S_15", "Deployment ci"): _PULL,
    ("CKV_K8S_15", "Job ci-builds"): _PULL,
    ("CKV_K8S_15", "StatefulSet ci"): _PULL,
    ("CKV_K8S_20", "Job ci-builds"): _MAPS,
    ("CKV_K8S_22", "CronJob ci-builds"): _ROOT,
    ("CKV_K8S_22", "Job ci-builds"): _ROOT,
    ("CKV_K8S_23", "CronJob ci-builds"): _ROOT,
    ("CKV_K8S_23", "Job ci-builds"): _ROOT,
    ("CKV_K8S_25", "CronJob ci-builds"): _ROOT,
    ("CKV_K8S_25", "Job ci-builds"): _ROOT,
    ("CKV_K8S_29", "Job ci-builds"): "all that Buildah's pod could say as a whole is the profile that it can't have",
    ("CKV_K8S_31", "Job ci-builds"): _SANDBOX,
    ("CKV_K8S_38", "CronJob ci"): "the restarter asks the API to delete pods by name, and no more",
    ("CKV_K8S_38", "Deployment ci"): "a GitLab Runner asks the API for its jobs' pods, in the builds' namespace alone",
    ("CKV_K8S_40", "CronJob ci-builds"): _ROOT,
    ("CKV_K8S_40", "Job ci-builds"): _ROOT,
    ("CKV_K8S_43", "CronJob ci"): _TAG,
    ("CKV_K8S_43", "Deployment ci"): _TAG,
    ("CKV_K8S_43", "Job ci-builds"): _TAG,
    ("CKV_K8S_43", "StatefulSet ci"): _TAG,
}
"""All that checkov is let find."""

KUBE_SCORE: Mapping[Finding, str] = {
    ("container-image-pull-policy", "CronJob ci/kubectl"): _PULL,
    ("container-image-pull-policy", "CronJob ci-builds/fetch"): _PULL,
    ("container-image-pull-policy", "CronJob ci-builds/kaniko"): _PULL,
    ("container-image-pull-policy", "Deployment ci/gitlab-runner"): _PULL,
    ("container-image-pull-policy", "Job ci-builds/buildah"): _PULL,
    ("container-image-pull-policy", "Job ci-builds/buildkit"): _PULL,
    ("container-image-pull-policy", "Job ci-builds/fetch"): _PULL,
    ("container-image-pull-policy", "Job ci-builds/kaniko"): _PULL,
    ("container-image-pull-policy", "StatefulSet ci/collect"): _PULL,
    ("container-image-pull-policy", "StatefulSet ci/mirror"): _PULL,
    ("container-image-pull-policy", "StatefulSet ci/registry"): _PULL,
    ("container-seccomp-profile", "Job ci-builds/buildah"): _SANDBOX,
    ("container-security-context-readonlyrootfilesystem", "CronJob ci-builds/kaniko"): _ROOT,
    ("container-security-context-readonlyrootfilesystem", "Job ci-builds/buildah"): _ROOT,
    ("container-security-context-readonlyrootfilesystem", "Job ci-builds/kaniko"): _ROOT,
    ("container-security-context-user-group-id", "CronJob ci-builds/fetch"): _SSH,
    ("container-security-context-user-group-id", "CronJob ci-builds/kaniko"): _ROOT,
    ("container-security-context-user-group-id", "Job ci-builds/buildah"): _ROOT,
    ("container-security-context-user-group-id", "Job ci-builds/buildkit"): _OWN,
    ("container-security-context-user-group-id", "Job ci-builds/fetch"): _SSH,
    ("container-security-context-user-group-id", "Job ci-builds/kaniko"): _ROOT,
    ("networkpolicy-targets-pod", "NetworkPolicy ci/acme-solver"): "the pod is cert-manager's, while it proves a name",
    ("networkpolicy-targets-pod", "NetworkPolicy ci-builds/builds"): _NONE_YET,
    ("networkpolicy-targets-pod", "NetworkPolicy ci-builds/nothing"): _NONE_YET,
    ("service-type", "Service ci"): "only where a stack asks for it with nodePort",
    ("statefulset-has-servicename", "StatefulSet ci"): _SERVICE,
}
"""All that kube-score is let find."""

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


@pytest.fixture(scope="session")
def checkov(stacks: dict[str, Stack], tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[Finding]]:
    """Give what checkov finds in each stack. It takes 6 s each, of one processor."""
    programs.checkov()
    folders = [tmp_path_factory.mktemp("checkov") for _ in SCANNED]
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(by_checkov, [stacks[name] for name in SCANNED], folders)
        return dict(zip(SCANNED, found, strict=True))


@pytest.fixture(scope="session")
def kube_score(stacks: dict[str, Stack], tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[Finding]]:
    """Give what kube-score finds in each stack."""
    return {name: by_kube_score(stacks[name], tmp_path_factory.mktemp("kube-score")) for name in SCANNED}


@pytest.mark.parametrize("name", SCANNED)
def test_checkov_finds_nothing_but_what_is_listed(checkov: dict[str, set[Finding]], name: str) -> None:
    assert checkov[name] - set(CHECKOV) == set()


def test_nothing_is_listed_that_checkov_finds_no_more(checkov: dict[str, set[Finding]]) -> None:
    assert set(CHECKOV) - set().union(*checkov.values()) == set()


@pytest.mark.parametrize("name", SCANNED)
def test_kube_score_finds_nothing_but_what_is_listed(kube_score: dict[str, set[Finding]], name: str) -> None:
    assert kube_score[name] - set(KUBE_SCORE) == set()


def test_nothing_is_listed_that_kube_score_finds_no_more(kube_score: dict[str, set[Finding]]) -> None:
    assert set(KUBE_SCORE) - set().union(*kube_score.values()) == set()


def test_images_that_a_stack_names_by_digest_are_run_by_digest(checkov: dict[str, set[Finding]]) -> None:
    assert "CKV_K8S_43" not in {check for check, _ in checkov[EVERYTHING]}


def test_only_a_stack_that_asks_for_a_node_port_has_one(kube_score: dict[str, set[Finding]]) -> None:
    with_port = {name for name, found in kube_score.items() if "service-type" in {check for check, _ in found}}
    assert with_port == {"lab", "buildkit", "buildah", EVERYTHING}
