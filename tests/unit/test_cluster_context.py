"""How a folder or inline files become a build's context."""

import gzip
import io
import os
import tarfile
import tempfile
from pathlib import Path
from unittest import mock

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.kubernetes import context
from components.kubernetes.context import ContextError, Packed, pack_directory, pack_inline
from components.kubernetes.preflight import preflight
from tests.support.kubernetes_stack import FakeReader, build
from tests.support.kubernetes_stack import settings as cluster_settings


def unpacked(packed: Packed) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(packed.content))) as tar:
        return {info.name: info for info in tar}


def contents(packed: Packed) -> dict[str, bytes]:
    """Give what the files hold; folders and links are left out."""
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(packed.content))) as tar:
        return {info.name: file.read() for info in tar if info.isreg() and (file := tar.extractfile(info))}


def tree(folder: Path, *paths: str, ignore: str | None = None) -> Path:
    """Make files, each with its path as its text, and folders, which end with a slash; and a Dockerfile."""
    for path in ("Dockerfile", *paths):
        place = folder / path
        (place if path.endswith("/") else place.parent).mkdir(parents=True, exist_ok=True)
        if not path.endswith("/"):
            place.write_text(path)
    if ignore is not None:
        (folder / ".dockerignore").write_text(ignore)
    return folder


def test_the_same_files_give_the_same_bytes_whoever_made_them_when_and_in_what_order(tmp_path: Path) -> None:
    first = tree(tmp_path / "1", "a.txt", "b/c.txt", "b/d.txt", "e/")
    before = os.umask(0o077)
    try:
        second = tree(tmp_path / "2", "e/", "b/d.txt", "b/c.txt", "a.txt")
    finally:
        os.umask(before)
    for place in second.rglob("*"):
        os.utime(place, (1, 1))
        if os.geteuid() == 0:
            os.chown(place, 12345, 12345)
    one, two = pack_directory(first, "Dockerfile"), pack_directory(second, "Dockerfile")
    assert (one.digest, one.content) == (two.digest, two.content)
    for info in unpacked(two).values():
        assert (info.mtime, info.uid, info.gid, info.uname, info.gname) == (0, 0, 0, "", "")


def test_inline_files_are_packed_as_the_same_files_in_a_folder_are(tmp_path: Path) -> None:
    folder = tree(tmp_path, "a")
    assert pack_inline({"a": "a", "Dockerfile": "Dockerfile"}) == pack_directory(folder, "Dockerfile")


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "a").write_text("A"),
        lambda folder: (folder / "a").chmod(0o755),
        lambda folder: (folder / "a").rename(folder / "b"),
        lambda folder: (folder / "empty").mkdir(),
        lambda folder: (folder / "link").symlink_to("a"),
        lambda folder: (folder / ".dockerignore").write_text("a"),
    ],
    ids=["text", "executable", "name", "folder", "link", "ignored"],
)
def test_the_digest_changes_with_whatever_a_build_could_see(tmp_path: Path, change: object) -> None:
    folder = tree(tmp_path, "a")
    before = pack_directory(folder, "Dockerfile").digest
    change(folder)  # type: ignore[operator]
    assert pack_directory(folder, "Dockerfile").digest != before


def test_folders_links_and_what_may_be_executed_stay_and_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    folder = tree(tmp_path / "context", "a/b/c", "a-b", "empty/", "run")
    for name, mode in {"run": 0o700, "a-b": 0o666}.items():
        (folder / name).chmod(mode)
    links = {"to-file": "a/b/c", "to-folder": "../outside", "to-nowhere": "/nowhere"}
    for name, target in links.items():
        (folder / name).symlink_to(target)
    infos = unpacked(pack_directory(folder, "Dockerfile"))
    # A folder is before what is in it.
    assert list(infos) == ["Dockerfile", "a", "a/b", "a/b/c", "a-b", "empty", "run", *links]
    assert {name: info.linkname for name, info in infos.items() if info.issym()} == links
    assert (infos["run"].mode, infos["a-b"].mode) == (0o755, 0o644)


IGNORE = yaml.safe_load(Path(__file__).with_name("dockerignore.yaml").read_text())


@pytest.mark.parametrize(("ignore", "stays", "goes"), [pytest.param(*case[1:], id=case[0]) for case in IGNORE])
def test_dockerignore_is_read_as_documented(tmp_path: Path, ignore: str, stays: list[str], goes: list[str]) -> None:
    packed = contents(pack_directory(tree(tmp_path, *stays, *goes, ignore=ignore), "Dockerfile"))
    assert set(packed) == {"Dockerfile", ".dockerignore", *stays}


@pytest.mark.parametrize("ignore", ["*", "**", "Dockerfile\n.dockerignore", "ci", "ci/*"])
def test_the_dockerfile_and_the_dockerignore_stay_whatever_is_ignored(tmp_path: Path, ignore: str) -> None:
    packed = contents(pack_directory(tree(tmp_path, "ci/Dockerfile.web", "ci/x", ignore=ignore), "ci/Dockerfile.web"))
    assert {"ci/Dockerfile.web", ".dockerignore"} <= set(packed)


def test_a_dockerfile_with_an_ignore_file_of_its_own_is_packed_by_that_one(tmp_path: Path) -> None:
    folder = tree(tmp_path, "ci/web", "ci/x", "a", "b", ignore="\ufeffa")  # a mark of byte order is no part of it
    (folder / "ci" / "web.dockerignore").write_text("b\nci\n.dockerignore\n")
    assert set(contents(pack_directory(folder, "ci/web"))) == {"Dockerfile", "a", "ci/web", "ci/web.dockerignore"}
    assert set(contents(pack_directory(folder, "Dockerfile"))) == {
        *(".dockerignore", "Dockerfile", "b", "ci/web", "ci/web.dockerignore", "ci/x")
    }


def test_what_is_ignored_is_not_even_looked_at(tmp_path: Path) -> None:
    folder = tree(tmp_path, ignore="pipe\nbig")
    os.mkfifo(folder / "pipe")
    (folder / "big").mkdir()
    os.truncate(os.open(folder / "big" / "file", os.O_CREAT | os.O_WRONLY), 10**10)
    assert "pipe" not in unpacked(pack_directory(folder, "Dockerfile"))


def refused(folder: Path, code: str, dockerfile: str = "Dockerfile") -> str:
    with pytest.raises(ContextError) as caught:
        pack_directory(folder, dockerfile)
    assert caught.value.code == code
    return caught.value.wrong


def test_what_is_too_big_for_a_config_map_is_refused_and_what_just_fits_is_taken(tmp_path: Path) -> None:
    folder = tree(tmp_path)
    (folder / "random").write_bytes(os.urandom(context.LARGEST))
    assert f"{context.LARGEST:,} bytes when packed" in refused(folder, "too_large")
    (folder / "random").write_bytes(os.urandom(context.LARGEST - 2000))
    assert len(pack_directory(folder, "Dockerfile").content) <= context.LARGEST


def test_what_is_too_big_on_disk_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tree(tmp_path, "a")
    os.truncate(os.open(folder / "sparse", os.O_CREAT | os.O_WRONLY), context.LARGEST_ON_DISK)
    monkeypatch.setattr(Path, "read_bytes", lambda place: pytest.fail(f"{place} was read"))
    assert f"{context.LARGEST_ON_DISK:,} bytes of files" in refused(folder, "too_large")


def test_a_run_reads_a_folder_once(tmp_path: Path) -> None:
    stack = cluster_settings(builds=[build(context={"directory": str(tree(tmp_path, "a"))})])
    with mock.patch.object(Path, "read_bytes", autospec=True, side_effect=Path.read_bytes) as read:
        assert list(preflight(stack, FakeReader(), project="ci", stack="test", deployed=False)) == []
        assert context.of(stack.builds[0]) is context.of(stack.builds[0])
    assert [call.args[0].name for call in read.call_args_list] == ["Dockerfile", "a"]


@pytest.mark.parametrize("directory", [".", ".local", ".local/state", "link"])
@pytest.mark.parametrize("ignore", [None, "*\n!.local/passphrase\n!state"])
def test_this_clones_own_folder_is_never_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, directory: str, ignore: str | None
) -> None:
    tree(tmp_path, ".local/Dockerfile", ".local/state/Dockerfile", ".local/passphrase", ignore=ignore)
    (tmp_path / "link").symlink_to(".local")
    monkeypatch.chdir(tmp_path)
    assert "passphrase of its stacks" in refused(Path(directory), "not_accepted")
    (tmp_path / ".dockerignore").write_text(".local\n")
    assert set(unpacked(pack_directory(tmp_path, "Dockerfile"))) == {".dockerignore", "Dockerfile", "link"}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("ignore", ["**/" * 40 + "x", "/".join(["**", "a*"] * 20) + "/x", "*a" * 40 + "b"])
def test_no_dockerignore_takes_long(tmp_path: Path, ignore: str) -> None:
    folder = tree(tmp_path, "/".join(["a" * 100] * 20), ignore=ignore)
    assert len(unpacked(pack_directory(folder, "Dockerfile"))) == 22


def test_what_can_not_be_packed_is_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(tmp_path / "missing", "not_found")
    folder = tree(tmp_path / "here", "a/phrase")
    assert "web.Dockerfile" in refused(folder, "not_found", "web.Dockerfile")
    (folder / "web.Dockerfile").symlink_to(tmp_path.parent / "x")
    (tmp_path.parent / "x").write_text("FROM scratch")
    assert "leads out of it" in refused(folder, "bad_file", "web.Dockerfile")
    (folder / "web.Dockerfile").unlink()
    os.mkfifo(folder / "a" / "pipe")
    assert "a/pipe" in refused(folder, "bad_file")
    (folder / "a" / "pipe").unlink()
    (folder / ".dockerignore").write_bytes(b"\xff\xfe")
    assert ".dockerignore" in refused(folder, "bad_file")
    (folder / ".dockerignore").unlink()
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", str(folder / "a" / "phrase"))
    assert "a/phrase" in refused(folder, "not_accepted")
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE_FILE")

    def denied(place: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(place))

    monkeypatch.setattr(Path, "read_bytes", denied)
    assert "Permission denied" in refused(folder, "bad_file")


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=12)
FILES = st.dictionaries(
    st.lists(NAMES.filter(lambda name: name not in {".", "..", ".dockerignore"}), min_size=1, max_size=3).map("/".join),
    st.binary(max_size=50),
    max_size=6,
)


@given(FILES)
@settings(max_examples=60, deadline=None)
@example({"Ünï/cödé.txt": b"", "new\nline": b"", "/".join(["d" * 60] * 4): b""})
def test_what_is_unpacked_is_what_was_packed(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder, written = tree(Path(made)), {"Dockerfile": b"Dockerfile"}
        for path, content in files.items():
            place = folder / path
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
            except OSError:  # a file where another's folder is
                continue
            written[path] = content
        assert contents(pack_directory(folder, "Dockerfile")) == written
