"""What the machine has to run Pulumi with: the CLI, its language host, and the plugin of a stack's platform.

What can't be had officially comes from a bundle: a folder that `offline` fills in the cache, with a `pulumi` in it that
runs the CLI with what was lacking.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from ops.toolchain import cache, console, pins, process, pulumi_cli
from ops.toolchain.console import OpsError
from ops.toolchain.pulumi_cli import Cli

VERSIONS = {"docker": pins.DOCKER_PLUGIN_VERSION, "kubernetes": pins.KUBERNETES_PLUGIN_VERSION}
"""The provider plugins: for each platform the one of its name."""
BUNDLED = ("toolchain.py", "plugins/**/*.py", "kubernetes/*.*")
"""The files of offline/ that decide what is in a bundle."""


class Part(NamedTuple):
    """A program in use."""

    kind: Literal["official", "built", "bundled"]
    """official: Pulumi's own file. built: made here from Pulumi's source. bundled: this project's stand-in."""
    where: str


class Toolchain(NamedTuple):
    """A Pulumi CLI that is ready to deploy a stack."""

    pulumi: Path
    """The CLI to run."""
    env: Mapping[str, str]
    """The whole environment to run it with. It names no backend: that is the clone's matter, not the machine's."""
    parts: Mapping[str, Part]
    """What is in use: `Pulumi CLI`, `language host`, `Docker plugin`."""


def find(platform: str = "", environ: Mapping[str, str] | None = None) -> Toolchain | None:
    """The tool chain for a stack of this platform, or None if a part is not on this machine. Changes nothing."""
    env = users_own(os.environ if environ is None else environ)
    cli = pulumi_cli.find(env)
    if cli is None:
        return None
    pulumi, official = cli.path, _official(env, cli, platform)
    if not all(official.values()):
        bundle = cache.entry(*_bundle(cli, official))
        if not cache.whole(bundle):
            return None
        pulumi = bundle / "bin" / "pulumi"
    parts = {"Pulumi CLI": Part("official" if cli.host else "built", f"{cli.version}, {cli.path}")}
    for name, path in official.items():
        stand_in = Part("built" if name == "kubernetes" else "bundled", str(pulumi.parents[1]))
        title = "language host" if name == "host" else f"{name.capitalize()} plugin"
        parts[title] = Part("official", str(path)) if path else stand_in
    env["PATH"] = os.pathsep.join([str(pulumi.parent), env.get("PATH", "")])
    env["PULUMI_SKIP_UPDATE_CHECK"] = "1"
    # Said outright, since the CLI looks up the user's folder in the system's list of users, and not in HOME as we do.
    env["PULUMI_HOME"] = str(user_home(env))
    return Toolchain(pulumi, env, parts)


def ensure(platform: str = "", environ: Mapping[str, str] | None = None) -> Toolchain:
    """The same, with what is missing downloaded, built or bundled. Raises OpsError with what was tried."""
    if not (found := find(platform, environ)):
        env = users_own(os.environ if environ is None else environ)
        cli = pulumi_cli.ensure(env)
        official = _official(env, cli, platform)
        if platform in official and not official[platform]:
            _install(env, cli, platform)
            official = _official(env, cli, platform)
        lacking = [name for name, path in official.items() if not path]
        if lacking:
            cache.make(
                *_bundle(cli, official),
                lambda made: process.offline("bundle", made, cli.path, *lacking),
                waiting_for="setting up the bundled plugins",
            )
        found = find(platform, environ)
        assert found  # noqa: S101 - the parts are there now
    return found


def users_own(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment without our programs on its PATH, as it is in a shell that has taken `python -m ops env`.

    Else a bundle's CLI would pass for the user's own official one.
    """
    ours = cache.root()
    entries = environ.get("PATH", "").split(os.pathsep)
    return {**environ, "PATH": os.pathsep.join(entry for entry in entries if not Path(entry).is_relative_to(ours))}


def user_home(env: Mapping[str, str]) -> Path:
    """Pulumi's own home of this user: plugins, log-in, workspaces."""
    return Path(env.get("PULUMI_HOME") or Path.home() / ".pulumi")


def _official(env: Mapping[str, str], cli: Cli, platform: str) -> dict[str, Path | None]:
    """What a stack needs beside the CLI, `host` and the platform's plugin, each with the official one if it is here."""
    found = {"host": cli.host}
    if platform in VERSIONS:
        name = f"pulumi-resource-{platform}"
        installed = user_home(env) / "plugins" / f"resource-{platform}-v{VERSIONS[platform]}" / name
        # Pulumi takes a plugin on the PATH before any other, whatever its version.
        ambient = shutil.which(name, path=os.pathsep.join([str(cli.path.parent), env.get("PATH", "")]))
        there = installed if os.access(installed, os.X_OK) else None
        found[platform] = Path(ambient) if ambient else there
    return found


def _install(env: Mapping[str, str], cli: Cli, platform: str) -> None:
    """Fetch an official plugin into the user's Pulumi home, or say why it can't be."""
    problem = pulumi_cli.unreachable()
    if not problem:
        try:
            process.run_logged(
                [cli.path, "plugin", "install", "resource", platform, VERSIONS[platform]],
                title=f"downloading the {platform} plugin v{VERSIONS[platform]}",
                expect="30 to 80 MB",
                name="plugin",
                env={**env, "PULUMI_SKIP_UPDATE_CHECK": "1"},
                timeout=180,
            )
        except OpsError as failed:
            problem = failed.what
    if problem:
        console.note(f"the official {platform} plugin can't be downloaded here; another is used instead ({problem})")


def _bundle(cli: Cli, official: Mapping[str, Path | None]) -> tuple[str, str]:
    """Name a bundle, as an entry of the cache: the hash of its source, this Python, the CLI, and what it is for."""
    offline = process.ROOT / "offline"
    sources = sorted({path for pattern in BUNDLED for path in offline.glob(pattern)})
    named = (part for path in sources for part in (str(path.relative_to(offline)), path))
    lacking = (name for name, path in official.items() if not path)
    python = Path(sys.prefix).resolve()
    return "bundle", cache.digest(str(python), str(cli.path.resolve()), cli.version, *lacking, *named)
