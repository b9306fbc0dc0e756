"""Where the stand-in proxy's program comes from: Debian's packages, by the mirror that the machine has."""

from pathlib import Path

import pytest

from offline import debian
from setup.console import OpsError
from tests.support.programs import script

TARGETS = """\
bookworm-updates http://mirror.example.org/debian/
bookworm http://mirror.example.org/debian/
bookworm-security http://security.example.org/debian-security/
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder of programs that is all the machine has, and a keyring."""
    keyring = tmp_path / "keyring.gpg"
    keyring.touch()
    monkeypatch.setattr(debian, "_KEYRING", keyring)
    monkeypatch.setattr("setup.cache.root", lambda: tmp_path / "cache")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    (tmp_path / "targets").write_text(TARGETS)
    script(
        tmp_path / "bin/apt-get",
        f'echo "$@" >> {tmp_path}/asked\n'
        f'case "$*" in indextargets*) cat {tmp_path}/targets;; *update) cp sources.list {tmp_path}/sources || true;; '
        "*install*) touch cache/archives/x.deb;; esac",
    )
    script(tmp_path / "bin/dpkg-deb", 'mkdir -p "$3"; echo unpacked > "$3/x"')
    return tmp_path


def test_a_package_of_another_release_is_taken_signed_from_the_mirror_that_has_neither_updates_nor_security(
    machine: Path,
) -> None:
    root = debian.unpack("haproxy", machine / "part", release="trixie", remedy="make it")
    assert (root / "x").read_text() == "unpacked\n"
    assert [path.name for path in (machine / "part").iterdir()] == ["root"]
    asked = (machine / "asked").read_text()
    assert "--download-only install haproxy" in asked
    # With lists, sources and a record of installed packages of its own, so that nothing of the machine's is touched.
    for option in ("Dir::Etc::SourceList=", "Dir::Etc::SourceParts=/dev/null", "Dir::State::status=", "Dir::Cache="):
        assert option in asked

    keyring = machine / "keyring.gpg"
    assert (machine / "sources").read_text() == (
        f"deb [signed-by={keyring}] http://mirror.example.org/debian/ trixie main\n"
    )


@pytest.mark.parametrize(("lacks", "words"), [("keyring.gpg", "keyring"), ("targets", "no Debian release")])
def test_a_machine_without_debians_keyring_or_release_is_told_so(machine: Path, lacks: str, words: str) -> None:
    (machine / lacks).unlink()
    (machine / "targets").touch()
    with pytest.raises(OpsError, match=words):
        debian.unpack("haproxy", machine / "part", release="trixie", remedy="make it")


def test_a_package_of_the_machines_own_release_needs_no_source_and_no_keyring(machine: Path) -> None:
    (machine / "keyring.gpg").unlink()
    assert debian.unpack("busybox-static", machine / "part", remedy="make it").is_dir()
    asked = (machine / "asked").read_text()
    assert "Dir::Cache=" in asked
    assert "Dir::Etc" not in asked
