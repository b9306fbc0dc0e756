"""The Pulumi gRPC stubs, imported without the Pulumi SDK around them.

`import pulumi` takes about 0.3 s, and an engine waits for a plugin to print its port. The stubs alone take
0.02 s, so the three packages that hold them are registered here as bare namespaces. Nothing in a plugin's
own process needs more of the SDK than its protocol.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from types import ModuleType

# gRPC's fork handlers only cost time here: children are started with exec, never with a bare fork.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")


def _register_bare_packages() -> None:
    if "pulumi" in sys.modules:
        return
    found = importlib.util.find_spec("pulumi")
    if found is None or not found.submodule_search_locations:
        message = f"the package `pulumi` is not installed for {sys.executable}: install requirements.txt there"
        raise SystemExit(message)
    root = next(iter(found.submodule_search_locations))
    for name in ("pulumi", "pulumi.runtime", "pulumi.runtime.proto"):
        module = ModuleType(name)
        module.__path__ = [os.path.join(root, *name.split(".")[1:])]
        sys.modules[name] = module


_register_bare_packages()

import grpc  # type: ignore[import-untyped,unused-ignore]  # noqa: E402 (after the bare packages)
from google.protobuf import empty_pb2, struct_pb2  # type: ignore[import-untyped,unused-ignore]  # noqa: E402
from pulumi.runtime.proto import (  # noqa: E402
    engine_pb2,
    engine_pb2_grpc,
    language_pb2,
    language_pb2_grpc,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
    status_pb2,
)

__all__ = [
    "empty_pb2",
    "engine_pb2",
    "engine_pb2_grpc",
    "grpc",
    "language_pb2",
    "language_pb2_grpc",
    "plugin_pb2",
    "provider_pb2",
    "provider_pb2_grpc",
    "status_pb2",
    "struct_pb2",
]
