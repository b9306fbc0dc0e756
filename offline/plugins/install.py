"""Puts the bundled plugins where the Pulumi CLI finds them.

Each plugin becomes a thin launcher plus a copy of this package beside it, run by a given Python: it works
from any directory, and without the clone it came from.
"""

from __future__ import annotations

import compileall
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

_SOURCES = Path(__file__).resolve().parent
# The version that the project's pulumi-docker package asks for.
DOCKER_VERSION = "5.2.0"
_PACKAGE = "bundled_plugins"
_ENTRY = """from {package}.{module} import main

main()
"""
_LAUNCHER = """#!/bin/sh
exec '{python}' -I '{code}' "$@"
"""


def fingerprint() -> str:
    """Hash the sources of the plugins: 12 hexadecimal digits that change when any of them does."""
    digest = hashlib.sha256()
    for path in _sources():
        digest.update(str(path.relative_to(_SOURCES)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def install(*, plugins_home: Path, bin_dir: Path, python: Path) -> None:
    """Install every bundled plugin; running it again brings the copies up to date.

    Args:
        plugins_home: the CLI's folder of plugins, `$PULUMI_HOME/plugins`.
        bin_dir: the folder of the `pulumi` executable itself (a link to it elsewhere makes the CLI warn that
            it takes the language host from PATH).
        python: an interpreter that has the project's requirements; used by absolute path, links kept, so that
            it stays the virtual environment's own.

    Raises:
        OSError: a folder cannot be written.
    """
    interpreter = Path(os.path.abspath(python))
    _install(bin_dir, "pulumi-language-python", "language", interpreter)
    folder = plugins_home / f"resource-docker-v{DOCKER_VERSION}"
    _install(folder, "pulumi-resource-docker", "docker.provider", interpreter)


def _sources() -> list[Path]:
    return sorted(path for path in _SOURCES.rglob("*.py") if "__pycache__" not in path.parts)


def _install(folder: Path, name: str, module: str, python: Path) -> None:
    """Write the code, then the launcher: whoever finds a launcher finds its code."""
    folder.mkdir(parents=True, exist_ok=True)
    code = folder.resolve() / f".{name}-{fingerprint()}"
    if not code.exists():
        _write_code(code, module)
    launcher = folder / name
    with tempfile.NamedTemporaryFile("w", dir=folder, prefix=f".{name}.", delete=False) as fresh:
        fresh.write(_LAUNCHER.format(python=python, code=code))
    Path(fresh.name).chmod(0o755)
    Path(fresh.name).replace(launcher)
    for old in folder.glob(f".{name}-*"):
        if old.name != code.name:
            shutil.rmtree(old, ignore_errors=True)


def _write_code(code: Path, module: str) -> None:
    fresh = Path(tempfile.mkdtemp(dir=code.parent, prefix=".partial-"))
    for source in _sources():
        copy = fresh / _PACKAGE / source.relative_to(_SOURCES)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
    (fresh / "__main__.py").write_text(_ENTRY.format(package=_PACKAGE, module=module), encoding="utf-8")
    # The folder may be read-only for the one who runs it: compile once, here.
    compileall.compile_dir(fresh, quiet=1)
    fresh.chmod(0o755)
    try:
        fresh.rename(code)
    except OSError:
        if not code.exists():
            raise
        shutil.rmtree(fresh)  # another install was faster; its copy is the same
