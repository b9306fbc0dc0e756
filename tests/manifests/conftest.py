"""Every stack whose manifests are judged."""

import pytest

from tests.support import manifests
from tests.support.manifests import Stack


@pytest.fixture(scope="session")
def stacks() -> dict[str, Stack]:
    """Give every stack of `manifests.ALL` by its name."""
    return manifests.every_stack()
