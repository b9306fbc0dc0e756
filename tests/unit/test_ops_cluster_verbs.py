"""`sample`, `status` and `doctor` against an API server that a test makes up: what each end is told as."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from ops import cluster_doctor, cluster_sample, cluster_status
from ops.cluster import ApiError, Cluster, Place
from ops.toolchain.console import OpsError
from tests.support import fake_api, made_stack, pod_security
from tests.support.fake_api import FakeApi
from tests.support.kubernetes_stack import settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IMAGE = "localhost:30500/web@sha256:" + "a" * 64
PODS = "/api/v1/namespaces/ci-builds/pods"
POD = f"{PODS}/sample-web-x1"


@pytest.fixture
def api() -> FakeApi:
    made = FakeApi()
    made.has(PODS)
    made.answers[f"POST {PODS}"] = {"metadata": {"name": "sample-web-x1"}}
    made.answers[f"DELETE {POD}"] = {}
    made.answers[f"GET {POD}/log"] = "hello\n\x1b[2Jworld\n"
    made.answers[f"GET {POD}"] = ended(0)
    return made


@pytest.fixture
def there(api: FakeApi, tmp_path: Path) -> Iterator[Cluster]:
    with fake_api.Server(api) as server:
        yield Cluster(Place(fake_api.kubeconfig(tmp_path / "kubeconfig", server.url), None, lab=False))


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_sample, "POLL_SECONDS", 0.01)


def ended(code: int) -> dict[str, Any]:
    state = {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed"}}
    return {"status": {"phase": "Failed" if code else "Succeeded", "containerStatuses": [{"state": state}]}}


def waiting(reason: str, message: str) -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"status": {"phase": "Pending", "containerStatuses": [{"state": state}]}}


def run(there: Cluster) -> str:
    screen = io.StringIO()
    console = Console(file=screen, width=400)
    cluster_sample.run(there, "web", IMAGE, "ci-builds", "registry-pull", console)
    return screen.getvalue()


def test_the_sample_shows_what_the_image_prints_and_removes_its_pod(there: Cluster, api: FakeApi) -> None:
    said = run(there)
    assert IMAGE in said
    assert "  hello\n  [2Jworld\n" in said, "what moves a cursor is taken out"
    assert api.asked[-1] == f"DELETE {POD}"


def test_the_samples_pod_pulls_by_digest_with_the_pull_secret_and_passes_baseline(there: Cluster, api: FakeApi) -> None:
    run(there)
    [sent] = api.sent
    spec = sent["spec"]
    assert spec["imagePullSecrets"] == [{"name": "registry-pull"}]
    assert spec["containers"][0]["image"] == IMAGE
    assert not pod_security.breaches(spec, "baseline")
    assert spec["automountServiceAccountToken"] is False
    assert spec["activeDeadlineSeconds"] > 0


def test_a_pod_that_a_killed_run_left_is_removed_first(there: Cluster, api: FakeApi) -> None:
    api.has(PODS, {"metadata": {"name": "old"}})
    api.answers[f"DELETE {PODS}/old"] = {}
    run(there)
    assert api.asked.index(f"DELETE {PODS}/old") < api.asked.index(f"POST {PODS}")


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        ("failed to resolve: http: server gave HTTP response to HTTPS client", "ci:registry.tls"),
        ("x509: certificate signed by unknown authority", "give each node's containerd its authority"),
        ("unexpected status: 401 Unauthorized", "renews the pull Secret"),
        ("localhost:30500/web@sha256:aa: not found", "change the build's trigger"),
        ("lookup registry.ci.svc: no such host", "containerdHosts"),
        ("dial tcp 127.0.0.1:30500: connection refused", "ci:registry.nodePort"),
        ("something new", "make status"),
    ],
)
def test_an_image_that_cannot_be_pulled_is_explained_at_once_and_the_pod_removed(
    there: Cluster, api: FakeApi, message: str, advice: str
) -> None:
    api.answers[f"GET {POD}"] = fake_api.in_turn(waiting("ContainerCreating", ""), waiting("ErrImagePull", message))
    with pytest.raises(OpsError, match="ErrImagePull") as caught:
        run(there)
    assert message in caught.value.what
    assert advice in caught.value.remedy
    assert api.asked[-1] == f"DELETE {POD}"


def test_a_pod_that_the_quota_refuses_is_told_in_the_clusters_words(there: Cluster, api: FakeApi) -> None:
    api.refuses(f"POST {PODS}", 403, "pods is forbidden: exceeded quota: builds")
    with pytest.raises(OpsError, match="exceeded quota: builds") as caught:
        run(there)
    assert "ci:kubernetes.quota" in caught.value.remedy


def test_a_pod_that_no_node_takes_is_not_waited_for_for_ever(
    there: Cluster, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_sample, "PULL_SECONDS", 0)
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient memory"}
    api.answers[f"GET {POD}"] = {"status": {"phase": "Pending", "conditions": [condition]}}
    with pytest.raises(OpsError, match="Insufficient memory") as caught:
        run(there)
    assert "No node has room" in caught.value.remedy
    assert api.asked[-1] == f"DELETE {POD}"


def test_an_image_that_fails_is_told_with_its_status(there: Cluster, api: FakeApi) -> None:
    api.answers[f"GET {POD}"] = ended(3)
    with pytest.raises(OpsError, match=r"ended with 3 \(Error\)"):
        run(there)


def test_a_server_is_stopped_after_a_while_and_that_is_no_fault(
    there: Cluster, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_sample, "RUN_SECONDS", 0.05)
    api.answers[f"GET {POD}"] = {"status": {"phase": "Running"}}
    assert "as a server does" in run(there)
    assert api.asked[-1] == f"DELETE {POD}"


def test_a_refusal_is_told_with_the_servers_own_words(there: Cluster, api: FakeApi) -> None:
    api.refuses("GET /x", 403, "no rights")
    with pytest.raises(ApiError, match=r"refused GET /x: 403 no rights") as caught:
        there.ask("/x")
    assert caught.value.status == 403
    assert there.find("/gone") is None
    with pytest.raises(ApiError):
        there.find("/x")


def test_a_server_that_is_gone_is_told_without_a_traceback(tmp_path: Path) -> None:
    with fake_api.Server(FakeApi()) as server:
        url = server.url
    gone = Cluster(Place(fake_api.kubeconfig(tmp_path / "k", url), None, lab=False))
    with pytest.raises(ApiError, match=f"{url} gave no answer: .*refused"):
        gone.ask("/version")


def test_a_kubeconfig_without_the_context_is_told(tmp_path: Path) -> None:
    path = fake_api.kubeconfig(tmp_path / "k", "http://127.0.0.1:1")
    with pytest.raises(OpsError, match="gone"):
        Cluster(Place(path, "gone", lab=False)).ask("/version")


STACK = {"config": {"ci:platform": "kubernetes", "ci:builds": []}}


def ready_registry(api: FakeApi) -> None:
    conditions = [{"type": "Ready", "status": "True"}]
    api.answers["GET /api/v1/namespaces/ci/pods/registry-server-0"] = {"status": {"conditions": conditions}}
    claim = {"status": {"capacity": {"storage": "20Gi"}}}
    api.answers["GET /api/v1/namespaces/ci/persistentvolumeclaims/registry"] = claim
    for path in ("/apis/batch/v1/namespaces/ci-builds/jobs", "/apis/batch/v1/namespaces/ci-builds/cronjobs"):
        api.has(path)


def status(there: Cluster) -> dict[str, tuple[str, bool]]:
    return {title: (said, well) for title, said, well in cluster_status.rows(there, settings(), [], {})}


@pytest.mark.parametrize(("percent", "well"), [("41%", True), ("97%", False)])
def test_a_volume_that_is_nearly_full_is_not_well(
    there: Cluster,
    api: FakeApi,
    monkeypatch: pytest.MonkeyPatch,
    percent: str,
    well: bool,  # noqa: FBT001 - a case of a table
) -> None:
    ready_registry(api)
    df = f"Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sdb 20971520 8598323 12373197 {percent} /v\n"
    monkeypatch.setattr(Cluster, "run", lambda *_: df)
    said, is_well = status(there)["registry volume"]
    assert f"{percent[:-1]} % of its file system of 20 GiB is full (8.2 GiB)" in said
    assert is_well is well
    assert ("ci:registry.storageGib" in said) is not well


def test_a_volume_that_cannot_be_asked_is_said_and_no_fault(
    there: Cluster, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready_registry(api)

    def refused(*_: object) -> str:
        raise ApiError("no", 403)

    monkeypatch.setattr(Cluster, "run", refused)
    assert status(there)["registry volume"] == ("20Gi; how full it is could not be asked", True)


def test_a_registry_that_is_gone_is_told(there: Cluster, api: FakeApi) -> None:
    ready_registry(api)
    del api.answers["GET /api/v1/namespaces/ci/pods/registry-server-0"]
    said, well = status(there)["registry pod"]
    assert "`make up` brings it back" in said
    assert not well


def test_a_cluster_that_refuses_is_a_line_of_the_status(there: Cluster, api: FakeApi) -> None:
    api.refuses("GET /version", 401, "Unauthorized")
    said, well = status(there)["cluster"]
    assert "401 Unauthorized" in said
    assert not well


REVIEWS = "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
SETS = "/apis/apps/v1/daemonsets"


def healthy(api: FakeApi) -> None:
    api.answers[REVIEWS] = {"status": {"allowed": True}}
    annotations = {cluster_doctor.DEFAULT_CLASS: "true"}
    api.has(CLASSES, {"metadata": {"name": "fast", "annotations": annotations}}, {"metadata": {"name": "slow"}})
    api.has(SETS, {"metadata": {"name": "calico-node"}})


def findings(there: Cluster, **registry: str) -> dict[str, tuple[str, str]]:
    kubeconfig = there.place.kubeconfig
    assert kubeconfig is not None
    keys: dict[str, Any] = {"registry": {"plainHttp": True, **registry}}
    stack = made_stack.on_cluster(kubeconfig.parent, kubernetes={"kubeconfig": str(kubeconfig)}, **keys)
    found = cluster_doctor.examine(stack)
    return {each.name: (each.mark, f"{each.seen}. {each.remedy}") for each in found}


def test_a_healthy_cluster_is_all_ok(there: Cluster, api: FakeApi) -> None:
    healthy(api)
    found = findings(there)
    assert {mark for mark, _ in found.values()} == {"ok"}
    assert "v1.34.4" in found["cluster"][1]
    assert "here: http://" in found["context"][1]
    assert "fast, the cluster's default" in found["storage class"][1]
    assert "Calico" in found["NetworkPolicies"][1]


def test_each_thing_that_is_missing_is_bad_and_says_what_to_do(there: Cluster, api: FakeApi) -> None:
    healthy(api)
    api.answers["GET /version"] = {"major": "1", "minor": "27+", "gitVersion": "v1.27.1-eks"}
    api.has(CLASSES, {"metadata": {"name": "slow"}})
    found = findings(there)
    assert found["cluster"] == ("BAD", "v1.27.1-eks. 1.29 or newer is needed")
    assert found["storage class"][0] == "BAD"
    assert "slow" in found["storage class"][1]
    mark, said = findings(there, storageClass="gone")["storage class"]
    assert mark == "BAD"
    assert "gone is not among the cluster's (slow)" in said


def test_rights_that_are_missing_everywhere_may_still_be_there_in_one_namespace(there: Cluster, api: FakeApi) -> None:
    healthy(api)
    api.answers[REVIEWS] = fake_api.in_turn({"status": {"allowed": False}}, {"status": {"allowed": True}})
    mark, said = findings(there)["rights"]
    assert mark == "note"
    assert "create namespaces" in said
    assert "create jobs" not in said


@pytest.mark.parametrize(
    ("names", "mark", "said"),
    [
        (["kube-flannel-ds", "kube-proxy"], "note", "not enforced by Flannel"),
        (["kube-proxy"], "note", "is not known"),
        (["cilium", "kube-flannel"], "ok", "enforced by Cilium"),
    ],
)
def test_whether_network_policies_hold_is_told_as_far_as_it_is_known(
    there: Cluster, api: FakeApi, names: list[str], mark: str, said: str
) -> None:
    healthy(api)
    api.has(SETS, *({"metadata": {"name": name}} for name in names))
    found = findings(there)["NetworkPolicies"]
    assert found[0] == mark
    assert said in found[1]


def test_a_user_who_may_not_look_at_daemonsets_is_told_that_it_is_not_known(there: Cluster, api: FakeApi) -> None:
    healthy(api)
    api.refuses(f"GET {SETS}", 403, "no")
    mark, said = findings(there)["NetworkPolicies"]
    assert mark == "note"
    assert "is not known" in said


def test_a_doctor_changes_nothing(there: Cluster, api: FakeApi) -> None:
    healthy(api)
    findings(there)
    assert {request for request in api.asked if not request.startswith("GET ")} == {REVIEWS}


def test_a_doctor_without_a_cluster_says_so_and_stops(tmp_path: Path) -> None:
    stack = made_stack.on_cluster(tmp_path, kubernetes={"kubeconfig": str(tmp_path / "gone")})
    [found] = cluster_doctor.examine(stack)
    assert found.mark == "BAD"
    assert "does not exist" in found.seen
