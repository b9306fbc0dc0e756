"""Each edit of a property does what it does with the official plugin: replace, update, or nothing.

All edits are previewed in one run: one resource per edit. The containers are made, never started.
"""

from typing import Any

import pytest
import yaml

from tests.parity.support import HERE, Entry, Stack, container, labels

EDITS: list[list[Any]] = yaml.safe_load((HERE / "edits.yaml").read_text())
NAMES = [f"{number}-{kind}-{name}" for number, (_, kind, name, *_) in enumerate(EDITS)]
FIXED = {"start": False, "must_run": False, "memory": 64, "memory_swap": 64, "log_driver": "json-file"}


def _entry(unique: str, image: str, name: str, edit: list[Any], *, after: bool) -> Entry:
    _, kind, edited, old, new = edit
    value = new if after else old
    if edited == "labels" and value is not None:
        value = labels(**value)
    props = {"name": image if kind == "RemoteImage" else f"{unique}-{name}", edited: value}
    if kind == "Container":
        return container(name, image, **{**FIXED, **props})
    return {"type": kind, "name": name, "props": props}


@pytest.fixture(scope="module")
def edited(stack: Stack, image: str, unique: str) -> dict[str, str]:
    """What a preview says to each edit that changes something."""
    before, then = (
        [_entry(unique, image, name, edit, after=after) for name, edit in zip(NAMES, EDITS, strict=True)]
        for after in (False, True)
    )
    stack.declare(*before)
    stack.up()
    stack.declare(*then)
    return stack.changes()


@pytest.mark.parametrize(("name", "edit"), list(zip(NAMES, EDITS, strict=True)), ids=NAMES)
def test_an_edit_does_what_the_official_plugin_does(edited: dict[str, str], name: str, edit: list[Any]) -> None:
    assert edited.get(name, "same") == edit[0]
