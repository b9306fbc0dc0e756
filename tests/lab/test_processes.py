"""The lab's processes are told from all others, and nothing that is not a lab's is removed."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab import cgroups, cluster, health, host, netns, processes
from lab.layout import Layout
from lab.processes import Process
from setup.console import OpsError


def process(number: int, **changes: Any) -> Process:
    stat = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    return dataclasses.replace(Process("me", number, int(stat[19])), **changes)


def test_a_process_is_known_by_its_number_and_its_start() -> None:
    assert process(os.getpid()).alive
    for changes in ({"started": 1}, {"pid": 2**22 + 1}):
        assert not process(os.getpid(), **changes).alive


def test_a_process_that_has_ended_and_was_not_waited_for_is_not_alive() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        made = process(child.pid)
        assert made.alive
        assert child.stdin is not None
        child.stdin.close()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not made.alive


def test_a_pid_file_that_was_cut_off_is_passed_over(tmp_path: Path) -> None:
    lab = Layout.at(tmp_path)
    lab.pids.mkdir()
    (lab.pids / "cut.json").write_text('{"name": "cu')
    (lab.pids / "old.json").write_text('{"name": "old"}')
    assert processes.known(lab) == []


def test_a_lab_that_does_not_exist_has_no_processes_and_down_does_nothing(tmp_path: Path) -> None:
    lab = Layout.at(tmp_path / "none")
    assert cgroups.members(lab) == []
    assert cluster.down(lab) is False


@pytest.mark.parametrize("verb", [cluster.down, cluster.clear])
def test_a_folder_that_is_no_labs_is_never_removed(verb: Any, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("all I have")
    with pytest.raises(OpsError, match=r"--data"):
        verb(Layout.at(tmp_path))
    assert (tmp_path / "thesis.txt").read_text() == "all I have"


def test_a_user_who_is_not_root_and_addresses_in_use_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Layout.at(tmp_path / "lab")
    monkeypatch.setattr(netns, "taken", lambda lab: "eth7")
    with pytest.raises(OpsError, match=rf"{lab.link}.*eth7"):
        cluster.lay_out(lab)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(OpsError, match=r"user 1000"):
        host.prepare()


def test_a_process_that_died_is_shown_with_its_log_and_a_wait_says_what_for(tmp_path: Path) -> None:
    lab = Layout.at(tmp_path)
    with pytest.raises(OpsError, match=r"The node.* 0 s"):
        health.wait(lab, "The node", lambda: False, seconds=0)
    lab.logs.mkdir()
    (lab.logs / "etcd.log").write_text("the port is taken\n")
    with pytest.raises(OpsError, match=r"etcd has ended.*\n.*\n.*the port is taken"):
        processes.check(lab, Process("etcd", 2**22 + 1, 1))
