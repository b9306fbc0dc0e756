"""The two namespaces, what they let in, and who may connect to whom."""

from typing import Any

import pytest

from tests.support.engine import Engine
from tests.support.kubernetes_platform import Deployed, deploy
from tests.support.kubernetes_stack import build
from tests.support.pod_security import breaches

GIT = {"git": {"repository": "https://git.example.org/team/website.git"}}

METADATA_4 = ["169.254.0.0/16", "100.100.100.200/32", "168.63.129.16/32"]
METADATA_6 = ["fe80::/10", "fd00:ec2::254/128"]


def levels(made: Deployed, name: str) -> dict[str, str]:
    prefix = "pod-security.kubernetes.io/"
    marks = made[name]["metadata"]["labels"]
    return {key.removeprefix(prefix): value for key, value in marks.items() if key.startswith(prefix)}


def policy(made: Deployed, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = made[name]["spec"]
    return spec


def test_the_registrys_namespace_is_restricted_and_the_builds_one_is_baseline(engine: Engine) -> None:
    made = deploy(engine, builds=[build()])
    assert made["namespaces-registry"]["metadata"]["name"] == "ci"
    assert made["namespaces-builds"]["metadata"]["name"] == "ci-builds"
    assert levels(made, "namespaces-registry") == dict.fromkeys(("enforce", "audit", "warn"), "restricted")
    assert levels(made, "namespaces-builds") == dict.fromkeys(("enforce", "audit", "warn"), "baseline")


@pytest.mark.parametrize("level", ["restricted", "privileged"])
def test_the_builds_namespace_is_held_to_the_level_that_is_written_whatever_is_built(
    engine: Engine, level: str
) -> None:
    builds = [build()] if level == "privileged" else []
    made = deploy(engine, builds=builds, kubernetes={"buildsPodSecurity": level})
    assert levels(made, "namespaces-builds") == dict.fromkeys(("enforce", "audit", "warn"), level)
    assert levels(made, "namespaces-registry")["enforce"] == "restricted"


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


def test_the_registrys_namespace_outlives_the_stack_and_the_builds_one_goes_with_it(engine: Engine) -> None:
    deploy(engine)
    assert engine.requests["namespaces-registry"].retainOnDelete
    assert not engine.requests["namespaces-builds"].retainOnDelete


def test_both_namespaces_say_whose_they_are(engine: Engine) -> None:
    made = deploy(engine)
    for name in ("namespaces-registry", "namespaces-builds"):
        marks = made[name]["metadata"]["labels"]
        assert (marks["ci.project"], marks["ci.stack"]) == ("ci", "test")


def test_builds_have_an_account_without_a_token_and_without_rights(engine: Engine) -> None:
    made = deploy(engine, builds=[build()])
    account = made["namespaces-builder"]
    assert account["automountServiceAccountToken"] is False
    assert made["build-website-job"]["spec"]["template"]["spec"]["automountServiceAccountToken"] is False
    name = account["metadata"]["name"]
    assert made["build-website-job"]["spec"]["template"]["spec"]["serviceAccountName"] == name
    for binding in made.of("RoleBinding").values():
        assert name not in [subject["name"] for subject in binding["subjects"]]
    assert not made.of("ClusterRoleBinding")
    assert not made.of("ClusterRole")


def test_only_the_restarter_has_a_token_and_it_may_get_and_delete_one_pod(engine: Engine) -> None:
    made = deploy(engine, builds=[build()], registry={"plainHttp": True, "mirror": {}})
    with_token = [name for name, _, pod in made.pods() if pod.get("automountServiceAccountToken") is not False]
    assert with_token == ["registry-restart"]
    [role] = made.of("Role").values()
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "resourceNames": ["registry-0"], "verbs": ["get", "delete"]}
    ]
    [binding] = made.of("RoleBinding").values()
    assert [subject["name"] for subject in binding["subjects"]] == ["restarter"]
    assert binding["roleRef"]["kind"] == "Role"


def test_without_collections_nothing_may_do_anything(engine: Engine) -> None:
    made = deploy(engine, registry={"plainHttp": True, "garbageCollection": None})
    assert not made.of("Role")
    assert not made.of("RoleBinding")
    assert not made.of("CronJob")
    assert "initContainers" not in made["registry-server"]["spec"]["template"]["spec"]
    assert "network-registry-restarter" not in engine.inputs


def test_the_default_quota_lets_all_builds_run_at_one_time_and_ten_small_pods_beside(engine: Engine) -> None:
    big = {"cpuMillicores": 2000, "memoryMib": 4096}
    made = deploy(engine, builds=[build("a", resources=big), build("b", resources=big, schedule="@daily")])
    hard = made["namespaces-quota"]["spec"]["hard"]
    cpu, memory = 3 * 2000 + 10 * 500, 3 * 4096 + 10 * 256
    assert hard == {
        "limits.cpu": f"{cpu}m",
        "limits.memory": f"{memory}Mi",
        "requests.cpu": f"{cpu}m",
        "requests.memory": f"{memory}Mi",
        "pods": "13",
    }
    [limits] = made["namespaces-limits"]["spec"]["limits"]
    assert limits["default"]["cpu"] == "500m"
    assert limits["default"]["memory"] == "256Mi"
    assert "max" not in limits  # or a build above it would be refused


def test_a_given_quota_is_taken_as_it_is(engine: Engine) -> None:
    made = deploy(engine, kubernetes={"quota": {"cpuMillicores": 3000, "memoryMib": 5000}}, builds=[build()])
    hard = made["namespaces-quota"]["spec"]["hard"]
    assert (hard["limits.cpu"], hard["limits.memory"]) == ("3000m", "5000Mi")


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


DNS = {
    "to": [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}},
        {"ipBlock": {"cidr": "169.254.20.10/32"}},
    ],
    "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
}


def test_builds_reach_dns_the_registry_and_the_internet_without_the_nodes_credentials(engine: Engine) -> None:
    spec = policy(deploy(engine), "network-builds-builds")
    assert spec["policyTypes"] == ["Egress"]
    dns, registry, everywhere = spec["egress"]
    assert dns == DNS
    assert registry == {
        "to": [
            {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ci"}},
                "podSelector": {
                    "matchExpressions": [{"key": "app.kubernetes.io/name", "operator": "In", "values": ["registry"]}]
                },
            }
        ],
        "ports": [{"port": 5000, "protocol": "TCP"}],
    }
    assert everywhere == {
        "to": [
            {"ipBlock": {"cidr": "0.0.0.0/0", "except": METADATA_4}},
            {"ipBlock": {"cidr": "::/0", "except": METADATA_6}},
        ]
    }


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


def test_builds_with_nowhere_to_go_reach_dns_and_the_registry_alone(engine: Engine) -> None:
    assert len(policy(deploy(engine, kubernetes={"egress": []}), "network-builds-builds")["egress"]) == 2


def test_the_registry_is_reached_on_its_port_by_builds_and_the_given_networks_and_connects_nowhere(
    engine: Engine,
) -> None:
    spec = policy(
        deploy(engine, registry={"plainHttp": True, "allowFrom": ["10.1.0.0/16"]}), "network-registry-registry"
    )
    assert spec == {
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "registry"}},
        "policyTypes": ["Ingress"],
        "ingress": [
            {
                "from": [
                    {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ci-builds"}}},
                    {"ipBlock": {"cidr": "10.1.0.0/16"}},
                ],
                "ports": [{"port": 5000, "protocol": "TCP"}],
            }
        ],
    }


@pytest.mark.parametrize(
    ("upstream", "port"),
    [("https://registry-1.docker.io", 443), ("http://mirror.example.org", 80), ("https://r.example.org:5443", 5443)],
)
def test_the_mirror_is_reached_by_builds_alone_and_reaches_its_upstreams_port(
    engine: Engine, upstream: str, port: int
) -> None:
    made = deploy(engine, registry={"plainHttp": True, "mirror": {"upstream": upstream}}, kubernetes={"egress": []})
    spec = policy(made, "network-registry-mirror")
    [rule] = spec["ingress"]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ci-builds"}}}]
    dns, out = spec["egress"]
    assert dns == DNS
    assert out["ports"] == [{"port": port, "protocol": "TCP"}]
    assert [to["ipBlock"]["except"] for to in out["to"]] == [METADATA_4, METADATA_6]
    to_registry = policy(made, "network-builds-builds")["egress"][1]["to"][0]["podSelector"]["matchExpressions"]
    assert to_registry[0]["values"] == ["registry", "mirror"]


def test_the_restarter_reaches_dns_and_the_api_alone(engine: Engine) -> None:
    spec = policy(deploy(engine), "network-registry-restarter")
    assert spec["policyTypes"] == ["Egress"]
    assert spec["egress"] == [DNS, {"ports": [{"port": 443, "protocol": "TCP"}, {"port": 6443, "protocol": "TCP"}]}]


def test_an_issuer_may_prove_the_name_by_a_pod_beside_the_registry(engine: Engine) -> None:
    made = deploy(engine, registry={"tls": {"issuer": "letsencrypt"}, "host": "registry.example.org", "ingress": {}})
    assert policy(made, "network-registry-acme-solver") == {
        "podSelector": {"matchLabels": {"acme.cert-manager.io/http01-solver": "true"}},
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": [{"port": 8089, "protocol": "TCP"}]}],
    }


def test_the_policies_select_the_labels_that_the_pods_have(engine: Engine) -> None:
    made = deploy(engine, registry={"plainHttp": True, "mirror": {}})
    for role, name in {"registry": "registry-server", "mirror": "mirror-server"}.items():
        marks = made[name]["spec"]["template"]["metadata"]["labels"]
        selected = policy(made, f"network-registry-{role}")["podSelector"]["matchLabels"]
        assert selected.items() <= marks.items()
    marks = made["registry-restart"]["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
    assert policy(made, "network-registry-restarter")["podSelector"]["matchLabels"].items() <= marks.items()


def test_another_namespace_and_another_dns_are_used_everywhere(engine: Engine) -> None:
    made = deploy(engine, kubernetes={"namespace": "team", "dnsNamespace": "dns"}, builds=[build()])
    text = made.in_clear()
    assert '"kube-system"' not in text
    assert '"ci-builds"' not in text
    assert policy(made, "network-builds-builds")["egress"][0]["to"][0] == {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "dns"}}
    }


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
