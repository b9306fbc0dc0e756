"""Whatever a stack's file holds, it is taken or refused in words."""

import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.settings import SettingsError
from components.settings.docker import DockerSettings
from components.settings.jenkins import JenkinsSettings, JobSettings
from components.settings.load import read
from components.settings.model import Settings

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=40),
    st.sampled_from(
        ["docker", "casc", "127.0.0.1", "jenkins/jenkins:2.568.2", "unix:///var/run/docker.sock", "H 3 * * *"]
    ),
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)


def section(model: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Maps that mostly have the section's own keys."""
    names = st.sampled_from([field.alias for field in model.model_fields.values()])
    return st.dictionaries(st.one_of(names, names, names, st.text(max_size=8)), ANYTHING, max_size=6)


STACKS = st.fixed_dictionaries(
    {},
    optional={
        "platform": ANYTHING,
        "docker": st.one_of(section(DockerSettings), ANYTHING),
        "jenkins": st.one_of(section(JenkinsSettings), ANYTHING),
        "jobs": st.one_of(st.lists(section(JobSettings), max_size=3), ANYTHING),
        "adminPassword": st.text(max_size=90),
        "gitToken": st.text(max_size=20),
        "unknown": ANYTHING,
    },
)


@given(STACKS)
@settings(max_examples=400, deadline=None)
@example({"platform": "docker", "jobs": [{"name": "?"}, 7, {"name": "a", "script": 1}]})
@example({"platform": "docker", "jenkins": {"plugins": [1, "x", None]}})
def test_any_stack_gives_settings_or_problems_and_never_an_exception(stack: dict[str, Any]) -> None:
    raw = {key: value if isinstance(value, str) else json.dumps(value) for key, value in stack.items()}
    found, problems = read(raw, frozenset({"adminPassword", "gitToken"}))
    assert problems or isinstance(found, Settings)
    for problem in problems:
        text = str(problem)
        assert text.startswith("ci:")
        assert "; " in text
    assert str(SettingsError("test", problems)).count("\n  - ") >= len(problems)


@given(st.text(min_size=12, max_size=60))
@settings(max_examples=200, deadline=None)
def test_no_password_is_ever_repeated(password: str) -> None:
    for secret in (frozenset({"adminPassword"}), frozenset[str]()):
        _, problems = read({"platform": "docker", "adminPassword": password}, secret)
        fixed = "".join(str(problem) for problem in read({"platform": "docker", "adminPassword": "x" * 3}, secret)[1])
        assert password not in "".join(str(problem) for problem in problems) or password in fixed
