"""Puts the bundled plugins where the Pulumi CLI finds them.

Each becomes a thin launcher plus a copy of this package beside it, run by a given Python: it works from any folder,
and without the clone it came from. The Python has the project's requirements; links in its path are kept, so that it
stays the virtual environment's own. OSError is raised where a folder can't be written.
"""

import compileall
import os
import shutil
from pathlib import Path

_SOURCES = Path(__file__).resolve().parent
_PACKAGE = "bundled_plugins"
_LAUNCHER = """#!/bin/sh
exec '{python}' -I '{code}' "$@"
"""


def install(launcher: Path, module: str, python: Path) -> None:
    """Install the plugin of a module of this package under a path."""
    code = launcher.resolve().with_name(f".{launcher.name}")
    shutil.copytree(_SOURCES, code / _PACKAGE, ignore=shutil.ignore_patterns("__pycache__", Path(__file__).name))
    (code / "__main__.py").write_text(f"from {_PACKAGE}.{module} import main\n\nmain()\n")
    # The folder may be read-only for the one who runs it: compile once, here.
    compileall.compile_dir(code, quiet=1)
    launcher.write_text(_LAUNCHER.format(python=os.path.abspath(python), code=code))
    launcher.chmod(0o755)
