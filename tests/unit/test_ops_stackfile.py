"""Laying stack files over each other: for any two of them, what is added comes back, and nothing else changes."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops import stackfile

# On a busy machine the first example takes seconds to draw.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.lists(st.integers(), max_size=3))
secrets = st.fixed_dictionaries({"secure": st.text(max_size=5)})
keys = st.sampled_from(["a", "b", "ci:docker", "secure", "encryptionsalt"])
files = st.dictionaries(
    keys,
    st.recursive(st.one_of(leaves, secrets), lambda inner: st.dictionaries(keys, inner, max_size=3), max_leaves=8),
    max_size=4,
)


@unhurried
@given(files, files)
def test_what_was_added_to_a_file_can_be_laid_on_it_again(base: dict[str, Any], over: dict[str, Any]) -> None:
    full = stackfile.merge(base, over)
    assert stackfile.merge(base, stackfile.added(base, full)) == full


@unhurried
@given(files)
def test_nothing_is_added_to_a_file_by_itself(base: dict[str, Any]) -> None:
    assert stackfile.added(base, base) == {}
    assert stackfile.merge(base, {}) == base
    assert stackfile.merge({}, base) == base


@unhurried
@given(files, files)
def test_the_files_that_are_merged_stay_as_they_are(base: dict[str, Any], over: dict[str, Any]) -> None:
    before = copy.deepcopy((base, over))
    stackfile.added(base, stackfile.merge(base, over))
    assert (base, over) == before


def test_sections_are_joined_and_lists_and_secrets_taken_whole() -> None:
    base = {"config": {"ci:jenkins": {"httpPort": 1, "image": "a"}, "ci:jobs": [1, 2], "k": {"secure": "old"}}}
    over = {"config": {"ci:jenkins": {"httpPort": 2}, "ci:jobs": [3], "k": {"secure": "new"}}}
    assert stackfile.merge(base, over) == {
        "config": {"ci:jenkins": {"httpPort": 2, "image": "a"}, "ci:jobs": [3], "k": {"secure": "new"}}
    }


def test_a_setting_is_found_by_its_path_or_has_its_default() -> None:
    config = {"config": {"ci:docker": {"host": "x"}, "ci:platform": "docker"}}
    assert stackfile.setting(config, "ci:docker", "host") == "x"
    assert stackfile.setting(config, "ci:platform") == "docker"
    assert stackfile.setting(config, "ci:platform", "host", default="y") == "y"
    assert stackfile.setting({"config": None}, "ci:docker", "host", default="y") == "y"
