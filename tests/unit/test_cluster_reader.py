"""What is asked of a cluster, and what is made of its answers: against an API server of this test's own."""

import http.server
import json
import socket
import threading
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.kubernetes import cluster
from components.kubernetes.cluster import ApiReader, NamespaceInfo, ReadError, kubeconfig
from tests.support.kubernetes_stack import settings

TOKEN = "made-up-token-0123456789"


@dataclass
class Api:
    """Answers by path; what has no answer is not found."""

    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    address: str = ""

    def reader(self, folder: Path, context: str = "here", address: str | None = None) -> ApiReader:
        (folder / "kubeconfig").write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "c", "cluster": {"server": address or self.address}}],
                    "users": [{"name": "u", "user": {"token": TOKEN}}],
                    "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
                }
            )
        )
        stack = settings(kubernetes={"kubeconfig": str(folder / "kubeconfig"), "context": context})
        return ApiReader(stack.kubernetes)


@pytest.fixture
def api() -> Iterator[Api]:
    known = Api()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known.asked.append(self.path)
            known.accepted.append(self.headers["Accept"])
            authorized = self.headers.get("Authorization") == f"Bearer {TOKEN}"
            status, body = known.answers.get(self.path.partition("?")[0], (404, {})) if authorized else (401, {})
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        known.address = f"http://127.0.0.1:{serving.server_port}"
        thread = threading.Thread(target=serving.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield known
        serving.shutdown()
        thread.join()


def asked(api: Api) -> dict[str, list[str]]:
    """Give the parameters of the last question."""
    return urllib.parse.parse_qs(urllib.parse.urlsplit(api.asked[-1]).query)


def test_namespaces_that_are_not_there_are_left_out(api: Api, tmp_path: Path) -> None:
    api.answers["/api/v1/namespaces/ci"] = (200, {"metadata": {"labels": {"a": "b"}}})
    api.answers["/api/v1/namespaces/bare"] = (200, {"metadata": {}})
    api.answers["/api/v1/namespaces/going"] = (200, {"metadata": {"deletionTimestamp": "2026-01-31T03:00:00Z"}})
    assert api.reader(tmp_path).namespaces("ci", "ci-builds", "bare", "going") == {
        "ci": NamespaceInfo(labels={"a": "b"}),
        "bare": NamespaceInfo(labels={}),
        "going": NamespaceInfo(labels={}, terminating=True),
    }


def test_the_default_storage_class_is_the_one_that_is_marked(api: Api, tmp_path: Path) -> None:
    mark = {"storageclass.kubernetes.io/is-default-class": "true"}
    items = [{"metadata": {"name": "a", "annotations": mark}}, {"metadata": {"name": "b", "annotations": None}}]
    api.answers["/apis/storage.k8s.io/v1/storageclasses"] = (200, {"items": items})
    assert api.reader(tmp_path).storage_classes() == {"a": True, "b": False}


def test_a_secret_is_looked_for_without_what_is_in_it(api: Api, tmp_path: Path) -> None:
    api.answers["/api/v1/namespaces/ci/secrets/there"] = (200, {"kind": "PartialObjectMetadata"})
    reader = api.reader(tmp_path)
    assert reader.has_secret("ci", "there")
    assert not reader.has_secret("ci", "gone")
    assert all("as=PartialObjectMetadata" in accepted for accepted in api.accepted)


@pytest.mark.parametrize(
    ("said", "version"),
    [({"major": "1", "minor": "34"}, (1, 34)), ({"major": "1", "minor": "30+"}, (1, 30)), ({}, (0, 0))],
)
def test_a_version_is_read_as_clouds_write_it_too(
    api: Api, tmp_path: Path, said: dict[str, str], version: tuple[int, int]
) -> None:
    api.answers["/version"] = (200, said)
    assert api.reader(tmp_path).version() == version


def test_a_jobs_pods_come_newest_first(api: Api, tmp_path: Path) -> None:
    pods = [{"metadata": {"creationTimestamp": f"2026-01-0{day}T00:00:00Z"}} for day in (1, 3, 2)]
    api.answers["/api/v1/namespaces/ci-builds/pods"] = (200, {"items": pods})
    found = api.reader(tmp_path).pods("ci-builds", "website-0123")
    assert [pod["metadata"]["creationTimestamp"][9] for pod in found] == ["3", "2", "1"]
    assert asked(api) == {"labelSelector": ["batch.kubernetes.io/job-name=website-0123"]}


def about(name: str) -> dict[str, Any]:
    return {"involvedObject": {"name": name}}


def test_warnings_about_a_job_and_its_pods_come_newest_first_whichever_time_they_have(api: Api, tmp_path: Path) -> None:
    items = [
        {**about("website-0123"), "message": "old", "lastTimestamp": "2026-01-01T00:00:00Z"},
        {**about("website-0123-x7k2p"), "message": "new", "eventTime": "2026-01-03T00:00:00Z", "lastTimestamp": None},
        {**about("website-0123"), "message": "timeless"},
        {**about("website-01234"), "message": "another's", "lastTimestamp": "2026-01-02T00:00:00Z"},
    ]
    api.answers["/api/v1/namespaces/ci-builds/events"] = (200, {"items": items})
    assert api.reader(tmp_path).events("ci-builds", "website-0123") == ["new", "old", "timeless"]
    assert asked(api) == {"fieldSelector": ["type=Warning"]}


def test_what_is_not_there_has_nothing_in_it(api: Api, tmp_path: Path) -> None:
    reader = api.reader(tmp_path)
    assert (reader.pods("x", "y"), reader.events("x", "y"), reader.storage_classes()) == ([], [], {})


def test_a_refusal_is_told_with_its_address_and_without_the_token(api: Api, tmp_path: Path) -> None:
    api.answers["/version"] = (403, {"message": "no"})
    with pytest.raises(ReadError) as caught:
        api.reader(tmp_path).version()
    assert str(caught.value) == f"{api.address}/version answered 403 Forbidden"


def test_a_server_that_is_not_there_is_told_with_its_address(api: Api, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"http://127\.0\.0\.1:9 does not answer: ") as caught:
        api.reader(tmp_path, address="http://127.0.0.1:9").version()
    assert TOKEN not in str(caught.value)


def test_a_server_that_never_answers_is_asked_once_and_given_up_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cluster._TIMEOUT_SECONDS <= 10  # noqa: SLF001
    monkeypatch.setattr(cluster, "_TIMEOUT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(ReadError, match="does not answer"):
            Api().reader(tmp_path, address=f"http://127.0.0.1:{silent.getsockname()[1]}").version()
        silent.settimeout(0)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()


def test_a_context_that_there_is_not_is_told(api: Api, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="the kubeconfig can't be used: "):
        api.reader(tmp_path, context="elsewhere").version()


def test_nothing_is_opened_before_the_first_question(tmp_path: Path) -> None:
    ApiReader(settings(kubernetes={"kubeconfig": str(tmp_path / "missing")}).kubernetes)


def test_a_kubeconfig_is_found_from_the_home_and_from_the_projects_folder() -> None:
    assert kubeconfig(settings(kubernetes={"kubeconfig": "~/x"}).kubernetes) == str(Path.home() / "x")
    assert kubeconfig(settings(kubernetes={"kubeconfig": "x"}).kubernetes) == str(Path.cwd() / "x")
    assert kubeconfig(settings().kubernetes) is None
