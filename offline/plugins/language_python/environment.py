"""Which Python runs a project, and which packages it has: the runtime options of Pulumi.yaml."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..rpc import PluginError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TOOLCHAINS = ("pip", "uv")
_KNOWN_OPTIONS = ("virtualenv", "toolchain")
_VERSION = re.compile(r"(?P<release>\d+(?:\.\d+)*)(?:(?P<phase>a|b|rc)(?P<number>\d+))?")
_PHASES = {"a": "alpha", "b": "beta", "rc": "rc"}


@dataclass(frozen=True)
class Environment:
    """The Python of one project.

    Attributes:
        python: the interpreter's path.
        virtualenv: the virtual environment's folder, or None for the Python on PATH.
        toolchain: "pip" or "uv".
    """

    python: Path
    virtualenv: Path | None
    toolchain: str

    def variables(self) -> dict[str, str]:
        """Give the process environment in which this Python and its programs are found first."""
        env = dict(os.environ)
        if self.virtualenv is not None:
            env["VIRTUAL_ENV"] = str(self.virtualenv)
            env["PATH"] = f"{self.virtualenv / 'bin'}{os.pathsep}{env.get('PATH', '')}"
            env.pop("PYTHONHOME", None)
        return env

    def site_packages(self) -> list[str]:
        """Give the folders that hold this Python's packages."""
        if self.virtualenv is not None:
            return sorted(str(path) for path in self.virtualenv.glob("lib*/python3*/site-packages"))
        command = "import json, sys; print(json.dumps([p for p in sys.path if p]))"
        listed = subprocess.run([self.python, "-c", command], capture_output=True, text=True, check=True)
        paths = json.loads(listed.stdout)
        return [str(path) for path in paths]

    def require(self) -> None:
        """Fail with what to do when the virtual environment has no Python."""
        if not self.python.exists():
            raise PluginError(
                f"the 'virtualenv' option in Pulumi.yaml is set to {str(self.virtualenv)!r}, "
                f"but there is no {self.python}: make it with `pulumi install`"
            )


def resolve(root: str, options: Mapping[str, Any]) -> Environment:
    """Read the options under `runtime:` in Pulumi.yaml.

    Args:
        root: the folder of Pulumi.yaml; a relative virtualenv is relative to it.
        options: `virtualenv` (a folder) and `toolchain` ("pip" or "uv"); any other is refused.

    Raises:
        PluginError: an option this plugin does not implement, or a value of the wrong type.
    """
    for key in options:
        if key not in _KNOWN_OPTIONS:
            raise PluginError(
                f"runtime option `{key}` in Pulumi.yaml is not implemented by the bundled Python language host; "
                f"it knows {', '.join(_KNOWN_OPTIONS)}: remove `{key}`, or use the official pulumi-language-python"
            )
        if not isinstance(options[key], str):
            raise PluginError(f"runtime option `{key}` in Pulumi.yaml must be a string")
    toolchain = options.get("toolchain") or "pip"
    if toolchain not in TOOLCHAINS:
        raise PluginError(
            f"runtime option `toolchain: {toolchain}` in Pulumi.yaml is not implemented by the bundled Python "
            f"language host; it knows {', '.join(TOOLCHAINS)}"
        )
    folder = options.get("virtualenv") or (".venv" if toolchain == "uv" else "")
    if folder:
        virtualenv = Path(root, folder)
        return Environment(virtualenv / "bin" / "python", virtualenv, toolchain)
    wanted = os.environ.get("PULUMI_PYTHON_CMD", "")
    for name in (wanted,) if wanted else ("python3", "python"):
        path = shutil.which(name)
        if path:
            return Environment(Path(path), None, toolchain)
    raise PluginError("no Python on PATH: set `virtualenv` under runtime.options in Pulumi.yaml")


def plugin_version(version: str) -> str | None:
    """Turn a Python package's version into its plugin's: "5.2.0" or "1.0rc1" -> "v1.0.0-rc.1", else None."""
    match = _VERSION.fullmatch(version)
    if match is None:
        return None
    numbers = [*match["release"].split("."), "0", "0"][: max(3, match["release"].count(".") + 1)]
    text = "v" + ".".join(numbers)
    return f"{text}-{_PHASES[match['phase']]}.{match['number']}" if match["phase"] else text


def required_plugins(environment: Environment) -> Iterator[tuple[str, str, str]]:
    """Yield (name, version with "v", download server or "") of each resource plugin the packages ask for."""
    seen: set[str] = set()
    for folder in environment.site_packages():
        for found in sorted(Path(folder).glob("*/pulumi-plugin.json")):
            described = json.loads(found.read_text(encoding="utf-8"))
            name = str(described.get("name") or found.parent.name.removeprefix("pulumi_").replace("_", "-"))
            version = str(described.get("version") or "")
            if not version:
                distribution = found.parent.name.replace("_", "-")
                version = plugin_version(metadata.version(distribution)) or ""
            if not described.get("resource") or not version or name in seen:
                continue
            seen.add(name)
            yield name, version if version.startswith("v") else f"v{version}", str(described.get("server") or "")


def dependencies(environment: Environment, *, transitive: bool) -> list[tuple[str, str]]:
    """List (name, version) of the installed packages; without `transitive`, those no other one requires."""
    found: dict[str, tuple[str, str]] = {}
    required: set[str] = set()
    for distribution in metadata.distributions(path=environment.site_packages()):
        name = distribution.metadata["Name"]
        found.setdefault(_canonical(name), (name, distribution.version))
        for requirement in distribution.requires or ():
            if "extra ==" not in requirement:
                required.add(_canonical(re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]))
    return sorted(pair for key, pair in found.items() if transitive or key not in required)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def install_commands(environment: Environment, directory: Path) -> list[list[str]]:
    """Give the commands that make the project's virtual environment and install its requirements.txt."""
    requirements = directory / "requirements.txt"
    commands: list[list[str]] = []
    fresh = environment.virtualenv is not None and not environment.python.exists()
    if environment.toolchain == "uv":
        if fresh:
            commands.append(["uv", "venv", str(environment.virtualenv)])
        if requirements.exists():
            target = ["--python", str(environment.python)]
            commands.append(["uv", "pip", "install", *target, "-r", str(requirements)])
        return commands
    if fresh:
        ambient = shutil.which("python3") or "python3"
        commands.append([ambient, "-m", "venv", str(environment.virtualenv)])
    if requirements.exists():
        commands.append([str(environment.python), "-m", "pip", "install", "-r", str(requirements)])
    return commands
