"""What is said of a GitLab Runner's settings before anything is made."""

from pathlib import Path
from typing import Any, get_args

import pytest

from components.docker import host
from components.kubernetes import tls_preflight
from components.settings import DockerSettings, Settings, gitlab_checks
from tests.support import kubernetes_stack
from tests.support.settings import RUNNER, RUNNER_TOKEN, problems, refused, settings

DOCKER: dict[str, Any] = {"adminPassword": None, "gitlabRunner": RUNNER, "gitlabRunnerToken": RUNNER_TOKEN}


def said(**keys: Any) -> list[tuple[str, str]]:
    return refused(**{**DOCKER, **keys})


def said_in_cluster(**keys: Any) -> list[tuple[str, str]]:
    return kubernetes_stack.refused(**{"gitlabRunner": RUNNER, "gitlabRunnerToken": RUNNER_TOKEN, **keys})


def test_an_address_and_a_token_are_enough_on_either_platform() -> None:
    assert said() == []
    assert said_in_cluster() == []


def test_a_stack_without_the_section_has_no_runner_and_neither_has_one_with_pulumis_empty_map() -> None:
    assert settings().gitlab_runner is None
    assert settings(gitlabRunner={}).gitlab_runner is None


def test_a_runner_needs_no_password_of_jenkins() -> None:
    assert settings(**DOCKER).admin_password is None


def test_a_missing_token_is_named_with_where_gitlab_makes_one() -> None:
    for found in (
        problems(**{**DOCKER, "gitlabRunnerToken": None}),
        kubernetes_stack.problems(gitlabRunner=RUNNER),
    ):
        [problem] = found
        assert (problem.key, problem.code) == ("ci:gitlabRunnerToken", "required")
        assert "Settings > CI/CD > Runners" in problem.instead
        assert "pulumi config set --secret ci:gitlabRunnerToken" in problem.instead


@pytest.mark.parametrize(
    "token",
    [
        "GR1348941made-up-0123456789",
        "glrtr-made-up-0123456789abcdef",
        "glpat-made-up-0123456789abcdef",
        "glrt-short",
        "glrt-made-up_0123456789-abc\n",
        'glrt-made-up"0123456789-abc',
    ],
)
def test_another_kind_of_token_is_refused_and_never_shown(token: str) -> None:
    [problem] = problems(**{**DOCKER, "gitlabRunnerToken": token})
    assert (problem.key, problem.code) == ("ci:gitlabRunnerToken", "not_accepted")
    assert token not in str(problem)


def test_a_token_in_clear_is_refused() -> None:
    [problem] = problems(secret=("adminPassword",), **DOCKER)
    assert (problem.key, problem.code) == ("ci:gitlabRunnerToken", "secret_in_clear")
    assert RUNNER_TOKEN not in str(problem)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("gitlab.example.org", "not_accepted"),
        ("ssh://gitlab.example.org", "not_accepted"),
        ("https://gitlab.example.org/?private=1", "not_accepted"),
        ("https://me:secret@gitlab.example.org", "not_accepted"),
        ("http://gitlab.example.org", "not_confirmed"),
    ],
)
def test_a_wrong_address_is_the_only_problem(url: str, code: str) -> None:
    [problem] = problems(**{**DOCKER, "gitlabRunner": {"url": url}})
    assert (problem.key, problem.code) == ("ci:gitlabRunner.url", code)
    assert "secret" not in str(problem)


def test_an_address_may_have_a_port_and_a_path_and_ends_without_a_slash() -> None:
    stack = settings(**{**DOCKER, "gitlabRunner": {"url": "https://gitlab.example.org:8443/git/"}})
    assert stack.gitlab_runner is not None
    assert stack.gitlab_runner.url == "https://gitlab.example.org:8443/git"


def test_a_section_without_an_address_is_told_so_and_is_not_taken_for_a_stack_with_jenkins() -> None:
    assert said(gitlabRunner={"concurrency": 3}) == [("ci:gitlabRunner.url", "missing")]


@pytest.mark.parametrize(
    ("runner", "key", "code"),
    [
        ({"url": "http://gitlab.lab.test", "plainHttp": True, "caFile": "ca.pem"}, ".caFile", "no_effect"),
        ({**RUNNER, "plainHttp": True}, ".plainHttp", "no_effect"),
        ({**RUNNER, "engine": "tcp"}, ".engine", "not_accepted"),
        ({**RUNNER, "concurrency": 0}, ".concurrency", "not_accepted"),
        ({**RUNNER, "tags": ["docker"]}, ".tags", "unknown_key"),
        ({**RUNNER, "image": "gitlab/gitlab-runner:latest"}, ".image", "not_accepted"),
        ({**RUNNER, "jobs": {"diskMib": 4096}}, ".jobs.diskMib", "no_effect"),
        ({**RUNNER, "jobs": {"memoryMib": 1}}, ".jobs.memoryMib", "not_accepted"),
        (["https://gitlab.example.org"], "", "wrong_type"),
    ],
)
def test_a_wrong_setting_is_the_one_problem(runner: Any, key: str, code: str) -> None:
    assert said(gitlabRunner=runner) == [(f"ci:gitlabRunner{key}", code)]


@pytest.mark.parametrize("key", ["jenkins", "jobs"])
def test_jenkins_own_sections_are_refused_beside_a_runner(key: str) -> None:
    given = {"jenkins": {"httpPort": 8081}, "jobs": [{"name": "x", "script": "node {}"}]}[key]
    assert said(**{key: given}) == [(f"ci:{key}", "no_effect")]


def test_the_engines_socket_must_be_accepted_whatever_jobs_get_since_the_runner_has_it() -> None:
    for engine in ("socket", "dind", "none"):
        found = said(docker={"socketGroup": 998}, gitlabRunner={**RUNNER, "engine": engine})
        assert found == [("ci:docker.acceptRootOnHost", "not_confirmed")]


def test_only_the_socket_is_a_runners_way_to_its_host() -> None:
    ways = set(get_args(DockerSettings.model_fields["access"].annotation))
    assert "socket" in ways
    for access in ways:
        docker = DockerSettings.model_construct(access=access)
        stack = settings(**DOCKER).model_copy(update={"docker": docker})
        found = [problem.key for problem in gitlab_checks.between(stack)]
        assert found == ([] if access == "socket" else ["ci:docker.access"])


@pytest.mark.parametrize(
    ("docker", "keys"),
    [
        ({"access": "dind"}, ["ci:docker.access"]),
        ({"access": "tcp"}, ["ci:docker.access"]),
        ({"access": "proxy", "proxy": {"image": "haproxy:2.6.0"}}, ["ci:docker.access", "ci:docker.proxy"]),
        ({"dind": {"containerName": "jenkins-server"}}, ["ci:docker.dind"]),
        ({"tcp": {"host": "tcp://a.test:2376", "caFile": "a", "certificateFile": "b"}}, ["ci:docker.tcp"]),
    ],
)
def test_what_only_another_access_reads_is_refused_and_nothing_more_is_asked_of_it(
    docker: dict[str, Any], keys: list[str]
) -> None:
    found = said(docker={"acceptRootOnHost": True, **docker})
    assert found == [(key, "no_effect") for key in keys]


@pytest.mark.parametrize(("key", "value"), [("engine", "dind"), ("containerName", "runner")])
def test_what_only_a_docker_host_has_is_refused_in_a_cluster(key: str, value: str) -> None:
    assert said_in_cluster(gitlabRunner={**RUNNER, key: value}) == [(f"ci:gitlabRunner.{key}", "no_effect")]


def test_a_level_that_lets_no_job_in_is_refused_with_the_checks_and_a_looser_one_is_not() -> None:
    runner: dict[str, Any] = {"gitlabRunner": RUNNER, "gitlabRunnerToken": RUNNER_TOKEN}
    [problem] = kubernetes_stack.problems(**runner, kubernetes={"buildsPodSecurity": "restricted"})
    assert (problem.key, problem.code) == ("ci:kubernetes.buildsPodSecurity", "conflict")
    assert "the checks capabilities and runAsNonRoot" in problem.wrong
    assert "baseline" in problem.instead
    assert said_in_cluster(kubernetes={"buildsPodSecurity": "privileged"}) == []


def test_a_quota_must_hold_every_job_that_may_run_at_one_time() -> None:
    jobs = {"cpuMillicores": 1000, "memoryMib": 1024}
    runner = {**RUNNER, "concurrency": 3, "jobs": jobs}
    # Each with its helper: 500 thousandths and 256 MiB.
    exact = {"cpuMillicores": 3 * 1500, "memoryMib": 3 * 1280}
    assert said_in_cluster(gitlabRunner=runner, kubernetes={"quota": exact}) == []
    found = said_in_cluster(gitlabRunner=runner, kubernetes={"quota": {**exact, "memoryMib": 3 * 1280 - 1}})
    assert found == [("ci:kubernetes.quota.memoryMib", "too_small")]


def test_a_token_without_a_runner_is_no_problem_so_that_a_stack_can_try_without() -> None:
    assert isinstance(settings(gitlabRunnerToken=RUNNER_TOKEN), Settings)


def test_a_file_of_authorities_that_cannot_be_read_is_refused_on_either_platform(tmp_path: Path) -> None:
    runner = {**RUNNER, "caFile": str(tmp_path / "none.pem")}
    on_host = settings(**{**DOCKER, "gitlabRunner": runner})
    in_cluster = kubernetes_stack.settings(gitlabRunner=runner, gitlabRunnerToken=RUNNER_TOKEN)
    for found in (list(host.preflight(on_host, project="ci", stack="test")), list(tls_preflight.preflight(in_cluster))):
        assert ("ci:gitlabRunner.caFile", "bad_file") in {(problem.key, problem.code) for problem in found}
    (tmp_path / "none.pem").write_text("no certificate")
    [problem] = tls_preflight.preflight(in_cluster)
    assert (problem.key, problem.code) == ("ci:gitlabRunner.caFile", "bad_file")
