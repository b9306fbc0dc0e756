"""`python -m ops.toolchain [docker|kubernetes]`: get the tool chain and a Docker engine ready, say what is in use."""

import sys

from ops import engine
from ops.toolchain import console, toolchain


def _get() -> None:
    for platform in sys.argv[1:] or toolchain.VERSIONS:
        for title, (kind, where) in toolchain.ensure(platform).parts.items():
            console.note(f"{title}: {kind}, {where}")
    engine.ensure()


console.run(_get)
