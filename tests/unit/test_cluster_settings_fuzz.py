"""Whatever a stack on Kubernetes holds, it is taken or refused in words."""

import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from components.settings import SettingsError
from components.settings.builds import BuildSettings
from components.settings.kubernetes import KubernetesSettings, RegistrySettings
from components.settings.load import read
from components.settings.model import SECRETS, Settings
from tests.support.kubernetes_stack import HASH, INLINE, PEM_KEY

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.text(st.characters(categories=["Cs", "Cc", "Lu"]), max_size=3),
    st.sampled_from(
        [
            "ci",
            "kaniko",
            "x:1",
            "ghcr.io/x/y:1",
            "10.0.0.0/8",
            "registry:3.1.2",
            "https://git.example.org/x.git",
            "ssh://git@git.example.org/x.git",
            "@daily",
            "gitToken",
            HASH,
        ]
    ),
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=5,
)


def section(model: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
    """Maps that mostly have the section's own keys, and sections under the keys that hold sections."""
    fields = {str(field.alias): _value(field.annotation) for field in model.model_fields.values()}
    own = st.fixed_dictionaries({}, optional=fields)
    return st.builds(lambda known, more: known | more, own, st.dictionaries(st.text(max_size=6), ANYTHING, max_size=1))


def _value(annotation: Any) -> st.SearchStrategy[Any]:
    parts = [annotation, *getattr(annotation, "__args__", ())]
    inner = [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)]
    if not inner:
        return ANYTHING
    return st.one_of(section(inner[0]), st.lists(section(inner[0]), max_size=2), ANYTHING)


BUILD = st.builds(lambda some: {"name": "a", "context": INLINE} | some, section(BuildSettings))
STACKS = st.fixed_dictionaries(
    {"platform": st.sampled_from(["kubernetes", "kubernetes", "kubernetes", "docker", "x"])},
    optional={
        "kubernetes": st.one_of(section(KubernetesSettings), ANYTHING),
        "registry": st.one_of(section(RegistrySettings), st.just({"plainHttp": True}), ANYTHING),
        "builds": st.one_of(st.lists(st.one_of(BUILD, section(BuildSettings), ANYTHING), max_size=3), ANYTHING),
        **{key: st.one_of(st.text(max_size=20), st.sampled_from([PEM_KEY, '{"auths": {}}'])) for key in SECRETS},
    },
)


def raw(stack: dict[str, Any]) -> dict[str, str]:
    """Give config as the engine hands it over: secrets and the platform as they are, everything else as JSON."""
    return {key: value if key in {"platform", *SECRETS} else json.dumps(value) for key, value in stack.items()}


@given(STACKS, st.sets(st.sampled_from(SECRETS)))
@settings(max_examples=300, deadline=None)
@example({"platform": "kubernetes", "builds": [7, {"args": {"": 1}}, {"context": {"git": {"ref": []}}}]}, set())
@example({"platform": "kubernetes", "registry": {"users": [{}, 7]}, "kubernetes": {"quota": {}}}, set())
@example({"platform": "kubernetes", "builds": [{"context": {"inline": {"[key]": 1, "a": "\ud800"}}}]}, set())
def test_any_stack_gives_settings_or_problems_and_never_an_exception(stack: dict[str, Any], clear: set[str]) -> None:
    found, problems = read(raw(stack), frozenset(SECRETS) - clear)
    assert problems or isinstance(found, Settings)
    for problem in problems:
        text = str(problem)
        assert text.startswith("ci:")
        assert "; " in text
    assert str(SettingsError("test", problems)).count("\n  - ") >= len(problems)


@given(st.sampled_from(SECRETS), st.text(st.characters(categories=["L", "N", "P"]), min_size=8, max_size=40))
@settings(max_examples=100, deadline=None)
def test_no_secret_is_ever_repeated(key: str, secret: str) -> None:
    for encrypted in (frozenset({key}), frozenset[str]()):
        _, problems = read({"platform": "kubernetes", key: secret}, encrypted)
        fixed = "".join(str(problem) for problem in read({"platform": "kubernetes", key: "x"}, encrypted)[1])
        assert secret not in "".join(map(str, problems)) or secret in fixed
