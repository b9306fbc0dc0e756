"""Which Pulumi CLI, plugins, Go and Python environment are taken, and in what order."""

# ruff: noqa: FBT001 - cases of tables, and fixtures

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from offline import go
from offline import toolchain as closed
from setup import cache, pins, process, toolchain
from setup.console import OpsError
from tests.support import programs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user with nothing: an empty home, cache and PATH. What offline/ builds in minutes is made in no time."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    built = programs.script(tmp_path / "built/kubernetes", "exit 1")
    monkeypatch.setattr("offline.kubernetes.ensure", lambda: built)

    def offline(verb: str, made: Path, *words: Any) -> None:
        if verb == "cli":
            programs.pulumi(made / "bin", host=False)
        else:
            closed.bundle(made, words[0], words[1:])

    monkeypatch.setattr(process, "offline", offline)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("PULUMI_HOME", raising=False)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> list[Exception]:
    """Why Pulumi's downloads can't be reached: closed at first, open once a test clears the list."""
    problems: list[Exception] = [requests.ConnectTimeout()]

    def head(_: str, timeout: float) -> None:
        assert timeout <= 5, "a network without a way out is known at once"
        for problem in problems:
            raise problem

    monkeypatch.setattr(requests, "head", head)
    return problems


def official_plugin(platform: str) -> Path:
    name = f"pulumi-resource-{platform}"
    folder = f"resource-{platform}-v{toolchain.VERSIONS[platform]}"
    return programs.script(Path.home() / ".pulumi/plugins" / folder / name, "exit 1")


def kinds(found: toolchain.Toolchain | None) -> list[str]:
    assert found is not None
    assert os.access(found.pulumi, os.X_OK)
    return [kind for kind, _ in found.parts.values()]


def environment_of(pulumi: Path, env: Mapping[str, str]) -> dict[str, str]:
    """What the CLI of a chain gets to see, where it is a script that prints it."""
    done = subprocess.run(
        [pulumi, "env"], env={**env, "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True
    )
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def test_a_users_own_cli_and_plugin_are_taken_and_only_the_wanted_one(tmp_path: Path) -> None:
    own = programs.pulumi(tmp_path / "bin", "3.300.1")
    assert toolchain.find("docker") is None
    assert not (tmp_path / "home").exists()  # to find changes nothing
    plugin = official_plugin("docker")
    found = toolchain.find("docker")
    assert kinds(found) == ["official"] * 3
    assert found is not None
    assert list(found.parts) == ["Pulumi CLI", "language host", "Docker plugin"]
    assert (found.pulumi, found.parts["Docker plugin"]) == (own, ("official", str(plugin)))
    assert found.env["PULUMI_HOME"] == str(tmp_path / "home/.pulumi")
    assert toolchain.find("kubernetes") is None


@pytest.mark.parametrize(("version", "host"), [("3.219.9", True), ("3.300.0", False), ("?; exit 3", True)])
def test_a_cli_that_is_too_old_or_broken_or_has_no_language_host_is_left_aside_and_named(
    network: list[Exception],
    tmp_path: Path,
    version: str,
    host: bool,
    capfd: pytest.CaptureFixture[str],
) -> None:
    own = programs.pulumi(tmp_path / "bin", version, host=host)
    built = cache.entry(*toolchain.CLI) / "bin/pulumi"
    assert toolchain.find_cli(toolchain.users_own()) is None
    assert toolchain.ensure().parts["Pulumi CLI"] == ("built", f"{pins.PULUMI_VERSION}, {built}")
    assert f"{own} is not used" in capfd.readouterr().err
    installers = programs.pulumi(tmp_path / "home/.pulumi/bin")
    assert toolchain.ensure().pulumi == installers


@pytest.mark.parametrize(
    ("problem", "remedy"),
    [
        (requests.exceptions.SSLError(), "REQUESTS_CA_BUNDLE"),
        (requests.exceptions.ProxyError("Tunnel connection failed: 407"), "HTTPS_PROXY"),
        (requests.ReadTimeout(), "Try again"),
        (requests.ConnectionError("reset by peer"), "Try again"),
        (subprocess.CalledProcessError(22, "install.sh"), "Try again"),
    ],
)
def test_a_download_that_fails_for_a_reason_with_a_remedy_builds_nothing(
    network: list[Exception], problem: Exception, remedy: str
) -> None:
    network[:] = [problem]
    with pytest.raises(OpsError, match="can't be downloaded") as refused:
        toolchain.ensure()
    assert remedy in refused.value.remedy


@pytest.mark.parametrize("reason", ["NewConnectionError", "NameResolutionError"])
def test_where_there_is_no_way_to_the_downloads_the_cli_is_built(network: list[Exception], reason: str) -> None:
    network[:] = [requests.ConnectionError(f"Caused by {reason}(...)")]
    assert kinds(toolchain.ensure()) == ["built", "bundled"]


def test_where_the_downloads_can_be_reached_pulumis_own_installer_is_asked(
    network: list[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def install(root: str, version: object, **_: Any) -> None:
        assert str(version) == pins.PULUMI_VERSION
        programs.pulumi(Path(root) / "bin")

    network.clear()
    monkeypatch.setattr("pulumi.automation.PulumiCommand.install", install)
    assert kinds(toolchain.ensure()) == ["official"] * 2


@pytest.mark.parametrize(
    ("platform", "kind"), [("", []), ("docker", ["bundled"]), ("kubernetes", ["built"])], ids=["none", "docker", "k8s"]
)
def test_a_bundle_has_what_is_lacking_until_an_official_one_appears(
    network: list[Exception], tmp_path: Path, platform: str, kind: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = toolchain.ensure(platform)
    assert kinds(found) == ["built", "bundled", *kind]
    seen = environment_of(found.pulumi, found.env)
    users = str(tmp_path / "home/.pulumi")
    if platform:
        home = Path(seen["PULUMI_HOME"])
        assert home == found.pulumi.parents[1] / "home"
        [program] = home.glob(f"plugins/resource-{platform}-v*/pulumi-resource-{platform}")
        assert os.access(program, os.X_OK)
        # A log-in of the user's is found where it was.
        assert seen["PULUMI_CREDENTIALS_PATH"] == users
    # In a shell that took our environment it does not pass for official.
    assert toolchain.find(platform) == found
    monkeypatch.setenv("PATH", found.env["PATH"])
    assert toolchain.find(platform) == found
    if platform:
        official_plugin(platform)
        later = toolchain.ensure(platform)
        assert kinds(later) == ["built", "bundled", "official"]
        assert environment_of(later.pulumi, later.env)["PULUMI_HOME"] == users


def test_a_bundled_plugin_goes_with_a_users_own_tools(network: list[Exception], tmp_path: Path) -> None:
    own = programs.script(tmp_path / "bin/pulumi", 'echo v3.300.1; echo "RUN=$0"; /usr/bin/env')
    programs.script(tmp_path / "bin/pulumi-language-python", "exit 1")
    official_plugin("kubernetes")
    made = toolchain.ensure("docker")
    assert kinds(made) == ["official", "official", "bundled"]
    seen = environment_of(made.pulumi, made.env)
    assert (seen["RUN"], seen["PULUMI_HOME"]) == (str(own), str(made.pulumi.parents[1] / "home"))
    assert kinds(toolchain.find("kubernetes")) == ["official"] * 3


def test_a_kubernetes_plugin_that_cannot_be_built_is_no_matter_of_a_stack_that_needs_none(
    network: list[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> Path:
        raise OpsError("it can't be built")

    monkeypatch.setattr("offline.kubernetes.ensure", fails)
    toolchain.ensure("docker")
    with pytest.raises(OpsError, match="can't be built"):
        toolchain.ensure("kubernetes")
    assert toolchain.find("kubernetes") is None


@pytest.mark.parametrize("fails", [False, True])
def test_a_go_module_is_built_statically_and_a_failure_shows_its_logs_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, choice: str, taken: bool
) -> None:
    own = programs.script(tmp_path / "bin/go", f"echo {version}; echo {choice}")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    wheel = cache.entry("go", cache.digest(go.REQUIREMENTS))
    wheel.mkdir(parents=True)  # as if the wheel had been installed before
    binary, _ = go.ensure(closed.CLI_MODULE)
    assert binary == (own if taken else wheel / "go/bin/go")


def test_the_pins_agree_with_the_files_that_they_are_about() -> None:
    assert go.pinned(closed.CLI_MODULE, "github.com/pulumi/pulumi/pkg/v3") == f"v{pins.PULUMI_VERSION}"
    wanted = (ROOT / "requirements.in").read_text()
    for platform, version in toolchain.VERSIONS.items():
        assert f"pulumi-{platform}=={version}\n" in wanted
    assert go.required(closed.CLI_MODULE) >= go.OLDEST
