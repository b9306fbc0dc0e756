"""What a stack on Kubernetes may say, beside the tables in the folder settings, and what no message may say."""

import pytest
from pydantic import SecretStr

from components.kubernetes.builders import BUILDERS
from components.settings.cluster_checks import pushes_of
from components.settings.model import SECRETS
from components.settings.pod_security import LEVELS, NEEDS, Level
from tests.support.kubernetes_stack import PEM_KEY, REGISTRY_PASSWORD, build, problems, refused, settings


def test_a_key_without_its_last_line_break_gets_it_since_ssh_refuses_it_otherwise() -> None:
    found = settings(gitSshKey=PEM_KEY.rstrip()).git_ssh_key
    assert isinstance(found, SecretStr)
    assert found.get_secret_value() == PEM_KEY


@pytest.mark.parametrize("key", SECRETS)
def test_every_secret_in_clear_is_refused_and_not_repeated(key: str) -> None:
    value = {"gitSshKey": PEM_KEY, "registryTlsKey": PEM_KEY}.get(key, "in-clear-0123456789")
    given = {"registryPassword": REGISTRY_PASSWORD, key: value}
    found = problems(secret=[name for name in SECRETS if name != key], **given)
    [clear] = [problem for problem in found if (problem.key, problem.code) == (f"ci:{key}", "secret_in_clear")]
    assert f"pulumi config set --secret ci:{key}" in clear.instead
    assert value.splitlines()[-1] not in "".join(map(str, found))
    assert value.splitlines()[0] not in "".join(map(str, found)) or value == PEM_KEY


@pytest.mark.parametrize("text", ["[" * 300 + "]" * 300, '"\\ud800"', '{"user": "\\udfff"}', "1" * 5000, "NaN", "{"])
@pytest.mark.parametrize("key", ["kubernetes", "registry", "builds"])
def test_what_no_model_can_read_is_refused_like_any_other_wrong_value(key: str, text: str) -> None:
    assert refused(**{key: text}) == [(f"ci:{key}", "wrong_type")]


@pytest.mark.parametrize("level", LEVELS)
def test_every_builder_is_let_into_just_the_levels_that_do_not_refuse_it_and_told_the_checks_that_do(
    level: Level,
) -> None:
    assert set(BUILDERS) == set(NEEDS)
    for builder, needs in NEEDS.items():
        found = problems(builds=[build(builder=builder)], kubernetes={"buildsPodSecurity": level})
        checks = needs.refused_by.get(level, ())
        assert [(each.key, each.code) for each in found] == [("ci:builds[0].builder", "conflict")] * bool(checks)
        assert not [check for check in checks if check not in str(found[0])], builder


def test_a_quota_with_room_lets_several_branches_of_a_pattern_be_built_at_one_time() -> None:
    git = {"git": {"repository": "https://git.example.org/x.git"}}
    builds = [build(name, context=git, onPush={"branch": branch}) for name, branch in zip("abc", "**m", strict=True)]
    for cpu, memory, expected in ((6000, 6144, 1), (10_000, 16_384, 3), (64_000, 11_264, 3), (64_000, 65_536, 6)):
        quota = {"cpuMillicores": cpu, "memoryMib": memory}
        made = settings(builds=builds, kubernetes={"quota": quota})
        assert pushes_of(made.builds[0], made) == expected
    made = settings(builds=builds)
    assert pushes_of(made.builds[0], made) == 1
