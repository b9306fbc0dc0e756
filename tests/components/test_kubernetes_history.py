"""What the state says of the last update, and what is asked of the cluster because of it."""

import time
from typing import Any

import pulumi
import pytest
from pulumi.runtime.mocks import MockCallArgs

from components import platform
from components import state as read_state
from components.kubernetes import cluster, declared, history
from tests.support.engine import STATE_CALL, Engine
from tests.support.kubernetes_platform import deploy, state
from tests.support.kubernetes_stack import FakeReader, settings

HERE = {"context": "context prod of the kubeconfig that kubectl takes", "namespace": "ci"}
SPACES = ("ci", "ci-builds")
CURRENT = "the current context of the kubeconfig that kubectl takes"


@pytest.mark.parametrize(
    ("answer", "context", "looks"),
    [
        ({}, "prod", True),
        (state(), "prod", True),
        (state({}), "prod", True),
        (state({"platform": "docker"}), "prod", True),
        (state(HERE, {}, *SPACES), "prod", False),
        (state(HERE, {}, "ci"), "prod", True),  # a new setting needs another namespace
        (state({**HERE, "namespace": "team"}, {}, *SPACES), "prod", True),
        (state(HERE, {}, *SPACES), "dev", True),
        # kubectl's current context may be another one each time.
        (state({**HERE, "context": CURRENT}, {}, *SPACES), None, True),
    ],
)
def test_a_cluster_is_looked_at_before_the_first_update_and_wherever_the_stack_moves(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], context: str | None, *, looks: bool
) -> None:
    engine.answers[STATE_CALL] = answer
    monkeypatch.setattr(cluster, "ApiReader", lambda _: FakeReader(found={"ci": {}}))
    stack = settings(kubernetes={"context": context} if context else {})
    assert [problem.key for problem in platform.preflight(stack)] == ["ci:kubernetes.namespace"] * looks


def test_what_limits_access_is_compared_with_what_the_last_update_declared(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.answers[STATE_CALL] = state(None, None, *SPACES)
    assert sorted(history.read("ci").resources, key=str) == [
        {"type": "kubernetes:core/v1:Namespace", "inputs": [each, 1, 0.5]} for each in SPACES
    ]
    mended, said = [], list[str]()

    def changed(*_: object, mend: bool) -> list[str]:
        mended.append(mend)
        return ["Role ci/push"]

    monkeypatch.setattr(declared, "changed", changed)
    monkeypatch.setattr(pulumi.log, "warn", said.append)
    deploy(engine)
    assert mended == [not engine.preview]
    assert said == [f"changed by hand: Role ci/push; {'`pulumi up` puts it back' if engine.preview else 'put back'}"]


def test_the_engine_is_asked_once_in_a_run_for_what_the_last_update_left(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, call = [], Engine.call

    def counted(engine: Engine, args: MockCallArgs) -> object:
        asked.append(args.token)
        return call(engine, args)

    monkeypatch.setattr(Engine, "call", counted)
    for runs in (1, 2):
        engine = Engine(preview=False)
        engine.answers[STATE_CALL] = state({**HERE, "namespace": f"of run {runs}"})
        assert history.read("ci") == history.read("ci")
        assert history.read("ci").namespace == f"of run {runs}"
        assert len(asked) == runs


def test_the_outputs_say_which_cluster_it_is_as_the_next_update_asks(engine: Engine) -> None:
    assert {**HERE}.items() <= deploy(engine, kubernetes={"context": "prod"}).outputs.items()
    other = deploy(Engine(preview=False), kubernetes={"kubeconfig": "~/.kube/prod", "namespace": "team"})
    assert (other.outputs["context"], other.outputs["namespace"]) == ("the current context of ~/.kube/prod", "team")
    # The state has it too, and may be another clone's or another user's next.
    assert other["cluster"]["kubeconfig"] == "~/.kube/prod"


def test_a_state_that_is_being_written_is_read_once_more_and_another_trouble_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = [RuntimeError("failed to load checkpoint: unexpected end"), RuntimeError("no such stack")]

    def invoke(*_: object) -> object:
        raise answers.pop(0)

    Engine(preview=False)
    monkeypatch.setattr(read_state, "invoke", invoke)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with pytest.raises(RuntimeError, match="no such stack"):
        history.read("ci")
    assert answers == []
