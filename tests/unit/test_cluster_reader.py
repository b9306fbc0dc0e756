"""What is asked of a cluster, and what is made of its answers: against an API server of this test's own."""

import socket
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from components.kubernetes import cluster
from components.kubernetes.cluster import ApiReader, NamespaceInfo, ReadError
from tests.support import fake_api
from tests.support.fake_api import FakeApi
from tests.support.kubernetes_stack import settings

TOKEN = "not-a-secret"
"""The token in the kubeconfig."""


def reader(kubeconfig: Path, context: str = "here") -> ApiReader:
    return ApiReader(settings(kubernetes={"kubeconfig": str(kubeconfig), "context": context}).kubernetes)


@pytest.fixture
def api(httpserver: HTTPServer, tmp_path: Path) -> FakeApi:
    return FakeApi(httpserver, tmp_path)


@pytest.fixture
def ask(api: FakeApi) -> ApiReader:
    return reader(api.kubeconfig)


def asked(api: FakeApi) -> dict[str, str]:
    """Give the parameters of the last question, which had the token."""
    assert api.requests[-1].headers["Authorization"] == f"Bearer {TOKEN}"
    return api.requests[-1].args.to_dict()


def test_namespaces_that_are_not_there_are_left_out(api: FakeApi, ask: ApiReader) -> None:
    api.answers["GET /api/v1/namespaces/ci"] = {"metadata": {"labels": {"a": "b"}}}
    api.answers["GET /api/v1/namespaces/bare"] = {"metadata": {}}
    api.answers["GET /api/v1/namespaces/going"] = {"metadata": {"deletionTimestamp": "2026-01-31T03:00:00Z"}}
    assert ask.namespaces("ci", "ci-builds", "bare", "going") == {
        "ci": NamespaceInfo(labels={"a": "b"}),
        "bare": NamespaceInfo(labels={}),
        "going": NamespaceInfo(labels={}, terminating=True),
    }


def test_the_default_storage_class_is_the_one_that_is_marked(api: FakeApi, ask: ApiReader) -> None:
    mark = {"storageclass.kubernetes.io/is-default-class": "true"}
    items = [{"metadata": {"name": "a", "annotations": mark}}, {"metadata": {"name": "b", "annotations": None}}]
    api.answers["GET /apis/storage.k8s.io/v1/storageclasses"] = {"items": items}
    assert ask.storage_classes() == {"a": True, "b": False}


def test_a_secret_is_looked_for_without_what_is_in_it(api: FakeApi, ask: ApiReader) -> None:
    api.answers["GET /api/v1/namespaces/ci/secrets/there"] = {"kind": "PartialObjectMetadata"}
    assert ask.has_secret("ci", "there")
    assert not ask.has_secret("ci", "gone")
    assert all("as=PartialObjectMetadata" in request.headers["Accept"] for request in api.requests)


def test_an_api_is_served_in_the_versions_that_the_cluster_has(api: FakeApi, ask: ApiReader) -> None:
    api.answers["GET /apis/kueue.x-k8s.io/v1beta2"] = {"kind": "APIResourceList"}
    assert ask.serves("kueue.x-k8s.io/v1beta2")
    assert not ask.serves("kueue.x-k8s.io/v1")


@pytest.mark.parametrize(
    ("said", "version"),
    [({"major": "1", "minor": "34"}, (1, 34)), ({"major": "1", "minor": "30+"}, (1, 30)), ({}, (0, 0))],
)
def test_a_version_is_read_as_clouds_write_it_too(
    api: FakeApi, ask: ApiReader, said: dict[str, str], version: tuple[int, int]
) -> None:
    api.answers["GET /version"] = said
    assert ask.version() == version


def test_a_jobs_pods_come_newest_first(api: FakeApi, ask: ApiReader) -> None:
    pods = [{"metadata": {"creationTimestamp": f"2026-01-0{day}T00:00:00Z"}} for day in (1, 3, 2)]
    api.answers["GET /api/v1/namespaces/ci-builds/pods"] = {"items": pods}
    found = ask.pods("ci-builds", "website-0123")
    assert [pod["metadata"]["creationTimestamp"][9] for pod in found] == ["3", "2", "1"]
    assert asked(api) == {"labelSelector": "batch.kubernetes.io/job-name=website-0123"}


def about(name: str) -> dict[str, Any]:
    return {"involvedObject": {"name": name}}


def test_warnings_about_a_job_and_its_pods_come_newest_first_whichever_time_they_have(
    api: FakeApi, ask: ApiReader
) -> None:
    items = [
        {**about("website-0123"), "message": "old", "lastTimestamp": "2026-01-01T00:00:00Z"},
        {**about("website-0123-x7k2p"), "message": "new", "eventTime": "2026-01-03T00:00:00Z", "lastTimestamp": None},
        {**about("website-0123"), "message": "timeless"},
        {**about("website-01234"), "message": "another's", "lastTimestamp": "2026-01-02T00:00:00Z"},
    ]
    killing = [{**about("website-0123-x7k2p"), "message": "Stopping container kaniko"}]
    path = "GET /api/v1/namespaces/ci-builds/events"
    api.answers[path] = lambda request: {"items": killing if "Killing" in request.args["fieldSelector"] else items}
    found = cluster.about(ask.events("ci-builds"), "website-0123")
    assert found == ["new", "old", "timeless", "Killing: Stopping container kaniko"]
    assert [each.args["fieldSelector"] for each in api.requests] == ["type=Warning", "reason=Killing"]


def test_what_is_not_there_has_nothing_in_it(ask: ApiReader) -> None:
    assert (ask.pods("x", "y"), ask.events("x"), ask.storage_classes()) == ([], [], {})


def test_what_gives_no_answer_is_told_with_its_address_and_without_the_token(api: FakeApi, tmp_path: Path) -> None:
    api.refuses("GET /version", 403, "no")
    nobody = fake_api.kubeconfig(tmp_path / "nobody", "http://127.0.0.1:9")
    for file, context, said in (
        (api.kubeconfig, "here", rf"{api.url}/version answered 403 forbidden$"),
        (nobody, "here", r"http://127\.0\.0\.1:9 does not answer: "),
        (api.kubeconfig, "elsewhere", "the kubeconfig can't be used: "),
    ):
        with pytest.raises(ReadError, match=f"(?i)^{said}") as caught:
            reader(file, context).version()
        assert TOKEN not in str(caught.value)


def test_a_silent_server_is_asked_once_and_given_up_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cluster._TIMEOUT_SECONDS <= 10  # noqa: SLF001
    monkeypatch.setattr(cluster, "_TIMEOUT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ReadError, match="does not answer"):
            reader(fake_api.kubeconfig(tmp_path / "kubeconfig", address)).version()
        silent.settimeout(0)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()


def test_nothing_is_opened_before_the_first_question(tmp_path: Path) -> None:
    reader(tmp_path / "missing")


def test_a_kubeconfig_is_found_from_the_home_and_from_the_projects_folder(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(api.kubeconfig.parent)
    monkeypatch.setenv("HOME", str(api.kubeconfig.parent))
    assert reader(Path("~/kubeconfig")).version() == reader(Path("kubeconfig")).version() == (1, 34)
