"""The lab's processes are told from all others, and taken down with all they began."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab import cgroups, cluster, health, host, layout, netns, processes
from lab.processes import Process
from ops.toolchain.errors import Trouble


def myself(**changes: Any) -> Process:
    stat = Path(f"/proc/{os.getpid()}/stat").read_text().rpartition(")")[2].split()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return dataclasses.replace(Process("me", os.getpid(), int(stat[19]), boot), **changes)


def test_a_process_is_known_by_its_number_and_its_start() -> None:
    assert myself().alive


@pytest.mark.parametrize("changes", [{"started": 1}, {"boot": "another"}, {"pid": 2**22 + 1}])
def test_another_process_of_the_same_number_is_not_taken_for_it(changes: dict[str, Any]) -> None:
    assert not myself(**changes).alive


def test_a_process_that_has_ended_and_was_not_waited_for_does_not_live() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    stat = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
    made = myself(pid=child.pid, started=int(stat[19]))
    assert made.alive
    assert child.stdin is not None
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not made.alive
    child.wait()


def test_a_pid_file_that_was_cut_off_is_passed_over(tmp_path: Path) -> None:
    lab = layout.at(tmp_path)
    lab.pids.mkdir()
    (lab.pids / "cut.json").write_text('{"name": "cu')
    (lab.pids / "old.json").write_text('{"name": "old"}')
    assert processes.known(lab) == []


def test_a_lab_that_is_not_there_has_no_processes_and_is_down_already(tmp_path: Path) -> None:
    lab = layout.at(tmp_path / "none")
    assert cgroups.members(lab) == []
    assert cgroups.memory(lab) == 0
    assert cluster.down(lab) is False


@pytest.mark.parametrize("verb", [cluster.down, cluster.clear])
def test_a_folder_that_is_no_labs_is_never_removed(verb: Callable[[layout.Layout], object], tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("all I have")
    with pytest.raises(Trouble, match=r"no lab's.*left alone[\s\S]*--data"):
        verb(layout.at(tmp_path))
    assert (tmp_path / "thesis.txt").read_text() == "all I have"


def test_a_user_who_is_not_root_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Trouble, match=r"takes root.*user 1000"):
        host.prepare()


def test_a_process_that_died_at_its_start_is_told_with_its_logs_last_lines(tmp_path: Path) -> None:
    lab = layout.at(tmp_path)
    lab.logs.mkdir()
    (lab.logs / "etcd.log").write_text("the port is taken\n")
    with pytest.raises(Trouble, match=r"etcd has ended.*\n.*\n.*the port is taken"):
        processes.check(lab, Process("etcd", 2**22 + 1, 1, "none"))


def test_addresses_that_the_machine_uses_itself_are_told_with_whose_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(netns, "taken", lambda lab: "eth7")
    with pytest.raises(Trouble, match=r"10\.214\.\d+\.\d+/30 are in use here, by eth7"):
        cluster.lay_out(layout.at(tmp_path / "lab"))


def test_waiting_says_what_for_and_where_the_logs_are(tmp_path: Path) -> None:
    lab = layout.at(tmp_path)
    with pytest.raises(Trouble, match=r"The node is not there after 0\.0 s"):
        health.wait(lab, "The node", lambda: False, seconds=0)
