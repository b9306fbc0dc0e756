"""What the machine has to run Pulumi with, decided once and passed around."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ops.toolchain import cache, plugins, pulumi_cli

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ops.toolchain.plugins import Provider
    from ops.toolchain.pulumi_cli import Cli, Part


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
    """The tool chain as it is on this machine; None if something is missing. Changes nothing and takes milliseconds.

    Args:
        environ: the environment to look in; this process's when None.
        providers: the provider plugins that are wanted.
    """
    env = users_own(os.environ if environ is None else environ)
    cli = pulumi_cli.find(env)
    if cli is None:
        return None
    official = _official(env, cli, providers)
    whole = cli.host and len(official) == len(providers)
    bundle = None if whole else plugins.find_bundle(cli, official, providers)
    return _compose(env, cli, providers, official, bundle) if whole or bundle else None


def ensure(environ: Mapping[str, str] | None = None, providers: Sequence[Provider] = plugins.PROVIDERS) -> Toolchain:
    """The tool chain, with what is missing downloaded, built or set up from the bundle.

    Args:
        environ: the environment to look in; this process's when None.
        providers: the provider plugins that are wanted.

    Raises:
        OpsError: with what was tried and what to do.
    """
    found = find(environ, providers)
    if found:
        return found
    env = users_own(os.environ if environ is None else environ)
    cli = pulumi_cli.ensure(env)
    official = _official(env, cli, providers)
    bundle = plugins.find_bundle(cli, official, providers)
    if bundle is None:
        for provider in providers:
            fetched = None if provider in official else plugins.install(env, cli, provider)
            if fetched:
                official[provider] = fetched
    if bundle is None and not (cli.host and len(official) == len(providers)):
        bundle = plugins.make_bundle(cli, official, providers)
    return _compose(env, cli, providers, official, bundle)


def _official(env: Mapping[str, str], cli: Cli, providers: Sequence[Provider]) -> dict[Provider, Part]:
    """The official ones of the wanted plugins that are on this machine."""
    found = {provider: plugins.find(env, cli, provider) for provider in providers}
    return {provider: part for provider, part in found.items() if part}


def users_own(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment without what we put into it ourselves, as in a shell that has taken `python -m ops env`.

    Else the bundled plugins, found on the PATH or in PULUMI_HOME, would pass for the user's own official ones.
    """
    ours = cache.root()
    env = dict(environ)
    entries = env.get("PATH", "").split(os.pathsep)
    env["PATH"] = os.pathsep.join(entry for entry in entries if not Path(entry).is_relative_to(ours))
    if "PULUMI_HOME" in env and Path(env["PULUMI_HOME"]).is_relative_to(ours):
        del env["PULUMI_HOME"]
    return env


def _compose(
    env: dict[str, str],
    cli: Cli,
    providers: Sequence[Provider],
    official: Mapping[Provider, Part],
    bundle: Path | None,
) -> Toolchain:
    host = cli.host or (plugins.bundled_host(bundle) if bundle else None)
    parts = {
        provider.title: official.get(provider) or (plugins.bundled(bundle, provider) if bundle else None)
        for provider in providers
    }
    found = {title: part for title, part in parts.items() if part}
    if host is None or len(found) < len(parts):
        raise AssertionError("find and ensure make a bundle for whatever is not there")
    pulumi = cli.part.path if cli.host or not bundle else bundle / "bin" / "pulumi"
    env["PATH"] = os.pathsep.join([str(pulumi.parent), env.get("PATH", "")])
    env["PULUMI_SKIP_UPDATE_CHECK"] = "1"
    if bundle and any(part.kind != "official" for part in found.values()):
        # The user's log-in stays where it is; only the plugins are ours.
        env.setdefault("PULUMI_CREDENTIALS_PATH", str(plugins.user_home(env)))
        env["PULUMI_HOME"] = str(bundle / "home")
        # Where an official plugin can't be had, each search for others costs seconds and finds nothing.
        env.setdefault("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "true")
    # Said outright, since the CLI looks up the user's folder in the system's list of users, and not in HOME as we do.
    env.setdefault("PULUMI_HOME", str(plugins.user_home(env)))
    return Toolchain(pulumi, env, {"Pulumi CLI": cli.part, "language host": host, **found})
