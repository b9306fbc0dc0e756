"""`python -m offline.kubernetes`: build the provider if need be, and print its path."""

import sys

from offline import kubernetes
from ops.toolchain import console
from ops.toolchain.console import OpsError

try:
    sys.stdout.write(f"{kubernetes.ensure()}\n")
except OpsError as trouble:
    console.note(f"error: {trouble}")
    sys.exit(trouble.code)
