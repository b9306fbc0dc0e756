"""The official client's kubeconfig loader, imported without the 700 models of the package around it.

`import kubernetes` takes 1.2 s and 49 MB, nearly all of it for what nothing here needs: objects are plain
dictionaries, and what there is to know of their kinds is the API server's to say. So the packages around the loader
are registered as bare namespaces.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import threading
from types import ModuleType
from typing import Any

_lock = threading.Lock()
_BARE = ("kubernetes", "kubernetes.client", "kubernetes.config")


def _register_bare_packages() -> None:
    if "kubernetes" in sys.modules:
        return
    found = importlib.util.find_spec("kubernetes")
    if found is None or not found.submodule_search_locations:
        message = f"the package `kubernetes` is not installed for {sys.executable}: install requirements.txt there"
        raise SystemExit(message)
    root = next(iter(found.submodule_search_locations))
    for name in _BARE:
        module = ModuleType(name)
        module.__path__ = [os.path.join(root, *name.split(".")[1:])]
        sys.modules[name] = module
    client: Any = sys.modules["kubernetes.client"]
    # The two names that the loader takes from its package; it makes an ApiClient only to renew an OpenID token.
    client.Configuration = importlib.import_module("kubernetes.client.configuration").Configuration
    client.ApiClient = _api_client


def _api_client(**named: Any) -> Any:
    return importlib.import_module("kubernetes.client.api_client").ApiClient(**named)


def load() -> tuple[Any, Any, Any]:
    """Import what is needed: the modules `client.configuration`, `config.kube_config` and `config.incluster_config`.

    Raises:
        SystemExit: the package is not installed.
    """
    with _lock:
        _register_bare_packages()
        names = ("client.configuration", "config.kube_config", "config.incluster_config")
        configuration, kube_config, in_cluster = (importlib.import_module(f"kubernetes.{name}") for name in names)
        return configuration, kube_config, in_cluster
