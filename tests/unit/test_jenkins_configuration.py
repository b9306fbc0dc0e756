"""The user's own configuration as code: what is refused of it, and what Jenkins then reads."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from components.jenkins import casc, configuration, hooks
from components.settings import Problem
from tests.support.settings import settings

KEY = "ci:jenkins.configuration"
EXAMPLE = Path(__file__).parents[2] / "examples/jenkins.yaml"
SECRETS = {"mailPassword": "hunter2-mail", "registryPassword": "hunter2-registry"}


def stack(path: Path, **keys: Any) -> Any:
    return settings(jenkins={"configuration": str(path)}, **keys)


def found(path: Path, content: str | bytes, **keys: Any) -> list[Problem]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(configuration.problems(stack(path, **keys)))


REFUSED = {
    "jenkins: {securityRealm: {local: {allowsSignup: true}}}": "jenkins.securityRealm (line 1)",
    "jenkins: {authorizationStrategy: unsecured}": "jenkins.authorizationStrategy",
    "jenkins:\n  crumbIssuer: null": "jenkins.crumbIssuer (line 2)",
    "jenkins: {numExecutors: 9}": "jenkins.numExecutors",
    "jenkins: {slaveAgentPort: 1}": "jenkins.slaveAgentPort",
    "jenkins: {nodes: []}": "jenkins.nodes",
    "jenkins: {setOfTomorrow: 1}": "jenkins.setOfTomorrow",
    "jenkins: {<<: {numExecutors: 9}}": "jenkins.<<",
    "<<: {jenkins: {numExecutors: 9}}": "sets << ",
    "jenkins: []": "sets jenkins ",
    "security: {scriptApproval: {approvedSignatures: [x]}}": "sets security ",
    "jobs: [{script: x}]": "sets jobs ",
    "groovy: [{script: x}]": "sets groovy ",
    "credentials: {system: {other: 1}}": "credentials.system.other",
    "unclassified: {location: {url: x}}": "unclassified.location.url",
    "unclassified: {location: x}": "unclassified.location ",
    "unclassified: {casCGlobalConfig: {configurationPath: /x}}": "unclassified.casCGlobalConfig",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_a_file_may_not_set_is_refused_with_its_path_and_what_is_accepted(tmp_path: Path, text: str) -> None:
    [problem] = found(tmp_path / "own.yaml", text)
    assert (problem.key, problem.code, problem.value) == (KEY, "not_accepted", str(tmp_path / "own.yaml"))
    assert REFUSED[text] in problem.wrong
    assert "for example unclassified: {mailer:" in problem.instead


UNREADABLE: dict[str | bytes, tuple[str, str]] = {
    "": ("wrong_type", "is not a mapping"),
    "- a": ("wrong_type", "is not a mapping"),
    "a: [": ("bad_file", "line 1"),
    "a: 1\n---\na: 2": ("bad_file", "line 2: but found another document"),
    b"a: \xff": ("bad_file", "is not YAML in UTF-8"),
    "tool:\n  a: 1\n  a: 2": ("bad_file", "line 3: a key that is no text, or is there twice"),
    "tool: {[a]: 1}": ("bad_file", "line 1: a key that is no text"),
    "tool: &a\n  b: *a": ("bad_file", "line 2: an alias"),
    "tool: " + "[" * 3000 + "]" * 3000: ("bad_file", "nested too deep"),
    "tool: " + "x" * 300_000: ("too_large", "256 KiB"),
}


@pytest.mark.parametrize("path", ["/dev/zero", "/dev"])
def test_what_is_no_regular_file_is_refused(path: str) -> None:
    [problem] = configuration.problems(stack(Path(path)))
    assert (problem.key, problem.code) == (KEY, "bad_file")


@pytest.mark.parametrize("content", UNREADABLE, ids=range(len(UNREADABLE)))
def test_a_file_that_is_no_clear_yaml_is_refused_with_a_file_that_works(tmp_path: Path, content: str | bytes) -> None:
    [problem] = found(tmp_path / "own.yaml", content)
    assert (problem.key, problem.code) == (KEY, UNREADABLE[content][0])
    assert UNREADABLE[content][1] in problem.wrong


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${mailPassword} ${gitToken}", {"ci:jenkinsSecrets.mailPassword": "required", "ci:gitToken": "required"}),
        ("${HOME}", {KEY: "not_accepted"}),
        ("${readFile:/run/secrets/gitToken}", {KEY: "not_accepted"}),
        ("${mailPassword:-guessed}", {KEY: "not_accepted"}),
        ("^${HOME}", {}),
    ],
)
def test_a_variable_must_be_a_secret_of_the_stack(tmp_path: Path, text: str, expected: Any) -> None:
    problems = found(tmp_path / "own.yaml", f"tool: '{text}'")
    assert {problem.key: problem.code for problem in problems} == expected


def test_a_secret_that_the_file_does_not_use_is_refused_without_its_value(tmp_path: Path) -> None:
    [problem] = found(tmp_path / "own.yaml", "tool: {}", jenkinsSecrets={"mailPassword": "hunter2"})
    assert (problem.key, problem.code) == ("ci:jenkinsSecrets.mailPassword", "no_effect")
    assert "hunter2" not in str(problem)


def test_the_example_is_accepted_and_adds_to_what_the_stack_sets() -> None:
    keys: dict[str, Any] = {"gitToken": "hunter2-git", "jenkinsSecrets": SECRETS}
    assert list(configuration.problems(stack(EXAMPLE, **keys))) == []
    mine = stack(EXAMPLE, **keys)
    whole = yaml.safe_load(casc.render(mine, {"admin": "h"}))
    alone = yaml.safe_load(casc.render(settings(gitToken="hunter2-git"), {"admin": "h"}))
    assert whole["jenkins"] == alone["jenkins"]
    assert whole["unclassified"]["location"] == {"url": "http://127.0.0.1:8080/", "adminAddress": "ci@example.org"}
    assert whole["unclassified"]["mailer"]["authentication"]["password"] == "${mailPassword}"
    stacks, own = whole["credentials"]["system"]["domainCredentials"]
    assert [stacks] == alone["credentials"]["system"]["domainCredentials"]
    assert own["credentials"][0]["usernamePassword"]["id"] == "registry"
    # Credentials that leave the file leave Jenkins too.
    assert '"credentials": ["gitToken", "registry"]' in hooks.scripts(mine)["/etc/ci/accounts.json"]


def test_a_text_reaches_jenkins_as_it_is_written(tmp_path: Path) -> None:
    text = 'jenkins: {systemMessage: "ours"}\ntool: {a: 1.10, b: 007, c: on, d: "1", e: !!str 5}\n'
    (tmp_path / "own.yaml").write_text(text)
    written = casc.render(stack(tmp_path / "own.yaml"), {"admin": "h"})
    assert 'systemMessage: "ours"' in written
    assert '{a: 1.10, b: 007, c: on, d: "1", e:' in written


LDAP = "ldap: {configurations: [{server: ldaps://ldap.example.org}]}"
LOGGED_IN = "loggedInUsersCanDoAnything: {allowAnonymousRead: false}"


def login_problems(path: Path, realm: str, strategy: str) -> list[str]:
    path.write_text(f"jenkins:\n  securityRealm: {{{realm}}}\n  authorizationStrategy: {{{strategy}}}\n")
    own = settings(adminPassword=None, jenkins={"login": "configuration", "configuration": str(path)})
    return [problem.wrong for problem in configuration.problems(own)]


@pytest.mark.parametrize("realm", ["activeDirectory", "azure", "ldap", "oic", "saml"])
@pytest.mark.parametrize(
    "strategy",
    [
        LOGGED_IN,
        "globalMatrix: {entries: [{group: {name: admins, permissions: [Overall/Administer]}}]}",
        "roleBased: {roles: {global: [{name: admin, permissions: [Overall/Administer], entries: [{group: admins}]}]}}",
    ],
)
def test_a_log_in_of_the_files_own_is_taken_with_the_realms_and_strategies_that_are_known(
    tmp_path: Path, realm: str, strategy: str
) -> None:
    assert login_problems(tmp_path / "own.yaml", f"{realm}: {{}}", strategy) == []


@pytest.mark.parametrize("text", yaml.safe_load(Path(__file__).with_name("anonymous.yaml").read_text()))
def test_a_strategy_that_may_leave_rights_to_anonymous_users_is_refused(tmp_path: Path, text: str) -> None:
    wrong = login_problems(tmp_path / "own.yaml", LDAP, text)[0]
    assert "authorizationStrategy (line 3)" in wrong or "anonymous users (line 3)" in wrong


@pytest.mark.parametrize(
    "realm",
    [
        "local: {allowsSignup: true}",
        "legacy: {}",
        "github: {}",
        "none: {}",
        "ldap: x",
        f"{LDAP}, oic: {{}}",
        "LDAP: {}",
    ],
)
def test_a_realm_that_is_not_known_is_refused(tmp_path: Path, realm: str) -> None:
    [wrong] = login_problems(tmp_path / "own.yaml", realm, LOGGED_IN)
    assert "has a jenkins.securityRealm (line 2) that is not one of activeDirectory, azure, ldap, oic, saml" in wrong


def test_a_log_in_of_the_files_own_needs_both_parts_and_replaces_the_stacks(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("tool: {}")
    own = settings(adminPassword=None, jenkins={"login": "configuration", "configuration": str(path)})
    assert [problem.code for problem in configuration.problems(own)] == ["missing", "missing"]
    assert login_problems(path, LDAP, LOGGED_IN) == []
    jenkins = yaml.safe_load(casc.render(own, {}))["jenkins"]
    assert [*jenkins["securityRealm"]] == ["ldap"]
    assert jenkins["authorizationStrategy"] == {"loggedInUsersCanDoAnything": {"allowAnonymousRead": False}}
    # So the start removes the accounts that the stack made before.
    assert '"users": []' in hooks.scripts(own)["/etc/ci/accounts.json"]
