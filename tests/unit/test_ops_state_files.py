"""A state that a killed Pulumi left unreadable: what is mended, what is put back, and what is never touched."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ops import state_files
from ops.clone import Clone

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = json.dumps({"version": 3, "checkpoint": {"stack": "organization/ci/dev"}})
ATTRIBUTES = json.dumps({"user.content_type": "text/plain"})


@pytest.fixture(params=["clone", "locks"])
def clone(tmp_path: Path, request: pytest.FixtureRequest) -> Clone:
    """A clone, also in a folder that is called as one of the backend's is."""
    root = tmp_path / str(request.param)
    root.mkdir()
    (root / "Pulumi.yaml").write_text("name: ci\nstackConfigDir: stacks\n")
    made = Clone(root)
    state = made.state_file("dev")
    state.parent.mkdir(parents=True)
    for name in ("dev.json", "dev.json.bak", "dev2.json"):
        (state.parent / name).write_text(WHOLE)
        (state.parent / f"{name}.attrs").write_text(ATTRIBUTES)
    return made


def content(clone: Clone) -> dict[str, str]:
    return {str(path.relative_to(clone.state)): path.read_text() for path in clone.state.rglob("*") if path.is_file()}


def test_a_state_that_is_in_order_is_left_as_it_is(clone: Clone) -> None:
    before = content(clone)
    assert not state_files.broken(clone, "dev")
    assert state_files.mend(clone, "dev") == []
    assert content(clone) == before


@pytest.mark.parametrize("left", ["", '{"user.con'])
def test_half_written_attributes_are_removed_and_the_state_beside_them_kept(clone: Clone, left: str) -> None:
    attributes = clone.state_file("dev").with_name("dev.json.attrs")
    attributes.write_text(left)
    assert state_files.broken(clone, "dev")
    [said] = state_files.mend(clone, "dev")
    assert said == "removed 1 half-written files of attributes beside the state"
    assert not attributes.exists()
    assert clone.state_file("dev").read_text() == WHOLE
    assert not state_files.broken(clone, "dev")


def test_another_stacks_files_are_none_of_this_ones(clone: Clone) -> None:
    other = clone.state_file("dev2").with_name("dev2.json.attrs")
    other.write_text("")
    assert not state_files.broken(clone, "dev")
    state_files.mend(clone, "dev")
    assert other.exists()


def test_a_state_cut_short_is_put_back_from_the_step_before_and_kept_aside(clone: Clone) -> None:
    clone.state_file("dev").write_text(WHOLE[:20])
    assert state_files.broken(clone, "dev")
    [said] = state_files.mend(clone, "dev")
    assert "dev.json.broken" in said
    assert clone.state_file("dev").read_text() == WHOLE
    assert clone.state_file("dev").with_name("dev.json.broken").read_text() == WHOLE[:20]


def test_a_state_without_a_good_copy_is_left_for_a_person(clone: Clone) -> None:
    clone.state_file("dev").write_text("{")
    clone.state_file("dev").with_name("dev.json.bak").write_text("{")
    assert state_files.mend(clone, "dev") == []
    assert clone.state_file("dev").read_text() == "{"
    assert state_files.broken(clone, "dev")


def test_what_was_being_written_is_removed_and_an_unreadable_lock_too(clone: Clone) -> None:
    unfinished = clone.state_file("dev").with_name("dev.json.18eadbf8767cba2e.tmp")
    unfinished.write_text("{")
    locks = clone.state / ".pulumi/locks/organization/ci/dev"
    locks.mkdir(parents=True)
    (locks / "bad.json").write_text("")
    (locks / "good.json").write_text('{"pid": 7}')
    state_files.mend(clone, "dev")
    assert not unfinished.exists()
    assert [path.name for path in locks.iterdir()] == ["good.json"], "a lock is taken away by Pulumi's own cancel"
