"""The archives of the stand-in images: reproducible, and what an engine needs."""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from offline import archive, binaries
from offline.archive import Entry

ENTRIES = [
    Entry("/bin/busybox", content="program"),
    Entry("/bin/sh", link="/bin/busybox"),
    Entry("/var/jenkins_home", owner=1000),
    Entry("/tmp", mode=0o1777),
]


def written(entries: list[Entry], **config: Any) -> bytes:
    target = io.BytesIO()
    archive.write(target, name="made:1", entries=entries, config=config, architecture="amd64")
    return target.getvalue()


def members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as found:
        return {info.name: content.read() for info in found if (content := found.extractfile(info))}


def test_the_same_content_gives_the_same_bytes_in_whatever_order_it_comes() -> None:
    assert written(ENTRIES, User="jenkins") == written(ENTRIES[::-1], User="jenkins")


@pytest.mark.parametrize(
    "changed",
    [
        [Entry("/bin/busybox", content="another"), *ENTRIES[1:]],
        [*ENTRIES[:3], Entry("/tmp")],
        [*ENTRIES, Entry("/more")],
    ],
)
def test_any_change_of_the_files_gives_another_image(changed: list[Entry]) -> None:
    def image_id(data: bytes) -> str:
        found: str = json.loads(members(data)["manifest.json"])[0]["Config"]
        return found

    assert image_id(written(changed)) != image_id(written(ENTRIES))
    assert image_id(written(ENTRIES, User="jenkins")) != image_id(written(ENTRIES))


def test_names_and_hashes_in_the_archive_agree() -> None:
    found = members(written(ENTRIES, User="jenkins"))
    [manifest] = json.loads(found["manifest.json"])
    assert manifest["RepoTags"] == ["made:1"]
    image = found[manifest["Config"]]
    assert manifest["Config"] == f"{hashlib.sha256(image).hexdigest()}.json"
    layers = [f"sha256:{hashlib.sha256(found[name]).hexdigest()}" for name in manifest["Layers"]]
    assert json.loads(image)["rootfs"]["diff_ids"] == layers


def test_owners_modes_links_and_missing_parents_are_in_the_layer() -> None:
    with tarfile.open(fileobj=io.BytesIO(members(written(ENTRIES))["layer.tar"])) as layer:
        found = {info.name: (info.mode, info.uid, info.gid, info.linkname, info.mtime) for info in layer}
    assert found == {
        "bin": (0o755, 0, 0, "", 0),
        "bin/busybox": (0o755, 0, 0, "", 0),
        "bin/sh": (0o777, 0, 0, "/bin/busybox", 0),
        "tmp": (0o1777, 0, 0, "", 0),
        "var": (0o755, 0, 0, "", 0),
        "var/jenkins_home": (0o755, 1000, 1000, "", 0),
    }
    assert list(found) == sorted(found)  # a folder comes before what is in it


def test_a_capability_of_a_file_is_where_containerd_looks_for_it_and_only_on_that_file() -> None:
    written_with = written([Entry("/bin/map", content="program", capability=7), *ENTRIES])
    with tarfile.open(fileobj=io.BytesIO(members(written_with)["layer.tar"])) as layer:
        found = {info.name: info.pax_headers for info in layer}
    value = found.pop("bin/map")["SCHILY.xattr.security.capability"]
    # As `setcap cap_setuid=ep` leaves it: version 2, in force, bit 7 of the permitted set.
    assert value.encode("utf-8", "surrogateescape").hex() == "0100000280000000000000000000000000000000"
    assert not any(found.values())


def elf(*kinds: int) -> bytes:
    header = b"\x7fELF\x02\x01".ljust(32, b"\0") + (64).to_bytes(8, "little")
    header = header.ljust(54, b"\0") + (56).to_bytes(2, "little") + len(kinds).to_bytes(2, "little")
    return header.ljust(64, b"\0") + b"".join(kind.to_bytes(4, "little").ljust(56, b"\0") for kind in kinds)


@pytest.mark.parametrize(
    ("data", "static"),
    [(elf(1, 1, 2), True), (elf(1, binaries.PT_INTERP, 2), False), (b"#!/bin/sh\n", False), (b"", False)],
)
def test_a_program_that_needs_a_loader_is_told_from_a_static_one(tmp_path: Path, data: bytes, *, static: bool) -> None:
    program = tmp_path / "program"
    program.write_bytes(data)
    assert binaries.is_static(program) is static


def test_the_docker_clis_version_is_the_one_that_its_module_pins() -> None:
    assert binaries.docker_cli_version().count(".") == 2
    assert binaries.docker_cli_version() in (binaries.DOCKER_CLI_MODULE / "go.mod").read_text()
