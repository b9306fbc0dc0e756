"""The cache: whole or absent, one builder at a time."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ops.toolchain import cache

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / cache.APP


def test_a_relative_cache_home_is_ignored_as_the_xdg_rules_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert cache.root() == Path("/home/somebody/.cache") / cache.APP


def test_the_digest_keeps_parts_apart() -> None:
    assert cache.digest("ab", "c") != cache.digest("a", "bc")
    assert len(cache.digest("a")) == 12


def test_an_entry_is_built_once() -> None:
    calls: list[Path] = []
    for _ in range(2):
        made = cache.make("thing", "k", calls.append, waiting_for="it")
    assert len(calls) == 1
    assert made.is_dir()


def test_a_build_that_fails_leaves_no_entry_and_no_leftovers(own_cache: Path) -> None:
    def build(part: Path) -> None:
        (part / "half").write_text("x")
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        cache.make("thing", "k", build, waiting_for="it")
    assert not cache.entry("thing", "k").exists()
    assert not list(own_cache.glob("*.part-*"))


def test_leftovers_of_a_killed_build_are_removed(own_cache: Path) -> None:
    (own_cache / "thing-k.part-dead").mkdir(parents=True)
    cache.make("thing", "k", lambda part: None, waiting_for="it")
    assert not list(own_cache.glob("*.part-*"))


def test_an_unfinished_entry_in_place_is_built_anew(own_cache: Path) -> None:
    (own_cache / "thing-k").mkdir(parents=True)
    (own_cache / "thing-k" / "half").write_text("x")
    made = cache.make_in_place("thing", "k", lambda path: (path / "all").touch(), waiting_for="it")
    assert sorted(path.name for path in made.iterdir()) == [cache.WHOLE, "all"]


def _build_slowly(log: str) -> None:
    def build(part: Path) -> None:
        with Path(log).open("a") as out:
            out.write(f"{os.getpid()}\n")
        (part / "x").write_text("x" * 100_000)

    cache.make("race", "k", build, waiting_for="it")


def test_many_processes_at_once_build_an_entry_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_build_slowly, args=(str(log),)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert len(log.read_text().splitlines()) == 1


def test_a_killed_holder_frees_its_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    program = (
        "import sys, time; from pathlib import Path; from ops.toolchain import cache\n"
        "with cache.locked(Path(sys.argv[1]), 'x'): print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program, path], cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.send_signal(signal.SIGKILL)
    with cache.locked(path, "x"):
        pass  # got it; a lock that outlived its holder would hang here until the time limit


def test_a_write_sets_the_mode_and_leaves_no_half_file(tmp_path: Path) -> None:
    target = tmp_path / "sub" / "secret"
    cache.write(target, "one", mode=0o600)
    cache.write(target, "two", mode=0o600)
    assert target.read_text() == "two"
    assert target.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in target.parent.iterdir()] == ["secret"]
