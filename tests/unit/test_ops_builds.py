"""What `status` says of a stack in a cluster: its servers, and every way that a build can stand."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from components import labels
from components.kubernetes import cluster as cluster_api
from ops import clone, cluster, cluster_backup, cluster_status, recover
from ops import status as ops_status
from ops.finding import Finding, Mark, Report, Row
from ops.stack import Stack
from setup.console import OpsError
from tests.support import made_stack
from tests.support.fake_api import FakeApi, container
from tests.support.verbs import ROOT

BUILD = {"name": "web", "context": {"inline": {"Dockerfile": "FROM x"}}, "resources": {"memoryMib": 512}}
SCHEDULED = {**BUILD, "schedule": "17 2 * * *"}
JOB = "web-0123456789ab"
IMAGE = "localhost:30500/web@sha256:" + "a" * 64
BEGUN = "2026-01-31T10:00:00Z"
DONE = {
    "startTime": BEGUN,
    "completionTime": "2026-01-31T10:00:07Z",
    "conditions": [{"type": "Complete", "status": "True"}],
}
FAILED = {"conditions": [{"type": "Failed", "status": "True"}]}
LATE = {"conditions": [{**FAILED["conditions"][0], "message": "Job was active longer than specified deadline"}]}
BATCH = "/apis/batch/v1/namespaces/ci-builds"
PODS = "/api/v1/namespaces/ci/pods"
BUILD_PODS = "/api/v1/namespaces/ci-builds/pods"
EVENTS = "/api/v1/namespaces/ci-builds/events"
READY = {"phase": "Running", "startTime": BEGUN, "conditions": [{"type": "Ready", "status": "True"}]}


def server(status: dict[str, Any]) -> dict[str, Any]:
    meta = {"name": "one", "namespace": "ci", "creationTimestamp": BEGUN}
    data = [{"name": "data", "persistentVolumeClaim": {"claimName": "registry"}}]
    mounts = [{"name": each, "mountPath": f"/{each}"} for each in ("tmp", "data")]
    containers = [{"name": name, "volumeMounts": mounts} for name in ("registry", "collect")]
    return {"metadata": meta, "spec": {"volumes": data, "containers": containers}, "status": status}


@pytest.fixture
def api(httpserver: HTTPServer, tmp_path: Path) -> FakeApi:
    """A cluster with a registry whose volume can't be looked into, and no build."""
    made = FakeApi(httpserver, tmp_path)
    made.has(PODS, server(READY))
    claims = "/api/v1/namespaces/ci/persistentvolumeclaims"
    made.answers[f"GET {claims}/registry"] = {"metadata": {}, "spec": {}, "status": {"capacity": {"storage": "20Gi"}}}
    for path in (f"{BATCH}/jobs", f"{BATCH}/cronjobs", BUILD_PODS, EVENTS):
        made.has(path)
    return made


KILLED: dict[str, Any] = {"exitCode": 137, "reason": "OOMKilled"}


def job(
    status: dict[str, Any],
    name: str = JOB,
    *,
    scheduled: str = "",
    suspend: bool = False,
    owner: str = "web",
    **meta: Any,
) -> dict[str, Any]:
    reference = {"apiVersion": "batch/v1", "kind": "CronJob", "name": owner, "uid": "x"}
    meta |= {"name": name, "creationTimestamp": scheduled or BEGUN, "ownerReferences": [reference] if scheduled else []}
    return {"metadata": meta, "spec": {"suspend": suspend, "template": {}}, "status": status}


def schedule(*, suspend: bool = False) -> dict[str, Any]:
    return {"metadata": {"name": "web"}, "spec": {"schedule": "17 2 * * *", "jobTemplate": {}, "suspend": suspend}}


def pod(job: str = JOB, **terminated: Any) -> dict[str, Any]:
    status = {"phase": "Failed", "containerStatuses": [container(terminated=terminated)]}
    return {"metadata": {"creationTimestamp": BEGUN, "labels": {cluster_api.JOB_LABEL: job}}, "status": status}


def resource(name: str = JOB, build: str = "web", **more: Any) -> dict[str, Any]:
    meta = {"name": name, "labels": {labels.BUILD: build}}
    return {"type": "kubernetes:batch/v1:Job", "inputs": {"metadata": meta}, **more}


def status(
    api: FakeApi,
    build: dict[str, Any] | None = None,
    *,
    images: bool = True,
    of: str = JOB,
    jobs: Sequence[dict[str, Any]] | None = None,
    **keys: Any,
) -> dict[str, Finding]:
    """Give the findings by name. of: the Job that pushed the images in the outputs. jobs: those in the state."""
    keys = {"builds": [build or BUILD], **keys, "kubernetes": {"kubeconfig": str(api.kubeconfig)}}
    stack = made_stack.on_cluster(api.kubeconfig.parent, **keys)
    outputs = {"images": {"web": IMAGE} if images else {}, "builds": {"web": of}}
    policy = {"metadata": {"namespace": "ci", "name": "nothing"}, "spec": {}}
    resources = [{"type": "kubernetes:networking.k8s.io/v1:NetworkPolicy", "inputs": policy}]
    resources += [resource()] if jobs is None else jobs
    found = cluster_status.examine(cluster.reader(stack), stack.settings, resources, outputs)
    return {each.name: each for each in found}


def test_a_build_that_is_done_says_what_it_pushed_and_when(api: FakeApi) -> None:
    api.has(f"{BATCH}/jobs", job(DONE))
    found = status(api)
    assert found["build web"] == ("build web", f"{IMAGE}, built 2026-01-31 10:00:07 UTC in 7 s", "ok", "")
    # The last update failed after this build.
    assert status(api, of="web-1")["build web"].seen == "pushed, built 2026-01-31 10:00:07 UTC in 7 s"
    assert found["registry pod"].seen == "ready since 2026-01-31 10:00:00 UTC, 0 restarts"
    assert found["cluster"].seen == f"v1.34.4 at {api.url}"


@pytest.mark.parametrize("update", ["runs", "was killed", "ended"])
def test_of_a_build_in_an_update_that_runs_or_was_killed_that_is_said(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch, update: str
) -> None:
    stack = made_stack.on_cluster(api.kubeconfig.parent, kubernetes={"kubeconfig": str(api.kubeconfig)}, builds=[BUILD])
    deployment = {"resources": [{**resource(), "urn": "u"}], "pending_operations": [{}] if update != "ended" else []}
    told = {"export": {"deployment": deployment}, "history": []}
    monkeypatch.setattr(stack, "exists", lambda: True)
    monkeypatch.setattr(stack, "ask", lambda _, verb, *__: json.dumps(told[verb]))
    monkeypatch.setattr(recover, "running", lambda _: "process 5" if update == "runs" else "")
    monkeypatch.setattr(recover, "remains", lambda _: "the lock of x" if update == "was killed" else "")
    found = {each.name: each for each in ops_status.examine(stack)}
    assert (found["build web"].mark, "gone" in found["build web"].seen) == (
        ("note", False) if update == "runs" else ("BAD", True)
    )
    assert ("half done" in found) is (update == "was killed")
    assert found.get("update", ["", "", ""])[2] == {"runs": "note", "was killed": "BAD", "ended": ""}[update]


def test_a_hundred_builds_of_which_fifty_failed_cost_as_many_requests_as_one(api: FakeApi) -> None:
    def count(builds: int) -> int:
        names = [f"web{number}" for number in range(builds)]
        failed = names[::2]
        jobs = [job(FAILED if name in failed else DONE, f"{name}-1") for name in names]
        api.has(f"{BATCH}/jobs", *jobs)
        api.has(BUILD_PODS, *(pod(f"{name}-1", exitCode=3) for name in failed))
        declared = [resource(f"{name}-1", name) for name in names]
        before = len(api.asked)
        found = status(api, builds=[{**BUILD, "name": name} for name in names], jobs=declared)
        assert {name for name in names if found[f"build {name}"].mark == "BAD"} == {*failed}
        assert all("ended with exit code 3" in found[f"build {name}"].seen for name in failed)
        return len(api.asked) - before

    assert count(100) == count(1) < 20


@pytest.fixture
def looked_at(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """What lets `status` find this, or fail."""
    stack = made_stack.on_cluster(api.kubeconfig.parent)
    monkeypatch.setattr(clone, "here", lambda: stack.clone)
    monkeypatch.setattr(ops_status, "open_stack", lambda _: stack)

    def finds(*findings: Finding, fails: bool = False) -> None:
        def examine(_: Stack) -> Iterator[Finding]:
            yield from findings
            if fails:
                raise OpsError("The backend is away.", "Wait.")

        monkeypatch.setattr(ops_status, "examine", examine)

    return finds


@pytest.mark.parametrize(
    ("marks", "code", "state"),
    [(["ok"], 0, "ok"), (["ok", "note"], 0, "ok"), (["ok", "unknown"], 2, "unknown"), (["unknown", "BAD"], 1, "bad")],
)
def test_status_gives_its_findings_as_data_and_its_exit_code_says_whether_a_person_is_needed(
    looked_at: Callable[..., None], capsys: pytest.CaptureFixture[str], marks: list[Mark], code: int, state: str
) -> None:
    looked_at(*(Finding("build web", "x", mark, "`make up`") for mark in marks))
    assert ops_status.show("prod", as_json=True) == code
    told = Report.model_validate_json(capsys.readouterr().out, extra="forbid")
    assert (told.version, told.stack, told.state) == (1, "prod", state)
    row = {"name": "build web", "build": "web", "seen": "x", "remedy": "`make up STACK=prod`"}
    assert [each.model_dump() for each in told.findings] == [{**row, "mark": mark.lower()} for mark in marks]
    assert ops_status.show("prod") == code


def test_a_stack_that_cannot_be_looked_at_is_data_too_with_what_was_found_before(
    looked_at: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    looked_at(Finding("stack", "prod"), fails=True)
    assert ops_status.show("prod", as_json=True) == 2
    told = Report.model_validate_json(capsys.readouterr().out)
    assert [(each.name, each.mark, each.remedy) for each in told.findings][1:] == [("status", "unknown", "Wait.")]
    with pytest.raises(OpsError, match="The backend is away") as caught:
        ops_status.show("prod")
    assert caught.value.code == 2


def test_the_keys_of_the_data_are_those_of_the_page() -> None:
    page = (ROOT / "docs/how-to/status.md").read_text()
    [shown] = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    example = Report.model_validate_json(shown, extra="forbid")
    assert json.loads(shown) == example.model_dump()
    assert set(Report.model_fields) | set(Row.model_fields) == {*re.findall(r"(?m)^\| `(\w+)` \|", page)}


def test_a_user_who_may_not_patch_sees_everything_but_whether_access_was_changed(api: FakeApi) -> None:
    path = "/apis/networking.k8s.io/v1/namespaces/ci/networkpolicies/nothing"
    api.answers[f"GET {path}"] = {"spec": {}}
    api.refuses(f"PATCH {path}", 403, "forbidden")
    api.has(f"{BATCH}/jobs", job(DONE))
    found = status(api)
    assert (found["access"].mark, found["build web"].mark) == ("note", "ok")


@pytest.mark.parametrize(
    ("pods", "events", "said"),
    [
        (
            [pod(each, exitCode=137, reason="OOMKilled") for each in (JOB, "web-1")],
            [],
            "raise ci:builds[0].resources.memoryMib, for example to 1024",
        ),
        ([], ["exceeded quota: builds"], "exceeded quota: builds; raise ci:kubernetes.quota"),
        ([], [], "raise ci:builds[0].deadlineSeconds"),
    ],
)
def test_a_build_that_failed_says_why_in_the_words_of_the_settings(
    api: FakeApi, pods: list[dict[str, Any]], events: list[str], said: str
) -> None:
    api.has(f"{BATCH}/jobs", job(LATE), job(LATE, "web-1", scheduled="2026-01-31T02:17:00Z"))
    api.has(f"{BATCH}/cronjobs", schedule())
    api.has(BUILD_PODS, *pods)
    about = [{"message": event, "involvedObject": {"name": name}} for event in events for name in (JOB, "web-1")]
    api.has(EVENTS, *about)
    found = status(api, SCHEDULED)
    for each in (found["build web"], found["schedule web"]):
        assert (said in each.seen, each.mark) == (True, "BAD"), each


@pytest.mark.parametrize(
    ("jobs", "known", "said", "mark"),
    [
        ([job({"active": 1, "startTime": BEGUN})], {}, "runs since 2026-01-31 10:00:00 UTC", "BAD"),
        ([job({})], {}, "waits for its pod", "BAD"),
        ([job({}, suspend=True)], {"images": True}, "built before its Job was removed, and not again", "ok"),
        ([job({}, suspend=True, labels={labels.QUEUE: "builds"})], {}, "in the queue since 2026-01-31 10:00", "BAD"),
        ([], {"images": True}, "declares it again and builds nothing", "BAD"),
        ([], {}, "`make up` builds it", "BAD"),
        ([], {"jobs": []}, "not built yet; `make up` builds it", "BAD"),
    ],
)
def test_every_other_way_that_a_build_can_stand_is_told_apart(
    api: FakeApi, jobs: list[dict[str, Any]], known: dict[str, Any], said: str, mark: str
) -> None:
    api.has(f"{BATCH}/jobs", *jobs)
    found = status(api, **{"images": False, **known})["build web"]
    assert (said in found.seen, found.mark) == (True, mark), found


def test_a_schedule_says_how_its_newest_run_ended_and_whether_it_is_gone_or_suspended(api: FakeApi) -> None:
    early, late = "2026-01-30T02:17:00Z", "2026-01-31T02:17:00Z"
    runs = [job(FAILED, "web-1", scheduled=early), job(DONE, "web-2", scheduled=late)]
    api.has(f"{BATCH}/jobs", job(DONE), *runs)
    assert status(api, SCHEDULED)["schedule web"].told == "its CronJob is gone; `make up` brings it back"
    api.has(f"{BATCH}/cronjobs", schedule())
    found = status(api, SCHEDULED)["schedule web"]
    assert found.mark == "ok"
    assert found.seen == ("17 2 * * * (the cluster time zone); the last run, of 2026-01-31 02:17:00 UTC, is done")
    api.has(f"{BATCH}/jobs", job(DONE))
    api.has(f"{BATCH}/cronjobs", schedule(suspend=True))
    found = status(api, SCHEDULED)["schedule web"]
    assert found.seen.endswith("; suspended by hand; has not run yet")
    assert found.mark == "BAD"


@pytest.mark.parametrize(
    ("ended", "said", "mark"),
    [(DONE, "commit 012 of main: started Job web-012-345", "ok"), (DONE, "can't look; again in 9 s", "BAD"),
     (FAILED, "works again", "BAD")],
)  # fmt: skip
def test_a_watched_branch_says_how_its_newest_run_ended_and_whether_its_git_host_is_away(
    api: FakeApi, ended: dict[str, Any], said: str, mark: str
) -> None:
    pushed = job(ended, "web-012-345", scheduled="2026-01-31T02:17:00Z", owner="web.push")
    api.has(f"{BATCH}/jobs", job(DONE), pushed)
    api.answers[f"GET {PODS}/one/log"] = f"build web: watches main\nbuild web: {said}\nbuild other: can't\n"
    git = {"git": {"repository": "https://git.example.org/web.git"}}
    found = status(api, {**BUILD, "context": git, "onPush": {}})["push web"]
    assert found.seen.startswith("main; the last run, of 2026-01-31 02:17:00 UTC")
    assert (found.seen.endswith(f"; {said}"), found.mark) == (True, mark), found


def test_the_state_tells_each_builds_job_but_not_one_that_is_to_be_deleted() -> None:
    unlabelled = {"type": "kubernetes:batch/v1:Job", "inputs": {"metadata": {"name": "x"}}}
    found = [resource("new"), resource("old", delete=True), unlabelled, {"type": "ci:x:Y"}]
    assert cluster_status.deployed_jobs(found) == {"web": "new"}


CRASHES = container(4, waiting={"reason": "CrashLoopBackOff", "message": "back-off"})
UNPLACED = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}


@pytest.mark.parametrize(
    ("pods", "said"),
    [
        ([{"phase": "Running", "containerStatuses": [CRASHES]}], "(Running, 4 restarts): CrashLoopBackOff back-off"),
        ([{"phase": "Pending", "conditions": [UNPLACED]}], "0/1 nodes"),
        ([{"phase": "Pending"}], "it starts"),
        ([], "gone from ci; `make up` brings it back"),
    ],
)
def test_a_registry_that_is_not_ready_says_why_and_its_volume_is_not_asked_for(
    api: FakeApi, pods: list[dict[str, Any]], said: str
) -> None:
    api.has(PODS, *map(server, pods))
    found = status(api)
    assert (said in found["registry pod"].seen, found["registry pod"].mark) == (True, "BAD"), found
    assert "registry volume" not in found


@pytest.mark.parametrize(("percent", "mark"), [("41%", "ok"), ("97%", "BAD")])
def test_a_nearly_full_volume_is_bad(api: FakeApi, monkeypatch: pytest.MonkeyPatch, percent: str, mark: str) -> None:
    df = f"Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sdb 20971520 8598323 12373197 {percent} /v\n"
    asked = {("registry", "df -Pk /data"): df}
    monkeypatch.setattr(cluster, "printed", lambda _, __, name, words: asked[name, " ".join(words)])
    found = status(api)["registry volume"]
    assert f"20Gi; {percent[:-1]} % of its file system of 20 GiB is full (8.2 GiB)" in found.seen
    assert (found.mark, "ci:registry.storageGib" in found.remedy) == (mark, mark == "BAD")


def test_a_volume_that_is_being_deleted_is_bad_and_a_backup_does_not_end_the_pod_that_keeps_it(api: FakeApi) -> None:
    deleted = {"metadata": {"deletionTimestamp": BEGUN}, "spec": {"volumeName": "pvc-1"}, "status": {}}
    api.answers["GET /api/v1/namespaces/ci/persistentvolumeclaims/registry"] = deleted
    stack = made_stack.on_cluster(api.kubeconfig.parent, kubernetes={"kubeconfig": str(api.kubeconfig)})
    with pytest.raises(OpsError, match="is being deleted"):
        cluster_backup.ClusterStore(stack).save(lambda *_: None)
    assert {each.partition(" ")[0] for each in api.asked} == {"GET"}
    found = status(api)["registry volume"]
    assert (found.mark, "kubectl patch pv pvc-1" in found.told) == ("BAD", True)


def test_a_volume_that_cannot_be_looked_into_is_said_and_no_fault(api: FakeApi) -> None:
    found = status(api)["registry volume"]  # this API server knows no exec
    assert (found.seen, found.mark) == ("20Gi; how full it is could not be asked", "ok")


def test_a_runners_pod_is_asked_for_gitlabs_word_once_ready(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "printed", lambda *_: "FATAL: Failed to verify runners\n")
    runner: dict[str, Any] = {
        "gitlabRunner": {"url": "https://gitlab.example.org"},
        "gitlabRunnerToken": "glrt-0123456789abcdefghij",
    }
    found = status(api, **runner)
    assert found["gitlab-runner pod"].mark == "ok"
    assert ("FATAL: Failed to verify" in found["GitLab"].seen, found["GitLab"].mark) == (True, "BAD")
    api.has(PODS, server({"phase": "Pending"}))
    found = status(api, **runner)
    assert (found["gitlab-runner pod"].mark, "GitLab" in found) == ("BAD", False)


def test_a_cluster_that_refuses_is_a_line_of_the_status(api: FakeApi) -> None:
    api.refuses("GET /version", 401, "Unauthorized")
    found = status(api)["cluster"]
    assert ("401 Unauthorized" in found.seen, found.mark) == (True, "unknown")
