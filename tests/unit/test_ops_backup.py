"""A backup's archive: what was written is read, and what is not whole or not the stack's is refused."""

import copy
import errno
import fcntl
import functools
import hashlib
import io
import json
import os
import re
import tarfile
import zipfile
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml

from ops import archive, backup, docker_backup, engine, state_files, volume_tar
from setup import engine as local_engine
from setup.console import OpsError
from tests.support import made_stack
from tests.support.archives import rewritten

CASES = yaml.safe_load(Path(__file__).with_name("archives.yaml").read_text())
KEY = "right passphrase"


def tar(*entries: dict[str, Any]) -> bytes:
    """Give a tar of these entries; a file has its own name as its content, `times` over."""
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w", format=tarfile.GNU_FORMAT) as packed:
        for entry in entries:
            member = tarfile.TarInfo(entry["name"])
            member.type = getattr(tarfile, entry.get("type", "REG") + "TYPE")
            member.mode, member.linkname = entry.get("mode", 0o644), entry.get("link", "")
            data = member.name.encode() * entry.get("times", 1) if member.isreg() else b""
            member.size = len(data)
            packed.addfile(member, io.BytesIO(data))
    text = into.getvalue().rstrip(b"\0")
    return text + bytes(-len(text) % tarfile.BLOCKSIZE) + volume_tar.TAR_END


PARTS = {"state.json": b"{}", "home.tar": tar({"name": "data", "type": "DIR"}, {"name": "data/config.xml"})}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Give an archive of a state and of a home."""
    path = tmp_path / "made.zip"
    with archive.writing(path, {"project": "ci", "stack": "dev"}, KEY) as add:
        for name, data in PARTS.items():
            add(name, [data[:100], b"", data[100:]])
        assert not path.exists()
    return path


def read(path: Path) -> dict[str, bytes]:
    with archive.opened(path, lambda: KEY) as packed:
        assert packed.about["stack"] == "dev"
        packed.compare()
        pieces, size = packed.tar("home.tar")
        home = b"".join(pieces)
        assert len(home) == size
        return {"state.json": packed.state(), "home.tar": home}


def same(path: Path) -> bool:
    """Whether an archive has what was written: the end of a tar may be shorter."""
    return {name: data.rstrip(b"\0") for name, data in read(path).items()} == {
        name: data.rstrip(b"\0") for name, data in PARTS.items()
    }


def test_every_part_is_read_as_it_was_written_by_its_owner_alone(made: Path) -> None:
    assert same(made)
    assert made.stat().st_mode & 0o777 == 0o600


def test_an_archive_that_is_cut_anywhere_is_refused(made: Path) -> None:
    data = made.read_bytes()
    for length in range(len(data)):
        made.write_bytes(data[:length])
        with pytest.raises(OpsError, match="damaged"), archive.opened(made, lambda: KEY) as packed:
            packed.compare()


def test_an_archive_with_another_byte_is_refused_unless_all_that_it_has_is_the_same(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashlib, "scrypt", functools.cache(hashlib.scrypt))  # a tenth of a second each
    data, refused = made.read_bytes(), 0
    for index in range(len(data)):
        made.write_bytes(data[:index] + bytes([data[index] ^ 1]) + data[index + 1 :])
        try:
            assert same(made), index
        except OpsError:
            refused += 1
    assert refused > len(b"".join(PARTS.values()))


@pytest.mark.parametrize(("mark", "calls"), [(None, ["mark", "make", "remove"]), ("a killed one's", ["mark", "make"])])
def test_the_volume_is_marked_before_its_archive_is_compared_and_a_new_one_goes_with_a_damaged_archive(
    made: Path, mark: str | None, calls: list[str]
) -> None:
    data = made.read_bytes()
    index = data.index(b"data/config.xml")
    made.write_bytes(data[:index] + b"x" + data[index + 1 :])
    store = mock.Mock(**{"mark.return_value": mark})
    with pytest.raises(OpsError, match="damaged"), archive.opened(made, lambda: KEY) as packed:
        backup._compare(packed, store)  # noqa: SLF001 - nothing else compares
    assert [name for name, _, _ in store.mock_calls] == calls


@pytest.mark.parametrize("change", [{"home.tar": b"other"}, {"more.tar": b"x"}, {"manifest.json": b"{}"}])
def test_an_archive_with_another_part_than_its_manifest_has_is_refused(made: Path, change: dict[str, bytes]) -> None:
    with zipfile.ZipFile(made) as written:
        parts = {name: written.read(name) for name in written.namelist()}
    with zipfile.ZipFile(made, "w") as written:
        for name, data in {**parts, **change}.items():
            written.writestr(name, data)
    with pytest.raises(OpsError, match="damaged"), archive.opened(made, lambda: KEY) as packed:
        packed.compare()


def test_an_answer_of_the_engine_that_breaks_off_leaves_no_file_and_none_is_overwritten(made: Path) -> None:
    before = made.read_bytes()
    with pytest.raises(OpsError, match="would be overwritten"), archive.writing(made, {}, KEY):
        pass
    with pytest.raises(OpsError, match="ended too early"), archive.writing(made.with_name("new"), {}, KEY) as add:
        add("home.tar", volume_tar.whole([b"x", bytes(1000)], "it"))
    assert [path.name for path in made.parent.iterdir()] == [made.name]
    assert made.read_bytes() == before


def test_another_stacks_archive_and_another_platforms_are_refused(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = made_stack.on_docker(tmp_path, "offline")
    other.env["PULUMI_CONFIG_PASSPHRASE"] = KEY
    monkeypatch.setattr(backup, "unprepared", lambda _: other)
    monkeypatch.setattr(local_engine, "ensure", lambda _: None)
    monkeypatch.setattr(engine, "client", mock.MagicMock())
    with pytest.raises(OpsError, match="ci/dev, not of ci/offline"):
        backup.restore("offline", made)
    images = tmp_path / "images.zip"
    with archive.writing(images, {"project": "ci", "stack": "offline"}, KEY) as add:
        add("registry.tar", [tar()])
    with pytest.raises(OpsError, match=r"has registry.tar, .* \(ci:platform: docker\)"):
        backup.restore("offline", images)


def test_a_full_disk_and_a_missing_folder_are_told_with_the_archives_name(tmp_path: Path) -> None:
    full = mock.Mock(side_effect=OSError(errno.ENOSPC, "No space"))
    with (
        pytest.raises(OpsError, match="new can't be written: No space"),
        archive.writing(tmp_path / "new", {}, KEY) as add,
    ):
        add("home.tar", iter(full, None))
    with (
        pytest.raises(OpsError, match="new can't be written: No such"),
        archive.writing(tmp_path / "none/new", {}, KEY),
    ):
        pass


@pytest.mark.parametrize(("layers", "tags"), [(["sha256:1"], []), ([docker_backup.NO_FILE], ["team:1"])])
def test_a_backup_touches_no_container_of_anybody_else(tmp_path: Path, layers: list[str], tags: list[str]) -> None:
    there, jenkins, like_it, theirs = mock.MagicMock(), mock.MagicMock(), mock.MagicMock(), mock.MagicMock()
    named = {"ci.jenkins": jenkins, "ci-jenkins": like_it}
    # One of a job that has the mark of a backup's own, in a state that a job's container can have too.
    there.containers.list = lambda filters, ignore_removed, **_: [
        *([theirs] if "label" in filters else []),
        *(each for name, each in named.items() if re.search(filters.get("name", "^$"), f"/{name}")),
    ]
    image = there.images.get.return_value
    image.attrs, image.tags = {"RootFS": {"Layers": layers}}, tags
    there.api.import_image_from_data.return_value = '{"status": "sha256:2"}'
    stack = made_stack.on_docker(tmp_path, jenkins={"containerName": "ci.jenkins"})
    docker_backup.DockerStore(stack, there).save(mock.Mock())
    assert [each.method_calls for each in (jenkins, like_it, theirs)] == [[mock.call.stop(), mock.call.start()], [], []]
    assert image.method_calls == []
    docker_backup.DockerStore(stack, there).save(mock.Mock())
    first, second = (each.kwargs["name"] for each in there.containers.create.call_args_list)
    assert first != second


def test_an_archive_that_somebody_changed_is_refused_though_its_hashes_are_made_anew(made: Path) -> None:
    rewritten(made, {"home.tar": tar({"name": "data/init.groovy.d/x.groovy"})})
    with pytest.raises(OpsError, match="changed after it was written"):
        read(made)


def test_an_archive_without_a_signature_is_restored_only_if_its_user_says_so(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewritten(made, {}, format=archive.UNSIGNED)
    stack = made_stack.on_docker(tmp_path, "dev")
    monkeypatch.setattr(backup, "unprepared", lambda _: stack)
    with pytest.raises(OpsError, match=r"root on its host.*\n.*restore FILE='?.*made.zip'? UNSIGNED=1"):
        backup.restore("dev", made)
    with pytest.raises(OpsError, match="state is damaged"):
        backup.restore("dev", made, unsigned=True)


@pytest.mark.parametrize("case", CASES["volumes"], ids=lambda case: case["is"])
def test_a_volumes_tar_has_regular_files_folders_and_links_that_stay_inside(case: dict[str, Any], made: Path) -> None:
    home = tar(*case["entries"])
    rewritten(made, {"home.tar": home}, format=archive.UNSIGNED)
    if "refused" in case:
        with pytest.raises(OpsError, match=case["refused"]) as refused:
            read(made)
        assert str(refused.value).isprintable() or "\x1b" not in str(refused.value)
        return
    with archive.opened(made, lambda: KEY) as packed:
        packed.compare()
        assert packed.left_out == case.get("leftOut", [])
        pieces = b"".join(packed.tar("home.tar")[0])
    with tarfile.open(fileobj=io.BytesIO(pieces)) as unpacked:
        assert {each.name: f"{each.mode:o}" for each in unpacked} == case["kept"]


@pytest.mark.parametrize("case", CASES["zips"], ids=lambda case: case["is"])
def test_what_a_zip_says_of_itself_is_not_believed(case: dict[str, Any], made: Path) -> None:
    with zipfile.ZipFile(made, "w", getattr(zipfile, case.get("as", "ZIP_STORED"))) as packed:
        for name, text in case["parts"].items():
            packed.writestr(name, str(text) * case.get("times", 1))
    with pytest.raises(OpsError, match=case["refused"]) as refused:
        read(made)
    assert "\x1b" not in str(refused.value)


def test_a_directory_of_a_zip_is_never_read_whole(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "READ_BYTES", 200)
    with pytest.raises(OpsError, match="directory is too large"):
        read(made)


def test_a_fifo_and_a_device_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero")):
        with pytest.raises(OpsError, match="not a regular file"):
            read(path)


def carried(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    """Give what a restore carries over of the state in the table, with these changes."""
    stack, state = made_stack.on_docker(tmp_path, "dev"), copy.deepcopy(CASES["state"])
    latest = state["checkpoint"]["latest"]
    latest |= {**changes, "resources": latest["resources"] + changes.get("resources", [])}
    (tmp_path / "state.json").write_text(json.dumps(state))
    return state_files.carried(stack.clone, "dev", tmp_path / "state.json")


def test_a_restore_carries_over_what_the_passphrase_encrypted_and_the_outputs_that_are_read_again(
    tmp_path: Path,
) -> None:
    latest = carried(tmp_path)["checkpoint"]["latest"]
    assert {each["urn"].rpartition("::")[2]: sorted(each) for each in latest["resources"]} == CASES["carried"]
    assert latest["resources"][0]["outputs"] == {"images": {"web": "registry/web@sha256:0"}}
    assert state_files.outputs({"checkpoint": {"latest": latest}}) is latest["resources"][0]["outputs"]


@pytest.mark.parametrize("case", CASES["states"], ids=lambda case: case["is"])
def test_a_state_with_what_this_program_does_not_make_is_refused(case: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(OpsError, match=case["refused"]) as refused:
        carried(tmp_path, **case["changes"])
    assert "\x1b" not in str(refused.value)


def test_a_resource_of_the_tables_state_that_nothing_needs_is_left_behind(tmp_path: Path) -> None:
    extra = [each for case in CASES["leftBehind"] for each in case["resources"]]
    assert carried(tmp_path, resources=extra)["checkpoint"]["latest"] == carried(tmp_path)["checkpoint"]["latest"]


def test_every_type_that_a_stack_registers_may_be_in_an_archive() -> None:
    files = (Path(__file__).parents[1] / "registrations").glob("*.yaml")
    types = set(re.findall(r"(?m)^\s*-? *type: (\S+:\S+)$", "".join(file.read_text() for file in files)))
    assert len(types) > 30
    assert [each for each in types if not state_files.TYPES.fullmatch(each)] == []


def test_while_a_backup_runs_an_update_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would start Jenkins in the middle of the copy."""

    def heal(_: object) -> bool:
        with (tmp_path / ".local/backup-dev.lock").open() as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True

    monkeypatch.setattr(engine, "client", mock.MagicMock())
    monkeypatch.setattr(docker_backup.DockerStore, "heal", heal)
    backup.before_up(made_stack.on_docker(tmp_path))
