"""Every claim is looked at in both modes."""

import pytest

from tests.support.engine import Engine, set_config


@pytest.fixture(params=[False, True], ids=["update", "preview"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Give an engine without config, once for an update and once for a preview."""
    set_config({})
    return Engine(preview=request.param)
