"""Which Pulumi CLI, plugins, Go and Python environment are taken, and in what order."""

# ruff: noqa: FBT001, PLR0913, PLR0917 - cases of tables, and fixtures

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest
import requests

from offline.plugins import install
from ops.toolchain import cache, go, pins, plugins, pulumi_cli, toolchain
from ops.toolchain.console import OpsError
from tests.support import programs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A user with nothing: an empty home, cache and PATH."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    built = programs.script(tmp_path / "built/kubernetes", "exit 1")
    monkeypatch.setattr("offline.kubernetes.ensure", lambda: built)  # the real one takes minutes
    return {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path / "home")}


@pytest.fixture
def built(env: dict[str, str]) -> pulumi_cli.Cli:
    """The CLI that was built here, which has no language host."""
    programs.pulumi(cache.entry(*pulumi_cli.BUILT) / "bin", host=False)
    cli = pulumi_cli.find(env)
    assert cli is not None
    assert cli.part.kind == "built"
    return cli


@pytest.fixture
def network(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Official places that serve what a test puts there, by address."""
    pages: dict[str, bytes] = {}

    def send(_: object, request: requests.PreparedRequest, **__: Any) -> requests.Response:
        if request.url not in pages:
            raise requests.ConnectionError("no route")
        answer = requests.Response()
        answer.status_code = 200
        answer.raw = io.BytesIO(pages[request.url])
        return answer

    monkeypatch.setattr(requests.sessions.Session, "send", send)
    return pages


def official_plugin(env: dict[str, str], provider: plugins.Provider = plugins.DOCKER) -> Path:
    return programs.script(Path(env["HOME"]) / ".pulumi/plugins" / provider.file, "exit 1")


def kinds(found: toolchain.Toolchain | None) -> list[str]:
    assert found is not None
    assert all(os.access(part.path, os.X_OK) for part in found.origin.values())
    return [part.kind for part in found.origin.values()]


def test_a_users_own_cli_and_plugins_are_taken_and_only_those_that_are_wanted(
    env: dict[str, str], tmp_path: Path
) -> None:
    own = programs.pulumi(tmp_path / "bin", "3.300.1")
    assert toolchain.find(env) is None
    assert not (tmp_path / "home").exists()  # to find changes nothing
    plugin = official_plugin(env)
    found = toolchain.find(env, [plugins.DOCKER])
    assert kinds(found) == ["official"] * 3
    official_plugin(env, plugins.KUBERNETES)
    found = toolchain.find(env)
    assert kinds(found) == ["official"] * 4
    assert found is not None
    assert list(found.origin) == ["Pulumi CLI", "language host", "Docker plugin", "Kubernetes plugin"]
    assert (found.pulumi, found.origin["Docker plugin"].path) == (own, plugin)
    assert found.env["PULUMI_HOME"] == str(tmp_path / "home/.pulumi")
    assert "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION" not in found.env


def test_a_cli_that_is_too_old_is_left_aside_and_the_installers_place_and_the_download_come_before_what_was_built(
    env: dict[str, str], built: pulumi_cli.Cli, tmp_path: Path
) -> None:
    programs.pulumi(tmp_path / "bin", "3.219.9", host=False)
    assert pulumi_cli.find(env) == built
    assert [part.version for part in pulumi_cli.too_old(env)] == ["3.219.9"]
    for better in (cache.entry(*pulumi_cli.DOWNLOADED) / "bin", tmp_path / "home/.pulumi/bin"):
        path = programs.pulumi(better)
        found = pulumi_cli.find(env)
        assert found is not None
        assert (found.part.kind, found.part.path) == ("official", path)


def test_a_file_that_is_no_cli_is_named(env: dict[str, str], tmp_path: Path) -> None:
    broken = programs.script(tmp_path / "bin/pulumi", "exit 3")
    with pytest.raises(OpsError, match=re.escape(str(broken))):
        pulumi_cli.find(env)


def test_the_bundled_plugins_stand_beside_a_cli_of_their_own_until_official_ones_appear(
    env: dict[str, str], built: pulumi_cli.Cli, network: dict[str, bytes], tmp_path: Path
) -> None:
    found = toolchain.ensure(env)
    assert kinds(found) == ["built", "bundled", "bundled", "built"]
    assert found.pulumi != built.part.path
    assert found.pulumi.with_name(pulumi_cli.HOST).exists()
    assert found.pulumi.parents[1] / "home" == Path(found.env["PULUMI_HOME"])
    # A log-in of the user's is found where it was.
    assert found.env["PULUMI_CREDENTIALS_PATH"] == str(tmp_path / "home/.pulumi")
    # In a shell that took our environment they do not pass for official.
    assert toolchain.find(env) == found == toolchain.find(found.env)
    for provider in plugins.PROVIDERS:
        official_plugin(env, provider)
    later = toolchain.ensure(env)
    assert kinds(later) == ["built", "bundled", "official", "official"]
    assert later.env["PULUMI_HOME"] == str(tmp_path / "home/.pulumi")


def test_one_official_plugin_and_one_bundled_are_both_found_in_one_home(
    env: dict[str, str], network: dict[str, bytes], tmp_path: Path
) -> None:
    programs.pulumi(tmp_path / "bin")
    official = official_plugin(env, plugins.KUBERNETES)
    assert toolchain.find(env) is None
    made = toolchain.ensure(env)
    assert kinds(made) == ["official", "official", "bundled", "official"]
    home = Path(made.env["PULUMI_HOME"]) / "plugins"
    assert (home / plugins.KUBERNETES.file).resolve() == official
    assert os.access(home / plugins.DOCKER.file, os.X_OK)
    assert toolchain.find(env) == made


def test_the_kubernetes_plugin_is_built_only_for_who_wants_it(
    env: dict[str, str], built: pulumi_cli.Cli, network: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> Path:
        raise OpsError("it can't be built")

    monkeypatch.setattr("offline.kubernetes.ensure", fails)
    made = toolchain.ensure(env, [plugins.DOCKER])
    assert toolchain.find(env, [plugins.DOCKER]) == made
    assert toolchain.find(env) is None
    with pytest.raises(OpsError, match="can't be built"):
        toolchain.ensure(env)


def packed() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for name in ("pulumi/pulumi", "pulumi/pulumi-language-python", "../../outside"):
            tar.addfile(member := tarfile.TarInfo(name), io.BytesIO(b"#!/bin/sh"))
            assert member.size == 0
    return data.getvalue()


def test_the_official_download_is_used_only_if_it_is_what_the_release_published(
    env: dict[str, str], network: dict[str, bytes]
) -> None:
    data = packed()
    network[pulumi_cli.ARCHIVES + pulumi_cli.ARCHIVE] = data
    network[pulumi_cli.CHECKSUMS] = f"{'0' * 64}  {pulumi_cli.ARCHIVE}\n".encode()
    with pytest.raises(OpsError, match="not what the release published"):
        pulumi_cli.ensure(env)
    assert not cache.entry(*pulumi_cli.DOWNLOADED).exists()
    sums = f"{'0' * 64}  other.tar.gz\n{hashlib.sha256(data).hexdigest()}  {pulumi_cli.ARCHIVE}\n"
    network[pulumi_cli.CHECKSUMS] = sums.encode()
    cli = pulumi_cli.ensure(env)
    assert cli.part.kind == "official"
    assert cli.host is not None
    # No path in an archive leads out of the entry.
    names = ["outside", "pulumi", "pulumi-language-python"]
    assert sorted(path.name for path in cli.part.path.parent.iterdir()) == names


@pytest.mark.parametrize("fails", [False, True])
def test_where_nothing_can_be_reached_the_cli_is_built_and_a_failure_shows_its_logs_end(
    env: dict[str, str], network: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    build = 'while [ "$1" != -o ]; do shift; done; mkdir -p "$(dirname "$2")"; touch "$2"'
    if fails:
        build = "echo the proxy is shut; exit 7"
    programs.script(tmp_path / "bin/go", f'case "$1" in env) echo go1.99.0; echo auto;; *) {build};; esac')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    if not fails:
        cli = pulumi_cli.ensure(env)
        assert (cli.part.kind, cli.part.path, cli.host) == (
            "built",
            cache.entry(*pulumi_cli.BUILT) / "bin/pulumi",
            None,
        )
        assert cli.part.path.exists()
        return
    log = re.escape(str(cache.root() / "logs" / "pulumi-build-"))
    with pytest.raises(OpsError, match=rf"status 7[\s\S]*{log}[\s\S]*the proxy is shut"):
        pulumi_cli.ensure(env)
    assert not cache.entry(*pulumi_cli.BUILT).exists()


@pytest.mark.parametrize(
    ("version", "choice", "taken"),
    [("go1.99.0", "local", True), ("go1.21.0", "auto", True), ("go1.21.0", "local", False), ("go1.19.8", "", False)],
)
def test_a_go_is_taken_if_it_can_build_the_module_or_fetch_one_that_can(
    env: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    choice: str,
    taken: bool,
) -> None:
    own = programs.script(tmp_path / "bin/go", f"echo {version}; echo {choice}")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    wheel = cache.entry("go", cache.digest(go.REQUIREMENTS))
    wheel.mkdir(parents=True)  # as if the wheel had been installed before
    binary, _ = go.ensure(pulumi_cli.MODULE)
    assert binary == (own if taken else wheel / "go/bin/go")


def test_the_pins_agree_with_the_files_that_they_are_about() -> None:
    assert f"github.com/pulumi/pulumi/pkg/v3 v{pins.PULUMI_VERSION} " in (pulumi_cli.MODULE / "go.mod").read_text()
    wanted = (ROOT / "requirements.in").read_text()
    for provider in plugins.PROVIDERS:
        assert f"pulumi-{provider.name}=={provider.version}\n" in wanted
    assert plugins.DOCKER.version == install.DOCKER_VERSION
    assert go.required(pulumi_cli.MODULE) >= go.OLDEST
