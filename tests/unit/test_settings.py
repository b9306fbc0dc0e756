"""What a stack's config may say, and what is answered to what it may not."""

import json
import time
from typing import Any

import pytest

from components.settings import Problem, Settings, SettingsError, load
from components.settings.load import read
from components.settings.model import SECRETS
from components.settings.problems import MOST_PROBLEMS
from tests.support.engine import set_config
from tests.support.settings import PASSWORD, problems, raw, refused, settings


def test_the_smallest_stack_has_the_documented_defaults() -> None:
    stack = settings()
    assert stack.docker.host == "unix:///var/run/docker.sock"
    assert (stack.jenkins.container_name, stack.jenkins.home_volume) == ("jenkins-server", "jenkins_home")
    assert (stack.jenkins.bind_address, stack.jenkins.http_port, stack.jenkins.agent_port) == ("127.0.0.1", 8080, 50000)
    assert (stack.jenkins.setup, stack.jenkins.restart) == ("casc", "on-failure")
    assert stack.url == "http://127.0.0.1:8080"


WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    ("platform misspelt", {"platform": "dokcer"}, "ci:platform", "not_accepted"),
    ("platform missing", {"platform": None}, "ci:platform", "missing"),
    ("unknown access", {"docker": {"acceptRootOnHost": True, "access": "sokcet"}}, "ci:docker.access", "not_accepted"),
    ("root on the host not accepted", {"docker": {}}, "ci:docker.acceptRootOnHost", "not_confirmed"),
    ("a text for true", {"docker": {"acceptRootOnHost": "true"}}, "ci:docker.acceptRootOnHost", "wrong_type"),
    ("a list for a map", {"docker": ["acceptRootOnHost"]}, "ci:docker", "wrong_type"),
    ("a text for a map", {"jenkins": "image"}, "ci:jenkins", "wrong_type"),
    (
        "tcp without certificates",
        {"docker": {"acceptRootOnHost": True, "host": "tcp://h:2375"}},
        "ci:docker.host",
        "not_accepted",
    ),
    ("ssh without a user", {"docker": {"acceptRootOnHost": True, "host": "ssh://h"}}, "ci:docker.host", "not_accepted"),
    (
        "a pipe of Windows",
        {"docker": {"acceptRootOnHost": True, "host": "npipe:////./pipe/x"}},
        "ci:docker.host",
        "not_accepted",
    ),
    (
        "a web address as host",
        {"docker": {"acceptRootOnHost": True, "host": "http://h"}},
        "ci:docker.host",
        "not_accepted",
    ),
    (
        "a relative socket",
        {"docker": {"acceptRootOnHost": True, "host": "unix://docker.sock"}},
        "ci:docker.host",
        "not_accepted",
    ),
    (
        "a socket under ~",
        {"docker": {"acceptRootOnHost": True, "socketPath": "~/docker.sock"}},
        "ci:docker.socketPath",
        "not_accepted",
    ),
    (
        "a named group",
        {"docker": {"acceptRootOnHost": True, "socketGroup": "docker"}},
        "ci:docker.socketGroup",
        "wrong_type",
    ),
    ("port 0", {"jenkins": {"httpPort": 0}}, "ci:jenkins.httpPort", "not_accepted"),
    ("port -1", {"jenkins": {"httpPort": -1}}, "ci:jenkins.httpPort", "not_accepted"),
    ("port 65536", {"jenkins": {"agentPort": 65536}}, "ci:jenkins.agentPort", "not_accepted"),
    ("port 80a", {"jenkins": {"httpPort": "80a"}}, "ci:jenkins.httpPort", "wrong_type"),
    ("port 8080.5", {"jenkins": {"httpPort": 8080.5}}, "ci:jenkins.httpPort", "wrong_type"),
    ("port true", {"jenkins": {"httpPort": True}}, "ci:jenkins.httpPort", "wrong_type"),
    ("one port twice", {"jenkins": {"httpPort": 9000, "agentPort": 9000}}, "ci:jenkins.agentPort", "duplicate"),
    ("not an address", {"jenkins": {"bindAddress": "localhost"}}, "ci:jenkins.bindAddress", "not_accepted"),
    ("a moving tag", {"jenkins": {"image": "jenkins/jenkins:latest"}}, "ci:jenkins.image", "not_accepted"),
    ("no tag", {"jenkins": {"baseImage": "jenkins/jenkins"}}, "ci:jenkins.baseImage", "not_accepted"),
    ("capitals in an image", {"jenkins": {"image": "UPPER/x:1"}}, "ci:jenkins.image", "not_accepted"),
    ("two slashes in an image", {"jenkins": {"image": "a//b:1"}}, "ci:jenkins.image", "not_accepted"),
    ("a space in a tag", {"jenkins": {"image": "x:ta g"}}, "ci:jenkins.image", "not_accepted"),
    ("a short digest", {"jenkins": {"image": f"x:1@sha256:{'a' * 63}"}}, "ci:jenkins.image", "not_accepted"),
    (
        "an old long-term Jenkins",
        {"jenkins": {"baseImage": "jenkins/jenkins:2.426.2-lts"}},
        "ci:jenkins.baseImage",
        "vulnerable",
    ),
    (
        "an old weekly Jenkins",
        {"jenkins": {"baseImage": "jenkins/jenkins:2.441-jdk17"}},
        "ci:jenkins.baseImage",
        "vulnerable",
    ),
    (
        "a ready image and a base",
        {"jenkins": {"image": "x:1", "baseImage": "jenkins/jenkins:2.568.2"}},
        "ci:jenkins.baseImage",
        "no_effect",
    ),
    ("a plugin without version", {"jenkins": {"plugins": ["git"]}}, "ci:jenkins.plugins[0]", "not_accepted"),
    ("a plugin that moves", {"jenkins": {"plugins": ["git:latest"]}}, "ci:jenkins.plugins[0]", "not_accepted"),
    (
        "a container name with a slash",
        {"jenkins": {"containerName": "a/b"}},
        "ci:jenkins.containerName",
        "not_accepted",
    ),
    (
        "a volume name that is a path",
        {"jenkins": {"homeVolume": "/srv/jenkins"}},
        "ci:jenkins.homeVolume",
        "not_accepted",
    ),
    ("memory with a unit", {"jenkins": {"memoryMib": "2g"}}, "ci:jenkins.memoryMib", "wrong_type"),
    ("too little memory", {"jenkins": {"memoryMib": 256}}, "ci:jenkins.memoryMib", "not_accepted"),
    ("a heap beyond the memory", {"jenkins": {"javaOptions": ["-Xmx4g"]}}, "ci:jenkins.javaOptions", "conflict"),
    (
        "forged requests allowed",
        {
            "jenkins": {
                "javaOptions": ["-Dhudson.security.csrf.GlobalCrumbIssuerConfiguration.DISABLE_CSRF_PROTECTION=true"]
            }
        },
        "ci:jenkins.javaOptions[0]",
        "not_accepted",
    ),
    (
        "scripts in artifacts",
        {"jenkins": {"javaOptions": ["-Dhudson.model.DirectoryBrowserSupport.CSP="]}},
        "ci:jenkins.javaOptions[0]",
        "not_accepted",
    ),
    (
        "the wizard by the back door",
        {"jenkins": {"javaOptions": ["-Djenkins.install.runSetupWizard=false"]}},
        "ci:jenkins.javaOptions[0]",
        "not_accepted",
    ),
    (
        "two options in one",
        {"jenkins": {"javaOptions": ["-Xss2m -Xms1g"]}},
        "ci:jenkins.javaOptions[0]",
        "not_accepted",
    ),
    ("an unknown setup", {"jenkins": {"setup": "wizzard"}}, "ci:jenkins.setup", "not_accepted"),
    ("an unknown restart", {"jenkins": {"restart": "allways"}}, "ci:jenkins.restart", "not_accepted"),
    (
        "a user that Jenkins keeps for itself",
        {"jenkins": {"adminUser": "anonymous"}},
        "ci:jenkins.adminUser",
        "not_accepted",
    ),
    ("a password too short", {"adminPassword": "hunter2"}, "ci:adminPassword", "not_accepted"),
    ("a password that is guessed", {"adminPassword": "adminadminadmin"}, "ci:adminPassword", "not_accepted"),
    ("a password beyond bcrypt", {"adminPassword": "aB3$" * 19}, "ci:adminPassword", "not_accepted"),
    ("a token with a line break", {"gitToken": "abc\ndef"}, "ci:gitToken", "not_accepted"),
    ("a job without a name", {"jobs": [{"script": "x"}]}, "ci:jobs[0].name", "missing"),
    (
        "a character that XML lacks",
        {"jobs": [{"name": "a", "script": "echo '\x1b[1m'"}]},
        "ci:jobs[0].script",
        "not_accepted",
    ),
    ("a script beyond Java", {"jobs": [{"name": "a", "script": "ä" * 30_001}]}, "ci:jobs[0].script", "not_accepted"),
    ("a job's name that is a path", {"jobs": [{"name": "../x", "script": "x"}]}, "ci:jobs[0].name", "not_accepted"),
    ("a job with nothing to do", {"jobs": [{"name": "a"}]}, "ci:jobs[0]", "one_of"),
    (
        "a job with both",
        {"jobs": [{"name": "a", "script": "x", "repository": "https://g.example.org/x"}]},
        "ci:jobs[0]",
        "one_of",
    ),
    (
        "a branch of a script",
        {"jobs": [{"name": "a", "script": "x", "branch": "main"}]},
        "ci:jobs[0].branch",
        "no_effect",
    ),
    ("a job named as the sample", {"jobs": [{"name": "Sample", "script": "x"}]}, "ci:jobs[0].name", "duplicate"),
    (
        "a repository over ssh",
        {"jobs": [{"name": "a", "repository": "git@g.example.org:x.git"}]},
        "ci:jobs[0].repository",
        "not_accepted",
    ),
    (
        "credentials without a token",
        {"jobs": [{"name": "a", "repository": "https://g.example.org/x", "credentials": "gitToken"}]},
        "ci:gitToken",
        "required",
    ),
    (
        "minute 61",
        {"jobs": [{"name": "a", "script": "x", "schedule": "61 * * * *"}]},
        "ci:jobs[0].schedule",
        "not_accepted",
    ),
    (
        "six fields",
        {"jobs": [{"name": "a", "script": "x", "schedule": "0 0 * * * *"}]},
        "ci:jobs[0].schedule",
        "not_accepted",
    ),
    (
        "a misspelt alias",
        {"jobs": [{"name": "a", "script": "x", "schedule": "@evry"}]},
        "ci:jobs[0].schedule",
        "not_accepted",
    ),
    (
        "the 31st of February",
        {"jobs": [{"name": "a", "script": "x", "schedule": "0 0 31 2 *"}]},
        "ci:jobs[0].schedule",
        "not_accepted",
    ),
    (
        "jobs for the wizard",
        {"jenkins": {"setup": "wizard"}, "jobs": [{"name": "a", "script": "x"}]},
        "ci:jobs",
        "no_effect",
    ),
    ("a name for the wizard", {"jenkins": {"setup": "wizard", "adminUser": "a"}}, "ci:jenkins.adminUser", "no_effect"),
    ("executors for the wizard", {"jenkins": {"setup": "wizard", "executors": 1}}, "ci:jenkins.executors", "no_effect"),
]


@pytest.mark.parametrize(("keys", "key", "code"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_a_wrong_setting_is_the_one_problem_with_its_key_and_code(keys: dict[str, Any], key: str, code: str) -> None:
    assert refused(**keys) == [(key, code)]


@pytest.mark.parametrize(
    "address",
    ["0.0.0.0", "::", "::0", "0:0:0:0:0:0:0:0", "0000::0000", "::0.0.0.0", "::ffff:0.0.0.0", "::FFFF:0:0"],
)
def test_every_spelling_of_every_interface_needs_public(address: str) -> None:
    assert refused(jenkins={"bindAddress": address}) == [("ci:jenkins.bindAddress", "not_confirmed")]
    assert settings(jenkins={"bindAddress": address, "public": True}).url == "http://127.0.0.1:8080"


@pytest.mark.parametrize("address", ["::%lo", "fe80::1%1", "0", "0x0", "000.0.0.0", "127.1", "[::1]", "224.0.0.1"])
def test_an_address_that_go_cannot_read_is_refused_since_docker_then_takes_every_interface(address: str) -> None:
    for public in (False, True):
        found = refused(jenkins={"bindAddress": address, "public": public})
        assert found == [("ci:jenkins.bindAddress", "not_accepted")]


def test_docker_gets_an_address_in_the_form_that_was_checked() -> None:
    assert settings(jenkins={"bindAddress": "::ffff:127.0.0.1"}).jenkins.bind_address == "127.0.0.1"
    assert settings(jenkins={"bindAddress": "0:0::0:1"}).url == "http://[::1]:8080"


def test_an_unknown_key_is_told_the_nearest_name_and_how_to_remove_it_but_not_its_value() -> None:
    [problem] = problems(jenkins={"httpport": 8081})
    assert (problem.key, problem.code) == ("ci:jenkins.httpport", "unknown_key")
    assert "did you mean httpPort?" in problem.instead
    assert "`pulumi config rm --path 'ci:jenkins.httpport'`" in problem.instead
    [problem] = problems(adminPasword="hunter2hunter2")
    assert "did you mean ci:adminPassword?" in problem.instead
    assert "`pulumi config rm 'ci:adminPasword'`" in problem.instead
    assert "hunter2hunter2" not in str(problem)


def test_a_command_to_type_holds_nothing_that_a_shell_would_run() -> None:
    for name in ("a'b", "$(reboot)", "a b", "`x`"):
        [problem] = problems(jenkins={name: 1})
        assert "pulumi config rm" not in problem.instead


def test_two_jobs_of_one_name_are_refused_with_both_indexes() -> None:
    [problem] = problems(jobs=[{"name": "a", "script": "x"}, {"name": "A", "script": "x"}])
    assert (problem.key, problem.code) == ("ci:jobs[1].name", "duplicate")
    assert "ci:jobs[0].name" in problem.wrong


FIELDS = {
    "docker": {"acceptRootOnHost": "yes", "hots": 1},
    "jenkins": {"httpPort": 99999, "bindAddress": "localhost", "plugins": ["x"]},
    "jobs": [{"name": "?"}, {"name": "b", "script": 7}],
    "adminPassword": "short",
    "registery": {},
}
RULES = {
    "docker": {},
    "jenkins": {"agentPort": 8080, "bindAddress": "0.0.0.0", "baseImage": "x:1", "image": "x:2"},
    "jobs": [{"name": "b"}],
    "registry": {"plainHttp": True},
}


def test_each_step_reports_all_that_it_finds_and_the_next_starts_only_if_it_found_nothing() -> None:
    asked: list[Settings] = []

    def preflight(settings: Settings) -> list[Problem]:
        asked.append(settings)
        return [Problem("ci:jenkins.httpPort", "port_in_use", "is in use", "give another")]

    def step(**keys: Any) -> set[str]:
        settings, found = read(raw(**keys), frozenset(SECRETS), preflight)
        assert settings is None
        return {problem.key for problem in found}

    assert step(**{**RULES, **FIELDS}) == {
        "ci:docker.acceptRootOnHost",
        "ci:docker.hots",
        "ci:jenkins.httpPort",
        "ci:jenkins.bindAddress",
        "ci:jenkins.plugins[0]",
        "ci:jobs[0].name",
        "ci:jobs[1].script",
        "ci:adminPassword",
        "ci:registery",
    }
    assert step(**RULES) == {
        "ci:docker.acceptRootOnHost",
        "ci:jenkins.agentPort",
        "ci:jenkins.bindAddress",
        "ci:jenkins.baseImage",
        "ci:jobs[0]",
        "ci:registry",
    }
    assert asked == []
    assert step() == {"ci:jenkins.httpPort"}
    assert asked == [settings()]


@pytest.mark.parametrize(
    "keys",
    [
        {"kubernetes": {"contxt": "prod"}, "platform": "kubernetes"},
        {"docker": {"acceptRootOnHost": True, "host": "tcp:/builder"}},
        {"docker": {"acceptRootOnHost": True}, "platform": "dokcer"},
        {"docker": {"acceptRootOnHost": False}},
    ],
)
def test_no_host_and_no_cluster_is_asked_with_a_value_that_nobody_wrote(keys: dict[str, Any]) -> None:
    def preflight(_: Settings) -> list[Problem]:
        raise AssertionError

    assert read(raw(**keys), frozenset(SECRETS), preflight)[0] is None


def test_huge_and_countless_values_are_refused_at_once_and_shortly() -> None:
    started = time.monotonic()
    for keys in (
        {"adminPassword": "aB3$" * 250_000},
        {"dockerTlsKey": f"-----BEGIN PRIVATE KEY-----\n{'A' * 1_000_000}"},
        {"jenkins": {"image": "a-" * 500_000}},
        {"jenkins": {"javaOptions": ["-Xmx" + "9" * 5000 + "g"]}},
        {"jenkins": {f"k{number}": 1 for number in range(100_000)}},
        {f"k{number}": 1 for number in range(20_000)},
        {"jobs": [{"name": "a", "script": "x", "schedule": "1," * 500_000 + " * * * *"}]},
        {"docker": "[" * 3000 + "]" * 3000},
        {"docker": "[" * 199 + "]" * 199},
    ):
        found = problems(**keys)
        assert 1 <= len(found) <= MOST_PROBLEMS
        assert len(str(SettingsError("test", found))) < 100_000
    assert time.monotonic() - started < 10


def test_a_secret_in_clear_is_refused_and_not_repeated() -> None:
    found = problems(secret=())
    assert [(problem.key, problem.code) for problem in found] == [("ci:adminPassword", "secret_in_clear")]
    assert "pulumi config set --secret ci:adminPassword" in str(found[0])
    assert PASSWORD not in str(found[0])


def test_no_message_repeats_a_value_of_a_key_that_is_encrypted() -> None:
    found = problems(
        secret=("adminPassword", "jenkins"), jenkins={"image": "hidden//value:1"}, adminPassword="tiny-secret"
    )
    assert len(found) == 2
    assert "tiny-secret" not in "".join(map(str, found))
    assert "hidden//value:1 " not in "".join(map(str, found))
    assert '= "hidden' not in "".join(map(str, found))


def test_a_credential_in_an_address_is_refused_and_not_repeated() -> None:
    [problem] = problems(jobs=[{"name": "a", "repository": "https://me:hunter2@git.example.org/x.git"}])
    assert (problem.key, problem.code) == ("ci:jobs[0].repository", "not_accepted")
    assert "hunter2" not in str(problem)


@pytest.mark.parametrize("schedule", ["H 3 * * *", "@daily", "H/15 * * * *", "30 4 * * 1-5", "0 0 29 2 *"])
def test_a_schedule_as_jenkins_writes_it_is_taken(schedule: str) -> None:
    assert settings(jobs=[{"name": "a", "script": "x", "schedule": schedule}]).jobs[0].schedule == schedule


@pytest.mark.parametrize(
    "image",
    [
        "jenkins/jenkins:2.568.2-lts-jdk21",
        "registry.example.org:5000/team/jenkins:1",
        f"jenkins/jenkins@sha256:{'0' * 64}",
        f"jenkins/jenkins:2.568.2@sha256:{'a' * 64}",
        "localhost/x:1",
    ],
)
def test_an_image_with_a_fixed_version_is_taken(image: str) -> None:
    assert settings(jenkins={"image": image}).jenkins.image == image


def test_the_error_names_the_stack_and_counts_the_problems() -> None:
    set_config({"ci:platform": "docker", "ci:docker": json.dumps({})})
    with pytest.raises(SettingsError) as caught:
        load()
    assert "1 problem; nothing was changed" in str(caught.value)


def test_settings_cannot_be_changed_once_read() -> None:
    stack: Settings = settings()
    with pytest.raises(ValueError, match="frozen"):
        stack.platform = "docker"  # type: ignore[misc]
