"""What the machine has to run Pulumi with: the CLI, its language host, and the plugin of a stack's platform.

The CLI is the user's own, else the one that Pulumi's installer brings, else one that `offline` builds. What else can't
be had officially comes from a bundle: a folder that `offline` fills in the cache, with a `pulumi` in it that runs the
CLI with what was lacking.
"""

# ruff: noqa: PLC0415, S603 - late imports cost a quiet run nothing; the program is the user's own CLI

import functools
import os
import platform as machine
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from setup import cache, console, pins, process
from setup.console import OpsError

VERSIONS = {"docker": pins.DOCKER_PLUGIN_VERSION, "kubernetes": pins.KUBERNETES_PLUGIN_VERSION}
"""The provider plugins: for each platform the one of its name."""
CLI = "pulumi", cache.digest(pins.PULUMI_VERSION, machine.machine())
"""The CLI that was downloaded or built, as an entry of the cache."""
HOST = "pulumi-language-python"
"""The language host: the program that the CLI starts to run a Python project. A CLI that was built here has none."""
BUNDLED = ("toolchain.py", "plugins/**/*.py", "kubernetes/*.*")
"""The files of offline/ that decide what is in a bundle."""


class Cli(NamedTuple):
    """A Pulumi CLI, and its language host if it has one."""

    path: Path
    version: str
    host: Path | None


class Toolchain(NamedTuple):
    """A Pulumi CLI that is ready to deploy a stack."""

    pulumi: Path
    """The CLI to run."""
    env: Mapping[str, str]
    """The whole environment to run it with. It names no backend: that is the clone's matter, not the machine's."""
    parts: Mapping[str, tuple[str, str]]
    """What is in use, `Pulumi CLI`, `language host`, `Docker plugin`: its kind, and where it is.

    official: Pulumi's own file. built: made here from Pulumi's source. bundled: this project's stand-in.
    """


def find(platform: str = "") -> Toolchain | None:
    """The tool chain for a stack of this platform, or None if a part is not on this machine. Changes nothing."""
    env = users_own()
    cli = find_cli(env)
    if cli is None:
        return None
    pulumi, official = cli.path, _official(env, cli, platform)
    if not all(official.values()):
        bundle = cache.entry(*_bundle(cli, official))
        if not cache.whole(bundle):
            return None
        pulumi = bundle / "bin" / "pulumi"
    parts = {"Pulumi CLI": ("official" if cli.host else "built", f"{cli.version}, {cli.path}")}
    for name, path in official.items():
        title = "language host" if name == "host" else f"{name.capitalize()} plugin"
        stand_in = "built" if name == "kubernetes" else "bundled"
        parts[title] = ("official", str(path)) if path else (stand_in, str(pulumi.parents[1]))
    env["PATH"] = os.pathsep.join([str(pulumi.parent), env.get("PATH", "")])
    env["PULUMI_SKIP_UPDATE_CHECK"] = "1"
    # The program's way to its engine, on this machine, is not by the proxy that `http_proxy` names.
    env["no_grpc_proxy"] = "127.0.0.1"
    # Said outright, since the CLI looks up the user's folder in the system's list of users, and not in HOME as we do.
    env["PULUMI_HOME"] = str(user_home(env))
    return Toolchain(pulumi, env, parts)


def ensure(platform: str = "") -> Toolchain:
    """The same, with what is missing downloaded, built or bundled. Raises OpsError with what was tried."""
    if not (found := find(platform)):
        env = users_own()
        if not (cli := find_cli(env)):
            for path in _users_clis(env):
                console.note(
                    f"{path} is not used: a CLI of {pins.PULUMI_OLDEST} or newer with its language host is needed"
                )
            cache.make(*CLI, _get_cli, waiting_for="downloading or building the Pulumi CLI")
            cli = find_cli(env)
        assert cli  # noqa: S101 - it is there now
        if not _official(env, cli, platform).get(platform, True):
            _downloaded(f"{platform} plugin", functools.partial(_install, platform, cli, env))
        official = _official(env, cli, platform)
        if lacking := [name for name, path in official.items() if not path]:
            cache.make(
                *_bundle(cli, official),
                lambda made: process.offline("bundle", made, cli.path, *lacking),
                waiting_for="setting up the bundled plugins",
            )
        found = find(platform)
        assert found  # noqa: S101 - the parts are there now
    return found


def users_own() -> dict[str, str]:
    """This process's environment without our programs on its PATH.

    They are there in a shell that has taken `python -m ops env`: a bundle's CLI would pass for the user's own.
    """
    theirs = [each for each in os.get_exec_path() if not Path(each).is_relative_to(cache.root())]
    return {**os.environ, "PATH": os.pathsep.join(theirs)}


def user_home(env: Mapping[str, str]) -> Path:
    """Pulumi's own home of this user: plugins, log-in, workspaces."""
    return Path(env.get("PULUMI_HOME") or Path.home() / ".pulumi")


def find_cli(env: Mapping[str, str]) -> Cli | None:
    """The CLI that is on this machine: the user's own, if it is new enough and has a language host, or the cache's."""
    for path in _users_clis(env):
        host = shutil.which(HOST, path=os.pathsep.join([str(path.resolve().parent), env.get("PATH", "")]))
        if host and (version := _version(path)):
            return Cli(path, version, Path(host))
    made = cache.entry(*CLI)
    host = shutil.which(HOST, path=made / "bin")
    return (
        Cli(made / "bin" / "pulumi", pins.PULUMI_VERSION, Path(host) if host else None) if cache.whole(made) else None
    )


def _users_clis(env: Mapping[str, str]) -> list[Path]:
    """The user's own CLIs: on the PATH, and where Pulumi's installer puts it."""
    places = (env.get("PATH"), user_home(env) / "bin")
    return [Path(path) for place in places if (path := shutil.which("pulumi", path=place))]


def _version(binary: Path) -> str:
    """A CLI's version without the v; empty for one that is too old or does not work. Takes 0.2 s."""
    from semver import VersionInfo

    env = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "1"}
    try:
        done = subprocess.run([binary, "version"], capture_output=True, text=True, timeout=60, check=True, env=env)
        version = VersionInfo.parse(done.stdout.partition("\n")[0].strip().removeprefix("v"))
    except (OSError, subprocess.SubprocessError, ValueError):
        return ""
    return str(version) if version.finalize_version() >= VersionInfo.parse(pins.PULUMI_OLDEST) else ""


def _get_cli(made: Path) -> None:
    def install() -> None:
        from pulumi.automation import PulumiCommand
        from semver import VersionInfo

        with console.step(f"downloading the Pulumi CLI v{pins.PULUMI_VERSION}", "about 120 MB"):
            PulumiCommand.install(str(made), VersionInfo.parse(pins.PULUMI_VERSION), skip_version_check=True)

    if not _downloaded("Pulumi CLI", install):
        process.offline("cli", made)


def _install(platform: str, cli: Cli, env: Mapping[str, str]) -> None:
    process.run_logged(
        [cli.path, "plugin", "install", "resource", platform, VERSIONS[platform]],
        title=f"downloading the {platform} plugin v{VERSIONS[platform]}",
        expect="30 to 80 MB",
        name="plugin",
        env={**env, "PULUMI_SKIP_UPDATE_CHECK": "1"},
        timeout=180,
    )


def _downloaded(what: str, get: Callable[[], None]) -> bool:
    """Get one of Pulumi's downloads. Returns False, after it said so, if this network has no way to them.

    Then another one takes its place. Raises OpsError for every other failure: it has a remedy, and building has not.
    """
    import requests

    site = "https://get.pulumi.com/releases/"
    remedy = f"Try again, or install the Pulumi CLI v{pins.PULUMI_OLDEST} or newer, so that `pulumi` is on the PATH."
    try:
        requests.head(site, timeout=5)  # Pulumi's own programs would try for minutes
        get()
    except requests.exceptions.SSLError as failed:
        remedy = "If a proxy reads TLS here, name its authority: REQUESTS_CA_BUNDLE=FILE SSL_CERT_FILE=FILE make up"
        raise OpsError(f"The official {what} can't be downloaded: the certificate is not trusted.", remedy) from failed
    except requests.exceptions.ProxyError as failed:
        remedy = "Check HTTPS_PROXY: the proxy may want a user and a password, as in http://user:password@proxy:3128"
        raise OpsError(f"The official {what} can't be downloaded: the proxy refuses.", remedy) from failed
    except requests.ConnectionError as failed:
        # No such host, no route, refused, or no answer to the first packet.
        unreachable = "NewConnectionError" in repr(failed) or "NameResolutionError" in repr(failed)
        proxy = requests.utils.select_proxy(site, requests.utils.get_environ_proxies(site))
        dropped = isinstance(failed, requests.ConnectTimeout) and not proxy
        if not unreachable and not dropped:
            raise OpsError(f"The official {what} can't be downloaded: the connection broke off.", remedy) from failed
        console.note(f"the official {what} can't be downloaded (no way to get.pulumi.com); another one is made instead")
        return False
    except (OpsError, OSError, subprocess.SubprocessError) as failed:
        raise OpsError(f"The official {what} can't be downloaded: {failed}", remedy) from failed
    return True


def _official(env: Mapping[str, str], cli: Cli, platform: str) -> dict[str, Path | None]:
    """What a stack needs beside the CLI, `host` and the platform's plugin, each with the official one if it is here."""
    found = {"host": cli.host}
    if platform in VERSIONS:
        installed = user_home(env) / "plugins" / f"resource-{platform}-v{VERSIONS[platform]}"
        # Pulumi takes a plugin on the PATH before any other, whatever its version.
        places = os.pathsep.join([str(cli.path.parent), env.get("PATH", ""), str(installed)])
        there = shutil.which(f"pulumi-resource-{platform}", path=places)
        found[platform] = Path(there) if there else None
    return found


def _bundle(cli: Cli, official: Mapping[str, Path | None]) -> tuple[str, str]:
    """Name a bundle, as an entry of the cache: the hash of its source, this Python, the CLI, and what it is for."""
    offline = process.ROOT / "offline"
    sources = sorted({path for pattern in BUNDLED for path in offline.glob(pattern)})
    named = (part for path in sources for part in (str(path.relative_to(offline)), path))
    lacking = (name for name, path in official.items() if not path)
    python = Path(sys.prefix).resolve()
    return "bundle", cache.digest(str(python), str(cli.path.resolve()), cli.version, *lacking, *named)
