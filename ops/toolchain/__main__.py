"""`python -m ops.toolchain [PLUGIN ...]`: get the tool chain and a Docker engine ready, and say what is in use.

Without names it gets every plugin; `docker` alone spares the build of the Kubernetes plugin on a closed network.
"""

import sys

from ops.toolchain import console, docker_engine, plugins, toolchain
from ops.toolchain.console import OpsError

_names = sys.argv[1:]
_wanted = [provider for provider in plugins.PROVIDERS if not _names or provider.name in _names]
try:
    for _name, _part in toolchain.ensure(providers=_wanted).origin.items():
        console.note(f"{_name}: {_part.version}, {_part.kind}, {_part.path}")
    docker_engine.ensure()
except OpsError as trouble:
    console.note(f"error: {trouble}")
    sys.exit(trouble.code)
