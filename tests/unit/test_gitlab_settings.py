"""What is said of a GitLab Runner's settings before anything is made."""

from pathlib import Path
from typing import Any, get_args

import pytest

from components.docker import host
from components.kubernetes import certificate
from components.settings import DockerSettings, Settings, gitlab_checks
from tests.support import kubernetes_stack
from tests.support.settings import RUNNER, RUNNER_TOKEN, problems, settings

DOCKER: dict[str, Any] = {"adminPassword": None, "gitlabRunner": RUNNER, "gitlabRunnerToken": RUNNER_TOKEN}


def said(**keys: Any) -> list[str]:
    return [str(problem) for problem in problems(**{**DOCKER, **keys})]


def said_in_cluster(**keys: Any) -> list[str]:
    given = {"gitlabRunner": RUNNER, "gitlabRunnerToken": RUNNER_TOKEN, **keys}
    return [str(problem) for problem in kubernetes_stack.problems(**given)]


def test_an_address_and_a_token_are_enough_on_either_platform() -> None:
    assert said() == []
    assert said_in_cluster() == []


def test_a_stack_without_the_section_has_no_runner_and_neither_has_one_with_pulumis_empty_map() -> None:
    assert settings().gitlab_runner is None
    assert settings(gitlabRunner={}).gitlab_runner is None


def test_a_runner_needs_no_password_of_jenkins() -> None:
    assert settings(**DOCKER).admin_password is None


def test_a_missing_token_is_named_with_where_gitlab_makes_one() -> None:
    for found in (said(gitlabRunnerToken=None), said_in_cluster(gitlabRunnerToken=None)):
        [problem] = found
        assert problem.startswith("ci:gitlabRunnerToken is missing, and only GitLab can make one; ")
        assert "Settings > CI/CD > Runners" in problem
        assert "pulumi config set --secret ci:gitlabRunnerToken" in problem


@pytest.mark.parametrize(
    ("token", "wrong"),
    [
        ("GR1348941made-up-0123456789", "is a registration token"),
        ("glrtr-made-up-0123456789abcdef", "is a registration token"),
        ("glpat-made-up-0123456789abcdef", "is not a runner's authentication token"),
        ("glrt-short", "is not a runner's authentication token"),
        ("glrt-made-up_0123456789-abc\n", "is not a runner's authentication token"),
        ('glrt-made-up"0123456789-abc', "is not a runner's authentication token"),
    ],
)
def test_another_kind_of_token_is_refused_and_never_shown(token: str, wrong: str) -> None:
    [problem] = said(gitlabRunnerToken=token)
    assert wrong in problem
    assert token not in problem


def test_a_token_in_clear_is_refused() -> None:
    [problem] = problems(secret=("adminPassword",), **DOCKER)
    assert "stands in the stack's file in clear" in str(problem)
    assert RUNNER_TOKEN not in str(problem)


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("gitlab.example.org", "is not a server's address"),
        ("ssh://gitlab.example.org", "is not a server's address"),
        ("https://gitlab.example.org/?private=1", "is not a server's address"),
        ("https://me:secret@gitlab.example.org", "has a credential in it"),
        ("http://gitlab.example.org", "is plain HTTP"),
    ],
)
def test_a_wrong_address_is_the_only_problem(url: str, wrong: str) -> None:
    [problem] = said(gitlabRunner={"url": url})
    assert wrong in problem
    assert "secret" not in problem


def test_an_address_may_have_a_port_and_a_path_and_ends_without_a_slash() -> None:
    stack = settings(**{**DOCKER, "gitlabRunner": {"url": "https://gitlab.example.org:8443/git/"}})
    assert stack.gitlab_runner is not None
    assert stack.gitlab_runner.url == "https://gitlab.example.org:8443/git"


def test_a_section_without_an_address_is_told_so_and_is_not_taken_for_a_stack_with_jenkins() -> None:
    [problem] = said(gitlabRunner={"concurrency": 3})
    assert problem.startswith("ci:gitlabRunner.url is missing; give text")


@pytest.mark.parametrize(
    ("runner", "problem"),
    [
        ({"url": "http://gitlab.lab.test", "plainHttp": True, "caFile": "ca.pem"}, "ci:gitlabRunner.caFile"),
        ({**RUNNER, "plainHttp": True}, "ci:gitlabRunner.plainHttp"),
        ({**RUNNER, "engine": "tcp"}, "ci:gitlabRunner.engine"),
        ({**RUNNER, "concurrency": 0}, "ci:gitlabRunner.concurrency"),
        ({**RUNNER, "tags": ["docker"]}, "ci:gitlabRunner.tags"),
        ({**RUNNER, "image": "gitlab/gitlab-runner:latest"}, "ci:gitlabRunner.image"),
        ({**RUNNER, "jobs": {"diskMib": 4096}}, "ci:gitlabRunner.jobs.diskMib"),
        ({**RUNNER, "jobs": {"memoryMib": 1}}, "ci:gitlabRunner.jobs.memoryMib"),
        (["https://gitlab.example.org"], "ci:gitlabRunner "),
    ],
)
def test_a_wrong_setting_is_named_and_nothing_else_is(runner: Any, problem: str) -> None:
    [found] = said(gitlabRunner=runner)
    assert found.startswith(problem)


@pytest.mark.parametrize("key", ["jenkins", "jobs"])
def test_jenkins_own_sections_are_refused_beside_a_runner(key: str) -> None:
    given = {"jenkins": {"httpPort": 8081}, "jobs": [{"name": "x", "script": "node {}"}]}[key]
    [problem] = said(**{key: given})
    assert problem.startswith(f"ci:{key} is Jenkins', and ci:gitlabRunner puts a GitLab Runner in its place")


def test_the_engines_socket_must_be_accepted_whatever_jobs_get_since_the_runner_has_it() -> None:
    for engine in ("socket", "dind", "none"):
        found = said(docker={"socketGroup": 998}, gitlabRunner={**RUNNER, "engine": engine})
        assert [problem.partition(" ")[0] for problem in found] == ["ci:docker.acceptRootOnHost"]


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
    assert [problem.partition(" ")[0] for problem in found] == keys


@pytest.mark.parametrize(("key", "value"), [("engine", "dind"), ("containerName", "runner")])
def test_what_only_a_docker_host_has_is_refused_in_a_cluster(key: str, value: str) -> None:
    [problem] = said_in_cluster(gitlabRunner={**RUNNER, key: value})
    assert problem.startswith(f'ci:gitlabRunner.{key} = "{value}" is for a runner on a Docker host')


def test_a_level_that_lets_no_job_in_is_refused_with_the_checks_and_a_looser_one_is_not() -> None:
    [problem] = said_in_cluster(kubernetes={"buildsPodSecurity": "restricted"})
    assert problem == (
        'ci:kubernetes.buildsPodSecurity = "restricted" would let no job of a GitLab Runner in: the checks '
        "capabilities and runAsNonRoot would refuse its pod, which may build with kaniko; write baseline, "
        "or leave it out"
    )
    assert said_in_cluster(kubernetes={"buildsPodSecurity": "privileged"}) == []


def test_a_quota_must_hold_every_job_that_may_run_at_one_time() -> None:
    jobs = {"cpuMillicores": 1000, "memoryMib": 1024}
    runner = {**RUNNER, "concurrency": 3, "jobs": jobs}
    # Each with its helper: 500 thousandths and 256 MiB.
    exact = {"cpuMillicores": 3 * 1500, "memoryMib": 3 * 1280}
    assert said_in_cluster(gitlabRunner=runner, kubernetes={"quota": exact}) == []
    [problem] = said_in_cluster(gitlabRunner=runner, kubernetes={"quota": {**exact, "memoryMib": 3 * 1280 - 1}})
    assert "is less than the 3840 MiB of all builds' and a GitLab Runner's jobs limits" in problem


def test_a_token_without_a_runner_is_no_problem_so_that_a_stack_can_try_without() -> None:
    assert isinstance(settings(gitlabRunnerToken=RUNNER_TOKEN), Settings)


def test_a_file_of_authorities_that_cannot_be_read_is_refused_on_either_platform(tmp_path: Path) -> None:
    runner = {**RUNNER, "caFile": str(tmp_path / "none.pem")}
    on_host = settings(**{**DOCKER, "gitlabRunner": runner})
    in_cluster = kubernetes_stack.settings(gitlabRunner=runner, gitlabRunnerToken=RUNNER_TOKEN)
    for found in (list(host.preflight(on_host, project="ci", stack="test")), list(certificate.look(in_cluster))):
        [problem] = [str(each) for each in found if each.key == "ci:gitlabRunner.caFile"]
        assert "can't be read (No such file or directory)" in problem
    (tmp_path / "none.pem").write_text("no certificate")
    [problem] = [str(each) for each in certificate.look(in_cluster)]
    assert "holds no certificates in PEM form" in problem
