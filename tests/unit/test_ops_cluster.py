"""The verbs on a stack in a cluster: where it is, what is started for it, and what is said of it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from ops import cluster, deploy, local, settings
from ops.clone import Clone
from ops.toolchain import docker_engine, toolchain
from ops.toolchain.errors import Trouble
from tests.support import fake_api

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

LAB = {"config": {"ci:platform": "kubernetes", "ci:kubernetes": {"kubeconfig": ".local/lab/kubeconfig"}}}


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clone:
    (tmp_path / "Pulumi.yaml").write_text("name: ci\nstackConfigDir: stacks\n")
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks/Pulumi.lab.yaml").write_text(yaml.safe_dump(LAB))
    made = Clone(tmp_path)
    monkeypatch.setattr(deploy, "here", lambda: made)
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    return made


@pytest.fixture
def listening() -> Iterator[str]:
    """The address of something that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"https://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address where nothing listens; the port is held, so that it stays so."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"https://127.0.0.1:{held.getsockname()[1]}"


def place(clone: Clone, **kubernetes: str) -> cluster.Place:
    return cluster.of(clone, {"config": {"ci:kubernetes": kubernetes}})


def test_the_kubeconfig_is_looked_for_from_the_projects_folder(clone: Clone) -> None:
    found = place(clone, kubeconfig="some/where", context="prod")
    assert found.kubeconfig == clone.root / "some/where"
    assert found.kubectl == f"kubectl --kubeconfig {clone.root}/some/where --context prod"
    assert not found.lab
    assert place(clone, kubeconfig="~/x").kubeconfig != clone.root / "~/x"
    assert place(clone).kubectl == "kubectl"
    assert cluster.of(clone, LAB).lab


def test_a_lab_that_was_never_started_is_said_with_the_command_that_starts_it(clone: Clone) -> None:
    with pytest.raises(Trouble, match="not up") as caught:
        cluster.require(cluster.of(clone, LAB), "lab")
    assert caught.value.remedy == "Start it first: make lab"


def test_a_lab_that_ended_is_said_with_its_address_and_the_same_command(clone: Clone, nobody: str) -> None:
    fake_api.kubeconfig(clone.root / cluster.LAB_KUBECONFIG, nobody)
    with pytest.raises(Trouble, match=nobody) as caught:
        cluster.require(cluster.of(clone, LAB), "lab")
    assert "make lab" in caught.value.remedy


def test_a_cluster_that_answers_is_not_asked_for_more(clone: Clone, listening: str) -> None:
    fake_api.kubeconfig(clone.root / cluster.LAB_KUBECONFIG, listening)
    cluster.require(cluster.of(clone, LAB), "lab")


def test_another_cluster_that_does_not_answer_is_no_matter_of_the_lab(clone: Clone, nobody: str) -> None:
    path = fake_api.kubeconfig(clone.root / "prod.yaml", nobody)
    with pytest.raises(Trouble) as caught:
        cluster.require(place(clone, kubeconfig=str(path)), "prod")
    assert nobody in caught.value.what
    assert "make lab" not in str(caught.value)
    assert f"kubectl --kubeconfig {path} version" in caught.value.remedy


def test_a_kubeconfig_that_is_not_there_is_a_setting_to_change(clone: Clone) -> None:
    with pytest.raises(Trouble, match="does not exist") as caught:
        cluster.require(place(clone, kubeconfig="gone"), "prod")
    assert caught.value.code == 2
    assert "ci:kubernetes.kubeconfig" in caught.value.remedy


def test_nothing_is_tried_past_a_proxy_or_without_a_file(
    clone: Clone, nobody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fake_api.kubeconfig(clone.root / "k", nobody, **{"proxy-url": "http://proxy.example:3128"})
    cluster.require(place(clone, kubeconfig=str(path)), "prod")
    cluster.require(place(clone), "prod")
    fake_api.kubeconfig(path, nobody)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    cluster.require(place(clone, kubeconfig=str(path)), "prod")


@pytest.mark.parametrize("verb", ["up", "preview", "down"])
def test_a_lab_that_is_not_up_is_found_before_minutes_go_into_a_tool_chain(
    clone: Clone, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ensure() -> toolchain.Toolchain:
        raise AssertionError("a tool chain was got")

    monkeypatch.setattr(toolchain, "ensure", ensure)
    words: dict[str, Any] = {"words": []} if verb == "preview" else {"yes": True, "words": []}
    with pytest.raises(Trouble, match="not up"):
        getattr(deploy, verb)("lab", **words)


class Recorded:
    """Stands for Pulumi: remembers what it was told, and ends as the test wants it."""

    def __init__(self, outcome: deploy.Outcome) -> None:
        self.outcome = outcome
        self.told: list[str] = []

    def __call__(self, _: local.Workspace, verb: str, stack: str, words: Sequence[str]) -> deploy.Outcome:
        self.told += [verb, stack, *words]
        return self.outcome


@pytest.fixture
def told(clone: Clone, listening: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Recorded:
    """A lab that is up, and a Pulumi that remembers."""
    fake_api.kubeconfig(clone.root / cluster.LAB_KUBECONFIG, listening)
    tools = toolchain.Toolchain(tmp_path / "pulumi", {"PULUMI_HOME": str(tmp_path / "home")}, {})
    monkeypatch.setattr(deploy, "open_workspace", lambda _: local.Workspace(clone, tools))
    recorded = Recorded(deploy.Outcome(0, {"create": 3}))
    monkeypatch.setattr(deploy, "pulumi", recorded)
    outputs = {"url": "http://x:1", "registry": "x:1", "registryUser": "ci", "images": {"web": "x:1/web@sha256:ab"}}
    monkeypatch.setattr(deploy, "outputs", lambda *_: outputs)
    return recorded


def test_a_stack_in_a_cluster_neither_needs_nor_starts_a_docker_engine(
    told: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def touched(*_: object) -> None:
        raise AssertionError("the Docker engine was asked for")

    for name in ("ensure", "get", "answers"):
        monkeypatch.setattr(docker_engine, name, touched)
    assert deploy.up("lab", yes=True, words=[]) == 0
    told.outcome = deploy.Outcome(255, {"create": 3})
    assert deploy.up("lab", yes=True, words=[]) == 255


def test_up_prints_the_registry_and_each_image_with_its_digest(
    told: Recorded, capfd: pytest.CaptureFixture[str]
) -> None:
    deploy.up("lab", yes=True, words=[])
    said = capfd.readouterr().err
    assert "registry: x:1, user ci" in said
    assert "image web: x:1/web@sha256:ab" in said


def test_a_failed_update_says_what_the_next_one_does(told: Recorded, capfd: pytest.CaptureFixture[str]) -> None:
    told.outcome = deploy.Outcome(255, {"create": 3})
    deploy.up("lab", yes=True, words=[])
    said = capfd.readouterr().err
    assert "a build that failed runs again, the others do not" in said
    assert "make status STACK=lab" in said


def test_settings_that_were_refused_get_no_further_words(told: Recorded, capfd: pytest.CaptureFixture[str]) -> None:
    told.outcome = deploy.Outcome(255, {})
    deploy.up("lab", yes=True, words=[])
    assert capfd.readouterr().err == ""


def test_every_build_is_waited_for_at_the_same_time(clone: Clone, told: Recorded) -> None:
    builds = [{"name": f"b{number}", "context": {"inline": {"Dockerfile": "FROM x"}}} for number in range(100)]
    whole = {"config": {**LAB["config"], "ci:builds": builds}}
    clone.committed("lab").write_text(yaml.safe_dump(whole))
    deploy.up("lab", yes=True, words=[])
    assert int(told.told[told.told.index("--parallel") + 1]) > 100


@pytest.mark.parametrize("words", [["--parallel", "3"], ["--parallel=3"], ["-p", "3"], ["-p=3"], ["-p3"]])
def test_a_users_own_parallelism_is_kept(words: list[str]) -> None:
    assert deploy.parallelism(LAB, words) == []


def test_the_option_is_given_once_where_the_user_gave_others() -> None:
    assert deploy.parallelism(LAB, ["--refresh=false", "--policy-pack", "p"]) != []


def test_down_says_what_stays_and_how_to_remove_it(
    clone: Clone, told: Recorded, capfd: pytest.CaptureFixture[str]
) -> None:
    told.outcome = deploy.Outcome(0, {"delete": 9})
    assert deploy.down("lab", yes=True, words=[]) == 0
    said = capfd.readouterr().err
    assert "the namespace ci and in it the registry's volume" in said
    assert "kubectl --kubeconfig .local/lab/kubeconfig delete namespace ci" in said


def test_down_of_what_is_down_speaks_of_no_volume(
    clone: Clone, told: Recorded, capfd: pytest.CaptureFixture[str]
) -> None:
    told.outcome = deploy.Outcome(0, {})
    deploy.down("lab", yes=True, words=[])
    assert "delete namespace" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("committed", "wanted"),
    [
        (LAB, "ci:registryPassword"),
        ({"config": {**LAB["config"], "ci:registryPassword": {"secure": "v1:x"}}}, ""),
        ({"config": {**LAB["config"], "ci:adminPassword": {"secure": "v1:x"}}}, "ci:registryPassword"),
    ],
)
def test_the_registrys_password_is_made_where_there_is_none(committed: dict[str, Any], wanted: str) -> None:
    assert local.wanted_password(committed, {}) == wanted
    assert local.wanted_password({"config": {}}, committed) == wanted


class Prompted:
    """A stdin that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("key", sorted(settings.FROM_FILES))
def test_a_secret_of_many_lines_is_asked_for_as_a_file(
    told: Recorded, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Prompted())
    with pytest.raises(Trouble, match="more than one line") as caught:
        settings.set_one("lab", key, secret=False)
    assert f"make set KEY={key} STACK=lab < FILE" in caught.value.remedy


def test_every_secret_of_the_settings_is_set_as_one(told: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    from components.settings.model import SECRETS  # noqa: PLC0415 - only here

    seen: dict[str, bool] = {}

    def note(_: object, _stack: str, key: str, value: str, *, secret: bool, path: bool) -> None:
        assert value == "first\nsecond"
        assert not path
        seen[key] = secret

    class Piped:
        def isatty(self) -> bool:
            return False

        def read(self) -> str:
            return "first\nsecond\n"

    monkeypatch.setattr("sys.stdin", Piped())
    monkeypatch.setattr(local.Workspace, "prepare", lambda *_, **__: None)
    monkeypatch.setattr(local.Workspace, "set", note)
    for name in SECRETS:
        settings.set_one("lab", name, secret=False)
    assert seen == {f"ci:{name}": True for name in SECRETS}
    assert {f"ci:{name}" for name in SECRETS} >= settings.FROM_FILES
