"""What the lab writes down before it starts anything: addresses, certificates, configurations."""

import base64
import ipaddress
import json
import re
import stat
import tomllib
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from lab import configs, layout, manifests, node, pki, programs
from lab.layout import Layout

ODD = Path('/srv/a "quoted" folder/läb')


@pytest.fixture
def lab(tmp_path: Path) -> Layout:
    return layout.at(tmp_path / "lab")


def test_two_folders_give_labs_that_share_neither_names_nor_addresses() -> None:
    one, two = Layout(Path("/one")), Layout(Path("/two"))
    assert {one.netns, one.veth, str(one.run)}.isdisjoint({two.netns, two.veth, str(two.run)})
    assert not one.link.overlaps(two.link)


def test_the_same_folder_gives_the_same_lab_by_whatever_path_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "other").symlink_to(tmp_path)
    assert layout.at(tmp_path / "lab") == layout.at(tmp_path / "other" / "lab")


@given(st.text(st.characters(exclude_characters="\0", codec="utf-8")))
def test_the_wire_lies_in_its_range_and_names_are_short_enough_for_any_folder(name: str) -> None:
    lab = Layout(Path("/labs") / name)
    assert lab.link.subnet_of(layout.LINKS)
    assert ipaddress.ip_address(lab.node_address) in lab.link
    assert lab.node_address != lab.host_address
    assert len(lab.veth) <= 15
    assert len(str(lab.socket)) < 100


def test_pods_services_and_wires_do_not_overlap() -> None:
    networks = [layout.PODS, layout.SERVICES, layout.LINKS]
    assert not any(a.overlaps(b) for a in networks for b in networks if a is not b)


def test_containerds_configuration_is_toml_that_keeps_an_odd_path_as_it_is() -> None:
    lab = Layout(ODD)
    read = tomllib.loads(configs.containerd(lab, "overlayfs"))
    cri = read["plugins"]["io.containerd.grpc.v1.cri"]
    assert read["root"] == str(ODD / "containerd")
    assert cri["registry"]["config_path"] == str(lab.certs_d)
    assert cri["restrict_oom_score_adj"] is True
    assert cri["containerd"]["snapshotter"] == "overlayfs"


def test_the_enforcers_plugin_is_the_last_of_a_pods_network_so_that_it_knows_the_address(lab: Layout) -> None:
    read = json.loads(configs.cni(lab))
    assert [plugin["type"] for plugin in read["plugins"]] == ["ptp", "portmap", configs.POLICY_PLUGIN]
    assert read["plugins"][-1]["enforcer"] == str(lab.enforcer_socket)


def test_a_full_disk_neither_evicts_pods_nor_throws_images_away(lab: Layout) -> None:
    read = yaml.safe_load(configs.kubelet(lab))
    assert read["evictionHard"]["nodefs.available"] == "1%"
    assert read["imageGCHighThresholdPercent"] == 100


def test_every_process_of_a_pod_is_below_the_labs_own_group(lab: Layout) -> None:
    read = yaml.safe_load(configs.kubelet(lab))
    assert read["cgroupRoot"] == f"/{lab.cgroup}"
    assert read["cgroupsPerQOS"] is True


def test_a_mirror_names_the_authority_only_where_there_is_one() -> None:
    plain = tomllib.loads(configs.mirror("http://10.0.0.1:5000"))
    secure = tomllib.loads(configs.mirror("https://10.0.0.1:5443", ODD / "ca.crt"))
    assert plain["host"]["http://10.0.0.1:5000"] == {"capabilities": ["pull", "resolve"]}
    assert secure["host"]["https://10.0.0.1:5443"]["ca"] == str(ODD / "ca.crt")


def test_the_dns_knows_the_labs_names_and_refuses_all_others_at_once(lab: Layout) -> None:
    text = configs.corefile(lab)
    assert all(f"{lab.node_address} {name}" in text for name in layout.NAMES)
    assert "forward" not in text
    assert "rcode NXDOMAIN" in text[text.index("\n. {") :]


def test_the_upstream_keeps_the_same_images_with_and_without_tls(lab: Layout) -> None:
    plain, secure = (yaml.safe_load(configs.upstream(lab, tls=tls)) for tls in (False, True))
    assert plain["storage"] == secure["storage"]
    assert "tls" not in plain["http"]
    assert secure["http"]["tls"]["certificate"] == str(lab.pki / "node.crt")


def test_the_objects_of_the_cluster_are_one_list_with_one_default_storage_class(lab: Layout) -> None:
    items = json.loads(manifests.all_of(lab, "coredns:1", "busybox:1"))["items"]
    classes = [item for item in items if item["kind"] == "StorageClass"]
    (dns,) = [item for item in items if item["kind"] == "Service"]
    assert [item["metadata"]["annotations"] for item in classes] == [
        {"storageclass.kubernetes.io/is-default-class": "true"}
    ]
    assert dns["spec"]["clusterIP"] == "10.96.0.10"


def test_no_flag_of_the_labs_programs_holds_a_secret(lab: Layout) -> None:
    built = {name: Path("/built") / name for module in programs.ALL for name in module.programs}
    started = [
        node.etcd(lab, built), node.apiserver(lab, built), *node.controllers(lab, built), *node.workers(lab, built),
        node.provisioner(lab, built), *node.upstreams(lab, built), node.enforcer(lab),
    ]  # fmt: skip
    words = " ".join(str(word) for program in started for word in program.command)
    assert not re.search(r"password|BEGIN|token=", words)


def test_certificates_are_of_the_authority_and_name_the_node(lab: Layout) -> None:
    pki.make(lab)
    ca = x509.load_pem_x509_certificate(lab.ca.read_bytes())
    server = x509.load_pem_x509_certificate((lab.pki / "apiserver.crt").read_bytes())
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    server.verify_directly_issued_by(ca)
    assert ipaddress.ip_address(lab.node_address) in names.get_values_for_type(x509.IPAddress)
    assert "kubernetes.default.svc" in names.get_values_for_type(x509.DNSName)


def test_the_kubelets_certificate_makes_it_the_node_that_it_registers(lab: Layout) -> None:
    pki.make(lab)
    subject = x509.load_pem_x509_certificate((lab.pki / "kubelet-client.crt").read_bytes()).subject
    assert subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == f"system:node:{lab.netns}"
    assert subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == "system:nodes"


def test_keys_and_kubeconfigs_are_their_owners_alone(lab: Layout) -> None:
    pki.make(lab)
    secret = [*lab.pki.glob("*.key"), *lab.config.glob("*.kubeconfig"), lab.kubeconfig]
    assert len(secret) > 10
    assert {stat.S_IMODE(path.stat().st_mode) for path in secret} == {0o600}


def test_the_kubeconfig_holds_all_that_it_needs(lab: Layout) -> None:
    pki.make(lab)
    read = yaml.safe_load(lab.kubeconfig.read_text())
    cluster = read["clusters"][0]["cluster"]
    assert cluster["server"] == f"https://{lab.node_address}:6443"
    assert base64.b64decode(cluster["certificate-authority-data"]) == lab.ca.read_bytes()
    assert set(read["users"][0]["user"]) == {"client-certificate-data", "client-key-data"}


def test_an_authority_signs_more_after_it_was_loaded_again(tmp_path: Path) -> None:
    pki.Authority.new(tmp_path)
    certificate, key = pki.Authority.load(tmp_path).server("late", ["files.lab.test", "10.0.0.1"])
    made = x509.load_pem_x509_certificate(certificate.read_bytes())
    made.verify_directly_issued_by(x509.load_pem_x509_certificate((tmp_path / "ca.crt").read_bytes()))
    assert key.read_text().startswith("-----BEGIN EC PRIVATE KEY-----")
