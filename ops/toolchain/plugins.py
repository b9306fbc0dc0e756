"""The language host and the provider plugins: the official ones if they can be had, else the bundled ones."""

# ruff: noqa: PLC0415 - imported late: what a quiet `make up` does not need is not to cost it time

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ops.toolchain import cache, console, pins, process
from ops.toolchain.console import OpsError
from ops.toolchain.pulumi_cli import HOST, Cli, Part

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


@dataclasses.dataclass(frozen=True)
class Provider:
    """A provider plugin."""

    name: str
    """As Pulumi calls it: `docker`."""
    title: str
    """As we call it to the user: `Docker plugin`."""
    version: str
    size: str
    """What a download takes."""

    @property
    def program(self) -> str:
        """The plugin's file."""
        return f"pulumi-resource-{self.name}"

    @property
    def folder(self) -> str:
        """The folder that Pulumi keeps it in."""
        return f"resource-{self.name}-v{self.version}"


DOCKER = Provider("docker", "Docker plugin", pins.DOCKER_PLUGIN_VERSION, "about 30 MB")
KUBERNETES = Provider("kubernetes", "Kubernetes plugin", pins.KUBERNETES_PLUGIN_VERSION, "about 80 MB")
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
    installed = user_home(env) / "plugins" / provider.folder / provider.program
    if os.access(installed, os.X_OK):
        return Part("official", installed, provider.version)
    # Pulumi takes a plugin on the PATH before any other, whatever its version.
    search = os.pathsep.join([str(cli.part.path.parent), env.get("PATH", "")])
    ambient = shutil.which(provider.program, path=search)
    return Part("official", Path(ambient), "as on the PATH") if ambient else None


def install(env: Mapping[str, str], cli: Cli, provider: Provider) -> Part | None:
    """Fetch an official plugin into the user's Pulumi home; None, and a line that says why, if it can't be."""
    from ops.toolchain import download

    name = provider.folder
    try:
        download.check_reachable(OFFICIAL_PLACE)
        process.run_logged(
            [cli.part.path, "plugin", "install", "resource", provider.name, provider.version],
            title=f"downloading the {provider.title} v{provider.version}",
            expect=provider.size,
            name="plugin",
            env={**env, "PULUMI_SKIP_UPDATE_CHECK": "1"},
            timeout=180,
        )
    except download.UnreachableError as reason:
        console.note(f"the official plugin {name} can't be downloaded here ({reason}); another is used instead")
        return None
    except OpsError as failed:
        console.note(f"the official plugin {name} can't be installed; another is used instead. {failed}")
        return None
    return find(env, cli, provider)


def bundle_key(cli: Cli, official: Mapping[Provider, Part], wanted: Collection[Provider]) -> str:
    """The hash of what a bundle is made from: its source, this Python, the CLI, and the official plugins beside it."""
    found = sorted(path for folder in BUNDLED for path in folder.rglob("*") if path.is_file())
    source = [path for path in found if "__pycache__" not in path.parts]
    named = [part for path in source for part in (str(path.relative_to(OFFLINE)), path)]
    beside = [f"{provider.name} {part.path}" for provider, part in official.items()]
    built = [KUBERNETES.folder] if _is_built(official, wanted) else []
    return cache.digest(str(_python()), str(cli.part.path.resolve()), cli.part.version, *sorted(beside), *built, *named)


def find_bundle(cli: Cli, official: Mapping[Provider, Part], wanted: Collection[Provider] = PROVIDERS) -> Path | None:
    """The folder with what is bundled, if it was made: `bin/` has CLI and language host, `home/` is a Pulumi home."""
    made = cache.entry("bundle", bundle_key(cli, official, wanted))
    return made if cache.whole(made) else None


def make_bundle(cli: Cli, official: Mapping[Provider, Part], wanted: Collection[Provider] = PROVIDERS) -> Path:
    """Set up the bundled plugins in the cache, with the official ones that there are in their places.

    Pulumi knows one home, so a machine that has one official plugin and lacks the other finds both in the bundle's.

    Raises:
        OpsError: when the Kubernetes provider is wanted and can't be built.
    """
    built = build_kubernetes() if _is_built(official, wanted) else None

    def build(part: Path) -> None:
        from offline.plugins.install import install

        (part / "bin").mkdir()
        (part / "home").mkdir()
        _place(cli.part.path.resolve(), part / "bin" / "pulumi")
        install(plugins_home=part / "home" / "plugins", bin_dir=part / "bin", python=_python())
        if built:
            (part / "home" / "plugins" / KUBERNETES.folder).mkdir()
            _place(built, part / "home" / "plugins" / KUBERNETES.folder / KUBERNETES.program)
        for provider, found in official.items():
            folder = part / "home" / "plugins" / provider.folder
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            (folder / provider.program).symlink_to(found.path)

    key = bundle_key(cli, official, wanted)
    return cache.make_in_place("bundle", key, build, waiting_for="setting up the bundled plugins")


def _is_built(official: Mapping[Provider, Part], wanted: Collection[Provider]) -> bool:
    """Whether the Kubernetes provider comes from its Go module. That takes minutes, so it has to be wanted."""
    return KUBERNETES in wanted and KUBERNETES not in official


def build_kubernetes() -> Path:
    """Pulumi's own Kubernetes provider, built at the first call by a process of its own, which shows its progress.

    Raises:
        OpsError: when it can't be built. The process has said why.
    """
    command = [sys.executable, "-m", "offline.kubernetes"]
    done = subprocess.run(command, cwd=OFFLINE.parent, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise OpsError("The Kubernetes plugin can neither be downloaded nor built.", "The reason is above.")
    return Path(done.stdout.strip())


def bundled_host(bundle: Path) -> Part:
    """The bundled language host."""
    return Part("bundled", bundle / "bin" / HOST, "of this clone")


def bundled(bundle: Path, provider: Provider) -> Part:
    """A bundled provider plugin, or the Kubernetes one that was built."""
    path = bundle / "home" / "plugins" / provider.folder / provider.program
    return Part("built", path, provider.version) if provider == KUBERNETES else Part("bundled", path, "of this clone")


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
