"""The namespaces of every recorded stack: who may connect to whom, and who may ask the API for what."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest

from components.kubernetes import network
from components.kubernetes.cluster import ForbiddenError
from tests.components.test_every_stack import PODS, resources, updated
from tests.support.kubernetes_stack import FakeReader, settings

SOLVER = "acme.cert-manager.io/http01-solver"
ANYWHERE = ("0.0.0.0/0 but 169.254.0.0/16 100.100.100.200/32 168.63.129.16/32", "::/0 but fe80::/10 fd00:ec2::254/128")
"""Every address but those behind which clouds keep their nodes' credentials."""


def of(kind: str, *stacks: str) -> list[dict[str, Any]]:
    """Give the inputs of all resources of a kind in these stacks."""
    return [updated(made["inputs"]) for stack in stacks for _, _, made in resources(f":{kind}", stack)]


def peers(rule: Mapping[str, Any], side: str) -> Iterator[str]:
    for peer in rule.get(side) or [{}]:
        if "ipBlock" in peer:
            yield " but ".join([peer["ipBlock"]["cidr"], *filter(None, [" ".join(peer["ipBlock"].get("except", ()))])])
            continue
        space = peer.get("namespaceSelector", {}).get("matchLabels", {}).get("kubernetes.io/metadata.name", "anybody")
        [roles] = peer.get("podSelector", {}).get("matchExpressions") or [{}]
        yield f"{space}/{'+'.join(roles['values'])}" if roles else space


def flows(policies: Iterable[dict[str, Any]]) -> set[str]:
    """Give what the policies open and what they close: who, in which direction, with whom, on which ports."""
    found = set()
    for policy in policies:
        spec = policy["spec"]
        [selected] = spec["podSelector"].get("matchLabels", {"": "*"}).items()
        who = f"{policy['metadata']['namespace']}/{selected[0] if selected[1] == 'true' else selected[1]}"
        for kind, side, arrow in (("Ingress", "from", "<-"), ("Egress", "to", "->")):
            if kind in spec["policyTypes"] and not spec.get(kind.lower()):
                found.add(f"{who} {arrow} nobody")
            for rule in spec.get(kind.lower(), ()):
                assert kind in spec["policyTypes"]
                ports = ",".join(f"{port['port']:.0f}{port['protocol'][0]}" for port in rule.get("ports", ())) or "any"
                found |= {f"{who} {arrow} {peer} {ports}" for peer in peers(rule, side)}
    return found


def asks(who: str, *more: str) -> set[str]:
    """Give the flows of who asks for names and something else."""
    return {f"{who} -> kube-system 53U,53T", f"{who} -> 169.254.20.10/32 53U,53T", *more}


def anywhere(flow: str) -> set[str]:
    return {flow.replace("ANYWHERE", each) for each in ANYWHERE}


def closed(space: str) -> set[str]:
    return {f"{space}/* <- nobody", f"{space}/* -> nobody"}


API = "anybody 443T,6443T,8443T,16443T"
LEAST = {*asks("ci-builds/*"), *closed("ci"), *closed("ci-builds"), "ci/registry <- ci-builds 5000T"}
USUAL = {*LEAST, *asks("ci/restarter", f"ci/restarter -> {API}")}
PULLED = anywhere("ci/registry <- ANYWHERE 5000T")
FETCHED = anywhere("ci-builds/* -> ANYWHERE any")
NO_MIRROR = {"ci-builds/* -> ci/registry 5000T"}
MIRROR = {"ci-builds/* -> ci/registry+mirror 5000T", "ci/mirror <- ci-builds 5000T", *asks("ci/mirror")}
FLOWS = {
    "kubernetes-least": {*LEAST, *NO_MIRROR, *PULLED},
    "prod": {*USUAL, *NO_MIRROR, *PULLED, *FETCHED, f"ci/{SOLVER} <- anybody 8089T"},
    "kubernetes-everything": {
        *USUAL,
        *MIRROR,
        *anywhere("ci/mirror -> ANYWHERE 443T"),
        "ci/registry <- 10.0.0.0/16 5000T",
        f"ci-builds/* -> {ANYWHERE[0]} any",
        "ci-builds/* -> 2001:db8::/32 any",
        *asks("ci/gitlab-runner", f"ci/gitlab-runner -> {API}"),
        *anywhere("ci/gitlab-runner -> ANYWHERE 8443T"),
    },
    "kubernetes-push": {
        *(USUAL | NO_MIRROR | PULLED | FETCHED),
        "ci/push <- 10.0.0.0/16 8080T",
        *asks("ci/push", f"ci/push -> {API}"),
        *anywhere("ci/push -> ANYWHERE 443T,2222T"),
    },
    "kubernetes-buildkit": {
        *(USUAL | MIRROR | PULLED | FETCHED),
        *anywhere("ci/mirror -> ANYWHERE 80T"),
        *closed("ci-buildkit"),
        "ci-builds/* -> ci-buildkit/buildkit 1234T",
        "ci-buildkit/buildkit <- ci-builds 1234T",
        "ci-buildkit/buildkit <- 10.0.0.0/16 1234T",
        *asks("ci-buildkit/buildkit", "ci-buildkit/buildkit -> ci/registry+mirror 5000T"),
        *anywhere("ci-buildkit/buildkit -> ANYWHERE any"),
        "ci/registry <- ci-buildkit 5000T",
        "ci/mirror <- ci-buildkit 5000T",
    },
}


@pytest.mark.parametrize("stack", FLOWS)
def test_who_may_connect_to_whom_is_this_and_no_more(stack: str) -> None:
    assert flows(of("NetworkPolicy", stack)) == FLOWS[stack]


def test_who_may_ask_the_api_for_what_is_this_and_no_more() -> None:
    rights = set()
    for stack in ("gitlab-kubernetes", "kubernetes-everything", "kubernetes-push"):
        roles = {
            (each["kind"], each["metadata"]["name"], each["metadata"].get("namespace")): each["rules"]
            for each in (*of("Role", stack), *of("ClusterRole", stack))
        }
        for binding in (*of("RoleBinding", stack), *of("ClusterRoleBinding", stack)):
            space = binding["metadata"].get("namespace")
            [subject] = binding["subjects"]
            assert subject["kind"] == "ServiceAccount"
            whom = f"{subject['namespace']}/{subject['name']} {f'in {space}' if space else 'everywhere'}"
            for rule in roles[binding["roleRef"]["kind"], binding["roleRef"]["name"], space]:
                [group], [resource], only = rule["apiGroups"], rule["resources"], rule.get("resourceNames", ["any"])
                what = f"{group}/{resource}".removeprefix("/")
                rights.add(f"{whom}: {what} {' '.join(only)}: {' '.join(rule['verbs'])}")
    assert rights == {
        "ci/restarter in ci: pods registry-server-0: get delete",
        "ci/restarter in ci: pods registry-server-0 mirror-server-0: get delete",
        "ci/restarter in ci: configmaps registry-used: get patch",
        "ci/restarter everywhere: configmaps ci-images: list",
        "ci/restarter everywhere: pods any: list",
        "ci/push in ci-builds: batch/jobs any: create list",
        "ci/gitlab-runner in ci-builds: pods any: create delete get list watch",
        "ci/gitlab-runner in ci-builds: pods/attach any: create get",
        "ci/gitlab-runner in ci-builds: pods/exec any: create get",
        "ci/gitlab-runner in ci-builds: pods/log any: get",
        "ci/gitlab-runner in ci-builds: events any: list",
        "ci/gitlab-runner in ci-builds: secrets any: create delete update",
        "ci/gitlab-runner in ci-builds: secrets registry-pull: get",
        "ci/gitlab-runner in ci-builds: serviceaccounts builder: get",
    }
    tokens = {
        whose.partition(": ")[2] for whose, pod, _ in PODS if pod.get("automountServiceAccountToken") is not False
    }
    assert tokens == {"registry-restart", "gitlab-runner-runner"}
    assert all(made["inputs"]["automountServiceAccountToken"] is False for _, _, made in resources(":ServiceAccount"))


def test_every_pod_counts_against_a_quota_with_a_limit_on_everything() -> None:
    for whose, _, containers in PODS:
        for container in containers:
            for bound in ("requests", "limits"):
                assert set(container["resources"][bound]) == {"cpu", "memory", "ephemeral-storage"}, whose
            # Memory that is promised twice is memory that a node runs out of.
            assert container["resources"]["requests"]["memory"] == container["resources"]["limits"]["memory"], whose


@pytest.mark.parametrize(
    ("given", "block"),
    [
        ("169.0.0.0/8", {"cidr": "169.0.0.0/8", "except": ["169.254.0.0/16"]}),
        ("169.254.0.0/16", {"cidr": "169.254.0.0/16"}),
        ("192.0.2.7", {"cidr": "192.0.2.7/32"}),
        ("10.0.0.0/255.0.0.0", {"cidr": "10.0.0.0/8"}),
    ],
)
def test_a_range_is_opened_without_link_local_addresses(given: str, block: dict[str, Any]) -> None:
    assert network._blocks(settings(kubernetes={"egress": [given]}).kubernetes.egress) == [{"ipBlock": block}]  # noqa: SLF001


NODES, BEHIND = ("10.0.0.1/32", "10.0.0.2/32", "fd00::2/128"), ("10.0.0.1/32", "10.96.0.1/32")
ADDRESSES = network.ClusterAddresses(nodes=NODES, api=BEHIND)
CLOSED = ["169.254.0.0/16", "100.100.100.200/32", "168.63.129.16/32", *NODES[:2], BEHIND[1]]


@pytest.mark.parametrize(
    ("keys", "opened", "web"),
    [
        ({}, {"0.0.0.0/0": CLOSED}, [*NODES[1:]]),
        ({"egress": ["10.0.0.0/24"]}, {"10.0.0.0/24": [*NODES[:2]]}, [NODES[1]]),
        ({"egress": ["203.0.113.0/24", NODES[0]]}, {"203.0.113.0/24": [], NODES[0]: []}, []),
        ({"privateEgress": ["10.0.0.0/30"]}, {"10.0.0.0/30": [BEHIND[0]]}, []),
    ],
)
def test_steps_reach_no_api_and_of_nodes_the_web_ports_alone_but_what_is_listed_itself(
    keys: dict[str, Any], opened: dict[str, list[str]], web: list[str]
) -> None:
    first, *others = network._of_steps(settings(kubernetes=keys).kubernetes, ADDRESSES)  # noqa: SLF001
    blocks = {each["ipBlock"]["cidr"]: each["ipBlock"].get("except", []) for each in first["to"]}
    assert {cidr: blocks[cidr] for cidr in opened} == opened
    whole = blocks.get("0.0.0.0/0", [])
    assert ("10.0.0.0/8" in whole, "192.168.0.0/16" in whole) == ("privateEgress" in keys,) * 2
    assert [each["ipBlock"]["cidr"] for rule in others for each in rule["to"]] == web
    assert all(rule["ports"] == [{"port": port, "protocol": "TCP"} for port in (80, 443)] for rule in others)


def test_the_clusters_addresses_are_read_as_far_as_that_is_allowed() -> None:
    slices = {"items": [{"endpoints": [{"addresses": ["10.0.0.1"]}]}]}
    objects: dict[str, Any] = {
        "/api/v1/nodes": {"items": [{"status": {"addresses": [{"address": "10.0.0.2"}, {"address": "node-1"}]}}]},
        "/api/v1/namespaces/default/services/kubernetes": {"spec": {"clusterIPs": ["10.96.0.1", "fd00::1"]}},
        "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices": slices,
    }
    api, nodes = ("10.0.0.1/32", "10.96.0.1/32", "fd00::1/128"), ("10.0.0.2/32",)
    assert network.known(FakeReader(objects=objects)) == network.ClusterAddresses(nodes=nodes, api=api)
    objects["/api/v1/nodes"] |= {"metadata": {"continue": "x"}}
    assert network.known(FakeReader(objects=objects)).nodes == ()
    forbidden = FakeReader(objects=dict.fromkeys(objects, ForbiddenError()))
    assert network.known(forbidden) == network.ClusterAddresses()
