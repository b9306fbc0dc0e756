"""Settings for tests: a stack that is right, and how to change one thing about it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from components import labels
from components.settings import Problem, Settings
from components.settings.load import read
from components.settings.model import SECRETS

PASSWORD = "correct-horse-battery"
"""Made up here and used nowhere else."""

RUNNER_TOKEN = "glrt-made-up_0123456789-abc"
"""Likewise, in the form of a GitLab Runner's authentication token."""

RUNNER = {"url": "https://gitlab.example.org"}
"""All that a GitLab Runner has to be told, beside its token."""


ON_DOCKER: Mapping[str, Any] = {
    "platform": "docker",
    "docker": {"acceptRootOnHost": True, "socketGroup": 998},
    "adminPassword": PASSWORD,
}
"""The least that a stack with Jenkins has. `kubernetes_stack` has the same functions with another base."""


def raw(*, base: Any = ON_DOCKER, **keys: Any) -> dict[str, str]:
    """Give config as the engine hands it over: text as it is, everything else as JSON. None leaves a key out."""
    return {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in {**base, **keys}.items()
        if value is not None
    }


def settings(*, base: Any = ON_DOCKER, **keys: Any) -> Settings:
    """Give the settings of a stack that has these keys; fails the test where they are wrong."""
    found, problems = read(raw(base=base, **keys), frozenset(SECRETS))
    assert not problems, problems
    assert found is not None
    return found


def problems(*, base: Any = ON_DOCKER, secret: Sequence[str] = SECRETS, **keys: Any) -> list[Problem]:
    """Give what is wrong with a stack that has these keys."""
    return list(read(raw(base=base, **keys), frozenset(secret))[1])


def refused(*, base: Any = ON_DOCKER, **keys: Any) -> list[tuple[str, str]]:
    """Return the key and the code of each problem of a stack that has these keys."""
    return [(problem.key, problem.code) for problem in problems(base=base, **keys)]


def docker_labels(stack: str = "test") -> list[dict[str, str]]:
    """Return the labels of what a stack makes on a Docker host, as the plugin has them."""
    return [{"label": label, "value": value} for label, value in sorted(labels.of("ci", stack).items())]


def jenkins(**keys: Any) -> Settings:
    """Give the settings of a stack with these keys under ci:jenkins."""
    return settings(jenkins=keys)


TLS_KEY = "-----BEGIN PRIVATE KEY-----\nno real one\n-----END PRIVATE KEY-----\n"
"""Looks enough like a key for the settings; no certificate has it."""

TCP = {
    "acceptRootOnHost": True,
    "access": "tcp",
    "tcp": {"host": "tcp://builder.example.org:2376", "caFile": "ca.pem", "certificateFile": "cert.pem"},
}
"""`ci:docker` of a stack whose jobs use an engine elsewhere; it needs `tcpTlsKey` beside it."""
