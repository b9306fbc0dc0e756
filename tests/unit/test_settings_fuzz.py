"""Whatever a stack holds, it is taken or refused in words."""

import json
from collections.abc import Iterator
from typing import Any, get_args

from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from components.settings import SettingsError
from components.settings.load import read
from components.settings.model import SECRETS, Settings
from tests.support.kubernetes_stack import HASH, INLINE, PEM_KEY

TEXTS = ["ci", "socket", "x:1", "ghcr.io/x/y:1", "10.0.0.0/8", "registry:3.1.2", "@daily", "gitToken", HASH]
ADDRESSES = ["https://git.example.org/x.git", "ssh://git@git.example.org/x.git", "tcp://a.example.org:2376"]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.text(st.characters(categories=["Cs", "Cc", "Lu"]), max_size=3),
    st.sampled_from([*TEXTS, *ADDRESSES]),
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=5,
)


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models(part)


def section(model: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
    """Maps that mostly have the section's own keys, and sections under the keys that hold sections."""
    fields = {str(field.alias): value(field.annotation) for field in model.model_fields.values()}
    own = st.fixed_dictionaries({}, optional=fields)
    return st.builds(lambda known, more: known | more, own, st.dictionaries(st.text(max_size=6), ANYTHING, max_size=1))


def value(annotation: Any) -> st.SearchStrategy[Any]:
    inner = [each for model in models(annotation) for each in (section(model), st.lists(section(model), max_size=2))]
    return st.one_of(*inner, ANYTHING)


SECTIONS = st.one_of(
    [
        st.fixed_dictionaries({str(field.alias or name): value(field.annotation)})
        for name, field in Settings.model_fields.items()
    ]
)
BUILDS = st.lists(st.just({"name": "a", "context": INLINE}), max_size=1)
STACKS = st.builds(
    lambda *parts: {key: value for part in parts for key, value in part.items()},
    SECTIONS,
    SECTIONS,
    st.fixed_dictionaries({"platform": st.sampled_from(["docker", "kubernetes", "kubernetes", "x"])}),
    st.fixed_dictionaries({}, optional={"builds": BUILDS, "registry": st.just({"plainHttp": True})}),
    st.fixed_dictionaries({key: st.sampled_from(["", "correct-horse-battery", PEM_KEY, "{}"]) for key in SECRETS}),
    st.fixed_dictionaries({}, optional={key: st.text(max_size=90) for key in SECRETS}),
)


@given(STACKS, st.sets(st.sampled_from(SECRETS)))
@settings(max_examples=200, deadline=None)
@example({"platform": "docker", "jobs": [{"name": "?"}, 7, {"name": "a", "script": 1}]}, set())
@example({"platform": "docker", "jenkins": {"plugins": [1, "x", None]}}, set())
@example({"platform": "kubernetes", "builds": [7, {"args": {"": 1}}, {"context": {"git": {"ref": []}}}]}, set())
@example({"platform": "kubernetes", "registry": {"users": [{}, 7]}, "kubernetes": {"quota": {}}}, set())
@example({"platform": "kubernetes", "builds": [{"context": {"inline": {"[key]": 1, "a": "\ud800"}}}]}, set())
def test_any_stack_gives_settings_or_problems_and_never_an_exception(stack: dict[str, Any], clear: set[str]) -> None:
    plain = {"platform", *SECRETS}
    raw = {key: value if key in plain else json.dumps(value) for key, value in stack.items()}
    found, problems = read(raw, frozenset(SECRETS) - clear)
    assert problems or isinstance(found, Settings)
    for problem in problems:
        assert problem.key.startswith("ci:")
        assert problem.code
        assert problem.instead
    assert str(SettingsError("test", problems)).startswith("the settings of stack 'test'")


@given(st.sampled_from(SECRETS), st.text(st.characters(categories=["L", "N", "P", "Cc"]), min_size=7, max_size=40))
@example("registryPassword", "7777777")
@example("adminPassword", "Jenkins")
@settings(max_examples=100, deadline=None)
def test_no_secret_is_ever_repeated(key: str, secret: str) -> None:
    for platform in ("docker", "kubernetes"):
        for encrypted in (frozenset({key}), frozenset[str]()):
            # What a message says whatever the value is repeats nothing: "Jenkins", for example.
            others = [read({"platform": platform, key: text}, encrypted)[1] for text in ("x", '{"auths": "x"}')]
            fixed = "".join(str(problem) for found in others for problem in found)
            for written in (secret, json.dumps({"auths": secret}, ensure_ascii=False)):
                _, problems = read({"platform": platform, key: written}, encrypted)
                assert secret not in "".join(map(str, problems)) or secret in fixed
