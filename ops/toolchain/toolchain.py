"""What the machine has to run Pulumi with, decided once and passed around.

A language host or a plugin that can't be had officially comes from a bundle, which `offline` makes in the cache.
"""

# ruff: noqa: PLC0415 - imported late: what a quiet `make up` does not need is not to cost it time

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ops.toolchain import cache, console, pins, process, pulumi_cli
from ops.toolchain.console import OpsError
from ops.toolchain.pulumi_cli import Cli, Part

if TYPE_CHECKING:
    from collections.abc import Mapping

OFFLINE = Path(__file__).resolve().parents[2] / "offline"
BUNDLED = ("toolchain.py", "plugins/**/*.py", "kubernetes/*.*")
"""The files of offline/ that decide what is in a bundle."""
OFFICIAL_PLACE = "https://get.pulumi.com/releases/plugins/"


@dataclasses.dataclass(frozen=True)
class Provider:
    """A provider plugin."""

    name: str
    """As Pulumi calls it: `docker`. It is also the name of the platform that needs it."""
    version: str
    size: str
    """What a download takes."""

    @property
    def title(self) -> str:
        """As we call it to the user: `Docker plugin`."""
        return f"{self.name.capitalize()} plugin"

    @property
    def file(self) -> str:
        """Its program's place in a Pulumi home."""
        return f"plugins/resource-{self.name}-v{self.version}/pulumi-resource-{self.name}"


DOCKER = Provider("docker", pins.DOCKER_PLUGIN_VERSION, "about 30 MB")
KUBERNETES = Provider("kubernetes", pins.KUBERNETES_PLUGIN_VERSION, "about 80 MB")
PROVIDERS = {provider.name: provider for provider in (DOCKER, KUBERNETES)}


@dataclasses.dataclass(frozen=True)
class Toolchain:
    """A Pulumi CLI that is ready to deploy a stack."""

    pulumi: Path
    """The CLI to run."""
    env: Mapping[str, str]
    """The whole environment to run it with. It names no backend: that is the clone's matter, not the machine's."""
    origin: Mapping[str, Part]
    """What is in use and where it comes from: `Pulumi CLI`, `language host`, `Docker plugin`."""


def find(provider: Provider | None = None, environ: Mapping[str, str] | None = None) -> Toolchain | None:
    """The tool chain for a stack with this plugin, or None if a part is not on this machine. Changes nothing."""
    env = users_own(os.environ if environ is None else environ)
    cli = pulumi_cli.find(env)
    if cli is None:
        return None
    entry = _bundle(env, cli, provider)
    bundle = cache.entry(*entry) if entry else None
    return _compose(env, cli, provider, bundle) if bundle is None or cache.whole(bundle) else None


def ensure(provider: Provider | None = None, environ: Mapping[str, str] | None = None) -> Toolchain:
    """The same, with what is missing downloaded, built or bundled. Raises OpsError with what was tried."""
    if not (found := find(provider, environ)):
        env = users_own(os.environ if environ is None else environ)
        cli = pulumi_cli.ensure(env)
        if provider and not _official(env, cli, provider):
            _install(env, cli, provider)
        entry = _bundle(env, cli, provider)
        if entry:
            words = ["--kubernetes"] if provider == KUBERNETES and not _official(env, cli, provider) else []
            cache.make(
                *entry,
                lambda made: process.offline("plugins", made, cli.part.path, *words),
                waiting_for="setting up the bundled plugins",
            )
        found = find(provider, environ)
        assert found  # noqa: S101 - the parts are there now
    return found


def users_own(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment without what we put into it ourselves, as in a shell that has taken `python -m ops env`.

    Else the bundled plugins, found on the PATH or in PULUMI_HOME, would pass for the user's own official ones.
    """
    ours = cache.root()
    entries = environ.get("PATH", "").split(os.pathsep)
    env = {**environ, "PATH": os.pathsep.join(entry for entry in entries if not Path(entry).is_relative_to(ours))}
    if Path(env.get("PULUMI_HOME", "")).is_relative_to(ours):
        del env["PULUMI_HOME"]
    return env


def user_home(env: Mapping[str, str]) -> Path:
    """Pulumi's own home of this user: plugins, log-in, workspaces."""
    return Path(env.get("PULUMI_HOME") or Path.home() / ".pulumi")


def _official(env: Mapping[str, str], cli: Cli, provider: Provider) -> Part | None:
    """An official provider plugin, if it is on this machine."""
    installed = user_home(env) / provider.file
    if os.access(installed, os.X_OK):
        return Part("official", installed, provider.version)
    # Pulumi takes a plugin on the PATH before any other, whatever its version.
    search = os.pathsep.join([str(cli.part.path.parent), env.get("PATH", "")])
    ambient = shutil.which(installed.name, path=search)
    return Part("official", Path(ambient), "as on the PATH") if ambient else None


def _install(env: Mapping[str, str], cli: Cli, provider: Provider) -> None:
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


def _bundle(env: Mapping[str, str], cli: Cli, provider: Provider | None) -> tuple[str, str] | None:
    """Name the bundle, as an entry of the cache, that has what is not there officially; None if nothing lacks.

    Its folder `bin` has CLI and language host, `home` is a Pulumi home.
    """
    lacking = provider if provider and not _official(env, cli, provider) else None
    if cli.host and not lacking:
        return None
    built = "kubernetes" if lacking == KUBERNETES else ""  # it takes minutes, so it has to be wanted
    sources = sorted({path for pattern in BUNDLED for path in OFFLINE.glob(pattern)})
    named = (part for path in sources for part in (str(path.relative_to(OFFLINE)), path))
    python = Path(sys.prefix).resolve()
    return "bundle", cache.digest(str(python), str(cli.part.path.resolve()), cli.part.version, built, *named)


def _compose(env: dict[str, str], cli: Cli, provider: Provider | None, bundle: Path | None) -> Toolchain:
    pulumi = cli.part.path if cli.host or not bundle else bundle / "bin" / "pulumi"
    host = cli.host or Part("bundled", pulumi.with_name(pulumi_cli.HOST), "of this clone")
    origin = {"Pulumi CLI": cli.part, "language host": host}
    home = user_home(env)
    if provider:
        plugin = _official(env, cli, provider)
        if bundle and not plugin:
            # The user's log-in stays where it is; only the plugins are ours.
            env.setdefault("PULUMI_CREDENTIALS_PATH", str(home))
            # Where an official plugin can't be had, each search for others costs seconds and finds nothing.
            env.setdefault("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "true")
            home = bundle / "home"
            plugin = Part("bundled", home / provider.file, "of this clone")
            if provider == KUBERNETES:
                plugin = Part("built", plugin.path, provider.version)
        if plugin:
            origin[provider.title] = plugin
    env["PATH"] = os.pathsep.join([str(pulumi.parent), env.get("PATH", "")])
    env["PULUMI_SKIP_UPDATE_CHECK"] = "1"
    # Said outright, since the CLI looks up the user's folder in the system's list of users, and not in HOME as we do.
    env["PULUMI_HOME"] = str(home)
    return Toolchain(pulumi, env, origin)
