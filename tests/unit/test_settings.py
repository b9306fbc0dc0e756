"""What a stack's config may say, and what is answered to what it may not."""

import json
from typing import Any

import pytest

from components.settings import Settings, SettingsError, load
from components.settings.load import read
from tests.support.engine import set_config
from tests.support.settings import PASSWORD, problems, raw, settings


def said(**keys: Any) -> str:
    found = problems(**keys)
    assert len(found) == 1, found
    return str(found[0])


def test_the_smallest_stack_has_the_documented_defaults() -> None:
    stack = settings()
    assert stack.docker.host == "unix:///var/run/docker.sock"
    assert (stack.jenkins.container_name, stack.jenkins.home_volume) == ("jenkins-server", "jenkins_home")
    assert (stack.jenkins.bind_address, stack.jenkins.http_port, stack.jenkins.agent_port) == ("127.0.0.1", 8080, 50000)
    assert (stack.jenkins.setup, stack.jenkins.restart) == ("casc", "on-failure")
    assert stack.url == "http://127.0.0.1:8080"


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("platform misspelt", {"platform": "dokcer"}, 'ci:platform = "dokcer" is not accepted; give one of docker, kub'),
    ("platform missing", {"platform": None}, "ci:platform is missing; give one of docker, kubernetes"),
    ("unknown access", {"docker": {"acceptRootOnHost": True, "access": "sokcet"}}, "ci:docker.access"),
    ("root on the host not accepted", {"docker": {}}, "acceptRootOnHost: true"),
    ("a text for true", {"docker": {"acceptRootOnHost": "true"}}, "is text; give true or false (without quotes)"),
    ("a list for a map", {"docker": ["acceptRootOnHost"]}, 'ci:docker = ["acceptRootOnHost"] is a list; give a map'),
    ("a text for a map", {"jenkins": "image"}, 'ci:jenkins = "image" is text; give a map'),
    (
        "tcp without certificates",
        {"docker": {"acceptRootOnHost": True, "host": "tcp://h:2375"}},
        "gives root to anyone",
    ),
    ("ssh without a user", {"docker": {"acceptRootOnHost": True, "host": "ssh://h"}}, "ssh://user@host"),
    (
        "a pipe of Windows",
        {"docker": {"acceptRootOnHost": True, "host": "npipe:////./pipe/x"}},
        "scheme that is not known",
    ),
    ("a web address as host", {"docker": {"acceptRootOnHost": True, "host": "http://h"}}, "scheme that is not known"),
    ("a relative socket", {"docker": {"acceptRootOnHost": True, "host": "unix://docker.sock"}}, "absolute path"),
    ("a socket under ~", {"docker": {"acceptRootOnHost": True, "socketPath": "~/docker.sock"}}, "no '~'"),
    (
        "a named group",
        {"docker": {"acceptRootOnHost": True, "socketGroup": "docker"}},
        "is text; give a whole number from 0",
    ),
    (
        "port 0",
        {"jenkins": {"httpPort": 0}},
        "ci:jenkins.httpPort = 0 is not accepted; give a whole number from 1 to 65535",
    ),
    ("port -1", {"jenkins": {"httpPort": -1}}, "from 1 to 65535, for example 8080"),
    ("port 65536", {"jenkins": {"agentPort": 65536}}, "from 1 to 65535, for example 50000"),
    ("port 80a", {"jenkins": {"httpPort": "80a"}}, 'ci:jenkins.httpPort = "80a" is text; give a whole number'),
    ("port 8080.5", {"jenkins": {"httpPort": 8080.5}}, "ci:jenkins.httpPort = 8080.5 is a number; give a whole number"),
    ("port true", {"jenkins": {"httpPort": True}}, "ci:jenkins.httpPort = true is true or false; give a whole number"),
    ("one port twice", {"jenkins": {"httpPort": 9000, "agentPort": 9000}}, "is ci:jenkins.httpPort too"),
    ("not an address", {"jenkins": {"bindAddress": "localhost"}}, "is not an IP address"),
    ("a moving tag", {"jenkins": {"image": "jenkins/jenkins:latest"}}, "names no fixed version"),
    ("no tag", {"jenkins": {"baseImage": "jenkins/jenkins"}}, "names no fixed version"),
    ("capitals in an image", {"jenkins": {"image": "UPPER/x:1"}}, "the repository 'UPPER/x'"),
    ("two slashes in an image", {"jenkins": {"image": "a//b:1"}}, "the repository 'a//b'"),
    ("a space in a tag", {"jenkins": {"image": "x:ta g"}}, "the tag 'ta g'"),
    ("a short digest", {"jenkins": {"image": f"x:1@sha256:{'a' * 63}"}}, "not sha256: and 64"),
    ("an old long-term Jenkins", {"jenkins": {"baseImage": "jenkins/jenkins:2.426.2-lts"}}, "give 2.426.3 or newer"),
    ("an old weekly Jenkins", {"jenkins": {"baseImage": "jenkins/jenkins:2.441-jdk17"}}, "give 2.442 or newer"),
    (
        "a ready image and a base",
        {"jenkins": {"image": "x:1", "baseImage": "jenkins/jenkins:2.568.2"}},
        "leave one of the two",
    ),
    ("a plugin without version", {"jenkins": {"plugins": ["git"]}}, 'ci:jenkins.plugins[0] = "git" is not a plugin'),
    ("a container name with a slash", {"jenkins": {"containerName": "a/b"}}, "is not a name that Docker takes"),
    ("a volume name that is a path", {"jenkins": {"homeVolume": "/srv/jenkins"}}, "is not a name that Docker takes"),
    ("memory with a unit", {"jenkins": {"memoryMib": "2g"}}, "give a whole number from 512 to 1048576"),
    ("too little memory", {"jenkins": {"memoryMib": 256}}, "give a whole number from 512"),
    ("a heap beyond the memory", {"jenkins": {"javaOptions": ["-Xmx4g"]}}, "container's 2048 MiB"),
    (
        "forged requests allowed",
        {
            "jenkins": {
                "javaOptions": ["-Dhudson.security.csrf.GlobalCrumbIssuerConfiguration.DISABLE_CSRF_PROTECTION=true"]
            }
        },
        "requests be forged",
    ),
    (
        "scripts in artifacts",
        {"jenkins": {"javaOptions": ["-Dhudson.model.DirectoryBrowserSupport.CSP="]}},
        "run scripts",
    ),
    (
        "the wizard by the back door",
        {"jenkins": {"javaOptions": ["-Djenkins.install.runSetupWizard=false"]}},
        "ci:jenkins.setup",
    ),
    ("two options in one", {"jenkins": {"javaOptions": ["-Xss2m -Xms1g"]}}, "is not one option"),
    ("an unknown setup", {"jenkins": {"setup": "wizzard"}}, "one of casc, wizard (did you mean wizard?)"),
    ("an unknown restart", {"jenkins": {"restart": "allways"}}, "(did you mean always?)"),
    ("a user that Jenkins keeps for itself", {"jenkins": {"adminUser": "anonymous"}}, "user name"),
    ("a password too short", {"adminPassword": "hunter2"}, "shorter than 12 characters"),
    ("a password that is guessed", {"adminPassword": "adminadminadmin"}, "first that are guessed"),
    ("a password beyond bcrypt", {"adminPassword": "aB3$" * 19}, "longer than the 72 bytes"),
    ("no password", {"adminPassword": None}, "ci:adminPassword is missing"),
    ("a token with a line break", {"gitToken": "abc\ndef"}, "ci:gitToken is empty, or has"),
    ("a job without a name", {"jobs": [{"script": "x"}]}, "ci:jobs[0].name is missing"),
    ("a character that XML lacks", {"jobs": [{"name": "a", "script": "echo '\x1b[1m'"}]}, "has the character U+001B"),
    ("a script beyond Java", {"jobs": [{"name": "a", "script": "ä" * 30_001}]}, "has 60002 bytes"),
    ("a job's name that is a path", {"jobs": [{"name": "../x", "script": "x"}]}, "is not a name for a job"),
    ("a job with nothing to do", {"jobs": [{"name": "a"}]}, "is missing, and so is a script"),
    (
        "a job with both",
        {"jobs": [{"name": "a", "script": "x", "repository": "https://g.example.org/x"}]},
        "stands beside a script",
    ),
    (
        "a branch of a script",
        {"jobs": [{"name": "a", "script": "x", "branch": "main"}]},
        "belongs to a job with a repository",
    ),
    ("a job named as the sample", {"jobs": [{"name": "Sample", "script": "x"}]}, "is the name of the sample"),
    ("a repository over ssh", {"jobs": [{"name": "a", "repository": "git@g.example.org:x.git"}]}, "https:// address"),
    (
        "credentials without a token",
        {"jobs": [{"name": "a", "repository": "https://g.example.org/x", "credentials": "gitToken"}]},
        "ci:gitToken",
    ),
    ("minute 61", {"jobs": [{"name": "a", "script": "x", "schedule": "61 * * * *"}]}, "is not a schedule"),
    ("six fields", {"jobs": [{"name": "a", "script": "x", "schedule": "0 0 * * * *"}]}, "has 6 fields"),
    ("a misspelt alias", {"jobs": [{"name": "a", "script": "x", "schedule": "@evry"}]}, "has 1 fields"),
    ("the 31st of February", {"jobs": [{"name": "a", "script": "x", "schedule": "0 0 31 2 *"}]}, "would never come"),
    (
        "jobs for the wizard",
        {"jenkins": {"setup": "wizard"}, "jobs": [{"name": "a", "script": "x"}]},
        "configuration as code",
    ),
    ("executors for the wizard", {"jenkins": {"setup": "wizard", "executors": 1}}, "has no effect with setup: wizard"),
]


@pytest.mark.parametrize(("keys", "expected"), [pytest.param(k, e, id=i) for i, k, e in WRONG])
def test_a_wrong_setting_is_refused_with_its_key_and_what_to_write(keys: dict[str, Any], expected: str) -> None:
    assert expected in said(**keys)


@pytest.mark.parametrize(
    "address",
    ["0.0.0.0", "::", "::0", "0:0:0:0:0:0:0:0", "0000::0000", "::0.0.0.0", "::ffff:0.0.0.0", "::FFFF:0:0"],
)
def test_every_spelling_of_every_interface_needs_public(address: str) -> None:
    assert [problem.key for problem in problems(jenkins={"bindAddress": address})] == ["ci:jenkins.bindAddress"]
    assert settings(jenkins={"bindAddress": address, "public": True}).url == "http://127.0.0.1:8080"


@pytest.mark.parametrize("address", ["::%lo", "fe80::1%1", "0", "0x0", "000.0.0.0", "127.1", "[::1]", "224.0.0.1"])
def test_an_address_that_go_cannot_read_is_refused_since_docker_then_takes_every_interface(address: str) -> None:
    for public in (False, True):
        found = problems(jenkins={"bindAddress": address, "public": public})
        assert [problem.key for problem in found] == ["ci:jenkins.bindAddress"]


def test_docker_gets_an_address_in_the_form_that_was_checked() -> None:
    assert settings(jenkins={"bindAddress": "::ffff:127.0.0.1"}).jenkins.bind_address == "127.0.0.1"
    assert settings(jenkins={"bindAddress": "0:0::0:1"}).url == "http://[::1]:8080"


def test_an_unknown_key_is_refused_with_the_nearest_name_and_without_its_value() -> None:
    text = said(jenkins={"httpport": 8081})
    assert "ci:jenkins.httpport is not a setting" in text
    assert "did you mean httpPort?" in text
    assert "hunter2hunter2" not in said(adminPasword="hunter2hunter2")
    assert "did you mean adminPassword?" in said(adminPasword="hunter2hunter2")


def test_two_jobs_of_one_name_are_refused_with_both_places() -> None:
    text = said(jobs=[{"name": "a", "script": "x"}, {"name": "A", "script": "x"}])
    assert "ci:jobs[1].name" in text
    assert "ci:jobs[0] too" in text


def test_all_problems_are_reported_at_once_also_those_between_settings() -> None:
    found = problems(
        docker={"acceptRootOnHost": "yes"},
        jenkins={"httpPort": 99999, "agentPort": 8080, "bindAddress": "0.0.0.0", "plugins": ["x"]},
        jobs=[{"name": "?"}, {"name": "b"}],
        adminPassword="short",
        registery={},
    )
    assert {problem.key for problem in found} == {
        "ci:docker.acceptRootOnHost",
        "ci:jenkins.httpPort",
        "ci:jenkins.agentPort",
        "ci:jenkins.bindAddress",
        "ci:jenkins.plugins[0]",
        "ci:jobs[0].name",
        "ci:jobs[0].repository",
        "ci:jobs[1].repository",
        "ci:adminPassword",
        "ci:registery",
    }


def test_a_secret_in_clear_is_refused_and_not_repeated() -> None:
    found = problems(secret=())
    assert [problem.key for problem in found] == ["ci:adminPassword"]
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
    text = said(jobs=[{"name": "a", "repository": "https://me:hunter2@git.example.org/x.git"}])
    assert "has a credential in it" in text
    assert "hunter2" not in text


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


def test_a_survey_of_the_host_is_part_of_the_same_report() -> None:
    from components.settings import Problem  # noqa: PLC0415

    preflight = [Problem(key="ci:jenkins.httpPort", wrong="is taken", instead="give another")]
    _, found = read(raw(adminPassword="short"), frozenset({"adminPassword"}), lambda _: preflight)
    assert [problem.key for problem in found] == ["ci:adminPassword", "ci:jenkins.httpPort"]


def test_the_error_names_the_stack_and_counts_the_problems() -> None:
    set_config({"ci:platform": "docker", "ci:docker": json.dumps({})})
    with pytest.raises(SettingsError) as caught:
        load()
    assert "2 problems; nothing was changed" in str(caught.value)


def test_settings_cannot_be_changed_once_read() -> None:
    stack: Settings = settings()
    with pytest.raises(ValueError, match="frozen"):
        stack.platform = "docker"  # type: ignore[misc]
