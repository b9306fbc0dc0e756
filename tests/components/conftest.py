"""Every claim is looked at in both modes."""

import pytest

from components.docker import host
from tests.support.engine import Engine, set_config


@pytest.fixture(autouse=True)
def _platform(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no component ask this machine's engine what it runs on."""
    monkeypatch.setattr(host, "platform", lambda _: "linux/arm64")


@pytest.fixture(params=[False, True], ids=["update", "preview"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Give an engine without config, once for an update and once for a preview."""
    set_config({})
    return Engine(preview=request.param)
