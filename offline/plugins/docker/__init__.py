"""`pulumi-resource-docker`: containers, volumes, images and networks on a real Docker engine.

The plugin needs only the SDK's gRPC stubs. An engine waits for a plugin to print its port: `import pulumi` takes 0.2 s,
the stubs alone 0.02 s. So the packages that hold the stubs are registered here without their content, unless the whole
SDK is imported already.
"""

import importlib.util
import os
import sys
from types import ModuleType
from typing import Any

# gRPC's fork handlers only cost time here: children are started with exec, never with a bare fork.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")


if "pulumi" not in sys.modules:
    found: Any = importlib.util.find_spec("pulumi")
    for name in ("pulumi", "pulumi.runtime", "pulumi.runtime.proto"):
        module = sys.modules[name] = ModuleType(name)
        module.__path__ = [os.path.join(found.submodule_search_locations[0], *name.split(".")[1:])]
