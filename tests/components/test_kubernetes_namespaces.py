"""The two namespaces, what they let in, and who may connect to whom."""

from typing import Any

import pytest

from tests.support.engine import Engine
from tests.support.kubernetes_platform import Deployed, deploy
from tests.support.kubernetes_stack import build
from tests.support.pod_security import breaches

GIT = {"git": {"repository": "https://git.example.org/team/website.git"}}


def policy(made: Deployed, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = made[name]["spec"]
    return spec


def test_every_pod_fits_the_level_of_its_namespace(engine: Engine) -> None:
    made = deploy(
        engine,
        builds=[build(schedule="@daily"), build("site", context=GIT)],
        registry={"plainHttp": True, "mirror": {}},
    )
    enforced = {"ci": "restricted", "ci-builds": "baseline"}
    pods = list(made.pods())
    assert {name for name, _, _ in pods} == {
        "registry-server",
        "mirror-server",
        "registry-restart",
        "build-website-job",
        "build-website-schedule",
        "build-site-job",
    }
    for name, namespace, pod in pods:
        assert breaches(pod, enforced[namespace]) == [], name


def test_every_pod_of_the_builds_counts_against_the_quota_with_a_limit_on_everything(engine: Engine) -> None:
    made = deploy(engine, builds=[build(context=GIT)])
    for _, _, pod in made.pods():
        for container in [*pod["containers"], *pod.get("initContainers", ())]:
            for bound in ("requests", "limits"):
                assert set(container["resources"][bound]) == {"cpu", "memory", "ephemeral-storage"}
            # Memory that is promised twice is memory that a node runs out of.
            assert container["resources"]["requests"]["memory"] == container["resources"]["limits"]["memory"]


def test_in_both_namespaces_nothing_may_connect_unless_a_policy_opens_it(engine: Engine) -> None:
    made = deploy(engine)
    for place in ("registry", "builds"):
        assert policy(made, f"network-{place}-nothing") == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    opened = set(made.of("NetworkPolicy")) - {"network-registry-nothing", "network-builds-nothing"}
    assert opened == {"network-builds-builds", "network-registry-registry", "network-registry-restarter"}


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
def test_a_range_that_holds_the_link_local_addresses_is_opened_without_them(
    engine: Engine, given: str, block: dict[str, Any]
) -> None:
    made = deploy(engine, kubernetes={"egress": [given]})
    assert policy(made, "network-builds-builds")["egress"][-1] == {"to": [{"ipBlock": block}]}


def test_the_policies_select_the_labels_that_the_pods_have(engine: Engine) -> None:
    made = deploy(engine, registry={"plainHttp": True, "mirror": {}})
    for role, name in {"registry": "registry-server", "mirror": "mirror-server"}.items():
        marks = made[name]["spec"]["template"]["metadata"]["labels"]
        selected = policy(made, f"network-registry-{role}")["podSelector"]["matchLabels"]
        assert selected.items() <= marks.items()
    marks = made["registry-restart"]["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
    assert policy(made, "network-registry-restarter")["podSelector"]["matchLabels"].items() <= marks.items()


@pytest.mark.parametrize(
    ("change", "breach"),
    [
        ({"hostNetwork": True}, "hostNetwork"),
        ({"volumes": [{"name": "x", "hostPath": {"path": "/"}}]}, "hostPath"),
        ({"containers": [{"name": "c", "securityContext": {"privileged": True}}]}, "c: privileged"),
        (
            {"containers": [{"name": "c", "securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}]},
            "c: capabilities added",
        ),
        ({"containers": [{"name": "c"}]}, "c: runAsNonRoot"),
        ({"containers": [{"name": "c"}]}, "c: allowPrivilegeEscalation"),
        ({"containers": [{"name": "c"}]}, "c: seccompProfile"),
        ({"containers": [{"name": "c"}]}, "c: capabilities"),
    ],
)
def test_the_tests_own_reading_of_the_standards_sees_a_breach(change: dict[str, Any], breach: str) -> None:
    assert breach in breaches(change, "restricted")
