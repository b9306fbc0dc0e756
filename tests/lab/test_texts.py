"""What the lab writes before it starts anything: addresses, certificates, configurations."""

import ipaddress
import json
import re
import stat
import tomllib
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lab import configs, layout, node, pki, programs
from lab.layout import Layout

ODD = Path('/srv/a "quoted" folder/läb')


@pytest.fixture
def lab(tmp_path: Path) -> Layout:
    return Layout.at(tmp_path / "lab")


def test_the_same_folder_gives_the_same_lab_by_any_path_and_another_folder_shares_nothing(tmp_path: Path) -> None:
    (tmp_path / "other").symlink_to(tmp_path)
    one, same, two = (Layout.at(tmp_path / name) for name in ("lab", "other/lab", "two"))
    assert one == same
    assert {one.netns, one.veth, str(one.run)}.isdisjoint({two.netns, two.veth, str(two.run)})
    assert not one.link.overlaps(two.link)


@given(st.text(st.characters(exclude_characters="\0", codec="utf-8")))
def test_addresses_lie_in_their_range_and_names_are_short_enough_for_any_folder(name: str) -> None:
    lab = Layout(Path("/labs") / name)
    assert lab.link.subnet_of(layout.LINKS)
    assert ipaddress.ip_address(lab.node_address) in lab.link
    assert lab.node_address != lab.host_address
    assert len(lab.veth) <= 15
    assert len(str(lab.run / "containerd.sock")) < 100


def test_an_odd_path_stays_as_it_is_in_every_configuration() -> None:
    lab = Layout(ODD)
    files = configs.files(lab, "overlayfs")
    containerd = tomllib.loads(files["containerd.toml"])
    assert containerd["root"] == str(ODD / "containerd")
    assert containerd["plugins"]["io.containerd.cri.v1.images"]["registry"]["config_path"] == str(lab.data / "certs.d")
    assert yaml.safe_load(files["kubelet.yaml"])["tlsPrivateKeyFile"] == str(lab.pki / "kubelet.key")
    assert json.loads(files["cni/10-ci-lab.conflist"])["cniVersion"] == "0.4.0"
    text = configs.render("cluster.yaml", lab, coredns="c", busybox="b")
    objects = {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(text)}
    storage = objects["ConfigMap", "local-path"]["data"]
    assert json.loads(storage["config.json"])["nodePathMap"][0]["paths"] == [str(ODD / "volumes")]
    assert storage["teardown"].endswith('rm -rf "$VOL_DIR"\n')
    mirror = tomllib.loads(configs.mirror("https://10.0.0.1:5443", ODD / "ca.crt"))
    assert mirror["host"]["https://10.0.0.1:5443"]["ca"] == str(ODD / "ca.crt")


def test_every_process_of_a_pod_is_below_the_labs_own_group_and_a_full_disk_evicts_none(lab: Layout) -> None:
    read = yaml.safe_load(configs.files(lab, "native")["kubelet.yaml"])
    assert (read["cgroupRoot"], read["cgroupsPerQOS"]) == (f"/{lab.netns}", True)
    assert (read["evictionHard"]["nodefs.available"], read["imageGCHighThresholdPercent"]) == ("1%", 100)


def test_no_flag_of_the_labs_programs_holds_a_secret_and_every_file_with_one_is_its_owners(lab: Layout) -> None:
    pki.make(lab)
    secret = [*lab.pki.glob("*.key"), *lab.data.glob("config/*.kubeconfig"), lab.kubeconfig]
    assert len(secret) > 10
    assert {stat.S_IMODE(path.stat().st_mode) for path in secret} == {0o600}
    built = {name: Path("/built") / name for module in programs.ALL for name in module.programs}
    started = node.programs(lab, built).values()
    words = " ".join(str(word) for program in started for word in (*program.command, *program.env.values()))
    assert not re.search("password|BEGIN|token=", words)
