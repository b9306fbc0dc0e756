"""`python -m ops.toolchain [docker|kubernetes]`: get the tool chain and a Docker engine ready, say what is in use."""

import sys

from ops.toolchain import console, docker_engine, toolchain


def _get() -> None:
    for name in sys.argv[1:] or [*toolchain.PROVIDERS]:
        for title, part in toolchain.ensure(toolchain.PROVIDERS[name]).origin.items():
            console.note(f"{title}: {part.version}, {part.kind}, {part.path}")
    docker_engine.ensure()


console.run(_get)
