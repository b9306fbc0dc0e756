"""What a user sees of a wrong setting, through the real CLI."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import deployment
from tests.support.deployment import Deployment


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    return deployment.copy(tmp_path_factory.mktemp("settings"))


@pytest.mark.parametrize("verb", ["preview", "up"])
def test_every_problem_is_shown_without_a_traceback_and_nothing_is_made(stack: Deployment, verb: str) -> None:
    stack.configure(platform="docker", docker={"hots": 1}, jenkins={"httpPort": 99999}, jobs=[{"name": "?"}])
    text = stack.pulumi(verb, *(["--yes"] if verb == "up" else []), status=None)
    for key in ("ci:docker.hots ", "ci:jenkins.httpPort = 99999 ", "ci:jobs[0].name "):
        assert key in text
    assert "ci:docker.acceptRootOnHost" not in text  # a rule between settings, which waits for right ones
    stack.configure(platform="docker", docker={}, jenkins={"agentPort": 8080}, jobs=[])
    text += stack.pulumi(verb, *(["--yes"] if verb == "up" else []), status=None)
    for key in ("ci:docker.acceptRootOnHost ", "ci:jenkins.agentPort = 8080 "):
        assert key in text
    for noise in ("Traceback", ".py", "unhandled", "exit code"):
        assert noise not in text
    assert stack.resources() == []


def test_a_password_in_clear_is_refused_and_shown_nowhere(stack: Deployment) -> None:
    canary = "canary-7f3a-in-clear"
    stack.configure(platform="docker", docker={"acceptRootOnHost": True}, adminPassword=canary)
    text = stack.pulumi("preview", status=None)
    assert "pulumi config set --secret ci:adminPassword" in text
    assert canary not in text


def test_a_host_without_an_engine_is_refused_by_name_before_the_plugin_looks(stack: Deployment, tmp_path: Path) -> None:
    stack.configure(platform="docker", docker={"acceptRootOnHost": True, "host": f"unix://{tmp_path}/none.sock"})
    stack.secret("adminPassword", "correct-horse-battery")
    text = stack.pulumi("preview", status=None)
    assert f"finds nothing at {tmp_path}/none.sock" in text
    assert "docker:index" not in text


@pytest.mark.parametrize("verb", ["preview", "up --yes", "destroy --run-program --yes"])
def test_a_variable_that_leads_the_plugin_elsewhere_is_refused_by_every_verb(stack: Deployment, verb: str) -> None:
    stack.configure(platform="docker", docker={"acceptRootOnHost": True})
    elsewhere = replace(stack, env={**stack.env, "DOCKER_CONTEXT": "elsewhere"})
    text = elsewhere.pulumi(*verb.split(), status=None)
    assert 'DOCKER_CONTEXT = "elsewhere" is set' in text
    assert "docker:index" not in text
    assert stack.resources() == []
