"""Several things wrong at once on Kubernetes, and what no message may say."""

import json
from typing import Any

import pytest

from components.settings.model import SECRETS
from tests.support.kubernetes_stack import HASH, PEM_KEY, REGISTRY_PASSWORD, build, problems

PLAIN = {"plainHttp": True}


def said(**keys: Any) -> str:
    found = problems(**keys)
    assert len(found) == 1, found
    return str(found[0])


def one(**keys: Any) -> dict[str, Any]:
    """Give the keys of a stack with one build."""
    return {"builds": [build(**keys)]}


def registry(**keys: Any) -> dict[str, Any]:
    return {"registry": {**PLAIN, **keys}}


def git(**keys: Any) -> dict[str, Any]:
    return one(context={"git": {"repository": "https://git.example.org/x.git", **keys}})


def test_all_problems_are_reported_at_once_also_those_between_settings() -> None:
    found = problems(
        kubernetes={"namespace": "default", "quota": {"cpuMillicores": 5, "memoryMib": 64}, "kanikoImage": "x"},
        registry={"nodePort": 1, "users": [{"name": "a"}], "ingress": {}, "mirror": {"hosts": []}},
        builds=[
            build("a", args={"1": "x"}, destinations=["x", "y:1"]),
            build("a", destinations=["ghcr.io/x:1"], context=7),
            {"context": {"git": {"repository": "x"}}, "labels": {"X": "y"}},
            build("d", context={"directory": 5}, schedule="x", targt="y"),
            7,
        ],
        registryPassword="short",
        jenkins={"httpPort": 9000},
    )
    assert {problem.key for problem in found} == {
        "ci:kubernetes.namespace",
        "ci:kubernetes.quota.cpuMillicores",
        "ci:kubernetes.kanikoImage",
        "ci:registry.nodePort",
        "ci:registry.users[0].passwordHash",
        "ci:registry.host",
        "ci:registry.mirror.hosts",
        "ci:registry.tls",
        "ci:builds[0].args.1",
        "ci:builds[0].destinations[0]",
        "ci:builds[1].name",
        "ci:builds[1].destinations[0]",
        "ci:builds[1].context",
        "ci:builds[2].name",
        "ci:builds[2].context.git.repository",
        "ci:builds[2].labels.X",
        "ci:builds[3].context.directory",
        "ci:builds[3].schedule",
        "ci:builds[3].targt",
        "ci:builds[4]",
        "ci:registryPassword",
        "ci:jenkins",
    }


AT_ANY_DEPTH: list[Any] = [
    7,
    [7],
    [{}],
    [build(), 7],
    [build("A B")],
    [build(context=7)],
    [build(context={"git": 7})],
    [build(context={"git": {}})],
    [build(context={"git": {"repository": 7}})],
    [build(context={"inline": {}})],
    [build(context={"inline": {"Dockerfile": 7}})],
    [build(context={"inline": {"../x": 7, "Dockerfile": ""}})],
    [build(context={"volume": {"path": "x"}})],
    [build(context={"unknown": 1})],
    [build(args={"A B": 7})],
    [build(labels=[7])],
    [build(destinations=[7, "x", "x:1"])],
    [build(resources={"memoryMib": "1g", "cpu": 1})],
    [build(cache=7), build("b", unknown={"a": [1]})],
]


@pytest.mark.parametrize("builds", AT_ANY_DEPTH, ids=lambda builds: json.dumps(builds)[:60])
def test_what_is_wrong_with_a_build_hides_no_problem_elsewhere(builds: Any) -> None:
    keys = {
        problem.key for problem in problems(builds=builds, registry={"users": [{"name": "ci", "passwordHash": HASH}]})
    }
    assert {"ci:registry.tls", "ci:registry.users[0].name"} <= keys
    assert any(key.startswith("ci:builds") for key in keys)


@pytest.mark.parametrize(
    "registry_keys",
    [
        {"users": [{"name": "a"}]},
        {"users": [7]},
        {"tls": {"secretName": "A B"}},
        {"mirror": {"upstream": 7}},
        {"ingress": 7},
        {"garbageCollection": {"schedule": "x"}},
    ],
)
def test_what_is_wrong_with_the_registry_is_told_once_and_hides_no_problem_of_the_builds(
    registry_keys: dict[str, Any],
) -> None:
    found = problems(registry={"plainHttp": "tls" not in registry_keys, **registry_keys}, **one(context={}))
    assert len(found) == 2, found
    assert found[1].key == "ci:builds[0].context"


def test_an_entry_of_a_list_is_never_called_by_the_place_of_another() -> None:
    found = problems(**one(destinations=["no-tag", "fine:1", "ghcr.io/x/y:1"]))
    assert [problem.key for problem in found] == ["ci:builds[0].destinations[0]"]


def test_two_builds_of_a_name_or_a_destination_are_refused_with_both_places() -> None:
    same = problems(builds=[build("a"), build("b"), build("a", destinations=["c:1"])])
    assert [problem.key for problem in same] == ["ci:builds[2].name"]
    assert "ci:builds[0] too" in str(same[0])
    pushed = problems(builds=[build("a"), build("b", destinations=["x:1", "a:latest"])])
    assert [problem.key for problem in pushed] == ["ci:builds[1].destinations[1]"]
    assert "ci:builds[0].destinations[0] too" in str(pushed[0])


def test_an_unknown_key_is_refused_with_the_nearest_name() -> None:
    assert "did you mean nodePort?" in said(**registry(nodeport=30500))
    assert "did you mean deadlineSeconds?" in said(**one(deadlineSecond=60))
    assert "did you mean repository?" in said(**git(repositry="x"))


@pytest.mark.parametrize("key", SECRETS)
def test_every_secret_in_clear_is_refused_and_not_repeated(key: str) -> None:
    value = {"gitSshKey": PEM_KEY, "registryTlsKey": PEM_KEY}.get(key, "in-clear-0123456789")
    given = {"registryPassword": REGISTRY_PASSWORD, key: value}
    found = problems(secret=[name for name in SECRETS if name != key], **given)
    [clear] = [problem for problem in found if "in clear" in problem.wrong and problem.key == f"ci:{key}"]
    assert f"pulumi config set --secret ci:{key}" in clear.instead
    assert value.splitlines()[-1] not in "".join(map(str, found))
    assert value.splitlines()[0] not in "".join(map(str, found)) or value == PEM_KEY


@pytest.mark.parametrize("key", SECRETS)
@pytest.mark.parametrize("value", ["x\x07y-secret", "7777777", '{"auths": "y-secret"}', ""])
def test_no_message_repeats_a_secret(key: str, value: str) -> None:
    text = "".join(map(str, problems(**{key: value})))
    assert "y-secret" not in text
    assert "7777777" not in text


@pytest.mark.parametrize(
    "users",
    [
        [{"name": "a", "passwordHash": "hunter2-hunter2"}],
        [{"name": "a", "password": "hunter2-hunter2"}],
        {"a": "hunter2-hunter2"},
        "a:hunter2-hunter2",
        [["a", "hunter2-hunter2"]],
    ],
)
def test_a_password_that_is_typed_where_its_hash_belongs_is_not_repeated(users: Any) -> None:
    text = "".join(map(str, problems(**registry(users=users))))
    assert "ci:registry.users" in text
    assert "hunter2-hunter2" not in text


def test_a_credential_in_an_address_is_not_repeated_wherever_it_stands() -> None:
    address = "https://me:hunter2@git.example.org/x.git"
    for keys in (
        git(repository=address),
        one(context=address),
        {"builds": {"website": {"context": {"git": {"repository": address}}}}},
        {"builds": [[address]]},
    ):
        text = "".join(map(str, problems(**keys)))
        assert text
        assert "hunter2" not in text


@pytest.mark.parametrize("text", ["[" * 300 + "]" * 300, '"\\ud800"', '{"user": "\\udfff"}', "1" * 5000, "NaN", "{"])
@pytest.mark.parametrize("key", ["kubernetes", "registry", "builds"])
def test_what_no_model_can_read_is_refused_like_any_other_wrong_value(key: str, text: str) -> None:
    keys: dict[str, Any] = {"registry": PLAIN, key: text}
    found = problems(**keys)[0]
    assert found.key == f"ci:{key}"
