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

from offline import go
from offline import toolchain as closed
from ops.toolchain import cache, pins, process, pulumi_cli, toolchain
from ops.toolchain.console import OpsError
from tests.support import programs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A user with nothing: an empty home, cache and PATH. What offline/ builds in minutes is made in no time."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    built = programs.script(tmp_path / "built/kubernetes", "exit 1")
    monkeypatch.setattr("offline.kubernetes.ensure", lambda: built)

    def offline(verb: str, made: Path, *words: Any) -> None:
        if verb == "cli":
            programs.pulumi(made / "bin", host=False)
        else:
            closed.fill(made, words[0], kubernetes_too="--kubernetes" in words)

    monkeypatch.setattr(process, "offline", offline)
    return {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path / "home")}


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


def official_plugin(env: dict[str, str], provider: toolchain.Provider) -> Path:
    return programs.script(Path(env["HOME"]) / ".pulumi" / provider.file, "exit 1")


def kinds(found: toolchain.Toolchain | None) -> list[str]:
    assert found is not None
    assert all(os.access(part.path, os.X_OK) for part in found.origin.values())
    return [part.kind for part in found.origin.values()]


def test_a_users_own_cli_and_plugin_are_taken_and_only_the_one_that_is_wanted(
    env: dict[str, str], tmp_path: Path
) -> None:
    own = programs.pulumi(tmp_path / "bin", "3.300.1")
    assert toolchain.find(toolchain.DOCKER, env) is None
    assert not (tmp_path / "home").exists()  # to find changes nothing
    plugin = official_plugin(env, toolchain.DOCKER)
    found = toolchain.find(toolchain.DOCKER, env)
    assert kinds(found) == ["official"] * 3
    assert found is not None
    assert list(found.origin) == ["Pulumi CLI", "language host", "Docker plugin"]
    assert (found.pulumi, found.origin["Docker plugin"].path) == (own, plugin)
    assert found.env["PULUMI_HOME"] == str(tmp_path / "home/.pulumi")
    assert "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION" not in found.env
    assert toolchain.find(toolchain.KUBERNETES, env) is None


def test_a_cli_that_is_too_old_is_left_aside_and_one_with_a_language_host_comes_first(
    env: dict[str, str], network: dict[str, bytes], tmp_path: Path
) -> None:
    programs.pulumi(tmp_path / "bin", "3.219.9", host=False)
    assert pulumi_cli.find(env) is None
    built = pulumi_cli.ensure(env)
    assert (built.part.kind, built.host) == ("built", None)
    programs.pulumi(cache.entry(*pulumi_cli.ENTRY) / "bin")  # as if it had been downloaded
    found = pulumi_cli.find(env)
    assert found is not None
    assert (found.part.kind, found.part.path) == ("official", built.part.path)
    installers = programs.pulumi(tmp_path / "home/.pulumi/bin")
    found = pulumi_cli.find(env)
    assert found is not None
    assert found.part.path == installers


def test_a_file_that_is_no_cli_is_named(env: dict[str, str], tmp_path: Path) -> None:
    broken = programs.script(tmp_path / "bin/pulumi", "exit 3")
    with pytest.raises(OpsError, match=re.escape(str(broken))):
        pulumi_cli.find(env)


@pytest.mark.parametrize(
    ("provider", "kind"), [(None, []), (toolchain.DOCKER, ["bundled"]), (toolchain.KUBERNETES, ["built"])]
)
def test_the_bundled_plugins_stand_beside_a_cli_of_their_own_until_an_official_one_appears(
    env: dict[str, str],
    network: dict[str, bytes],
    tmp_path: Path,
    provider: toolchain.Provider | None,
    kind: list[str],
) -> None:
    found = toolchain.ensure(provider, env)
    assert kinds(found) == ["built", "bundled", *kind]
    assert found.pulumi.with_name(pulumi_cli.HOST).exists()
    users = str(tmp_path / "home/.pulumi")
    if provider:
        assert found.pulumi.parents[1] / "home" == Path(found.env["PULUMI_HOME"])
        # A log-in of the user's is found where it was.
        assert found.env["PULUMI_CREDENTIALS_PATH"] == users
    # In a shell that took our environment they do not pass for official.
    assert toolchain.find(provider, env) == found == toolchain.find(provider, found.env)
    if provider:
        official_plugin(env, provider)
        later = toolchain.ensure(provider, env)
        assert kinds(later) == ["built", "bundled", "official"]
        assert later.env["PULUMI_HOME"] == users


def test_a_bundled_plugin_goes_with_a_users_own_cli(
    env: dict[str, str], network: dict[str, bytes], tmp_path: Path
) -> None:
    own = programs.pulumi(tmp_path / "bin")
    official_plugin(env, toolchain.KUBERNETES)
    made = toolchain.ensure(toolchain.DOCKER, env)
    assert kinds(made) == ["official", "official", "bundled"]
    assert made.pulumi == own
    assert kinds(toolchain.find(toolchain.KUBERNETES, env)) == ["official"] * 3


def test_a_kubernetes_plugin_that_cannot_be_built_is_no_matter_of_a_stack_that_needs_none(
    env: dict[str, str], network: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> Path:
        raise OpsError("it can't be built")

    monkeypatch.setattr("offline.kubernetes.ensure", fails)
    toolchain.ensure(toolchain.DOCKER, env)
    with pytest.raises(OpsError, match="can't be built"):
        toolchain.ensure(toolchain.KUBERNETES, env)
    assert toolchain.find(toolchain.KUBERNETES, env) is None


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
    assert not cache.entry(*pulumi_cli.ENTRY).exists()
    sums = f"{'0' * 64}  other.tar.gz\n{hashlib.sha256(data).hexdigest()}  {pulumi_cli.ARCHIVE}\n"
    network[pulumi_cli.CHECKSUMS] = sums.encode()
    cli = pulumi_cli.ensure(env)
    assert cli.part.kind == "official"
    assert cli.host is not None
    # No path in an archive leads out of the entry.
    names = ["outside", "pulumi", "pulumi-language-python"]
    assert sorted(path.name for path in cli.part.path.parent.iterdir()) == names


@pytest.mark.parametrize("fails", [False, True])
def test_a_go_module_is_built_statically_and_a_failure_shows_its_logs_end(
    env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    build = 'echo "CGO_ENABLED=$CGO_ENABLED"; while [ "$1" != -o ]; do shift; done; mkdir -p "${2%/*}"; env > "$2"'
    if fails:
        build = "echo the proxy is shut; exit 7"
    programs.script(tmp_path / "bin/go", f'case "$1" in env) echo go1.99.0; echo auto;; *) {build};; esac')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    if not fails:
        closed.build_cli(tmp_path / "made")
        assert "CGO_ENABLED=0\n" in (tmp_path / "made/bin/pulumi").read_text()
        return
    log = re.escape(str(cache.root() / "logs" / "pulumi-build-"))
    with pytest.raises(OpsError, match=rf"status 7[\s\S]*{log}[\s\S]*the proxy is shut"):
        closed.build_cli(tmp_path / "made")


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
    binary, _ = go.ensure(closed.CLI_MODULE)
    assert binary == (own if taken else wheel / "go/bin/go")


def test_offline_is_run_as_a_process_and_its_failure_is_the_verbs() -> None:
    process.offline("cli", "--help")
    with pytest.raises(OpsError, match="offline nothing"):
        process.offline("nothing")


def test_the_pins_agree_with_the_files_that_they_are_about() -> None:
    assert go.pinned(closed.CLI_MODULE, "github.com/pulumi/pulumi/pkg/v3") == f"v{pins.PULUMI_VERSION}"
    wanted = (ROOT / "requirements.in").read_text()
    for provider in toolchain.PROVIDERS.values():
        assert f"pulumi-{provider.name}=={provider.version}\n" in wanted
    assert go.required(closed.CLI_MODULE) >= go.OLDEST
