"""A backup's archive: what was written is read, and what is not whole or not the stack's is refused."""

import errno
import fcntl
import json
import re
import zipfile
from pathlib import Path
from unittest import mock

import pytest

from ops import archive, backup, docker_backup, engine
from setup import engine as local_engine
from setup.console import OpsError
from tests.support import made_stack

PARTS = {"state.json": b"{}", "home.tar": bytes(range(256))}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Give an archive of a state and of a home."""
    path = tmp_path / "made.zip"
    with archive.writing(path, {"project": "ci", "stack": "dev"}) as add:
        for name, data in PARTS.items():
            add(name, [data[:100], b"", data[100:]])
        assert not path.exists()
    return path


def read(path: Path) -> dict[str, bytes]:
    with archive.opened(path) as packed:
        assert packed.about["stack"] == "dev"
        assert {name: packed.part(name)[1] for name in PARTS} == {name: len(data) for name, data in PARTS.items()}
        return {name: b"".join(packed.part(name)[0]) for name in packed.about["sha256"]}


def test_every_part_is_read_as_it_was_written_by_its_owner_alone(made: Path) -> None:
    assert read(made) == PARTS
    assert made.stat().st_mode & 0o777 == 0o600


def test_an_archive_that_is_cut_anywhere_is_refused(made: Path) -> None:
    data = made.read_bytes()
    for length in range(len(data)):
        made.write_bytes(data[:length])
        with pytest.raises(OpsError, match="damaged"), archive.opened(made):
            pass


def test_an_archive_with_another_byte_is_refused_unless_all_that_it_has_is_the_same(made: Path) -> None:
    data, refused = made.read_bytes(), 0
    for index in range(len(data)):
        made.write_bytes(data[:index] + bytes([data[index] ^ 1]) + data[index + 1 :])
        try:
            assert read(made) == PARTS, index
        except OpsError:
            refused += 1
    assert refused > len(b"".join(PARTS.values()))


@pytest.mark.parametrize("change", [{"home.tar": b"other"}, {"more.tar": b"x"}, {"manifest.json": b"{}"}])
def test_an_archive_with_another_part_than_its_manifest_has_is_refused(made: Path, change: dict[str, bytes]) -> None:
    with zipfile.ZipFile(made) as packed:
        parts = {name: packed.read(name) for name in packed.namelist()}
    with zipfile.ZipFile(made, "w") as packed:
        for name, data in {**parts, **change}.items():
            packed.writestr(name, data)
    with pytest.raises(OpsError, match="damaged"), archive.opened(made):
        pass


def test_an_answer_of_the_engine_that_breaks_off_leaves_no_file_and_none_is_overwritten(made: Path) -> None:
    before = made.read_bytes()
    with pytest.raises(OpsError, match="would be overwritten"), archive.writing(made, {}):
        pass
    with pytest.raises(OpsError, match="ended too early"), archive.writing(made.with_name("new"), {}) as add:
        add("home.tar", archive.whole([b"x", bytes(1000)], "it"))
    assert [path.name for path in made.parent.iterdir()] == [made.name]
    assert made.read_bytes() == before


def test_another_stacks_archive_and_another_platforms_are_refused(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = made_stack.on_docker(tmp_path, "offline")
    monkeypatch.setattr(backup, "unprepared", lambda _: other)
    monkeypatch.setattr(local_engine, "ensure", lambda _: None)
    monkeypatch.setattr(engine, "client", mock.MagicMock())
    with pytest.raises(OpsError, match="ci/dev, not of ci/offline"):
        backup.restore("offline", made)
    images = tmp_path / "images.zip"
    with archive.writing(images, {"project": "ci", "stack": "offline"}) as add:
        add("registry.tar", [b""])
    with pytest.raises(OpsError, match=r"has registry.tar, .* \(ci:platform: docker\)"):
        backup.restore("offline", images)


def test_a_full_disk_and_a_missing_folder_are_told_with_the_archives_name(tmp_path: Path) -> None:
    full = mock.Mock(side_effect=OSError(errno.ENOSPC, "No space"))
    with pytest.raises(OpsError, match="new can't be written: No space"), archive.writing(tmp_path / "new", {}) as add:
        add("home.tar", iter(full, None))
    with pytest.raises(OpsError, match="new can't be written: No such"), archive.writing(tmp_path / "none/new", {}):
        pass


def test_a_backup_touches_no_container_of_anybody_else(tmp_path: Path) -> None:
    there, jenkins, like_it = mock.MagicMock(), mock.MagicMock(), mock.MagicMock()
    named = {"ci.jenkins": jenkins, "ci-jenkins": like_it}
    there.containers.list = lambda filters, ignore_removed, **_: [
        each for name, each in named.items() if re.search(filters.get("name", "^$"), f"/{name}")
    ]
    theirs = there.containers.get.return_value
    theirs.attrs = {"Config": {"Cmd": ["java"]}}
    stack = made_stack.on_docker(tmp_path, jenkins={"containerName": "ci.jenkins"})
    with pytest.raises(OpsError, match="jenkins_home-backup is in the way"):
        docker_backup.DockerStore(stack, there).save(mock.Mock())
    assert [each.method_calls for each in (jenkins, like_it, theirs)] == [[mock.call.stop(), mock.call.start()], [], []]


def test_a_restore_on_another_host_asks_the_old_one_nothing_and_keeps_the_passwords(tmp_path: Path) -> None:
    stash, before = "pulumi:index:Stash", {"host": "ssh://ci@old.example.org"}
    types = {"host": "pulumi:providers:docker", "home": "docker:index/volume:Volume", "jenkins": "ci:docker:Jenkins"}
    resources = [
        {"urn": f"urn:my-image-ci::{name}", "type": kind, "inputs": before, "replaceWith": ["host"]}
        for name, kind in {**types, "admin-password": stash, "proxy-image-haproxy:3.2": stash}.items()
    ]
    state = json.dumps({"checkpoint": {"latest": {"resources": resources}}}).encode()

    def adopted(host: str) -> bytes:
        stack = made_stack.on_docker(tmp_path, docker={"acceptRootOnHost": True, "socketGroup": 998, "host": host})
        return docker_backup.DockerStore(stack, mock.Mock()).adopted(state)

    assert adopted(before["host"]) == state
    left = json.loads(adopted(local_engine.DEFAULT_HOST))["checkpoint"]["latest"]["resources"]
    names = {each["urn"].rpartition("::")[2]: "replaceWith" in each for each in left}
    assert names == {"jenkins": False, "admin-password": False}


def test_while_a_backup_runs_an_update_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would start Jenkins in the middle of the copy."""

    def heal(_: object) -> bool:
        with (tmp_path / ".local/backup-dev.lock").open() as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True

    monkeypatch.setattr(engine, "client", mock.MagicMock())
    monkeypatch.setattr(docker_backup.DockerStore, "heal", heal)
    backup.before_up(made_stack.on_docker(tmp_path))
