"""The lab as it runs: what no test of a stack on it would notice. Those are in tests/cluster."""

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import lab as lab_package
from lab import Lab, cgroups, cluster, health, layout, netns, processes
from setup.console import OpsError
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root"),
    pytest.mark.timeout(2400),  # the first run builds it
]


@pytest.fixture(scope="module")
def lab() -> Lab:
    """Give the clone's own lab; it stays up afterwards."""
    return lab_package.ensure()


@pytest.fixture
def run(lab: Lab) -> Iterator[Callable[..., str]]:
    """Give what runs a pod of an image to its end with success, and gives what it wrote."""
    kubectl = (str(lab.kubectl), "--kubeconfig", str(lab.kubeconfig))
    made = []

    def run(image: str, *command: str, **spec: object) -> str:
        made.append(name := f"test-{secrets.token_hex(4)}")
        words = (f"--image={image}", "--restart=Never", f"--overrides={json.dumps({'spec': spec})}")
        succeeds(*kubectl, "run", name, *words, "--command", "--", *command)
        succeeds(*kubectl, "wait", f"pod/{name}", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=90s")
        return succeeds(*kubectl, "logs", name)

    yield run
    succeeds(*kubectl, "delete", "pod", "--wait=false", *made)


def succeeds(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


def test_a_second_up_finds_it_up_and_starts_nothing(lab: Lab) -> None:
    before = processes.known(lab)
    assert cluster.up(lab) is False
    assert processes.known(lab) == before
    assert health.problems(lab, cluster.EXPECTED) == []


def test_pods_find_services_and_the_labs_names_and_no_others_at_once(lab: Lab, run: Callable[..., str]) -> None:
    script = (
        "nslookup kubernetes.default.svc.cluster.local && nslookup upstream.lab.test && "
        "! timeout 5 nslookup registry.example.com"
    )
    written = run(lab.images["busybox"], "sh", "-c", script)
    assert "10.96.0.1" in written
    assert lab.node_address in written
    assert "NXDOMAIN" in written


def test_images_come_from_the_upstream_by_a_bare_name(run: Callable[..., str]) -> None:
    # Without a version, an image is looked for at every start.
    assert run("alpine", "echo", "pulled") == "pulled\n"


def test_root_of_a_pod_with_a_user_namespace_of_its_own_is_nobody_on_the_node(
    lab: Lab, run: Callable[..., str]
) -> None:
    script = "id -u && cat /proc/self/uid_map"
    own, nodes = (run(lab.images["busybox"], "sh", "-c", script, hostUsers=each).split() for each in (False, True))
    assert (own[:2], nodes[:3]) == (["0", "0"], ["0", "0", "0"])
    assert int(own[2]) >= 65536


@pytest.fixture
def another(lab: Lab, tmp_path: Path) -> Iterator[layout.Layout]:
    """Give the layout of a second lab, beside the first; it is gone afterwards."""
    made = layout.Layout.at(tmp_path / "second")
    yield made
    cluster.down(made)


def up_by_hand(lab: layout.Layout) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "lab", "up", "--data", str(lab.data)]
    return subprocess.Popen(words, cwd=layout.CLONE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def traces(lab: layout.Layout) -> list[str]:
    """What of a lab is on the machine outside its data."""
    mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if lab.netns in line]
    groups = [str(tree) for tree in cgroups.hierarchies() if (tree / lab.netns).exists()]
    other = [str(path) for path in (lab.run, Path("/sys/class/net") / lab.veth, lab.data) if path.exists()]
    return [*mounts, *groups, *other, *(["netns"] if netns.exists(lab) else [])]


def test_two_ups_at_once_give_one_lab_a_dead_program_is_noticed_and_down_leaves_nothing(another: layout.Layout) -> None:
    both = [up_by_hand(another) for _ in range(2)]
    said = [each.communicate(timeout=600)[0] for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    assert sorted("up and well already" in text for text in said) == [False, True]
    assert health.problems(another, cluster.EXPECTED) == []
    (scheduler,) = [made for made in processes.known(another) if made.name == "kube-scheduler"]
    os.kill(scheduler.pid, signal.SIGKILL)
    eventually(lambda: not scheduler.alive)
    assert health.problems(another, cluster.EXPECTED) == ["kube-scheduler does not run"]
    assert traces(another) != []
    assert cluster.down(another) is True
    assert traces(another) == []


@pytest.mark.parametrize("program", ["containerd", "kubelet"])
def test_an_up_that_was_killed_is_cleaned_up_by_the_next(another: layout.Layout, program: str) -> None:
    killed = up_by_hand(another)
    eventually((another.pids / f"{program}.json").exists, seconds=60)
    killed.kill()
    killed.communicate(timeout=60)
    assert cluster.up(another) is True
    assert health.problems(another, cluster.EXPECTED) == []


def test_a_program_that_can_not_start_is_shown_with_its_log_and_nothing_stays_running(
    another: layout.Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "API_PORT", 99999)
    with pytest.raises(OpsError, match=r"kube-apiserver has ended[\s\S]*99999"):
        cluster.up(another)
    assert cgroups.members(another) == []
