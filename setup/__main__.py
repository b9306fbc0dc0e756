"""`python -m setup [docker|kubernetes]`: get the tool chain and a Docker engine ready, say what is in use."""

import sys

from setup import console, toolchain
from setup import engine as local_engine


def _get() -> None:
    for platform in sys.argv[1:] or toolchain.VERSIONS:
        for title, (kind, where) in toolchain.ensure(platform).parts.items():
            console.note(f"{title}: {kind}, {where}")
    local_engine.ensure()


console.run(_get)
