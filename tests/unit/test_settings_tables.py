"""What a stack may say, and what is answered to what it may not: the tables in tests/unit/settings."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.settings.load import read
from components.settings.model import SECRETS

TABLES = {path.stem: yaml.safe_load(path.read_text()) for path in Path(__file__).with_name("settings").glob("*.yaml")}
ROWS = [
    pytest.param({**table["base"], **keys}, found, id=f"{stack}: {name}")
    for stack, table in sorted(TABLES.items())
    for name, keys, found in table["rows"]
]


@pytest.mark.parametrize(("keys", "expected"), ROWS)
def test_a_stack_has_just_these_problems_and_shows_no_secret(keys: dict[str, Any], expected: dict[str, str]) -> None:
    written = {key: value for key, value in keys.items() if value is not None}
    raw = {key: value if isinstance(value, str) else json.dumps(value) for key, value in written.items()}
    settings, found = read(raw, frozenset(SECRETS))
    assert Counter((problem.key, problem.code) for problem in found) == Counter(
        (f"ci:{key}", code) for key, code in expected.items()
    )
    assert (settings is None) is bool(expected)
    # Where a row types a secret, it has this word in it.
    assert "hunter2" not in "".join(map(str, found))


def test_no_two_rows_of_a_table_have_one_name() -> None:
    for table in TABLES.values():
        names = [row[0] for row in table["rows"]]
        assert len(set(names)) == len(names)
