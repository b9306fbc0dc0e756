"""`python -m offline HOST IMAGE...`: put stand-in images on a Docker engine, made first where need be."""

import sys

from offline import images
from ops.toolchain import console
from ops.toolchain.console import OpsError

try:
    images.ensure(sys.argv[1], sys.argv[2:])
except OpsError as error:
    console.note(f"error: {error}")
    sys.exit(error.code)
