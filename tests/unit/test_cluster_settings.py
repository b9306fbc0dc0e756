"""What a stack on Kubernetes may say, beside the tables in the folder settings, and what no message may say."""

from typing import Any

import pytest

from components.settings.model import SECRETS
from components.settings.pod_security import LEVELS, NEEDS, Level
from tests.support.kubernetes_stack import HASH, PEM_KEY, REGISTRY_PASSWORD, build, problems, refused, settings

PLAIN = {"plainHttp": True}


def one(**keys: Any) -> dict[str, Any]:
    """Give the keys of a stack with one build."""
    return {"builds": [build(**keys)]}


def registry(**keys: Any) -> dict[str, Any]:
    return {"registry": {**PLAIN, **keys}}


def git(**keys: Any) -> dict[str, Any]:
    return one(context={"git": {"repository": "https://git.example.org/x.git", **keys}})


def test_a_key_without_its_last_line_break_gets_it_since_ssh_refuses_it_otherwise() -> None:
    found = settings(gitSshKey=PEM_KEY.rstrip()).git_ssh_key
    assert found is not None
    assert found.get_secret_value() == PEM_KEY


def test_all_wrong_fields_are_reported_at_once() -> None:
    found = refused(
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
    assert dict(found) == {
        "ci:kubernetes.namespace": "not_accepted",
        "ci:kubernetes.quota.cpuMillicores": "not_accepted",
        "ci:kubernetes.kanikoImage": "not_accepted",
        "ci:registry.nodePort": "not_accepted",
        "ci:registry.users[0].passwordHash": "missing",
        "ci:registry.mirror.hosts": "not_accepted",
        "ci:builds[0].args.1": "not_accepted",
        "ci:builds[0].destinations[0]": "not_accepted",
        "ci:builds[1].context": "wrong_type",
        "ci:builds[2].name": "missing",
        "ci:builds[2].context.git.repository": "not_accepted",
        "ci:builds[2].labels.X": "not_accepted",
        "ci:builds[3].context.directory": "wrong_type",
        "ci:builds[3].schedule": "not_accepted",
        "ci:builds[3].targt": "unknown_key",
        "ci:builds[4]": "wrong_type",
        "ci:registryPassword": "not_accepted",
    }


def test_all_broken_rules_are_reported_at_once() -> None:
    assert refused(
        kubernetes={"quota": {"cpuMillicores": 10, "memoryMib": 64}},
        registry={"ingress": {}, "users": [{"name": "ci", "passwordHash": HASH}]},
        builds=[build("a"), build("a", destinations=["ghcr.io/x:1"])],
        jenkins={"httpPort": 9000},
    ) == [
        ("ci:jenkins", "no_effect"),
        ("ci:registry.host", "required"),
        ("ci:registry.users[0].name", "duplicate"),
        ("ci:registry.tls", "not_confirmed"),
        ("ci:builds[1].name", "duplicate"),
        ("ci:builds[1].destinations[0]", "required"),
        ("ci:kubernetes.quota.cpuMillicores", "too_small"),
        ("ci:kubernetes.quota.memoryMib", "too_small"),
    ]


@pytest.mark.parametrize("key", SECRETS)
def test_every_secret_in_clear_is_refused_and_not_repeated(key: str) -> None:
    value = {"gitSshKey": PEM_KEY, "registryTlsKey": PEM_KEY}.get(key, "in-clear-0123456789")
    given = {"registryPassword": REGISTRY_PASSWORD, key: value}
    found = problems(secret=[name for name in SECRETS if name != key], **given)
    [clear] = [problem for problem in found if (problem.key, problem.code) == (f"ci:{key}", "secret_in_clear")]
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


@pytest.mark.parametrize("level", LEVELS)
def test_every_builder_is_let_into_just_the_levels_that_do_not_refuse_it(level: Level) -> None:
    for builder, needs in NEEDS.items():
        found = refused(builds=[build(builder=builder)], kubernetes={"buildsPodSecurity": level})
        assert found == [("ci:builds[0].builder", "conflict")] * (level in needs.refused_by), builder
