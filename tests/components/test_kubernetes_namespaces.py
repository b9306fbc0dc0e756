"""The two namespaces, what they let in, and who may connect to whom."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.support.engine import Engine
from tests.support.kubernetes_platform import Deployed, deploy
from tests.support.kubernetes_stack import build

GIT = {"git": {"repository": "https://git.example.org/team/website.git"}}


LEAST = {"plainHttp": True, "garbageCollection": None}
EVERYTHING: dict[str, Any] = {
    "builds": [build()],
    "registry": {
        "tls": {"issuer": "ours"},
        "host": "registry.example.org",
        "ingress": {},
        "allowFrom": ["10.1.0.0/16"],
        "mirror": {"upstream": "https://r.example.org:5443"},
    },
    "gitlabRunner": {"url": "https://gitlab.example.org:8443"},
    "gitlabRunnerToken": "glrt-0123456789abcdefghij",
}
SOLVER = "acme.cert-manager.io/http01-solver"
ANYWHERE = ("0.0.0.0/0 but 169.254.0.0/16 100.100.100.200/32 168.63.129.16/32", "::/0 but fe80::/10 fd00:ec2::254/128")
"""Every address but those behind which clouds keep their nodes' credentials."""


def peers(rule: Mapping[str, Any], side: str) -> Iterator[str]:
    for peer in rule.get(side) or [{}]:
        if "ipBlock" in peer:
            yield " but ".join([peer["ipBlock"]["cidr"], *filter(None, [" ".join(peer["ipBlock"].get("except", ()))])])
            continue
        space = peer.get("namespaceSelector", {}).get("matchLabels", {}).get("kubernetes.io/metadata.name", "anybody")
        [roles] = peer.get("podSelector", {}).get("matchExpressions") or [{}]
        yield f"{space}/{'+'.join(roles['values'])}" if roles else space


def flows(made: Deployed) -> set[str]:
    """Give what the policies open and what they close: who, in which direction, with whom, on which ports."""
    found = set()
    for policy in made.of("NetworkPolicy").values():
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


def to_dns(who: str) -> set[str]:
    return {f"{who} -> kube-system 53U,53T", f"{who} -> 169.254.20.10/32 53U,53T"}


def test_who_may_connect_to_whom_is_this_and_no_more(engine: Engine) -> None:
    assert flows(deploy(engine, **EVERYTHING)) == {
        *(f"{who} {arrow} nobody" for who in ("ci/*", "ci-builds/*") for arrow in ("<-", "->")),
        *to_dns("ci-builds/*"),
        "ci-builds/* -> ci/registry+mirror 5000T",
        *(f"ci-builds/* -> {network} any" for network in ANYWHERE),
        "ci/registry <- ci-builds 5000T",
        "ci/registry <- 10.1.0.0/16 5000T",
        *to_dns("ci/mirror"),
        "ci/mirror <- ci-builds 5000T",
        *(f"ci/mirror -> {network} 5443T" for network in ANYWHERE),
        *to_dns("ci/restarter"),
        "ci/restarter -> anybody 443T,6443T",
        f"ci/{SOLVER} <- anybody 8089T",
        *to_dns("ci/gitlab-runner"),
        "ci/gitlab-runner -> anybody 443T,6443T",
        *(f"ci/gitlab-runner -> {network} 8443T" for network in ANYWHERE),
    }
    assert flows(deploy(Engine(preview=True), registry=LEAST, kubernetes={"egress": []})) == {
        *(f"{who} {arrow} nobody" for who in ("ci/*", "ci-builds/*") for arrow in ("<-", "->")),
        *to_dns("ci-builds/*"),
        "ci-builds/* -> ci/registry 5000T",
        "ci/registry <- ci-builds 5000T",
        *(f"ci/registry <- {network} 5000T" for network in ANYWHERE),
    }


def test_who_may_ask_the_api_for_what_is_this_and_no_more(engine: Engine) -> None:
    made = deploy(engine, **EVERYTHING)
    rights = set()
    for binding in made.of("RoleBinding").values():
        space = binding["metadata"]["namespace"]
        [role] = [
            role
            for role in made.of("Role").values()
            if (role["metadata"]["name"], role["metadata"]["namespace"]) == (binding["roleRef"]["name"], space)
        ]
        [subject] = binding["subjects"]
        for rule in role["rules"]:
            assert (rule["apiGroups"], binding["roleRef"]["kind"], subject["kind"]) == ([""], "Role", "ServiceAccount")
            whom = f"{subject['namespace']}/{subject['name']} in {space}"
            [resource] = rule["resources"]
            only = ",".join(rule.get("resourceNames", ())) or "any"
            rights.add(f"{whom}: {resource} {only}: {' '.join(rule['verbs'])}")
    assert rights == {
        "ci/restarter in ci: pods registry-server-0: get delete",
        "ci/gitlab-runner in ci-builds: pods any: create delete get list watch",
        "ci/gitlab-runner in ci-builds: pods/attach any: create get",
        "ci/gitlab-runner in ci-builds: pods/exec any: create get",
        "ci/gitlab-runner in ci-builds: pods/log any: get",
        "ci/gitlab-runner in ci-builds: events any: list",
        "ci/gitlab-runner in ci-builds: secrets any: create delete update",
        "ci/gitlab-runner in ci-builds: secrets registry-pull: get",
        "ci/gitlab-runner in ci-builds: serviceaccounts builder: get",
    }
    tokens = {name: pod.get("automountServiceAccountToken") for name, _, pod in made.pods()}
    assert {name for name, token in tokens.items() if token is not False} == {
        "registry-restart",
        "gitlab-runner-runner",
    }
    for account in made.of("ServiceAccount").values():
        assert account["automountServiceAccountToken"] is False


def test_every_pod_of_the_builds_counts_against_the_quota_with_a_limit_on_everything(engine: Engine) -> None:
    made = deploy(engine, builds=[build(context=GIT)])
    for _, _, pod in made.pods():
        for container in [*pod["containers"], *pod.get("initContainers", ())]:
            for bound in ("requests", "limits"):
                assert set(container["resources"][bound]) == {"cpu", "memory", "ephemeral-storage"}
            # Memory that is promised twice is memory that a node runs out of.
            assert container["resources"]["requests"]["memory"] == container["resources"]["limits"]["memory"]


@pytest.mark.parametrize(
    ("given", "block"),
    [
        ("10.0.0.0/8", {"cidr": "10.0.0.0/8"}),
        ("169.0.0.0/8", {"cidr": "169.0.0.0/8", "except": ["169.254.0.0/16"]}),
        ("169.254.169.254/32", {"cidr": "169.254.169.254/32"}),
        ("192.0.2.7", {"cidr": "192.0.2.7/32"}),
        ("2001:db8::/32", {"cidr": "2001:db8::/32"}),
    ],
)
def test_a_range_is_opened_without_link_local_addresses(engine: Engine, given: str, block: dict[str, Any]) -> None:
    made = deploy(engine, kubernetes={"egress": [given]})
    assert made["network-builds-builds"]["spec"]["egress"][-1] == {"to": [{"ipBlock": block}]}
