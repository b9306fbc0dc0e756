"""The harness of benchmarks/ on small commands: what it measures, how it compares, what it makes of a stack's state."""

import functools
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml

from benchmarks import bare, docker_host, kubernetes, measure, report
from benchmarks.model import PREFIX, Benchmark, BenchmarkError, Command, Meter, Variant
from benchmarks.project import merged


def sh(script: str) -> Command:
    return Command(words=("sh", "-c", script))


def test_a_command_is_measured_with_all_processes_that_it_starts() -> None:
    grandchild = f"{sys.executable} -c 'held = bytearray(150_000_000); import time; time.sleep(0.5)'"
    found = measure.run(sh(f"({grandchild}); true"), 30)
    assert 0.5 < found["seconds"] < 10
    assert found["memoryMib"] > 150
    assert found["cpuSeconds"] > 0


def test_a_script_may_tell_its_own_time() -> None:
    assert measure.run(sh("sleep 0.2; echo bench-seconds 0.07"), 30)["seconds"] == 0.07


def test_work_in_another_process_is_counted_by_its_meter() -> None:
    work = "import time; time.sleep(0.5); held = bytearray(80_000_000)\nwhile True: pass"
    worker = subprocess.Popen([sys.executable, "-c", work])
    try:
        busy = "until [ $(cut -d' ' -f14 /proc/$0/stat) -gt 50 ]; do sleep 0.1; done"  # half a second of a processor
        found = measure.run(Command(words=("sh", "-c", busy, str(worker.pid)), meter=Meter(pids=(worker.pid,))), 30)
    finally:
        worker.kill()
        worker.wait()
    assert found["cpuSeconds"] > 0.1
    assert found["memoryMib"] > 70


def test_a_command_that_fails_is_shown_with_what_it_said() -> None:
    with pytest.raises(BenchmarkError, match=r"(?s)ended with 3.*no such thing"):
        measure.run(sh("echo no such thing >&2; exit 3"), 30)


def test_a_command_that_takes_too_long_ends_with_its_children(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    with pytest.raises(BenchmarkError, match="took longer than 1 s"):
        measure.run(sh(f"sleep 60 & echo $! > {pid}; wait"), 1)
    stat = Path(f"/proc/{pid.read_text().strip()}/stat")
    assert not stat.exists() or ") Z " in stat.read_text()


def test_variants_take_turns_and_every_other_round_goes_backwards() -> None:
    order: list[str] = []

    def variant(name: str) -> Variant:
        def step(of: str) -> Command:
            order.append(f"{name} {of}")
            return sh("true")

        return Variant(name, {of: functools.partial(step, of) for of in ("cold", "warm")})

    found = measure.rounds(Benchmark(name="b", title="", variants=(variant("x"), variant("y"))), 2, 30, lambda _: None)
    x, y = ([f"{name} cold", f"{name} warm"] for name in "xy")
    assert order == [*x, *y, *y, *x]
    assert len(found["y"]["warm"]["seconds"]) == 2


def figures() -> dict[str, Any]:
    rounds = {"bare": [1.0, 2.0, 4.0], "this project": [1.1, 2.0, 6.0]}
    of = {name: {"": {"seconds": values, "memoryMib": [250.4], "cpuSeconds": [0.0]}} for name, values in rounds.items()}
    one = {"name": "one", "title": "One", "goals": {"this project": 1.05}, "skipped": {"c": "no c here"}, "rounds": of}
    return {"machine": {"memory": "1 GiB"}, "benchmarks": [one]}


def test_a_table_has_the_median_of_the_rounds_ratios_and_their_spread() -> None:
    text = report.table(figures()["benchmarks"][0])
    assert "| bare | 1; 2.00 s (1.00-4.00) | 250 MiB |  |  |\n" in text
    assert "| this project | 1.10x (1.00-1.50); 2.00 s | 250 MiB |  | at most 1.05x |\n" in text
    assert "3 rounds." in text
    assert "- c: not measured, no c here\n" in text


def test_only_the_marked_parts_of_a_page_are_written() -> None:
    page = "Text.\n<!-- figures: {} -->\nold\n<!-- end of figures -->\nMore.\n"
    assert report.filled(page.format("machine"), figures()) == page.replace("old", "- memory: 1 GiB").format("machine")
    assert report.filled(page.format("unknown"), figures()) == page.format("unknown")


STATE = yaml.safe_load(Path(__file__).with_name("deployed_state.yaml").read_text())
URN = "urn:pulumi:dev::ci::"
STACK, PROVIDER = f"{URN}pulumi:pulumi:Stack::ci-dev", f"{URN}pulumi:providers:kubernetes::cluster"


def test_the_bare_programs_state_is_the_stacks_without_components_and_outputs() -> None:
    stack, provider, users = bare.bare_state(STATE)["deployment"]["resources"]
    assert (stack["urn"], stack["outputs"], stack["parent"]) == (STACK, {}, "")
    assert (provider["urn"], provider["parent"]) == (PROVIDER, "")
    assert (users["urn"], users["parent"]) == (f"{URN}kubernetes:core/v1:Secret::users", STACK)
    assert (users["provider"], users["dependencies"]) == (f"{PROVIDER}::an-id", [PROVIDER])


def test_the_bare_program_declares_what_the_stack_declared() -> None:
    provider, secret = bare.declarations(bare.bare_state(STATE))
    assert provider["inputs"] == {"enablePatchForce": True, "kubeClientSettings": {"qps": 2000}}
    assert secret["inputs"] == {"data": {"key": "hidden"}}
    assert secret["secrets"] == ["data"]
    assert secret["provider"] == provider["urn"]
    assert secret["options"] == {"ignore_changes": ["data"]}


def test_a_stack_in_the_cluster_goes_with_the_namespace_of_its_daemon(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(kubernetes, "Project", mock.Mock())
    monkeypatch.setattr(kubernetes, "output", asked := mock.Mock())
    (kubeconfig := tmp_path / "kubeconfig").touch()
    with ExitStack() as cleanup:
        kubernetes.Stack(mock.Mock(kubeconfig=kubeconfig, scratch=tmp_path), cleanup, "daemon", {})
    for call in asked.call_args_list:
        assert set(call.args[0].words) >= {f"{PREFIX}-daemon{part}" for part in ("", "-builds", "-buildkit")}


def test_docker_run_gets_the_deployed_containers_settings() -> None:
    inspected = {
        "Init": True, "GroupAdd": ["998"], "CapDrop": ["ALL"], "CapAdd": None, "SecurityOpt": ["label:disable"],
        "Memory": 1048576, "MemorySwap": 1048576, "ShmSize": 0, "Binds": ["home:/var/jenkins_home:rw"],
        "PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "9000"}]},
    }  # fmt: skip
    assert " ".join(docker_host.run_words(inspected)) == (
        f"--detach --name {docker_host.NAME} --init --publish=127.0.0.1:9000:8080/tcp --group-add=998 --cap-drop=ALL "
        "--security-opt=label:disable --memory=1048576 --memory-swap=1048576 --volume=home:/var/jenkins_home:rw "
        f"{docker_host.IMAGE}"
    )


def test_settings_are_merged_by_key_and_lists_are_replaced() -> None:
    assert merged({"a": {"b": 1, "c": [1]}}, {"a": {"c": [2]}}) == {"a": {"b": 1, "c": [2]}}
