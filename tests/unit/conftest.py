"""Compares each sentence of a refusal with the one that refusals.yaml has recorded for the test.

Record them again with `pytest tests/unit --update-registrations -n 0`, and read the diff.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.settings import NotAcceptedError, Problem

RECORDED = Path(__file__).with_name("refusals.yaml")
MODULES = {
    *("test_settings_tables", "test_settings", "test_cluster_settings", "test_cluster_preflight"),
    *("test_host_preflight", "test_jenkins_configuration", "test_engine_certificates", "test_cluster_context"),
}
"""The tests whose refusals are recorded."""

REFUSALS: dict[str, list[str]] = yaml.load(RECORDED.read_text(), yaml.CSafeLoader) if RECORDED.exists() else {}


def _noting(made: Any, texts: set[str]) -> Any:
    def noted(self: Any, *args: Any, **keys: Any) -> None:
        made(self, *args, **keys)
        texts.add(f"{self.code}: {getattr(self, 'key', '')} {self.wrong}; {self.instead}")

    return noted


@pytest.fixture(autouse=True)
def recorded_refusals(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a test fail that is refused in other words than are recorded for it."""
    module = request.node.module.__name__.rpartition(".")[2]
    if module not in MODULES:
        yield
        return
    texts: set[str] = set()
    # A field's own error is in the problem that it becomes; these modules also ask for such an error by itself.
    kinds: list[Any] = [
        Problem,
        *([NotAcceptedError] if module in {"test_cluster_context", "test_host_preflight"} else []),
    ]
    for kind in kinds:
        monkeypatch.setattr(kind, "__init__", _noting(kind.__init__, texts))
    yield
    if "tmp_path" in request.node.funcargs:
        # Folders, free ports, days and what OpenSSL says first differ in each run.
        differing = (r"\b[1-6]\d{4}\b", r"\d{4}-\d\d-\d\d", r"\((?:[^()]|\([^()]*\))*\)(?=;)")
        texts = {text.replace(str(request.node.funcargs["tmp_path"]), "(folder)") for text in texts}
        texts = {re.sub("|".join(differing), "(...)", text) for text in texts}
    name = f"{module}: {request.node.name}"
    if request.config.getoption("--update-registrations"):
        REFUSALS.pop(name, None)
        REFUSALS.update({name: sorted(texts)} if texts else {})
        RECORDED.write_text(yaml.dump(REFUSALS, Dumper=yaml.CSafeDumper, width=1_000_000, allow_unicode=True))
    else:
        assert sorted(texts) == REFUSALS.get(name, [])
