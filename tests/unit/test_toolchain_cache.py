"""The cache: whole or absent, one builder at a time."""

import subprocess
import sys
from pathlib import Path

import pytest

from setup import cache

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_relative_cache_home_is_ignored_as_the_xdg_rules_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert cache.root() == Path("/home/somebody/.cache") / cache.APP


def test_the_digest_keeps_parts_apart() -> None:
    assert cache.digest("ab", "c") != cache.digest("a", "bc")


def test_a_build_that_fails_leaves_no_entry_and_the_next_one_makes_it() -> None:
    def fail(made: Path) -> None:
        (made / "half").write_text("x")
        assert not cache.whole(made)
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        cache.make("thing", "k", fail, waiting_for="it")
    assert not cache.entry("thing", "k").exists()
    assert cache.whole(cache.make("thing", "k", lambda made: None, waiting_for="it"))
    cache.make("thing", "k", fail, waiting_for="it")  # it is whole, so nothing is built


BUILD = """
import sys, time
from pathlib import Path
from setup import cache

def build(made):
    assert not list(made.iterdir())
    (made / "built").touch()
    with Path(sys.argv[1]).open("a") as log: log.write("x")
    print("builds", flush=True)
    time.sleep(float(sys.argv[2]))

cache.make("race", "k", build, waiting_for="it")
"""


def test_a_killed_build_frees_its_lock_and_of_many_processes_one_builds_anew(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", BUILD, str(log)]
    with subprocess.Popen([*command, "600"], cwd=ROOT, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "builds\n"
        killed.kill()
    assert not cache.whole(cache.entry("race", "k"))
    workers = [subprocess.Popen([*command, "0.2"], cwd=ROOT, stdout=subprocess.DEVNULL) for _ in range(3)]
    assert [worker.wait(60) for worker in workers] == [0] * 3
    assert log.read_text() == "xx"


def test_a_write_sets_the_mode_and_leaves_no_half_file(tmp_path: Path) -> None:
    target = tmp_path / "sub" / "secret"
    cache.write(target, "one", mode=0o600)
    cache.write(target, "two", mode=0o600)
    assert target.read_text() == "two"
    assert target.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in target.parent.iterdir()] == ["secret"]
