"""Puts the bundled plugins where the Pulumi CLI finds them.

Each becomes a thin launcher plus a copy of this package beside it, run by a given Python: it works from any folder,
and without the clone it came from.
"""

from __future__ import annotations

import compileall
import os
import shutil
from pathlib import Path

from ops.toolchain import pins

_SOURCES = Path(__file__).resolve().parent
_PACKAGE = "bundled_plugins"
_LAUNCHER = """#!/bin/sh
exec '{python}' -I '{code}' "$@"
"""


def install(*, plugins_home: Path, bin_dir: Path, python: Path) -> None:
    """Install every bundled plugin where there is none yet.

    Args:
        plugins_home: the CLI's folder of plugins, `$PULUMI_HOME/plugins`.
        bin_dir: the folder of the `pulumi` executable itself (a link to it elsewhere makes the CLI warn that it takes
            the language host from PATH).
        python: an interpreter that has the project's requirements; used by absolute path, links kept, so that it stays
            the virtual environment's own.

    Raises:
        OSError: a folder cannot be written.
    """
    _install(bin_dir, "pulumi-language-python", "language", python)
    folder = plugins_home / f"resource-docker-v{pins.DOCKER_PLUGIN_VERSION}"
    _install(folder, "pulumi-resource-docker", "docker.provider", python)


def _install(folder: Path, name: str, module: str, python: Path) -> None:
    code = folder.resolve() / f".{name}"
    shutil.copytree(_SOURCES, code / _PACKAGE, ignore=shutil.ignore_patterns("__pycache__", Path(__file__).name))
    (code / "__main__.py").write_text(f"from {_PACKAGE}.{module} import main\n\nmain()\n")
    # The folder may be read-only for the one who runs it: compile once, here.
    compileall.compile_dir(code, quiet=1)
    launcher = folder / name
    launcher.write_text(_LAUNCHER.format(python=os.path.abspath(python), code=code))
    launcher.chmod(0o755)
