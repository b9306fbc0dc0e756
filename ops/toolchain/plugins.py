"""The language host and the provider plugins: the official ones if they can be had, else the bundled ones."""

# ruff: noqa: PLC0415 - imported late: what a quiet `make up` does not need is not to cost it time

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ops.toolchain import cache, console, pins, process
from ops.toolchain.console import OpsError
from ops.toolchain.pulumi_cli import Cli, Part

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


@dataclasses.dataclass(frozen=True)
class Provider:
    """A provider plugin."""

    name: str
    """As Pulumi calls it: `docker`."""
    version: str
    size: str
    """What a download takes."""

    @property
    def title(self) -> str:
        """As we call it to the user: `Docker plugin`."""
        return f"{self.name.capitalize()} plugin"

    @property
    def file(self) -> str:
        """Its program's place in Pulumi's folder of plugins."""
        return f"resource-{self.name}-v{self.version}/pulumi-resource-{self.name}"


DOCKER = Provider("docker", pins.DOCKER_PLUGIN_VERSION, "about 30 MB")
KUBERNETES = Provider("kubernetes", pins.KUBERNETES_PLUGIN_VERSION, "about 80 MB")
PROVIDERS = (DOCKER, KUBERNETES)
"""Every provider plugin that the project's platforms use."""
OFFLINE = Path(__file__).resolve().parents[2] / "offline"
BUNDLED = (OFFLINE / "plugins", OFFLINE / "kubernetes")
OFFICIAL_PLACE = "https://get.pulumi.com/releases/plugins/"


def user_home(env: Mapping[str, str]) -> Path:
    """Pulumi's own home of this user: plugins, log-in, workspaces."""
    return Path(env.get("PULUMI_HOME") or Path.home() / ".pulumi")


def find(env: Mapping[str, str], cli: Cli, provider: Provider) -> Part | None:
    """An official provider plugin, if it is on this machine."""
    installed = user_home(env) / "plugins" / provider.file
    if os.access(installed, os.X_OK):
        return Part("official", installed, provider.version)
    # Pulumi takes a plugin on the PATH before any other, whatever its version.
    search = os.pathsep.join([str(cli.part.path.parent), env.get("PATH", "")])
    ambient = shutil.which(installed.name, path=search)
    return Part("official", Path(ambient), "as on the PATH") if ambient else None


def install(env: Mapping[str, str], cli: Cli, provider: Provider) -> None:
    """Fetch an official plugin into the user's Pulumi home, or say why it can't be."""
    import requests

    try:
        requests.head(OFFICIAL_PLACE, timeout=5)  # The CLI would try for minutes. Any answer is good.
        process.run_logged(
            [cli.part.path, "plugin", "install", "resource", provider.name, provider.version],
            title=f"downloading the {provider.title} v{provider.version}",
            expect=provider.size,
            name="plugin",
            env={**env, "PULUMI_SKIP_UPDATE_CHECK": "1"},
            timeout=180,
        )
    except (requests.RequestException, OpsError) as failed:
        reason = failed if isinstance(failed, OpsError) else type(failed).__name__
        console.note(f"the official {provider.title} can't be downloaded here; another is used instead ({reason})")


def bundle(cli: Cli, official: Mapping[Provider, Part], wanted: Collection[Provider]) -> tuple[str, str]:
    """Name a bundle: the hash of its source, this Python, the CLI, and the official plugins beside it.

    Its folder `bin` has CLI and language host, `home` is a Pulumi home.
    """
    found = sorted(path for folder in BUNDLED for path in folder.rglob("*") if path.is_file())
    source = [(str(path.relative_to(OFFLINE)), path) for path in found if "__pycache__" not in path.parts]
    beside = sorted(f"{provider.name} {part.path}" for provider, part in official.items())
    built = ["built"] if _is_built(official, wanted) else []
    used = [str(_python()), str(cli.part.path.resolve()), cli.part.version, *beside, *built]
    return "bundle", cache.digest(*used, *(part for pair in source for part in pair))


def make_bundle(cli: Cli, official: Mapping[Provider, Part], wanted: Collection[Provider] = PROVIDERS) -> Path:
    """Set up the bundled plugins in the cache, with the official ones that there are in their places.

    Pulumi knows one home, so a machine that has one official plugin and lacks the other finds both in the bundle's.
    Raises OpsError when the Kubernetes provider is wanted and can't be built.
    """
    from offline import kubernetes
    from offline.plugins.install import install as install_bundled

    beside = {provider: part.path for provider, part in official.items()}
    if _is_built(official, wanted):
        beside[KUBERNETES] = kubernetes.ensure()

    def build(made: Path) -> None:
        (made / "bin").mkdir()
        # The CLI takes a language host that stands beside it without a word; for one on the PATH it prints a warning.
        try:
            (made / "bin" / "pulumi").hardlink_to(cli.part.path.resolve())
        except OSError:
            shutil.copy2(cli.part.path, made / "bin" / "pulumi")
        install_bundled(plugins_home=made / "home" / "plugins", bin_dir=made / "bin", python=_python())
        for provider, path in beside.items():
            program = made / "home" / "plugins" / provider.file
            shutil.rmtree(program.parent, ignore_errors=True)
            program.parent.mkdir()
            program.symlink_to(path)

    return cache.make(*bundle(cli, official, wanted), build, waiting_for="setting up the bundled plugins")


def _is_built(official: Mapping[Provider, Part], wanted: Collection[Provider]) -> bool:
    """Whether the Kubernetes provider comes from its Go module. That takes minutes, so it has to be wanted."""
    return KUBERNETES in wanted and KUBERNETES not in official


def bundled(made: Path, provider: Provider) -> Part:
    """A bundled provider plugin, or the Kubernetes one that was built."""
    path = made / "home" / "plugins" / provider.file
    return Part("built", path, provider.version) if provider == KUBERNETES else Part("bundled", path, "of this clone")


def _python() -> Path:
    """This environment's Python by its real folder: the clone's `.venv` is a link that may point elsewhere tomorrow."""
    return Path(sys.prefix).resolve() / "bin" / "python"
