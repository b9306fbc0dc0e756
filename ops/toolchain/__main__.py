"""`python -m ops.toolchain [PLUGIN ...]`: get the tool chain and a Docker engine ready, and say what is in use.

Without names it gets every plugin; `docker` alone spares the build of the Kubernetes plugin on a closed network.
"""

import sys

from ops.toolchain import console, docker_engine, plugins, toolchain


def _get() -> None:
    names = sys.argv[1:]
    wanted = [provider for provider in plugins.PROVIDERS if not names or provider.name in names]
    for name, part in toolchain.ensure(providers=wanted).origin.items():
        console.note(f"{name}: {part.version}, {part.kind}, {part.path}")
    docker_engine.ensure()


console.run(_get)
