"""This project with the Kubernetes provider's default client settings, which allow 50 requests a second."""

import importlib
import runpy
import sys
from pathlib import Path

project = Path.cwd().with_name("ci")
sys.path.insert(0, str(project))
importlib.import_module("components.kubernetes.cluster").kubernetes.KubeClientSettingsArgs = lambda **_: None
runpy.run_path(str(project / "__main__.py"))
