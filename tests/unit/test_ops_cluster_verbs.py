"""`sample` and `doctor` in a cluster, against an API server that a test makes up: what each end is told as."""

import contextvars
import io
import re
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from rich.console import Console

from components.labels import PREFIX
from ops import cluster_status, doctor, sample
from ops.finding import Finding
from ops.stack import Stack
from setup.console import OpsError
from tests.support import made_stack
from tests.support.fake_api import FakeApi, container
from tests.support.verbs import ROOT

IMAGE = "localhost:30500/web@sha256:" + "a" * 64
PODS = "/api/v1/namespaces/ci-builds/pods"
POD = f"{PODS}/sample-web-x1"


@pytest.fixture
def api(httpserver: HTTPServer, tmp_path: Path) -> FakeApi:
    made = FakeApi(httpserver, tmp_path)
    made.has(PODS)
    made.answers[f"POST {PODS}"] = {"metadata": {"name": "sample-web-x1"}}
    made.answers |= {f"DELETE {each}": {} for each in (PODS, POD)}
    made.answers[f"GET {POD}/log"] = "hello\n\x1b[2Jworld\n"
    made.answers[f"WATCH {PODS}"] = [ended(0)]
    return made


def stack_of(api: FakeApi, **keys: Any) -> Stack:
    keys["kubernetes"] = {"kubeconfig": str(api.kubeconfig)}
    return made_stack.on_cluster(api.kubeconfig.parent, **keys)


def ended(code: int) -> dict[str, Any]:
    state = container(terminated={"exitCode": code, "reason": "Error" if code else "Completed"})
    return {"status": {"phase": "Failed" if code else "Succeeded", "containerStatuses": [state]}}


def waiting(reason: str, message: str) -> dict[str, Any]:
    state = container(waiting={"reason": reason, "message": message})
    return {"status": {"phase": "Pending", "containerStatuses": [state]}}


BACK_OFF = waiting("ImagePullBackOff", "Back-off pulling image")


def run(api: FakeApi) -> str:
    screen = io.StringIO()
    found = {"images": {"web": IMAGE}, "buildsNamespace": "ci-builds", "pullSecret": "registry-pull"}
    sample.in_pod(stack_of(api), found, Console(file=screen, width=400))
    return screen.getvalue()


def test_the_sample_shows_what_the_image_prints_and_removes_its_pod_and_one_of_a_killed_run(api: FakeApi) -> None:
    said = run(api)
    assert IMAGE in said
    assert "  hello\n  [2Jworld\n" in said, "what moves a cursor is taken out"
    assert api.asked[0] == f"DELETE {PODS}"
    assert api.requests[0].args["labelSelector"] == sample.LABEL == f"{PREFIX}/sample"
    assert api.asked[-1] == f"DELETE {POD}"


def test_the_samples_pod_pulls_by_digest_with_the_pull_secret_and_ends_by_itself(api: FakeApi) -> None:
    run(api)
    spec = next(each["spec"] for each in api.sent if "spec" in each)
    assert spec["imagePullSecrets"] == [{"name": "registry-pull"}]
    assert spec["containers"][0]["image"] == IMAGE
    assert spec["automountServiceAccountToken"] is False
    assert spec["activeDeadlineSeconds"] > 0


def test_an_image_not_pulled_twice_is_told_in_the_kubelets_words_and_the_pod_removed(api: FakeApi) -> None:
    failed = waiting("ErrImagePull", "x509: certificate signed by unknown authority")
    api.answers[f"WATCH {PODS}"] = [waiting("ContainerCreating", ""), failed, failed, BACK_OFF, failed, ended(0)]
    with pytest.raises(OpsError, match="ErrImagePull x509: certificate signed by unknown authority") as caught:
        run(api)
    page, section = re.findall(r"docs\S+\.md|(?<=\").+(?=\")", caught.value.remedy)
    assert f"**{section}.**" in (ROOT / page).read_text()
    assert api.asked[-1] == f"DELETE {POD}"


def test_an_image_whose_pull_is_refused_once_is_run_after_the_next_try(api: FakeApi) -> None:
    api.answers[f"WATCH {PODS}"] = [waiting("ErrImagePull", "401 Unauthorized"), BACK_OFF, ended(0)]
    assert "The pod ended well" in run(api)


def test_a_pod_that_the_quota_refuses_is_told_in_the_clusters_words(api: FakeApi) -> None:
    api.refuses(f"POST {PODS}", 403, "pods is forbidden: exceeded quota: builds")
    with pytest.raises(OpsError, match=r"403 .*exceeded quota: builds"):
        run(api)


def test_a_pod_that_no_node_takes_is_given_up_when_the_watch_ends(api: FakeApi) -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient memory"}
    api.answers[f"WATCH {PODS}"] = [{"status": {"phase": "Pending", "conditions": [condition]}}]
    with pytest.raises(OpsError, match="Insufficient memory"):
        run(api)
    assert api.asked[-1] == f"DELETE {POD}"


def test_an_image_that_fails_is_told_with_its_exit_code_and_a_server_is_no_fault(api: FakeApi) -> None:
    api.answers[f"WATCH {PODS}"] = [ended(3)]
    with pytest.raises(OpsError, match=r"ended with 3 \(Error\)"):
        run(api)
    api.answers[f"WATCH {PODS}"] = [{"status": {"phase": "Running"}}]
    assert "as a server does" in run(api)
    assert api.asked[-1] == f"DELETE {POD}"


CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
SETS = "/apis/apps/v1/daemonsets"


@pytest.fixture
def healthy(api: FakeApi) -> FakeApi:
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"}
    api.has(CLASSES, {"metadata": {"name": "fast", "annotations": annotations}}, {"metadata": {"name": "slow"}})
    runs(api, "calico-node")
    return api


def runs(api: FakeApi, *names: str) -> None:
    """Let the cluster have these DaemonSets."""
    spec: dict[str, Any] = {"selector": {}, "template": {}}
    api.has(SETS, *({"metadata": {"name": name}, "spec": spec} for name in names))


def findings(stack: Stack) -> list[Finding]:
    # What it tells Pulumi's SDK of the stack is for this question only.
    return contextvars.copy_context().run(lambda: list(doctor.of_settings(stack)))


def test_a_healthy_cluster_is_all_ok_and_nothing_in_it_is_changed(healthy: FakeApi) -> None:
    found = findings(stack_of(healthy))
    assert [(each.name, each.mark) for each in found] == [
        ("cluster", "ok"),
        ("NetworkPolicies", "ok"),
        ("settings", "ok"),
    ]
    assert f"v1.34.4 at {healthy.url}" in found[0].seen
    assert not [request for request in healthy.asked if not request.startswith("GET ")]


def test_what_an_update_would_refuse_is_bad_all_of_it_at_once(healthy: FakeApi) -> None:
    healthy.answers["GET /version"] |= {"minor": "27+", "gitVersion": "v1.27.1-eks"}
    healthy.answers["GET /api/v1/namespaces/ci"] = {"metadata": {"name": "ci"}}
    found = findings(stack_of(healthy, registry={"plainHttp": True, "storageClass": "gone"}))
    assert [each.seen.split()[0] for each in found if each.mark == "BAD"] == [
        "ci:kubernetes.context",
        "ci:kubernetes.namespace",
        "ci:registry.storageClass",
    ]


@pytest.mark.parametrize(
    ("names", "mark", "said"),
    [
        (["kube-flannel-ds", "kube-proxy"], "note", "not enforced by Flannel"),
        (["kube-proxy"], "note", "it is unknown"),
        (["cilium", "kube-flannel"], "ok", "enforced by cilium"),
        (None, "note", "may not look at DaemonSets"),
    ],
)
def test_whether_network_policies_hold_is_told_as_far_as_it_is_known(
    healthy: FakeApi, names: list[str] | None, mark: str, said: str
) -> None:
    if names is None:
        healthy.refuses(f"GET {SETS}", 403, "no")
    else:
        runs(healthy, *names)
    found = findings(stack_of(healthy))[1]
    assert (found.mark, said in found.seen) == (mark, True), found


def test_a_cluster_that_refuses_or_is_gone_is_the_last_line_of_the_doctor(healthy: FakeApi, tmp_path: Path) -> None:
    healthy.refuses(f"GET {SETS}", 500, "etcd is away")
    gone = made_stack.on_cluster(tmp_path, kubernetes={"kubeconfig": str(tmp_path / "gone")})
    for stack, said in ((stack_of(healthy), "500 etcd is away"), (gone, "can't be used")):
        found = findings(stack)[-1]
        assert (found.mark, said in found.seen, ".." in found.told) == ("BAD", True, False), found


def test_certificates_that_have_expired_are_told() -> None:
    over, valid = (cluster_status.certificates(day) for day in ("2026-01-31", "2126-01-31"))
    assert (over.mark, valid.mark) == ("BAD", "ok")
    assert "make up" in over.told
    assert "make up" not in valid.told
