"""NetworkPolicies as rules of the firewall: what is let through, and that nothing else is."""

import ipaddress
import re
import shutil
import subprocess
from typing import Any

import pytest

from lab import host
from lab.policy import rules
from lab.policy.rules import Pod

NAMESPACES = {"a": {"team": "red"}, "b": {"team": "blue"}, "kube-system": {"name": "kube-system"}}
WEB = Pod("a", "web", "10.244.0.2", {"app": "web"}, {("http", "TCP"): 8080})
CLIENT = Pod("a", "client", "10.244.0.3", {"app": "client"}, {})
OTHER = Pod("b", "web", "10.244.0.4", {"app": "web"}, {("http", "TCP"): 9090})
DNS = Pod("kube-system", "dns", "10.244.0.5", {"k8s-app": "kube-dns"}, {})
PODS = [WEB, CLIENT, OTHER, DNS]
OUTSIDE = "192.0.2.7"


def policy(namespace: str = "a", **spec: Any) -> dict[str, Any]:
    spec.setdefault("podSelector", {})
    spec.setdefault("policyTypes", [kind for kind in ("Ingress", "Egress") if kind.lower() in spec] or ["Ingress"])
    return {"metadata": {"namespace": namespace, "name": "p"}, "spec": spec}


def passes(policies: list[dict[str, Any]], source: str, target: str, port: int = 8080, protocol: str = "tcp") -> bool:
    """Follow a connection's first packet through the table's text, as nftables would."""
    chains = dict(re.findall(r"chain (\w+) \{\n(.*?)\n  \}", rules.ruleset(PODS, NAMESPACES, policies), re.DOTALL))
    for line in chains["forward"].splitlines():
        found = re.match(r"    ip (saddr|daddr) vmap \{ (.*) \}", line)
        if found:
            address = source if found[1] == "saddr" else target
            jumps = dict(entry.split(" : jump ") for entry in found[2].split(", "))
            if address in jumps and not _let(chains[jumps[address]], source, target, port, protocol):
                return False
    return True


def _let(chain: str, source: str, target: str, port: int, protocol: str) -> bool:
    for line in chain.splitlines():
        match, verdict, _ = line.partition(" return comment ")
        if not verdict:
            return line.strip() != "drop"
        if all(_holds(part, source, target, port, protocol) for part in re.findall(CONDITION, match)):
            return True
    raise AssertionError("a chain ends with drop")


CONDITION = r"(ip [sd]addr (?:!= )?(?:\{[^}]*\}|\S+)|(?:tcp|udp|sctp) dport \S+|meta l4proto \S+)"


def _holds(part: str, source: str, target: str, port: int, protocol: str) -> bool:
    words = part.replace("{", "").replace("}", "").replace(",", "").split()
    if words[0] == "ip":
        address = ipaddress.ip_address(source if words[1] == "saddr" else target)
        negated = words[2] == "!="
        return any(address in ipaddress.ip_network(word) for word in words[3 if negated else 2 :]) != negated
    if words[0] == "meta":
        return words[2] == protocol
    first, _, last = words[2].partition("-")
    return words[0] == protocol and int(first) <= port <= int(last or first)


def test_without_a_policy_everything_passes() -> None:
    assert passes([], CLIENT.ip, WEB.ip)
    assert passes([], OUTSIDE, WEB.ip)


def test_deny_all_lets_nothing_in_or_out_of_its_namespace_and_touches_no_other() -> None:
    deny = [policy(policyTypes=["Ingress", "Egress"])]
    assert not passes(deny, CLIENT.ip, WEB.ip)
    assert not passes(deny, OTHER.ip, WEB.ip)
    assert not passes(deny, WEB.ip, OUTSIDE)
    assert passes(deny, OTHER.ip, DNS.ip)


def test_an_ingress_policy_leaves_the_way_out_open() -> None:
    assert passes([policy(ingress=[])], WEB.ip, OTHER.ip)
    assert not passes([policy(ingress=[])], OTHER.ip, WEB.ip)


def test_a_rule_without_from_lets_everybody_in_on_its_ports_alone() -> None:
    rule = [policy(ingress=[{"ports": [{"port": 8080}]}])]
    assert passes(rule, OUTSIDE, WEB.ip, 8080)
    assert not passes(rule, OUTSIDE, WEB.ip, 8081)
    assert not passes(rule, OUTSIDE, WEB.ip, 8080, "udp")


def test_an_empty_rule_lets_everything_in() -> None:
    assert passes([policy(ingress=[{}])], OUTSIDE, WEB.ip, 1, "udp")


def test_a_pod_selector_alone_keeps_to_the_policys_namespace() -> None:
    rule = [policy(ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}])]
    assert not passes(rule, OTHER.ip, WEB.ip)
    assert passes(rule, WEB.ip, CLIENT.ip)


def test_a_namespace_selector_takes_all_pods_of_its_namespaces() -> None:
    rule = [policy(ingress=[{"from": [{"namespaceSelector": {"matchLabels": {"team": "blue"}}}]}])]
    assert passes(rule, OTHER.ip, WEB.ip)
    assert not passes(rule, DNS.ip, WEB.ip)
    assert not passes(rule, CLIENT.ip, WEB.ip)


def test_both_selectors_in_one_peer_must_hold_and_in_two_peers_one_is_enough() -> None:
    both = {"namespaceSelector": {"matchLabels": {"team": "blue"}}, "podSelector": {"matchLabels": {"app": "client"}}}
    one_peer = [policy(ingress=[{"from": [both]}])]
    two_peers = [policy(ingress=[{"from": [{key: value} for key, value in both.items()]}])]
    assert not passes(one_peer, OTHER.ip, WEB.ip)
    assert passes(two_peers, OTHER.ip, WEB.ip)
    assert passes(two_peers, CLIENT.ip, WEB.ip)


def test_a_peer_that_selects_nobody_lets_nobody_in() -> None:
    rule = [policy(ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "none"}}}]}])]
    assert not passes(rule, CLIENT.ip, WEB.ip)


def test_a_block_lets_its_addresses_through_but_not_the_excepted() -> None:
    block = {"cidr": "192.0.2.0/24", "except": ["192.0.2.128/25"]}
    rule = [policy(egress=[{"to": [{"ipBlock": block}]}])]
    assert passes(rule, WEB.ip, OUTSIDE)
    assert not passes(rule, WEB.ip, "192.0.2.200")
    assert not passes(rule, WEB.ip, "198.51.100.1")


def test_a_block_of_the_other_family_lets_nothing_through() -> None:
    assert not passes([policy(egress=[{"to": [{"ipBlock": {"cidr": "2001:db8::/32"}}]}])], WEB.ip, OUTSIDE)


def test_dns_by_name_of_namespace_and_label_is_all_that_a_build_may_ask() -> None:
    peer = {"namespaceSelector": {"matchLabels": {"name": "kube-system"}}, "podSelector": {"matchLabels": DNS.labels}}
    rule = [policy(egress=[{"to": [peer], "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53}]}])]
    assert passes(rule, CLIENT.ip, DNS.ip, 53, "udp")
    assert passes(rule, CLIENT.ip, DNS.ip, 53)
    assert not passes(rule, CLIENT.ip, DNS.ip, 443)
    assert not passes(rule, CLIENT.ip, OTHER.ip, 53)


def test_a_named_port_is_the_one_of_the_pod_that_is_reached() -> None:
    coming = [policy(ingress=[{"ports": [{"port": "http"}]}])]
    assert passes(coming, OUTSIDE, WEB.ip, 8080)
    assert not passes(coming, OUTSIDE, WEB.ip, 9090)
    assert not passes(coming, OUTSIDE, CLIENT.ip, 8080)
    going = [policy(egress=[{"to": [{"namespaceSelector": {}}], "ports": [{"port": "http"}]}])]
    assert passes(going, CLIENT.ip, OTHER.ip, 9090)
    assert not passes(going, CLIENT.ip, OTHER.ip, 8080)


def test_a_range_of_ports_has_both_its_ends() -> None:
    rule = [policy(ingress=[{"ports": [{"port": 8000, "endPort": 8080}]}])]
    assert [passes(rule, OUTSIDE, WEB.ip, port) for port in (7999, 8000, 8080, 8081)] == [False, True, True, False]


def test_what_one_policy_allows_another_does_not_take_away() -> None:
    allow = policy(ingress=[{"from": [{"podSelector": {}}]}])
    assert passes([policy(), allow], CLIENT.ip, WEB.ip)


def test_leaving_one_pod_and_coming_to_another_must_both_be_allowed() -> None:
    out = policy(egress=[{}])
    assert not passes([out, policy("b")], CLIENT.ip, OTHER.ip)
    assert passes([out, policy("b", ingress=[{}])], CLIENT.ip, OTHER.ip)


@pytest.mark.parametrize(
    ("expression", "taken"),
    [
        ({"key": "app", "operator": "In", "values": ["web", "x"]}, True),
        ({"key": "app", "operator": "In", "values": ["x"]}, False),
        ({"key": "app", "operator": "NotIn", "values": ["x"]}, True),
        ({"key": "none", "operator": "NotIn", "values": ["x"]}, True),
        ({"key": "app", "operator": "Exists"}, True),
        ({"key": "app", "operator": "DoesNotExist"}, False),
    ],
)
def test_a_selectors_expressions_mean_what_the_api_says(expression: dict[str, Any], *, taken: bool) -> None:
    assert rules.selects({"matchExpressions": [expression]}, WEB.labels) is taken


def test_nftables_takes_the_table(tmp_path: Any) -> None:
    nft = host.find("nft")
    if nft is None or not shutil.which("unshare"):
        pytest.skip("nft or unshare is not installed")
    everything = policy(
        ingress=[{"from": [{"podSelector": {}}, {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}],
                  "ports": [{"port": "http"}, {"port": 1, "endPort": 9, "protocol": "UDP"}, {"protocol": "SCTP"}]}],
        egress=[{}],
    )  # fmt: skip
    text = rules.ruleset(PODS, NAMESPACES, [everything, policy("b")])
    command = ["unshare", "--map-root-user", "--net", str(nft), "-f", "-"]
    if subprocess.run([*command[:3], "true"], check=False, capture_output=True).returncode:
        pytest.skip("this user may not make a network namespace")
    # Twice, since the second time there is a table to replace.
    done = subprocess.run(command, input=text + text, capture_output=True, text=True, check=False)
    assert done.stderr == ""
