"""`python -m ops.toolchain`: get the tool chain and a Docker engine ready, and say what is in use."""

import sys

from ops.toolchain import console, docker_engine, toolchain
from ops.toolchain.errors import Trouble

try:
    for _name, _part in toolchain.ensure().origin.items():
        console.note(f"{_name}: {_part.version}, {_part.kind}, {_part.path}")
    docker_engine.ensure()
except Trouble as trouble:
    console.note(f"error: {trouble}")
    sys.exit(trouble.code)
