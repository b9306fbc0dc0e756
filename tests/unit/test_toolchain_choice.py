"""Which Pulumi CLI, plugins, Go and Python environment are taken, and in what order."""

# ruff: noqa: FBT001, PLR0913, PLR0917 - cases of tables, and fixtures

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import requests

from offline.plugins import install
from ops.toolchain import cache, download, go, pins, plugins, pulumi_cli, toolchain
from ops.toolchain.console import OpsError
from tests.support import programs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A user with nothing: an empty home, cache and PATH."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    built = programs.script(tmp_path / "built/kubernetes", "exit 1")
    monkeypatch.setattr(plugins, "build_kubernetes", lambda: built)  # the real one takes minutes
    return {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path / "home")}


def official_plugin(home: Path, provider: plugins.Provider = plugins.DOCKER) -> Path:
    return programs.script(home / "plugins" / provider.folder / provider.program, "exit 1")


def test_a_users_own_cli_and_plugin_are_taken_and_nothing_is_said_about_their_home(
    env: dict[str, str], tmp_path: Path
) -> None:
    own = programs.pulumi(tmp_path / "bin", "3.300.1")
    plugin = official_plugin(tmp_path / "home/.pulumi")
    official_plugin(tmp_path / "home/.pulumi", plugins.KUBERNETES)
    found = toolchain.find(env)
    assert found is not None
    assert found.pulumi == own
    assert {name: part.kind for name, part in found.origin.items()} == {
        "Pulumi CLI": "official",
        "language host": "official",
        "Docker plugin": "official",
        "Kubernetes plugin": "official",
    }
    assert found.origin["Docker plugin"].path == plugin
    assert found.env["PULUMI_HOME"] == str(tmp_path / "home/.pulumi")
    assert "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION" not in found.env


def test_a_cli_that_is_too_old_is_named_and_left_aside(env: dict[str, str], tmp_path: Path) -> None:
    programs.pulumi(tmp_path / "bin", "3.219.9")
    assert pulumi_cli.find(env) is None
    assert [part.version for part in pulumi_cli.too_old(env)] == ["3.219.9"]


def test_the_installers_place_is_looked_at_too(env: dict[str, str], tmp_path: Path) -> None:
    own = programs.pulumi(tmp_path / "home/.pulumi/bin")
    found = pulumi_cli.find(env)
    assert found is not None
    assert found.part.path == own


def test_a_download_in_the_cache_is_preferred_to_what_was_built(env: dict[str, str]) -> None:
    programs.pulumi(pulumi_cli.built_entry() / "bin", host=False)
    built = pulumi_cli.find(env)
    assert built is not None
    assert built.part.kind == "built"
    programs.pulumi(pulumi_cli.downloaded_entry() / "bin")
    found = pulumi_cli.find(env)
    assert found is not None
    assert found.part.kind == "official"


def test_a_version_is_asked_once_until_the_file_changes(env: dict[str, str], tmp_path: Path) -> None:
    own = programs.pulumi(tmp_path / "bin", "3.259.0")
    assert [pulumi_cli.version(own), pulumi_cli.version(own)] == ["3.259.0"] * 2
    assert (tmp_path / "bin/asked").read_text().count("asked") == 1
    programs.pulumi(tmp_path / "bin", "3.260.0")
    os.utime(own, ns=(1, 1))
    assert pulumi_cli.version(own) == "3.260.0"


def test_a_file_that_is_no_cli_is_named(env: dict[str, str], tmp_path: Path) -> None:
    broken = programs.script(tmp_path / "bin/pulumi", "exit 3")
    with pytest.raises(OpsError, match=re.escape(str(broken))):
        pulumi_cli.version(broken)


def test_without_official_plugins_the_bundled_ones_stand_beside_a_cli_of_their_own(env: dict[str, str]) -> None:
    programs.pulumi(pulumi_cli.built_entry() / "bin", host=False)
    cli = pulumi_cli.find(env)
    assert cli is not None
    bundle = plugins.make_bundle(cli, {})
    found = toolchain.find(env)
    assert found is not None
    assert found.pulumi == bundle / "bin/pulumi"
    assert [part.kind for part in found.origin.values()] == ["built", "bundled", "bundled", "built"]
    assert all(os.access(part.path, os.X_OK) for part in found.origin.values())
    assert found.env["PULUMI_HOME"] == str(bundle / "home")
    # A log-in of the user's is found where it was.
    assert found.env["PULUMI_CREDENTIALS_PATH"] == str(Path(env["HOME"]) / ".pulumi")


def test_an_official_plugin_that_appears_later_is_taken_instead_of_the_bundled_one(
    env: dict[str, str], tmp_path: Path
) -> None:
    programs.pulumi(pulumi_cli.built_entry() / "bin", host=False)
    cli = pulumi_cli.find(env)
    assert cli is not None
    plugins.make_bundle(cli, {})
    for provider in plugins.PROVIDERS:
        official_plugin(tmp_path / "home/.pulumi", provider)
    found = toolchain.ensure(env)
    assert [part.kind for part in found.origin.values()] == ["built", "bundled", "official", "official"]
    assert found.env["PULUMI_HOME"] == str(tmp_path / "home/.pulumi")


def test_one_official_plugin_and_one_bundled_are_both_found_in_one_home(
    env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Network(monkeypatch)
    programs.pulumi(tmp_path / "bin")
    official = official_plugin(tmp_path / "home/.pulumi", plugins.KUBERNETES)
    assert toolchain.find(env) is None
    made = toolchain.ensure(env)
    assert {name: part.kind for name, part in made.origin.items()} == {
        "Pulumi CLI": "official",
        "language host": "official",
        "Docker plugin": "bundled",
        "Kubernetes plugin": "official",
    }
    home = Path(made.env["PULUMI_HOME"]) / "plugins"
    assert (home / plugins.KUBERNETES.folder / plugins.KUBERNETES.program).resolve() == official
    assert os.access(home / plugins.DOCKER.folder / plugins.DOCKER.program, os.X_OK)
    assert toolchain.find(env) == made


def test_a_plugin_that_is_not_wanted_is_not_missed(env: dict[str, str], tmp_path: Path) -> None:
    programs.pulumi(tmp_path / "bin")
    official_plugin(tmp_path / "home/.pulumi", plugins.DOCKER)
    found = toolchain.find(env, [plugins.DOCKER])
    assert found is not None
    assert list(found.origin) == ["Pulumi CLI", "language host", "Docker plugin"]
    assert found.env["PULUMI_HOME"] == str(tmp_path / "home/.pulumi")


def test_the_kubernetes_plugin_is_built_only_for_who_wants_it_and_fails_with_the_builds_status(
    env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> Path:
        raise OpsError("it can't be built")

    monkeypatch.setattr(plugins, "build_kubernetes", fails)
    programs.pulumi(pulumi_cli.built_entry() / "bin", host=False)
    cli = pulumi_cli.find(env)
    assert cli is not None
    plugins.make_bundle(cli, {}, [plugins.DOCKER])
    assert toolchain.find(env, [plugins.DOCKER]) is not None
    assert toolchain.find(env) is None
    with pytest.raises(OpsError, match="can't be built"):
        plugins.make_bundle(cli, {})


def test_in_a_shell_that_took_our_environment_the_bundled_plugins_do_not_pass_for_official(env: dict[str, str]) -> None:
    programs.pulumi(pulumi_cli.built_entry() / "bin", host=False)
    cli = pulumi_cli.find(env)
    assert cli is not None
    plugins.make_bundle(cli, {})
    first = toolchain.find(env)
    assert first is not None
    assert toolchain.find(first.env) == first


def test_finding_changes_nothing_and_says_none_when_something_is_missing(env: dict[str, str], tmp_path: Path) -> None:
    programs.pulumi(tmp_path / "bin")
    assert toolchain.find(env) is None
    assert not (tmp_path / "home").exists()


class Network:
    """Official places that serve what a test puts there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pages: dict[str, bytes] = {}
        monkeypatch.setattr(requests.sessions.Session, "send", self.send)

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:
        if request.url not in self.pages:
            raise requests.ConnectionError("no route")
        answer = requests.Response()
        answer.status_code = 200
        answer.url = request.url or ""
        answer.request = request
        answer.raw = io.BytesIO(self.pages[answer.url])
        return answer


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    return Network(monkeypatch)


def archive() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name in ("pulumi/pulumi", "pulumi/pulumi-language-python", "../../outside"):
            body = b"#!/bin/sh\necho v" + pins.PULUMI_VERSION.encode()
            member = tarfile.TarInfo(name)
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
    return packed.getvalue()


def test_the_official_download_is_used_when_it_is_what_the_release_published(
    env: dict[str, str], network: Network
) -> None:
    data = archive()
    sums = f"{'0' * 64}  other.tar.gz\n{hashlib.sha256(data).hexdigest()}  {pins.pulumi_archive('x86_64')}\n"
    network.pages = {pins.PULUMI_CHECKSUMS_URL: sums.encode(), pins.pulumi_archive_url("x86_64"): data}
    cli = pulumi_cli.ensure(env)
    assert cli.part.kind == "official"
    assert cli.host is not None
    # No path in an archive leads out of the entry.
    assert sorted(path.name for path in cli.part.path.parent.iterdir()) == [
        "outside",
        "pulumi",
        "pulumi-language-python",
    ]


def test_a_download_that_is_not_what_was_published_is_refused_and_not_kept(
    env: dict[str, str], network: Network
) -> None:
    sums = f"{'0' * 64}  {pins.pulumi_archive('x86_64')}\n"
    network.pages = {pins.PULUMI_CHECKSUMS_URL: sums.encode(), pins.pulumi_archive_url("x86_64"): archive()}
    with pytest.raises(OpsError, match="published 0000"):
        pulumi_cli.ensure(env)
    assert not pulumi_cli.downloaded_entry().exists()


def test_where_nothing_can_be_reached_the_cli_is_built(
    env: dict[str, str], network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs.script(
        tmp_path / "bin/go",
        'case "$1" in env) echo go1.99.0; echo auto;; '
        f'build) while [ "$1" != -o ]; do shift; done; mkdir -p "$(dirname "$2")"; '
        f'printf \'#!/bin/sh\\necho v{pins.PULUMI_VERSION}\\n\' > "$2"; chmod +x "$2";; esac',
    )
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    cli = pulumi_cli.ensure(env)
    assert (cli.part.kind, cli.part.path) == ("built", pulumi_cli.built_entry() / "bin/pulumi")
    assert cli.host is None


def test_a_build_that_fails_shows_its_logs_end_and_where_it_is(
    env: dict[str, str], network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs.script(
        tmp_path / "bin/go", 'case "$1" in env) echo go1.99.0; echo auto;; *) echo the proxy is shut; exit 7;; esac'
    )
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    with pytest.raises(OpsError) as caught:
        pulumi_cli.ensure(env)
    shown = str(caught.value)
    assert "status 7" in shown
    assert "the proxy is shut" in shown
    assert str(cache.root() / "logs" / "pulumi-build-") in shown
    assert not pulumi_cli.built_entry().exists()


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
    wheel = cache.entry("go", cache.digest(pins.GO_REQUIREMENTS))
    wheel.mkdir(parents=True)  # as if the wheel had been installed before
    binary, _ = go.ensure(pins.PULUMI_MODULE)
    assert binary == (own if taken else wheel / "go/bin/go")


def test_the_pins_agree_with_the_files_that_they_are_about() -> None:
    module = (pins.PULUMI_MODULE / "go.mod").read_text()
    assert f"github.com/pulumi/pulumi/pkg/v3 v{pins.PULUMI_VERSION} " in module
    wanted = (ROOT / "requirements.in").read_text()
    for provider in plugins.PROVIDERS:
        assert f"pulumi-{provider.name}=={provider.version}\n" in wanted
    assert plugins.DOCKER.version == install.DOCKER_VERSION
    assert go.required(pins.PULUMI_MODULE) >= pins.GO_OLDEST


def test_an_unreachable_place_is_told_in_a_few_words() -> None:
    with pytest.raises(download.UnreachableError, match=r"^no connection$"):
        download.check_reachable("http://127.0.0.1:1/")


@pytest.mark.parametrize(("kind", "message"), [("dve", "give runtime or dev"), ("runtime", "")])
def test_the_bootstrap_names_what_it_does_not_know_and_is_quick_when_nothing_is_to_do(
    tmp_path: Path, kind: str, message: str
) -> None:
    clone = tmp_path / "clone"
    target = clone / "ops/toolchain/bootstrap.sh"
    target.parent.mkdir(parents=True)
    target.write_bytes((ROOT / "ops/toolchain/bootstrap.sh").read_bytes())
    (clone / "requirements.txt").write_text("")
    (clone / "requirements-dev.txt").write_text("")
    (clone / ".venv/bin").mkdir(parents=True)
    (clone / ".venv/bin/python").symlink_to(sys.executable)
    sums = subprocess.run(
        ["sha256sum", "requirements.txt"], cwd=clone, capture_output=True, text=True, check=True
    ).stdout
    (clone / ".venv/.pins").write_text(sums)
    done = subprocess.run(
        ["sh", target, kind], capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"}
    )
    assert message in done.stderr
    assert done.returncode == (2 if message else 0)
