"""`pulumi-resource-docker`: containers, volumes, images and networks on a real Docker engine.

The plugin needs only the SDK's gRPC stubs. An engine waits for a plugin to print its port: `import pulumi` takes 0.2 s,
the stubs alone 0.02 s. So the packages that hold the stubs are registered here without their content, unless the whole
SDK is imported already.
"""

import importlib.util
import os
import sys
from types import ModuleType

# gRPC's fork handlers only cost time here: children are started with exec, never with a bare fork.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")


def _register_bare_packages() -> None:
    found = importlib.util.find_spec("pulumi")
    if found is None or not found.submodule_search_locations:
        raise SystemExit(f"the package `pulumi` is not installed for {sys.executable}: install requirements.txt there")
    root = next(iter(found.submodule_search_locations))
    for name in ("pulumi", "pulumi.runtime", "pulumi.runtime.proto"):
        module = ModuleType(name)
        module.__path__ = [os.path.join(root, *name.split(".")[1:])]
        sys.modules[name] = module


if "pulumi" not in sys.modules:
    _register_bare_packages()
