"""Configuration as code, the jobs, and the sample, as Jenkins will read them."""

import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from components.jenkins import casc, jobs
from components.jenkins.jobs import _groovy
from tests.support.settings import PASSWORD, TCP, TLS_KEY, settings

HASH = "#jbcrypt:$2a$10$abc"


def tree(**keys: Any) -> Any:
    return yaml.safe_load(casc.render(settings(**keys), password_hash=HASH))


def unquoted(literal: str) -> str:
    """Read a Groovy string of single quotes as Groovy does."""
    body = re.fullmatch(r"('''|')(.*)\1", literal, re.DOTALL)
    assert body, literal
    return re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), body[2], flags=re.DOTALL)


def test_nobody_reads_without_login_and_nobody_signs_up() -> None:
    jenkins = tree()["jenkins"]
    assert jenkins["authorizationStrategy"] == {"loggedInUsersCanDoAnything": {"allowAnonymousRead": False}}
    assert jenkins["securityRealm"]["local"]["allowsSignup"] is False
    assert jenkins["crumbIssuer"] == "standard"


def test_the_administrator_has_the_hash_and_the_password_stands_nowhere() -> None:
    assert tree()["jenkins"]["securityRealm"]["local"]["users"] == [
        {"id": "admin", "name": "Administrator", "password": HASH}
    ]
    text = casc.render(settings(), password_hash=HASH) + jobs.render(settings())
    assert PASSWORD not in text


def test_the_git_token_is_a_variable_and_its_value_stands_nowhere() -> None:
    token = "glpat-0123456789"
    found = tree(gitToken=token)
    [credential] = found["credentials"]["system"]["domainCredentials"][0]["credentials"]
    assert credential["usernamePassword"]["password"] == "${gitToken}"
    assert token not in casc.render(settings(gitToken=token), password_hash=HASH)
    assert "credentials" not in tree()


def test_without_an_agent_port_jenkins_listens_for_none() -> None:
    assert tree(jenkins={"agentPort": None})["jenkins"]["slaveAgentPort"] == -1


def test_the_jobs_are_no_part_of_configuration_as_code_which_would_replace_variables_in_them() -> None:
    stack = settings(jobs=[{"name": "a", "script": 'echo "${env.BUILD_ID}"'}])
    assert "jobs" not in yaml.safe_load(casc.render(stack, password_hash=HASH))
    assert "${env.BUILD_ID}" in jobs.render(stack)
    assert f"new File('{jobs.FILE}')" in jobs.HOOK


def test_the_address_is_the_published_one_unless_another_is_given() -> None:
    assert tree()["unclassified"]["location"]["url"] == "http://127.0.0.1:8080/"
    assert (
        tree(jenkins={"url": "https://ci.example.org"})["unclassified"]["location"]["url"] == "https://ci.example.org/"
    )


def test_the_sample_writes_builds_and_runs_as_the_article_has_it() -> None:
    text = jobs.sample(settings()).script
    assert text is not None
    for piece in (
        "This is a simple file.",
        "FROM alpine:latest",
        "COPY a.txt /a.txt",
        'CMD ["cat", "/a.txt"]',
        "docker.build('simple-jenkins-image')",
        "inside {",
        "sh 'cat /a.txt'",
        "always {",
        "success {",
        "failure {",
    ):
        assert piece in text


def test_a_job_of_a_repository_clones_its_branch_with_its_credential_on_schedule() -> None:
    job = {
        "name": "website",
        "repository": "https://git.example.org/team/website.git",
        "branch": "release/1",
        "jenkinsfile": "ci/Jenkinsfile",
        "credentials": "gitToken",
        "schedule": "H 3 * * *",
        "keepBuilds": 7,
    }
    text = jobs.render(settings(gitToken="abc", jobs=[job], jenkins={"sample": False}))
    for piece in (
        "pipelineJob('website')",
        "url('https://git.example.org/team/website.git')",
        "credentials('gitToken')",
        "branch('*/release/1')",
        "scriptPath('ci/Jenkinsfile')",
        "cron { spec('H 3 * * *') }",
        "numToKeep(7)",
    ):
        assert piece in text
    assert "pipelineJob('sample')" not in text


def test_an_inline_job_runs_in_the_sandbox() -> None:
    assert "sandbox(true)" in jobs.render(settings(jobs=[{"name": "a", "script": "x"}], jenkins={"sample": False}))


@given(st.text(alphabet=st.characters(blacklist_categories=["Cs"])))
def test_any_text_survives_its_way_into_groovy(text: str) -> None:
    literal = _groovy(text)
    assert unquoted(literal) == text


@pytest.mark.parametrize("text", ["'); System.exit(0); ('", "'''\n+ evil + '''", "\\", "\\'", "${1+1}", "$x"])
def test_no_text_gets_out_of_its_groovy_string(text: str) -> None:
    literal = _groovy(text)
    quote = "'''" if "\n" in text else "'"
    inside = literal.removeprefix(quote).removesuffix(quote)
    assert not re.search(r"(?<!\\)(?:\\\\)*'", inside)
    assert unquoted(literal) == text


def test_the_sample_runs_its_image_by_itself_where_the_engine_cannot_see_the_workspace() -> None:
    near = jobs.sample(settings()).script or ""
    far = jobs.sample(settings(docker=TCP, tcpTlsKey=TLS_KEY)).script or ""
    assert "inside {" in near
    assert "inside {" not in far
    assert "sh 'docker run --rm simple-jenkins-image'" in far
    assert near.count("stage(") == far.count("stage(") == 3
