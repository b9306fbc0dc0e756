"""The archives of the stand-in images, and the programs in them. An engine loads and runs them in the live tests."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from offline import archive, binaries, images, programs
from offline.archive import Entry
from setup.console import OpsError

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
    assert written(ENTRIES, User="jenkins") == written(ENTRIES[::-1], User="jenkins") != written(ENTRIES)


@pytest.mark.parametrize(
    "changed",
    [
        [Entry("/bin/busybox", content="another"), *ENTRIES[1:]],
        [*ENTRIES[:3], Entry("/tmp")],
        [*ENTRIES, Entry("/more")],
    ],
)
def test_any_change_of_the_files_gives_another_image(changed: list[Entry]) -> None:
    ids = [json.loads(members(written(entries))["manifest.json"])[0]["Config"] for entries in (ENTRIES, changed)]
    assert ids[0] != ids[1]


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


def test_a_busybox_of_the_machine_is_taken_only_if_it_needs_no_loader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "INSTALLED_BUSYBOX", (tmp_path / "none", Path("/bin/sh")))
    monkeypatch.setattr("setup.cache.make", lambda *_, **__: tmp_path)
    assert binaries.busybox() == tmp_path / "busybox"
    monkeypatch.setattr("offline.programs.libraries", lambda _: {})
    assert binaries.busybox() == Path("/bin/sh")


def test_a_program_that_the_machine_lacks_is_named_with_what_to_do() -> None:
    with pytest.raises(OpsError, match="no no-such-program") as caught:
        programs.find("sh", "no-such-program", remedy="apt-get install it")
    assert caught.value.remedy == "apt-get install it"


def test_what_is_no_program_loads_nothing(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program")
    assert programs.libraries(tmp_path / "text") == {}


def test_the_image_of_an_engine_is_started_as_the_official_one_is() -> None:
    config = images.config(images.DIND)
    assert config["Entrypoint"] == ["dockerd-entrypoint.sh"]
    assert "DOCKER_TLS_CERTDIR=/certs" in config["Env"]
    assert config["Volumes"] == {"/var/lib/docker": {}}


def test_the_docker_clis_version_is_the_one_that_its_module_pins() -> None:
    assert binaries.docker_cli_version().count(".") == 2
    assert binaries.docker_cli_version() in (binaries.DOCKER_CLI_MODULE / "go.mod").read_text()
