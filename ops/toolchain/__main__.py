"""`python -m ops.toolchain [docker|kubernetes]`: get the tool chain and a Docker engine ready, say what is in use."""

import sys

from ops.toolchain import console, docker_engine, toolchain


def _get() -> None:
    for platform in sys.argv[1:] or toolchain.VERSIONS:
        for title, part in toolchain.ensure(platform).parts.items():
            console.note(f"{title}: {part.kind}, {part.where}")
    docker_engine.ensure()


console.run(_get)
