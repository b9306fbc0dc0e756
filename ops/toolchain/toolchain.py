"""What the machine has to run Pulumi with: the CLI, its language host, and the plugin of a stack's platform.

What can't be had officially comes from a bundle: a folder that `offline` fills in the cache, with a `pulumi` in it that
runs the CLI with what was lacking.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from ops.toolchain import cache, console, pins, process, pulumi_cli
from ops.toolchain.console import OpsError

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    parts = {"Pulumi CLI": Part(cli.kind, f"{cli.version}, {cli.path}")}
    pulumi, official, lacking = cli.path, {"language host": cli.host}, _lacking(env, cli, platform)
    if platform in VERSIONS:
        official[f"{platform.capitalize()} plugin"] = plugin(env, cli, platform)
    if lacking:
        bundle = cache.entry(*_bundle(cli, lacking))
        if not cache.whole(bundle):
            return None
        pulumi = bundle / "bin" / "pulumi"
    for title, path in official.items():
        stand_in = Part("built" if title == "Kubernetes plugin" else "bundled", str(pulumi.parents[1]))
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
        if platform in _lacking(env, cli, platform):
            _install(env, cli, platform)
        lacking = _lacking(env, cli, platform)
        if lacking:
            cache.make(
                *_bundle(cli, lacking),
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


def plugin(env: Mapping[str, str], cli: Cli, platform: str) -> Path | None:
    """A platform's official provider plugin, if it is on this machine."""
    name = f"pulumi-resource-{platform}"
    installed = user_home(env) / "plugins" / f"resource-{platform}-v{VERSIONS[platform]}" / name
    if os.access(installed, os.X_OK):
        return installed
    # Pulumi takes a plugin on the PATH before any other, whatever its version.
    ambient = shutil.which(name, path=os.pathsep.join([str(cli.path.parent), env.get("PATH", "")]))
    return Path(ambient) if ambient else None


def _lacking(env: Mapping[str, str], cli: Cli, platform: str) -> list[str]:
    """What of a stack's needs is not there officially: `host`, and the platform for its plugin."""
    plugins = [platform] if platform in VERSIONS and not plugin(env, cli, platform) else []
    return [*plugins, *([] if cli.host else ["host"])]


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


def _bundle(cli: Cli, lacking: list[str]) -> tuple[str, str]:
    """Name a bundle, as an entry of the cache: the hash of its source, this Python, the CLI, and what it is for."""
    offline = process.ROOT / "offline"
    sources = sorted({path for pattern in BUNDLED for path in offline.glob(pattern)})
    named = (part for path in sources for part in (str(path.relative_to(offline)), path))
    python = Path(sys.prefix).resolve()
    return "bundle", cache.digest(str(python), str(cli.path.resolve()), cli.version, *lacking, *named)
