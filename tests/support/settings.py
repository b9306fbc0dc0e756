"""Settings for tests: a stack that is right, and how to change one thing about it."""

import json
from collections.abc import Sequence
from typing import Any

from components.settings import Problem, Settings
from components.settings.load import read

PASSWORD = "correct-horse-battery"
"""Made up here and used nowhere else."""


def raw(**keys: Any) -> dict[str, str]:
    """Give config as the engine hands it over: text as it is, everything else as JSON. None leaves a key out."""
    values: dict[str, Any] = {
        "platform": "docker",
        "docker": {"acceptRootOnHost": True, "socketGroup": 998},
        "adminPassword": PASSWORD,
        **keys,
    }
    return {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in values.items()
        if value is not None
    }


def settings(**keys: Any) -> Settings:
    """Give the settings of a stack that has these keys; fails the test where they are wrong."""
    found, problems = read(raw(**keys), frozenset({"adminPassword", "gitToken"}))
    assert not problems, problems
    assert found is not None
    return found


def problems(*, secret: Sequence[str] = ("adminPassword", "gitToken"), **keys: Any) -> list[Problem]:
    """Give what is wrong with a stack that has these keys."""
    return list(read(raw(**keys), frozenset(secret))[1])


def jenkins(**keys: Any) -> Settings:
    """Give the settings of a stack with these keys under ci:jenkins."""
    return settings(jenkins=keys)
