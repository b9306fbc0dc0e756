"""The language host and the Docker provider plugin: the official ones if they can be had, else the bundled ones."""

# ruff: noqa: PLC0415 - imported late: what a quiet `make up` does not need is not to cost it time

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tools.toolchain import cache, console, pins, process
from tools.toolchain.errors import Trouble
from tools.toolchain.pulumi_cli import HOST, Cli, Part

if TYPE_CHECKING:
    from collections.abc import Mapping

DOCKER = "pulumi-resource-docker"
BUNDLED = Path(__file__).resolve().parents[1] / "offline" / "plugins"
OFFICIAL_PLACE = "https://get.pulumi.com/releases/plugins/"


def user_home(env: Mapping[str, str]) -> Path:
    """Pulumi's own home of this user: plugins, log-in, workspaces."""
    return Path(env.get("PULUMI_HOME") or Path.home() / ".pulumi")


def find_docker(env: Mapping[str, str], cli: Cli) -> Part | None:
    """The official Docker plugin, if it is on this machine."""
    installed = user_home(env) / "plugins" / f"resource-docker-v{pins.DOCKER_PLUGIN_VERSION}" / DOCKER
    if os.access(installed, os.X_OK):
        return Part("official", installed, pins.DOCKER_PLUGIN_VERSION)
    # Pulumi takes a plugin on the PATH before any other, whatever its version.
    search = os.pathsep.join([str(cli.part.path.parent), env.get("PATH", "")])
    ambient = shutil.which(DOCKER, path=search)
    return Part("official", Path(ambient), "as on the PATH") if ambient else None


def install_docker(env: Mapping[str, str], cli: Cli) -> Part | None:
    """Fetch the official Docker plugin into the user's Pulumi home; None, and a line that says why, if it can't be."""
    from tools.toolchain import download

    name = f"resource-docker-v{pins.DOCKER_PLUGIN_VERSION}"
    try:
        download.check_reachable(OFFICIAL_PLACE)
        process.run_logged(
            [cli.part.path, "plugin", "install", "resource", "docker", pins.DOCKER_PLUGIN_VERSION],
            title=f"downloading the Docker plugin v{pins.DOCKER_PLUGIN_VERSION}",
            expect="about 30 MB",
            name="plugin",
            env={**env, "PULUMI_SKIP_UPDATE_CHECK": "1"},
            timeout=180,
        )
    except download.UnreachableError as reason:
        console.note(f"the official plugin {name} can't be downloaded here ({reason}); the bundled one is used instead")
        return None
    except Trouble as failed:
        console.note(f"the official plugin {name} can't be installed; the bundled one is used instead. {failed}")
        return None
    return find_docker(env, cli)


def bundle_key(cli: Cli) -> str:
    """The hash of what the bundled plugins are made from: their source, this Python, and the CLI beside them."""
    source = sorted(path for path in BUNDLED.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    named = [part for path in source for part in (str(path.relative_to(BUNDLED)), path)]
    return cache.digest(str(_python()), str(cli.part.path.resolve()), cli.part.version, *named)


def find_bundle(cli: Cli) -> Path | None:
    """The bundled plugins' folder, if it was made: `bin/` has CLI and language host, `home/` is a Pulumi home."""
    made = cache.entry("bundle", bundle_key(cli))
    return made if cache.whole(made) else None


def make_bundle(cli: Cli) -> Path:
    """Set up the bundled plugins in the cache."""

    def build(part: Path) -> None:
        from tools.offline.plugins.install import install

        (part / "bin").mkdir()
        (part / "home").mkdir()
        _place(cli.part.path.resolve(), part / "bin" / "pulumi")
        install(plugins_home=part / "home" / "plugins", bin_dir=part / "bin", python=_python())

    return cache.make_in_place("bundle", bundle_key(cli), build, waiting_for="setting up the bundled plugins")


def bundled_parts(bundle: Path) -> tuple[Part, Part]:
    """The bundled language host and Docker plugin."""
    plugin = bundle / "home" / "plugins" / f"resource-docker-v{pins.DOCKER_PLUGIN_VERSION}" / DOCKER
    return Part("bundled", bundle / "bin" / HOST, "of this clone"), Part("bundled", plugin, "of this clone")


def _python() -> Path:
    """This environment's Python by its real folder: the clone's `.venv` is a link that may point elsewhere tomorrow."""
    return Path(sys.prefix).resolve() / "bin" / "python"


def _place(source: Path, target: Path) -> None:
    """Give a file a second name, without a copy where the file system can.

    The CLI takes a language host that stands beside it without a word; for one on the PATH it prints a warning.
    """
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
