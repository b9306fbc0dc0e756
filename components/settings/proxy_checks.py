"""What must hold between the settings of the proxy, and between them and other keys."""

import re
from collections.abc import Iterator
from typing import Final

from components.settings.model import DockerSettings
from components.settings.problems import Problem

_OLDEST_HAPROXY: Final = (3, 0)
"""The first that lets `docker exec` take its connection over, with some late releases of 2.x. Source: haproxy #2684."""


def between(docker: DockerSettings) -> Iterator[Problem]:
    """Give every problem of a stack whose access is the proxy."""
    found = re.search(r"(?:^|/)haproxy:(\d+)\.(\d+)", docker.proxy.image)
    if found and (int(found[1]), int(found[2])) < _OLDEST_HAPROXY:
        yield Problem(
            key="ci:docker.proxy.image",
            value=docker.proxy.image,
            wrong='is too old: through it `docker exec` ends with "unable to upgrade to tcp"',
            instead=f"give {'.'.join(map(str, _OLDEST_HAPROXY))} or newer, for example haproxy:3.2.21-alpine",
        )
