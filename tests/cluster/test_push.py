"""A push builds the image, once and without an update, and the watcher's account may start nothing else."""

import copy
import functools
import hashlib
import hmac
import operator
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from kubernetes import client

from components import labels
from tests.cluster.test_contexts import DOCKERFILE, TOKEN
from tests.support import servers
from tests.support.cluster import Stack, until
from tests.support.git import git

EVERY_SECONDS = 5
SECRET = "staple-battery-horse"
KILLS = int(os.environ.get("CI_TEST_KILLS", "2"))
"""How many watchers are killed before a commit is built; at most 6, since 10 Jobs are kept."""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("git") / "app.git"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder, "the first")
    return folder


@pytest.fixture(scope="module")
def context(lab: Any, repository: Path) -> Iterator[dict[str, Any]]:
    """Give the context of a build of the repository, which the token opens."""
    login, certificate = ("oauth2", TOKEN), lab.certificate(f"push-{os.getpid()}", lab.host_address)
    with servers.git(repository.parent, lab.host_address, login=login, certificate=certificate) as gits:
        yield {"git": {"repository": f"{gits}/app.git", "credentials": "gitToken"}}


@pytest.fixture(scope="module")
def deployed(stack: Stack, lab: Any, context: dict[str, Any]) -> Stack:
    """Give the stack that watches the repository: a branch all the time, others when called."""
    build = {"name": "app", "context": context, "onPush": {"everySeconds": EVERY_SECONDS}}
    called = {"name": "called", "context": context, "onPush": {"branch": "hook/*", "everySeconds": 86_400}}
    stack.deployment.secret("gitToken", TOKEN)
    stack.deployment.secret("webhookSecret", SECRET)
    trusted = {"trustedCaFile": str(lab.ca)}
    stack.configure(build, called, kubernetes=trusted, webhook={"nodePort": stack.free_port()})
    stack.deployment.up()
    return stack


def commit(folder: Path, text: str, dockerfile: str = DOCKERFILE) -> str:
    (folder / "Dockerfile").write_text(dockerfile)
    (folder / "a.txt").write_text(f"{text}\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", text)
    return git(folder, "rev-parse", "HEAD")


def runs(stack: Stack) -> dict[str, Any]:
    """Give the Jobs that pushes started, by the commit's first 12 digits; no commit has two."""
    jobs = {name: job for name, job in stack.jobs().items() if name.count("-") == 2}
    found = {name.split("-")[1]: job for name, job in jobs.items()}
    assert len(found) == len(jobs)
    return found


def ended(stack: Stack, head: str) -> str | None:
    """Give how the build of a commit ended."""
    job = runs(stack).get(head[:12])
    return next((each.type for each in (job.status.conditions or () if job else ()) if each.status == "True"), None)


def events(stack: Stack, head: str) -> list[str]:
    """Give what the events of a commit's Job say, once there is one of its end."""
    of_job = f"involvedObject.name={runs(stack)[head[:12]].metadata.name},type=Warning"
    found = until(lambda: stack.core.list_namespaced_event(stack.builds, field_selector=of_job).items)
    return [each.message for each in found]


def built(stack: Stack, head: str, prints: str) -> None:
    """Wait until a commit is built; its image prints this, under both tags."""
    assert until(lambda: ended(stack, head)) in {"Complete", "SuccessCriteriaMet"}
    digest = until(lambda: stack.digest("app", head[:12]))
    assert stack.digest("app", "main") == digest
    assert stack.run(f"localhost:{stack.node_port}/app@{digest}") == f"{prints}\nSucceeded"


def watcher(stack: Stack) -> Any:
    [pod] = stack.core.list_namespaced_pod(stack.namespace, label_selector="app.kubernetes.io/name=push").items
    return pod


def test_pushes_are_built_once_whatever_happens_to_branch_and_watcher(deployed: Stack, repository: Path) -> None:
    first = git(repository, "rev-parse", "HEAD")
    built(deployed, first, "the first")
    assert deployed.deployment.outputs()["watched"]["app"]["branch"] == "main"
    commit(repository, "not built: another came in the same interval")
    built(deployed, later := commit(repository, "the later"), "the later")
    uids = {job.metadata.uid for job in runs(deployed).values()}

    heads = [first, later]
    for number in range(KILLS):
        heads.append(commit(repository, f"killed {number}"))
        pod = watcher(deployed).metadata.name
        time.sleep(EVERY_SECONDS * number / KILLS)  # at another moment of the interval each time
        deployed.core.delete_namespaced_pod(pod, deployed.namespace, grace_period_seconds=0)
        assert until(lambda: ended(deployed, heads[-1])) in {"Complete", "SuccessCriteriaMet"}
    broken = commit(repository, "broken", "FROM alpine:latest\nRUN exit 3\n")
    assert until(lambda: ended(deployed, broken)) in {"Failed", "FailureTarget"}
    assert any("Container kaniko for pod" in said for said in events(deployed, broken))
    git(repository, "reset", "--quiet", "--hard", first)
    built(deployed, forced := commit(repository, "forced"), "forced")
    git(repository, "checkout", "--quiet", "--detach")
    git(repository, "branch", "--quiet", "--delete", "--force", "main")
    git(repository, "checkout", "--quiet", "-b", "main")
    built(deployed, again := commit(repository, "made again"), "made again")
    assert {head[:12] for head in (*heads, broken, forced, again)} == set(runs(deployed))
    assert uids <= {job.metadata.uid for job in runs(deployed).values()}
    log = deployed.core.read_namespaced_pod_log(
        watcher(deployed).metadata.name, deployed.namespace, container="watcher"
    )
    assert TOKEN not in log
    assert "the later" not in log
    assert all(line.startswith("build ") for line in log.splitlines())
    assert set(deployed.deployment.up()) == {"same"}


def test_a_signed_call_has_a_push_built_at_once_and_a_watcher_that_hangs_is_started_again(
    deployed: Stack, repository: Path
) -> None:
    def call(header: str, value: str) -> int:
        port = deployed.settings["webhook"]["nodePort"]
        url = f"http://{deployed.cluster.node}:{port}/"
        return requests.post(url, data=b"x", headers={header: value}, timeout=10).status_code

    # As if its loop had not come by. It pauses, and so does not correct that.
    pod = watcher(deployed).metadata.name
    deployed.execute(pod, deployed.namespace, "echo 1 > /tmp/called/due", container="watcher")
    until(lambda: any(each.restart_count for each in watcher(deployed).status.container_statuses))
    git(repository, "checkout", "--quiet", "-b", "hook/1")
    head = commit(repository, "called")
    signature = hmac.new(SECRET.encode(), b"x", "sha256").hexdigest()
    assert call("X-Hub-Signature-256", f"sha256={signature[::-1]}") == 403
    assert call("X-Hub-Signature-256", f"sha256={signature}") == 202
    digest = until(lambda: deployed.digest("called", head[:12]))
    assert deployed.digest("called", f"hook-1..{hashlib.sha256(b'hook/1').hexdigest()[:12]}") == digest


def wanted(stack: Stack, build: str = "app") -> dict[str, Any]:
    """Give a Job that the watcher might create."""
    plain, batch = client.ApiClient(), client.BatchV1Api(stack.cluster.api)
    template: Any = plain.sanitize_for_serialization(batch.read_namespaced_cron_job(f"{build}.push", stack.builds))
    jobs, meta = template["spec"]["jobTemplate"], template["metadata"]
    zeros, owner = "0" * 12, {"apiVersion": "batch/v1", "kind": "CronJob", "controller": True}
    own = {labels.COMMIT: "0" * 40, labels.COMMIT_TAG: zeros, labels.BRANCH_TAG: "main"}
    pod = {"metadata": {"labels": {}, "annotations": own}, "spec": jobs["spec"]["template"]["spec"]}
    return {
        "metadata": {
            "name": f"{build}-{zeros}-{zeros}",
            "labels": {**jobs["metadata"]["labels"], labels.BRANCH: zeros},
            "ownerReferences": [{**owner, "name": meta["name"], "uid": meta["uid"]}],
        },
        "spec": {**jobs["spec"], "template": pod},
    }


@pytest.fixture
def stolen(deployed: Stack) -> Iterator[Any]:
    """Give the API as the watcher's account may use it."""
    with deployed.account("push") as api:
        yield api


def test_a_stolen_watchers_account_can_start_nothing_but_the_build_of_a_commit(deployed: Stack, stolen: Any) -> None:
    job, batch, core = wanted(deployed), client.BatchV1Api(stolen), client.CoreV1Api(stolen)
    refused = []
    wrong = yaml.safe_load(Path(__file__).with_name("push_attacks.yaml").read_text())
    for path, value in wrong:
        changed = copy.deepcopy(job)
        [*folders, last] = path
        inside: Any = functools.reduce(operator.getitem, folders, changed)
        if last == "+":
            inside.append(value)
        else:
            inside[last] = value
        try:
            batch.create_namespaced_job(deployed.builds, changed, dry_run="All")
        except client.ApiException as error:
            if "denied request" in error.body:
                refused.append([path, value])
    assert refused == wrong
    batch.create_namespaced_job(deployed.builds, job, dry_run="All")
    forbidden: tuple[Any, ...] = (
        lambda: batch.create_namespaced_job(deployed.namespace, job, dry_run="All"),
        lambda: batch.delete_namespaced_job(next(iter(deployed.jobs())), deployed.builds, dry_run="All"),
        lambda: core.list_namespaced_secret(deployed.builds),
        lambda: core.create_namespaced_pod(deployed.builds, {"metadata": {"name": "x"}}, dry_run="All"),
    )
    for call in forbidden:
        with pytest.raises(client.ApiException, match="Forbidden"):
            call()


def test_a_build_whose_template_is_gone_is_not_let_in_by_that_of_another(deployed: Stack, stolen: Any) -> None:
    job, other, batch = wanted(deployed), wanted(deployed, "called"), client.BatchV1Api(stolen)

    def refusal() -> str:
        try:
            batch.create_namespaced_job(deployed.builds, job, dry_run="All")
        except client.ApiException as error:
            return str(error.body)
        return "none"

    job["spec"]["template"]["spec"]["containers"][0]["image"] = "alpine:latest"
    assert "must be that of the build's template" in refusal()
    own = client.BatchV1Api(deployed.cluster.api)
    own.delete_namespaced_cron_job("app.push", deployed.builds, propagation_policy="Orphan")
    until(lambda: "must be that" not in refusal())
    assert "denied request" in refusal()
    batch.create_namespaced_job(deployed.builds, other, dry_run="All")
