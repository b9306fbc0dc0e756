"""The script that collects the registry's garbage before it starts, run on folders with a stand-in for the registry."""

import os
import subprocess
from pathlib import Path

import pytest

from components.kubernetes import collection


def collect(folder: Path, does: str) -> subprocess.CompletedProcess[str]:
    """Run the collecting script on a folder with a `registry` that does this, and notes what it was called with."""
    (folder / "bin").mkdir(exist_ok=True)
    program = folder / "bin" / "registry"
    program.write_text(f'#!/bin/sh\necho "$@" >> {folder}/called\n{does}\n')
    program.chmod(0o755)
    script = collection.SCRIPT.replace("/var/lib/registry", f"{folder}/data")
    return subprocess.run(
        ["/bin/sh", "-uc", script],
        env={"PATH": f"{folder}/bin:/usr/bin:/bin", "FLAGS": "--delete-untagged"},
        check=False,
        capture_output=True,
        text=True,
        start_new_session=True,
    )


def collected(folder: Path, *, does: str = "true", status: int = 0) -> list[str]:
    """As `collect`; give all that `registry` was called with. Fails where the script ends with another status."""
    done = collect(folder, does)
    assert done.returncode == status, done
    called = folder / "called"
    return called.read_text().splitlines() if called.exists() else []


def test_a_registry_without_images_has_nothing_to_collect(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    assert collected(tmp_path) == []


ONCE = ["garbage-collect --delete-untagged /etc/distribution/config.yml"]


@pytest.mark.parametrize("does", ["exit 0", "exit 1"])
def test_a_pod_moved_twice_in_a_night_collects_once_and_a_failure_stops_nothing(tmp_path: Path, does: str) -> None:
    (tmp_path / "data" / "docker").mkdir(parents=True)
    assert collected(tmp_path, does=does) == ONCE
    assert collected(tmp_path, does=does) == ONCE


def test_a_collection_that_is_killed_with_its_container_is_not_begun_again_at_once(tmp_path: Path) -> None:
    (tmp_path / "data" / "docker").mkdir(parents=True)
    assert collected(tmp_path, does="kill -9 0", status=-9) == ONCE
    assert collected(tmp_path) == ONCE


def test_a_volume_that_takes_no_file_more_is_collected_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "data" / "docker").mkdir(parents=True)
    stamp = tmp_path / "data" / ".collected"
    stamp.symlink_to("nowhere/at-all")  # `touch` fails on it, for root too
    os.utime(stamp, (1, 1), follow_symlinks=False)
    assert collected(tmp_path) == ONCE


def test_of_what_a_collection_says_the_end_is_kept_and_no_file_grows_with_it(tmp_path: Path) -> None:
    (tmp_path / "data" / "docker").mkdir(parents=True)
    done = collect(tmp_path, "seq 100000")
    assert done.stdout.split() == ["99996", "99997", "99998", "99999", "100000"]
    assert ">" not in collection.SCRIPT.replace("2>&1", "").replace("2>/dev/null", "")
