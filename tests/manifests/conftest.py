"""Every stack whose manifests are judged."""

import pytest

from tests.manifests.stacks import COMMITTED
from tests.support import manifests
from tests.support.manifests import Stack


@pytest.fixture(scope="session")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stack]:
    """Give every stack of `stacks.ALL` by its name."""
    folder = tmp_path_factory.mktemp("certificates")
    rendered = [manifests.committed(name) for name in COMMITTED]
    rendered += [*manifests.everything(folder), manifests.render("least", **manifests.LEAST)]
    rendered += [manifests.render("every builder", **manifests.EVERY_BUILDER)]
    return {stack.name: stack for stack in rendered}
