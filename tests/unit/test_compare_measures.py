"""How the comparison measures: contexts, processor time and memory, what a step says of itself, the rights it reads."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.kubernetes.context import pack_inline
from ops.toolchain.errors import Trouble
from tools.bench import groups
from tools.bench.stats import LEAST_ROUNDS
from tools.compare import meter
from tools.compare.capabilities import names
from tools.compare.contexts import CONTEXTS, MANY, STEPS
from tools.compare.meter import Scope, measuring, spent
from tools.compare.nested import modules, why
from tools.compare.plan import by_step
from tools.compare.probes import of_container, of_pod, run_step
from tools.compare.run import possible
from tools.compare.ways import AGAINST, ALL, Way

STATUS = "Name:\tcat\nUid:\t{uid}\t0\t0\t0\nNoNewPrivs:\t{nnp}\nSeccomp:\t{seccomp}\nCapEff:\t{caps}\n"


@pytest.mark.parametrize("context", CONTEXTS, ids=lambda context: context.name)
def test_a_context_is_the_same_for_the_same_mark_and_fits_a_config_map(context: Any) -> None:
    files = context.files(base="base:1", run="mark", last="first")
    assert files == context.files(base="base:1", run="mark", last="first")
    assert files["Dockerfile"].startswith("FROM base:1\nENV CI_COMPARE=mark\n")
    assert files["Dockerfile"].endswith("COPY last.txt /last.txt\n")
    pack_inline(files)  # refuses what does not fit


@pytest.mark.parametrize("context", CONTEXTS, ids=lambda context: context.name)
def test_another_last_layer_changes_one_file_and_another_mark_the_first_layer(context: Any) -> None:
    first, changed = (context.files(base="base:1", run="mark", last=last) for last in ("first", "changed"))
    assert [path for path in first if first[path] != changed[path]] == ["last.txt"]
    assert context.files(base="base:1", run="other", last="first")["Dockerfile"] != first["Dockerfile"]


def test_many_files_are_as_many_as_the_page_says() -> None:
    [context] = [context for context in CONTEXTS if context.name == "many"]
    files = context.files(base="base:1", run="mark", last="first")
    assert len([path for path in files if path.startswith("files/0")]) == MANY
    assert str(MANY) in context.what


def test_what_bystanders_spend_is_not_the_builds() -> None:
    before = {"": 10.0, "other": 4.0, "gone": 1.0}
    assert spent(before, {"": 15.0, "other": 5.5}) == 3.5


def test_figures_are_sorted_by_step_and_way() -> None:
    values = tuple(float(number) for number in range(1, LEAST_ROUNDS + 1))
    taken = {f"{step} {name}": values for step in STEPS for name in ("seconds", "cpu", "peak")}
    found = by_step({"socket": taken, "kaniko": taken})
    assert list(found) == list(STEPS)
    assert found["warm"]["kaniko"].of("cpu").median == 3.0


@pytest.mark.parametrize("version", [1, 2])
def test_a_build_is_counted_and_a_bystander_is_not_in_either_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    monkeypatch.setattr(groups, "ROOT", tmp_path)
    monkeypatch.setattr(meter, "LOOK_SECONDS", 0.001)

    def write(group: str, seconds: float, mib: int) -> None:
        for tree, name, text in (
            (
                ("cpuacct", "cpuacct.usage", f"{int(seconds * 1e9)}\n"),
                ("memory", "memory.stat", f"cache 99\ntotal_rss {mib << 20}\n"),
            )
            if version == 1
            else (
                (".", "cpu.stat", f"usage_usec {int(seconds * 1e6)}\nuser_usec 1\n"),
                (".", "memory.stat", f"file 99\nanon {mib << 20}\n"),
            )
        ):
            folder = tmp_path / tree / "docker" / group
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)

    write(".", 100, 0)
    write("bystander", 10, 500)
    write("client", 1, 40)
    write("engine", 1, 100)
    with measuring(Scope(parent="docker", engine=frozenset({"engine"}), client=frozenset({"client"}))) as usage:
        write("step", 2, 30)
        write("client", 1.5, 45)
        write("bystander", 17, 900)
        write(".", 100 + 2 + 0.5 + 7, 0)
    assert usage.cpu == pytest.approx(2.5)
    assert usage.peak == pytest.approx(100 + 30 + 5)


def test_a_program_outside_of_any_group_counts_with_its_children_that_have_ended() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    with measuring(Scope(parent="no-such-group", processes=(os.getpid(),))) as usage:
        subprocess.run([sys.executable, "-c", burn], check=True)
    assert usage.cpu >= 0.2
    assert usage.peak > 1


def test_a_step_tells_its_user_on_the_host_and_its_capabilities() -> None:
    seen = STATUS.format(uid=0, nnp=1, seccomp=2, caps="00000000000000cb") + "         0     100000      65536\n"
    step = run_step(seen)
    assert (step.uid, step.seccomp, step.no_new_privileges) == (100000, True, True)
    assert step.capabilities == ("CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID")
    assert step.in_namespace
    assert not run_step(f"{seen}user:[4026531837]\n").in_namespace


def test_a_step_that_says_nothing_of_itself_is_no_result() -> None:
    with pytest.raises(Trouble, match="did not say"):
        run_step("cat: not found\n")


def test_a_capability_that_is_newer_than_the_list_is_named_by_its_bit() -> None:
    assert names(1 << 60) == ("CAP_60",)


def test_the_rights_of_a_container_are_read_off_what_its_engine_says() -> None:
    holder = of_container(
        {
            "Name": "/ci-bench-compare-socket",
            "Config": {"User": "1000:1000"},
            "HostConfig": {"Privileged": False, "CapDrop": ["ALL"], "CapAdd": ["CAP_KILL"], "SecurityOpt": ["a:b"]},
            "Mounts": [{"Source": "/var/run/docker.sock"}],
        }
    )
    assert (holder.user, holder.dropped, holder.added, holder.socket) == ("1000:1000", ("ALL",), ("KILL",), True)


def test_the_rights_of_a_pod_are_read_off_its_spec() -> None:
    [holder] = of_pod(
        {
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "kaniko",
                    "securityContext": {
                        "runAsUser": 0,
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"], "add": ["SETUID", "CHOWN"]},
                    },
                }
            ],
        }
    )
    assert (holder.user, holder.added, holder.privileged) == ("0", ("CHOWN", "SETUID"), False)
    assert holder.security == ("seccomp=RuntimeDefault", "no-new-privileges")


def test_the_line_that_tells_why_an_engine_failed_is_quoted_whatever_stands_behind_it() -> None:
    said = "starting\nfailed to start daemon: can't initialize `nat`: Permission denied\n\n (exit status 4)\n"
    assert why(said) == "failed to start daemon: can't initialize 'nat': Permission denied"
    assert why("  | error during connect: bad\n  |  2 errored\n  |\n") == "error during connect: bad"
    assert why("stopped\n") == "stopped"
    assert why("") == "it said nothing"


def test_what_confines_containers_is_named_as_the_engine_has_it() -> None:
    assert modules(["name=seccomp,profile=default", "name=selinux"]) == ("seccomp", "selinux")


def test_a_way_that_a_machine_can_not_have_is_noted_and_the_others_go_on() -> None:
    def fail(way: Way) -> None:
        if way.name == "kaniko":
            raise Trouble("up ended with 1:\n | error: user namespaces are not permitted\n | 2 errored")

    missing: dict[str, str] = {}
    found = possible(ALL, fail, missing)
    assert [way.name for way in found] == [way.name for way in ALL if way.name != "kaniko"]
    assert missing == {"kaniko": "error: user namespaces are not permitted"}


def test_without_the_way_that_all_are_held_against_there_is_nothing_to_compare() -> None:
    def fail(_: Way) -> None:
        raise Trouble("no engine")

    with pytest.raises(Trouble, match="no engine"):
        possible([way for way in ALL if way.name == AGAINST], fail, {})
