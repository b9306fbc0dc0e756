"""What a stack with a GitLab Runner may say, beside the tables in the folder settings."""

from pathlib import Path
from typing import Any, get_args

from components.docker import host
from components.kubernetes import tls_preflight
from components.settings import DockerSettings, gitlab_checks
from tests.support import kubernetes_stack
from tests.support.settings import RUNNER, RUNNER_TOKEN, settings

DOCKER: dict[str, Any] = {"adminPassword": None, "gitlabRunner": RUNNER, "gitlabRunnerToken": RUNNER_TOKEN}


def test_a_stack_without_the_section_has_no_runner_and_neither_has_one_with_pulumis_empty_map() -> None:
    assert settings().gitlab_runner is None
    assert settings(gitlabRunner={}).gitlab_runner is None


def test_an_address_may_have_a_port_and_a_path_and_ends_without_a_slash() -> None:
    stack = settings(**{**DOCKER, "gitlabRunner": {"url": "https://gitlab.example.org:8443/git/"}})
    assert stack.gitlab_runner is not None
    assert stack.gitlab_runner.url == "https://gitlab.example.org:8443/git"


def test_only_the_socket_is_a_runners_way_to_its_host() -> None:
    ways = set(get_args(DockerSettings.model_fields["access"].annotation))
    assert "socket" in ways
    for access in ways:
        docker = DockerSettings.model_construct(access=access)
        stack = settings(**DOCKER).model_copy(update={"docker": docker})
        found = [problem.key for problem in gitlab_checks.between(stack)]
        assert found == ([] if access == "socket" else ["ci:docker.access"])


def test_a_file_of_authorities_that_cannot_be_read_is_refused_on_either_platform(tmp_path: Path) -> None:
    runner = {**RUNNER, "caFile": str(tmp_path / "none.pem")}
    on_host = settings(**{**DOCKER, "gitlabRunner": runner})
    in_cluster = kubernetes_stack.settings(gitlabRunner=runner, gitlabRunnerToken=RUNNER_TOKEN)
    for found in (list(host.preflight(on_host, project="ci", stack="test")), list(tls_preflight.preflight(in_cluster))):
        assert ("ci:gitlabRunner.caFile", "bad_file") in {(problem.key, problem.code) for problem in found}
    (tmp_path / "none.pem").write_text("no certificate")
    [problem] = tls_preflight.preflight(in_cluster)
    assert (problem.key, problem.code) == ("ci:gitlabRunner.caFile", "bad_file")
