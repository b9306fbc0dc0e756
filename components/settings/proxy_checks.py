"""What must hold between the settings of the proxy, and between them and other keys."""

import re
from collections.abc import Iterator
from typing import Final

from components.settings.model import Settings
from components.settings.problems import Problem, duplicate

_OLDEST_HAPROXY: Final = (3, 0)
"""The first that lets `docker exec` take its connection over, beside late releases of 2.x. Source: the issue 2684 of
haproxy/haproxy."""


def between(settings: Settings) -> Iterator[Problem]:
    """Give every problem of a stack whose access is the proxy."""
    proxy = settings.docker.proxy
    if settings.docker.access != "proxy":
        return
    found = re.search(r"(?:^|/)haproxy:(\d+)\.(\d+)", proxy.image)
    if found and (int(found[1]), int(found[2])) < _OLDEST_HAPROXY:
        yield Problem(
            key="ci:docker.proxy.image",
            value=proxy.image,
            code="too_old",
            wrong='is too old: through it `docker exec` ends with "unable to upgrade to tcp"',
            instead=f"give {'.'.join(map(str, _OLDEST_HAPROXY))} or newer, for example haproxy:3.2.21-alpine",
        )
    # The volume with the proxy's socket has the container's name.
    taken = {"containerName": settings.jenkins.container_name, "homeVolume": settings.jenkins.home_volume}
    for key, name in taken.items():
        if proxy.container_name == name:
            instead = "give each its own, for example jenkins-docker-proxy"
            yield duplicate("ci:docker.proxy.containerName", proxy.container_name, f"ci:jenkins.{key}", instead)
