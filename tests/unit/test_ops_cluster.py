"""The verbs on a stack in a cluster: where it is, what is started for it, and what is said of it."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from components.kubernetes import declared
from ops import cluster, deploy, engine, recover
from ops.stack import Stack
from setup import engine as local_engine
from setup.console import OpsError
from tests.support import fake_api, made_stack

LAB = {"kubeconfig": cluster.LAB_KUBECONFIG}


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address where nothing listens; the port is held, so that it stays so."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"https://127.0.0.1:{held.getsockname()[1]}"


@pytest.fixture(autouse=True)
def in_the_projects_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_command_for_a_person_names_what_the_settings_name(tmp_path: Path) -> None:
    found = made_stack.on_cluster(tmp_path, kubernetes={"kubeconfig": "some/where", "context": "prod"})
    assert cluster.kubectl(found) == "kubectl --kubeconfig some/where --context prod"
    assert cluster.kubectl(made_stack.on_cluster(tmp_path)) == "kubectl"
    spaced = made_stack.on_cluster(tmp_path, kubernetes={"kubeconfig": "~/my kube/config"})
    assert cluster.kubectl(spaced) == "kubectl --kubeconfig ~/'my kube/config'"
    assert cluster.is_lab(made_stack.on_cluster(tmp_path, kubernetes=LAB))


def test_a_lab_that_is_not_up_is_named_with_the_command_that_starts_it(tmp_path: Path, nobody: str) -> None:
    stack = made_stack.on_cluster(tmp_path, "lab", kubernetes=LAB)
    with pytest.raises(OpsError) as never_started:
        cluster.require(stack)
    fake_api.kubeconfig(tmp_path / cluster.LAB_KUBECONFIG, nobody)
    with pytest.raises(OpsError, match=nobody) as ended:
        cluster.require(stack)
    assert never_started.value.remedy == ended.value.remedy == "Start it first: make lab"


def test_another_cluster_that_does_not_answer_is_no_matter_of_the_lab(tmp_path: Path, nobody: str) -> None:
    path = fake_api.kubeconfig(tmp_path / "prod.yaml", nobody)
    with pytest.raises(OpsError, match=nobody) as caught:
        cluster.require(made_stack.on_cluster(tmp_path, kubernetes={"kubeconfig": str(path)}))
    assert "make lab" not in str(caught.value)
    assert f"kubectl --kubeconfig {path} version" in caught.value.remedy


def test_a_kubeconfig_that_is_not_there_or_lacks_the_context_is_named(tmp_path: Path, nobody: str) -> None:
    with pytest.raises(OpsError) as caught:
        cluster.require(made_stack.on_cluster(tmp_path, kubernetes={"kubeconfig": "gone"}))
    assert "ci:kubernetes.kubeconfig" in caught.value.remedy
    fake_api.kubeconfig(tmp_path / "k", nobody)
    with pytest.raises(OpsError, match="elsewhere"):
        cluster.require(made_stack.on_cluster(tmp_path, kubernetes={"kubeconfig": "k", "context": "elsewhere"}))


class Lab:
    """A lab that is up, and a Pulumi that remembers what it was told and ends as the test wants it."""

    def __init__(self, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stack, self.status, self.changes = stack, 0, {"create": 3}
        self.resources: list[dict[str, Any]] = []
        self.refused = ""
        self.told: list[str] = []
        self.env: dict[str, str] = {}
        monkeypatch.setattr(stack, "outputs", dict)
        monkeypatch.setattr(stack, "ask", lambda *_: json.dumps({"deployment": {"resources": self.resources}}))
        monkeypatch.setattr(stack, "get_plugins", lambda: None)
        monkeypatch.setattr(deploy, "open_stack", lambda _: stack)
        monkeypatch.setattr(stack, "run", self.run)
        monkeypatch.setattr(recover, "remains", lambda _: "")
        for module, name in (
            (engine, "client"),
            (local_engine, "ensure"),
            (local_engine, "version"),
            (local_engine, "local"),
        ):
            monkeypatch.setattr(module, name, self.no_engine)

    def run(self, verb: str, _: str, log: str, *words: str, env: dict[str, str]) -> int:
        self.told, self.env = [verb, *words], env
        images = {"web": "x:1/web@sha256:ab"}
        outputs = {"url": "http://x:1", "registry": "x:1", "registryUser": "ci", "images": images}
        metadata = {"type": "pulumi:pulumi:Stack", "new": {"outputs": outputs}}
        events = [{"resOutputsEvent": {"metadata": metadata}}, {"summaryEvent": {"resourceChanges": self.changes}}]
        if self.refused:
            events.append({"diagnosticEvent": {"message": f"<{{%fg 1%}}>error: {self.refused}<{{%reset%}}>"}})
        Path(log).write_text("\n".join(json.dumps(event, separators=(",", ":")) for event in events))
        return self.status

    def no_engine(self, *_: object) -> None:
        raise AssertionError("a stack in a cluster needs no Docker engine")


@pytest.fixture
def api(httpserver: HTTPServer, tmp_path: Path) -> fake_api.FakeApi:
    return fake_api.FakeApi(httpserver, tmp_path)


@pytest.fixture
def lab(tmp_path: Path, api: fake_api.FakeApi, monkeypatch: pytest.MonkeyPatch) -> Lab:
    fake_api.kubeconfig(tmp_path / cluster.LAB_KUBECONFIG, api.url)
    builds: list[dict[str, Any]] = [
        {"name": f"b{number}", "context": {"inline": {"Dockerfile": "FROM x"}}} for number in range(100)
    ]
    return Lab(made_stack.on_cluster(tmp_path, "lab", kubernetes=LAB, builds=builds), monkeypatch)


def test_up_prints_the_registry_and_each_image_with_its_digest(lab: Lab, capfd: pytest.CaptureFixture[str]) -> None:
    assert deploy.up("lab", []) == 0
    said = capfd.readouterr().err
    assert "registry: x:1, user ci" in said
    assert "image web: x:1/web@sha256:ab" in said
    assert int(lab.env["PULUMI_PARALLEL"]) > 100, "every build is waited for at the same time"
    assert not [word for word in lab.told if "parallel" in word], "a user's own --parallel comes first"


def test_a_changed_service_is_put_back_and_a_secret_that_is_gone_is_named(lab: Lab, api: fake_api.FakeApi) -> None:
    path, wanted = "/api/v1/namespaces/ci/services/registry", {"selector": {"app": "registry"}}
    api.answers[f"GET {path}"] = {"spec": {"selector": {"app": "registry", "x": "y"}}}
    api.answers[f"PATCH {path}"] = {"spec": wanted}
    inputs = {"metadata": {"namespace": "ci", "name": "registry"}, "spec": wanted}
    resources = [{"type": f"kubernetes:core/v1:{kind}", "inputs": inputs} for kind in ("Service", "Secret")]
    found = declared.changed(cluster.reader(lab.stack), resources, mend=True)
    assert list(found) == ["Service ci/registry", "Secret ci/registry (gone)"]
    assert api.sent == [[{"op": "add", "path": "/spec/selector", "value": {"app": "registry"}}]]


def test_a_failed_update_says_what_the_next_one_does(lab: Lab, capfd: pytest.CaptureFixture[str]) -> None:
    lab.status = 255
    assert deploy.up("lab", []) == 255
    assert "make status STACK=lab" in capfd.readouterr().err
    lab.changes = {}  # settings that were refused: Pulumi has said it all
    deploy.up("lab", [])
    assert capfd.readouterr().err == ""


def test_settings_that_the_program_refuses_are_said_last_and_alone(lab: Lab) -> None:
    lab.status, lab.refused = 255, "the settings of stack 'lab' have 1 problem:\n  - ci:x is taken"
    with pytest.raises(OpsError) as caught:
        deploy.up("lab", [])
    assert (str(caught.value), caught.value.code) == (lab.refused, 2)


def test_down_says_what_stays_and_how_to_remove_it(lab: Lab, capfd: pytest.CaptureFixture[str]) -> None:
    lab.changes = {"delete": 9}
    assert deploy.down("lab", []) == 0
    remove = "kubectl --kubeconfig .local/lab/kubeconfig delete namespace ci"
    assert remove in capfd.readouterr().err
    lab.changes = {}  # it was down already
    deploy.down("lab", [])
    assert remove not in capfd.readouterr().err
