"""What a stack's config may say, beside the tables in the folder settings."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from components.settings import Problem, Settings, SettingsError, checks, load
from components.settings.docker import DockerSettings
from components.settings.load import read
from components.settings.model import SECRETS
from components.settings.problems import MOST_PROBLEMS
from tests.support import kubernetes_stack
from tests.support.engine import set_config
from tests.support.kubernetes_stack import build
from tests.support.settings import TCP, TLS_KEY, problems, raw, refused, settings
from tests.unit.conftest import REFUSALS


def test_a_text_beyond_what_takes_it_is_the_one_problem() -> None:
    assert refused(jobs=[{"name": "a", "script": "ä" * 30_001}]) == [("ci:jobs[0].script", "not_accepted")]
    large = build(context={"inline": {"Dockerfile": "x" * 1_000_001}})
    found = kubernetes_stack.refused(builds=[large])
    assert found == [("ci:builds[0].context.inline.Dockerfile", "not_accepted")]
    found = kubernetes_stack.refused(builds=[build(destinations=[f"{'a' * 256}:1"])])
    assert found == [("ci:builds[0].destinations[0]", "not_accepted")]


def test_root_on_the_host_has_to_be_confirmed_for_each_access_with_a_reason_of_its_own() -> None:
    reasons = set()
    accesses = DockerSettings.model_json_schema()["properties"]["access"]["enum"]
    for docker in ({"access": "dind", "dind": {"privileged": False}}, *({"access": access} for access in accesses)):
        more = {"tcp": TCP["tcp"]} if docker["access"] == "tcp" else {}
        key = {"tcpTlsKey": TLS_KEY} if more else {}
        [problem] = problems(docker={**docker, **more}, **key)
        assert (problem.key, problem.code) == ("ci:docker.acceptRootOnHost", "not_confirmed")
        reasons.add(problem.wrong)
    assert len(reasons) == len(accesses) + 1


@pytest.mark.parametrize(
    "address", ["0.0.0.0", "::", "::0", "0:0:0:0:0:0:0:0", "0000::0000", "::0.0.0.0", "::ffff:0.0.0.0", "::FFFF:0:0"]
)
def test_every_spelling_of_every_interface_needs_public(address: str) -> None:
    assert refused(jenkins={"bindAddress": address}) == [("ci:jenkins.bindAddress", "not_confirmed")]
    assert settings(jenkins={"bindAddress": address, "public": True}).url == "http://127.0.0.1:8080"


UNUSABLE = ["255.255.255.255", "240.0.0.1", "0.1.2.3", "ff02::1", "::ffff:224.0.0.1", "::2", "100::1"]


@pytest.mark.parametrize(
    "address", ["::%lo", "fe80::1%1", "0", "0x0", "000.0.0.0", "127.1", "[::1]", "224.0.0.1", *UNUSABLE]
)
def test_an_address_that_go_cannot_read_is_refused_since_docker_then_takes_every_interface(address: str) -> None:
    for public in (False, True):
        found = refused(jenkins={"bindAddress": address, "public": public})
        assert found == [("ci:jenkins.bindAddress", "not_accepted")]


def test_what_is_wrong_with_a_host_behind_ssh_is_told_of_that_part() -> None:
    for host, part in (("h", "user@host"), ("u@h:99999", "port from 1 to 65535"), ("u@-h", "host behind")):
        [problem] = problems(docker={"acceptRootOnHost": True, "host": f"ssh://{host}"})
        assert f"has no {part}" in problem.wrong


def test_every_section_and_map_that_is_given_as_text_is_told_an_example_that_is_accepted() -> None:
    for key, field in Settings.model_fields.items():
        if key not in {"platform", "jobs", "builds"} and (
            "Settings" in repr(field.annotation) or "dict" in repr(field)
        ):
            [problem] = [each for each in problems(**{str(field.alias): "x"}) if each.code == "wrong_type"]
            example = json.loads(problem.instead.partition(", for example ")[2])
            assert "wrong_type" not in [each.code for each in problems(**{str(field.alias): example})]


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


def test_a_setting_that_is_written_as_one_key_is_told_where_it_belongs() -> None:
    dotted: dict[str, Any] = {"jenkins.httpPort": 8081}
    [problem] = problems(**dotted)
    assert (problem.key, problem.code) == ("ci:jenkins.httpPort", "unknown_key")
    assert problem.instead == "write httpPort: below ci:jenkins:, indented"


def test_a_command_to_type_holds_nothing_that_a_shell_would_run() -> None:
    for name in ("a'b", "$(reboot)", "a b", "`x`"):
        [problem] = problems(jenkins={name: 1})
        assert "pulumi config rm" not in problem.instead


def test_what_preflight_finds_in_settings_that_are_right_is_a_problem_like_any_other() -> None:
    asked: list[Settings] = []

    def preflight(settings: Settings) -> list[Problem]:
        asked.append(settings)
        return [Problem("ci:jenkins.httpPort", "port_in_use", "is in use", "give another")]

    found, [problem] = read(raw(), frozenset(SECRETS), preflight)
    assert (found, problem.key) == (None, "ci:jenkins.httpPort")
    assert [each.model_dump() for each in asked] == [settings().model_dump()]


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


@pytest.mark.timeout(300)  # 1 s; what goes over such a value once for each of its letters takes hours
def test_huge_and_countless_values_are_refused_at_once_and_shortly() -> None:
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
        {"platform": "kubernetes", "registry": {"plainHttp": True}, "dockerConfig": "[" * 60_000},
    ):
        found = problems(**keys)
        assert 1 <= len(found) <= MOST_PROBLEMS
        assert len(str(SettingsError("test", found))) < 100_000


def test_no_message_repeats_a_value_of_a_key_that_is_encrypted() -> None:
    found = problems(
        secret=("adminPassword", "jenkins"), jenkins={"image": "hidden//value:1"}, adminPassword="tiny-secret"
    )
    assert len(found) == 2
    assert "tiny-secret" not in "".join(map(str, found))
    assert "hidden//value:1 " not in "".join(map(str, found))
    assert '= "hidden' not in "".join(map(str, found))


def test_the_error_names_the_stack_and_counts_the_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("pulumi.log.error", told.append)
    set_config({"ci:platform": "docker", "ci:docker": json.dumps({})})
    with pytest.raises(SystemExit, match="32"):
        load()
    assert "1 problem; nothing was changed" in told[0]


def test_the_longest_secrets_are_taken_and_no_longer_ones() -> None:
    longest = {"jenkinsSecrets": 65_536, "gitToken": 65_536, "dockerConfig": 65_536, "adminPassword": 72}
    for key, most in longest.items():
        for length in (most, most + 1):
            text = ("aB3$x" * length)[:length]
            given: dict[str, Any] = {key: {"s": text} if key == "jenkinsSecrets" else text}
            assert bool([each for each in problems(**given) if each.code == "not_accepted"]) is (length > most)


def test_every_sentence_of_the_settings_refusals_is_recorded() -> None:
    recorded = "".join(text for texts in REFUSALS.values() for text in texts)
    named = {"Problem", "NotAcceptedError", "required", "no_effect", "duplicate", "matches", "refuses"}
    for path in Path(checks.__file__).parent.glob("*.py"):
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        said = [part for call in calls if getattr(call.func, "id", "") in named for part in ast.walk(call)]
        texts = [part.value for part in said if isinstance(part, ast.Constant) and isinstance(part.value, str)]
        lost = {text for text in texts if re.match(r"\w+ \w+ \w+", text) and text.strip() not in recorded}
        # pydantic refuses such a text or such a length first. KEY is written as the key itself.
        rest = {"is not text in UTF-8", "put the files into git, or on a volume"}
        assert {text for text in lost if "KEY" not in text} <= rest, path


def test_an_empty_password_is_told_to_be_short_like_any_other() -> None:
    assert "is shorter than 12 characters" in str(problems(adminPassword="")[0])


def test_settings_cannot_be_changed_once_read() -> None:
    stack: Settings = settings()
    with pytest.raises(ValueError, match="frozen"):
        stack.platform = "docker"  # type: ignore[misc]
