"""`python -m offline HOST IMAGE...`: put stand-in images on a Docker engine, made first where need be."""

import sys

from offline import images
from ops.toolchain import console

console.run(lambda: images.ensure(sys.argv[1], sys.argv[2:]))
