"""The operator's verbs on a real cluster, in a clone of its own: what `make up STACK=lab` promises."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from ops import cluster
from ops.cluster import ApiError, Cluster, Place
from ops.toolchain.errors import Trouble
from tests.support.cluster import in_the_lab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
STACK = "lab"
HELLO = {"Dockerfile": 'FROM busybox:1\nCOPY a.txt /\nCMD ["cat", "/a.txt"]\n', "a.txt": "This is a simple file.\n"}


class Verbs:
    """`python -m ops` in one clone, on a stack in a namespace of its own."""

    def __init__(self, root: Path, namespace: str, there: Cluster) -> None:
        self.root = root
        self.namespace = namespace
        self.there = there
        # The clone's own backend, whoever runs the tests; their plugins are what is tried.
        theirs = {name for name in os.environ if name.startswith("PULUMI_")} - {"PULUMI_HOME"}
        self.env = {name: value for name, value in os.environ.items() if name not in theirs}
        self.env |= {"YES": "1", "PULUMI_CREDENTIALS_PATH": str(root / "nobody")}

    def start(self, verb: str, *words: str) -> subprocess.Popen[str]:
        """Start a verb on the stack."""
        command = [sys.executable, "-m", "ops", verb, "--stack", STACK, *words]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=self.root, env=self.env, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def run(self, verb: str, *words: str, stdin: str = "", fails: bool = False) -> str:
        """Run a verb, and give what it printed, stdout first."""
        with self.start(verb, *words) as process:
            out, err = process.communicate(stdin, timeout=400)
        assert (process.returncode != 0) is fails, out + err
        return out + err

    def configure(self, *builds: dict[str, Any]) -> None:
        """Give the stack these builds."""
        path = self.root / f"stacks/Pulumi.{STACK}.yaml"
        whole = yaml.safe_load(path.read_text())
        whole["config"]["ci:builds"] = list(builds)
        path.write_text(yaml.safe_dump(whole))

    def items(self, path: str) -> list[dict[str, Any]]:
        """The objects of a list in the builds' namespace."""
        group = "/apis/batch/v1" if path == "jobs" else "/api/v1"
        return self.there.items(f"{group}/namespaces/{self.namespace}-builds/{path}")


def build(name: str, files: dict[str, str]) -> dict[str, Any]:
    return {"name": name, "context": {"inline": files}, "resources": {"memoryMib": 256}}


@pytest.fixture(scope="module")
def verbs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verbs]:
    """A clone with a stack that is not up yet."""
    try:
        found = in_the_lab()
    except Trouble as trouble:
        pytest.skip(f"no lab on this machine: {trouble}")
    root = tmp_path_factory.mktemp("verbs") / "clone"
    leave = shutil.ignore_patterns(".git", ".local", ".venv", "*_cache", "__pycache__", "tests")
    shutil.copytree(ROOT, root, ignore=leave)
    (root / ".venv").symlink_to(sys.prefix)
    kubeconfig = root / cluster.LAB_KUBECONFIG
    kubeconfig.parent.mkdir(parents=True)
    kubeconfig.symlink_to(found.kubeconfig)
    namespace = f"verbs-{random.randrange(16**4):04x}"
    config = {
        "ci:platform": "kubernetes",
        "ci:kubernetes": {**found.kubernetes, "kubeconfig": cluster.LAB_KUBECONFIG, "namespace": namespace},
        "ci:registry": {
            **found.registry,
            "storageGib": 1,
            "plainHttp": True,
            "nodePort": random.randrange(31000, 32700),
        },
    }
    (root / f"stacks/Pulumi.{STACK}.yaml").write_text(yaml.safe_dump({"config": config}))
    there = Cluster(Place(found.kubeconfig, None, lab=True))
    made = Verbs(root, namespace, there)
    made.configure(build("hello", HELLO))
    yield made
    made.run("recover")
    made.run("down")
    for name in (namespace, f"{namespace}-builds"):
        with contextlib.suppress(ApiError):
            there.ask(f"/api/v1/namespaces/{name}", method="DELETE")


def await_true(ask: Callable[[], object], running: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 120
    while not ask():
        assert time.monotonic() < end
        assert running.poll() is None, "it ended before it could be killed"
        time.sleep(0.05)


def kill_pulumi(verbs: Verbs, running: subprocess.Popen[str]) -> None:
    [lock] = (verbs.root / ".local/state/.pulumi/locks").rglob("*.json")
    os.kill(json.loads(lock.read_text())["pid"], signal.SIGKILL)
    assert running.wait(120) == 128 + signal.SIGKILL
    running.communicate()


def test_an_update_killed_while_it_builds_is_recovered_and_nothing_is_built_twice(verbs: Verbs) -> None:
    with verbs.start("up") as update:
        await_true(lambda: _quietly(lambda: verbs.items("pods")), update)
        kill_pulumi(verbs, update)
    assert "locked" in verbs.run("up", fails=True)
    said = verbs.run("recover")
    assert "took the lock away" in said
    assert "half-done operations" in said
    assert "Stack lab is up" in verbs.run("up")
    assert len(verbs.items("pods")) == 1, "the build ran once more"
    assert "Nothing changed" in verbs.run("up")
    assert "Nothing to recover" in verbs.run("recover")


def test_up_prints_the_image_as_pushed_and_status_knows_it_too(verbs: Verbs) -> None:
    said = verbs.run("up")
    [image] = [line.split()[-1] for line in said.splitlines() if line.startswith("  image hello:")]
    assert "/hello@sha256:" in image
    status = verbs.run("status")
    assert f"{image}, built 20" in status
    assert "registry pod       ready since" in status
    assert "% of its file system" in status


def test_the_sample_runs_the_image_in_a_pod_and_leaves_none(verbs: Verbs) -> None:
    verbs.run("up")
    assert "  This is a simple file.\n" in verbs.run("sample")
    assert [pod for pod in verbs.items("pods") if pod["metadata"]["name"].startswith("sample-")] == []


def test_the_password_is_the_registrys_and_lies_open_nowhere(verbs: Verbs) -> None:
    verbs.run("up")
    password = verbs.run("password").removesuffix("\n")
    assert len(password) >= 24
    hits = [path for path in verbs.root.rglob("*") if path.is_file() and password.encode() in path.read_bytes()]
    assert hits == []


def test_doctor_tells_the_cluster_and_asks_for_no_docker_engine(verbs: Verbs) -> None:
    said = verbs.run("doctor")
    assert verbs.there.ask("/version")["gitVersion"] in said
    assert "local-path, the cluster's default" in said
    assert "Kubernetes plugin" in said
    assert "Docker engine" not in said


def test_a_failed_build_is_told_by_up_and_by_status_and_runs_again_alone(verbs: Verbs) -> None:
    verbs.run("up")
    before = {job["metadata"]["name"]: job["metadata"]["uid"] for job in verbs.items("jobs")}
    verbs.configure(build("hello", HELLO), build("broken", {"Dockerfile": "FROM busybox:1\nRUN echo why && false\n"}))
    said = verbs.run("up", fails=True)
    assert "the build broken failed" in said
    assert "a build that failed runs again, the others do not" in said
    status = verbs.run("status", fails=True)
    assert "the build broken failed: kaniko ended with 1" in status
    verbs.configure(build("hello", HELLO), build("broken", {"Dockerfile": "FROM busybox:1\nRUN true\n"}))
    assert "image broken:" in verbs.run("up")
    after = {job["metadata"]["name"]: job["metadata"]["uid"] for job in verbs.items("jobs")}
    assert before.items() <= after.items()


def test_down_leaves_the_namespace_and_the_images_and_says_so(verbs: Verbs) -> None:
    verbs.run("up")
    said = verbs.run("down")
    assert f"delete namespace {verbs.namespace}" in said
    claims = verbs.there.items(f"/api/v1/namespaces/{verbs.namespace}/persistentvolumeclaims")
    assert "registry" in {claim["metadata"]["name"] for claim in claims}
    assert "nothing is deployed" in verbs.run("status", fails=True)
    assert "Stack lab is up" in verbs.run("up"), "what stayed is taken over"


def _quietly(ask: Callable[[], object]) -> object:
    try:
        return ask()
    except ApiError:
        return None
