"""What the machine has to run Pulumi with, decided once and passed around."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ops.toolchain import cache, plugins, pulumi_cli
from ops.toolchain.pulumi_cli import Cli, Part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ops.toolchain.plugins import Provider


@dataclasses.dataclass(frozen=True)
class Toolchain:
    """A Pulumi CLI that is ready to deploy this project."""

    pulumi: Path
    """The CLI to run."""
    env: Mapping[str, str]
    """The whole environment to run it with. It names no backend: that is the clone's matter, not the machine's."""
    origin: Mapping[str, Part]
    """What is in use and where it comes from: `Pulumi CLI`, `language host`, `Docker plugin`, `Kubernetes plugin`."""


def find(
    environ: Mapping[str, str] | None = None, providers: Sequence[Provider] = plugins.PROVIDERS
) -> Toolchain | None:
    """The tool chain as it is on this machine, or None if a part is missing. Changes nothing."""
    env = users_own(os.environ if environ is None else environ)
    cli = pulumi_cli.find(env)
    if cli is None:
        return None
    official = _official(env, cli, providers)
    if cli.host and len(official) == len(providers):
        return _compose(env, cli, providers, official, None)
    bundle = cache.entry(*plugins.bundle(cli, official, providers))
    return _compose(env, cli, providers, official, bundle) if cache.whole(bundle) else None


def ensure(environ: Mapping[str, str] | None = None, providers: Sequence[Provider] = plugins.PROVIDERS) -> Toolchain:
    """The tool chain, with what is missing downloaded, built or bundled. Raises OpsError with what was tried."""
    found = find(environ, providers)
    if found:
        return found
    env = users_own(os.environ if environ is None else environ)
    cli = pulumi_cli.ensure(env)
    for provider in providers:
        if not plugins.find(env, cli, provider):
            plugins.install(env, cli, provider)
    found = find(env, providers)
    if found:
        return found
    official = _official(env, cli, providers)
    return _compose(env, cli, providers, official, plugins.make_bundle(cli, official, providers))


def _official(env: Mapping[str, str], cli: Cli, providers: Sequence[Provider]) -> dict[Provider, Part]:
    """The official ones of the wanted plugins that are on this machine."""
    return {provider: part for provider in providers if (part := plugins.find(env, cli, provider))}


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


def _compose(
    env: dict[str, str], cli: Cli, providers: Sequence[Provider], official: Mapping[Provider, Part], bundle: Path | None
) -> Toolchain:
    pulumi = cli.part.path if cli.host or not bundle else bundle / "bin" / "pulumi"
    host = cli.host or Part("bundled", pulumi.with_name(pulumi_cli.HOST), "of this clone")
    parts = {
        provider.title: plugins.bundled(bundle, provider) if bundle and provider not in official else official[provider]
        for provider in providers
    }
    home = str(plugins.user_home(env))
    env["PATH"] = os.pathsep.join([str(pulumi.parent), env.get("PATH", "")])
    env["PULUMI_SKIP_UPDATE_CHECK"] = "1"
    if bundle and len(official) < len(providers):
        # The user's log-in stays where it is; only the plugins are ours.
        env.setdefault("PULUMI_CREDENTIALS_PATH", home)
        # Where an official plugin can't be had, each search for others costs seconds and finds nothing.
        env.setdefault("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "true")
        home = str(bundle / "home")
    # Said outright, since the CLI looks up the user's folder in the system's list of users, and not in HOME as we do.
    env["PULUMI_HOME"] = home
    return Toolchain(pulumi, env, {"Pulumi CLI": cli.part, "language host": host, **parts})
