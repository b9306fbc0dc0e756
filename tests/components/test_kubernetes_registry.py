"""The registry, its mirror, its certificate and the ways in."""

import json
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import yaml

from tests.support.engine import CLUSTER_IP, Engine, is_secret
from tests.support.kubernetes_platform import Deployed, deploy
from tests.support.kubernetes_stack import HASH, REGISTRY_PASSWORD

PLAIN = {"plainHttp": True}
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n"


def pod(made: Deployed, name: str = "registry") -> dict[str, Any]:
    spec: dict[str, Any] = made[f"{name}-server"]["spec"]["template"]["spec"]
    return spec


def configuration(made: Deployed, name: str = "registry") -> dict[str, Any]:
    text: dict[str, Any] = yaml.safe_load(made[f"{name}-files"]["stringData"]["config.yml"])
    return text


def test_the_volume_outlives_the_stack_and_is_never_replaced(engine: Engine) -> None:
    made = deploy(engine, registry={**PLAIN, "storageGib": 50, "storageClass": "fast", "mirror": {"storageGib": 5}})
    for name, size in (("registry-volume", "50Gi"), ("mirror-volume", "5Gi")):
        request = engine.requests[name]
        assert request.retainOnDelete
        assert set(request.ignoreChanges) == {"spec.storageClassName", "spec.volumeName", "spec.accessModes"}
        spec = made[name]["spec"]
        assert spec["resources"]["requests"]["storage"] == size
        assert spec["storageClassName"] == "fast"
        assert spec["accessModes"] == ["ReadWriteOnce"]


def test_without_a_storage_class_the_cluster_chooses(engine: Engine) -> None:
    assert "storageClassName" not in deploy(engine)["registry-volume"]["spec"]


def test_one_process_runs_as_nobody_special_on_a_root_file_system_that_it_cannot_write(engine: Engine) -> None:
    made = deploy(engine)
    assert made["registry-server"]["spec"]["replicas"] == 1
    spec = pod(made)
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65_532,
        "runAsGroup": 65_532,
        "fsGroup": 65_532,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    for container in [*spec["containers"], *spec["initContainers"]]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_no_trace_is_sent_anywhere(engine: Engine) -> None:
    spec = pod(deploy(engine))
    for container in [*spec["containers"], *spec["initContainers"]]:
        assert {"name": "OTEL_TRACES_EXPORTER", "value": "none"} in container["env"]


def test_it_is_ready_when_it_answers_without_a_login_and_alive_while_it_listens(engine: Engine) -> None:
    [container] = pod(deploy(engine))["containers"]
    assert container["readinessProbe"]["httpGet"] == {"path": "/", "port": 5000, "scheme": "HTTP"}
    assert container["livenessProbe"]["tcpSocket"] == {"port": 5000}


def test_it_may_finish_what_it_does_before_it_is_killed(engine: Engine) -> None:
    made = deploy(engine)
    drain = int(configuration(made)["http"]["draintimeout"].removesuffix("s"))
    assert drain < pod(made)["terminationGracePeriodSeconds"]


def test_users_log_in_with_the_password_of_the_secret_or_with_their_own_hash(engine: Engine) -> None:
    made = deploy(engine, registry={**PLAIN, "user": "builder", "users": [{"name": "deployer", "passwordHash": HASH}]})
    own, other = made["registry-files"]["stringData"]["htpasswd"].splitlines()
    user, _, hashed = own.partition(":")
    assert user == "builder"
    assert hashed.startswith("$2a$05$")
    assert bcrypt.checkpw(REGISTRY_PASSWORD.encode(), hashed.encode())
    assert other == f"deployer:{HASH}"
    auth = configuration(made)["auth"]["htpasswd"]
    assert Path(auth["path"]).parent == Path(pod(made)["containers"][0]["volumeMounts"][0]["mountPath"])


def test_the_same_password_gives_the_same_files_in_every_run() -> None:
    first, second = (deploy(Engine(preview=False)) for _ in range(2))
    assert first["registry-files"] == second["registry-files"]
    assert first["registry-server"] == second["registry-server"]
    other = deploy(Engine(preview=False), registryPassword="another-long-password")
    assert other["registry-files"] != first["registry-files"]


def test_a_change_of_the_files_starts_the_process_again_and_a_preview_shows_the_pod(engine: Engine) -> None:
    deploy(engine)
    assert not is_secret(engine.inputs["registry-server"]["spec"])
    marks = [
        pod_of["template"]["metadata"]["annotations"]
        for pod_of in (
            deploy(Engine(preview=False), registry={**PLAIN, "users": users})["registry-server"]["spec"]
            for users in ([], [{"name": "deployer", "passwordHash": HASH}])
        )
    ]
    assert marks[0] != marks[1]


def test_images_can_be_deleted_and_broken_uploads_go_by_themselves(engine: Engine) -> None:
    storage = configuration(deploy(engine))["storage"]
    assert storage["delete"] == {"enabled": True}
    assert storage["maintenance"]["uploadpurging"]["enabled"] is True


def test_the_service_is_inside_the_cluster_alone_unless_a_node_port_is_asked_for(engine: Engine) -> None:
    made = deploy(engine)
    assert made["registry-service"]["spec"]["type"] == "ClusterIP"
    [port] = made["registry-service"]["spec"]["ports"]
    assert (port["port"], port.get("nodePort")) == (5000, None)


def test_with_a_node_port_nodes_pull_from_themselves_and_builds_push_to_the_service(engine: Engine) -> None:
    made = deploy(engine, registry={**PLAIN, "nodePort": 30500})
    assert made["registry-service"]["spec"]["type"] == "NodePort"
    assert made["registry-service"]["spec"]["ports"][0]["nodePort"] == 30500
    assert made.outputs["registry"] == "localhost:30500"
    assert made.outputs["registryInCluster"] == "registry.ci.svc:5000"
    assert made.outputs["url"] == "http://localhost:30500"
    assert "containerdHosts" not in made.outputs


def test_a_name_that_only_the_cluster_knows_comes_with_the_text_that_teaches_it_to_nodes(engine: Engine) -> None:
    made = deploy(engine)
    address = "<cluster IP>" if engine.preview else CLUSTER_IP
    assert made.outputs["containerdHosts"].splitlines() == [
        'server = "http://registry.ci.svc:5000"',
        "",
        f'[host."http://{address}:5000"]',
        '  capabilities = ["pull", "resolve"]',
    ]
    assert any("hosts.toml" in step for step in made.outputs["next"])


def test_behind_an_ingress_everybody_uses_its_name_and_the_ingress_ends_tls(engine: Engine) -> None:
    made = deploy(
        engine,
        registry={
            "tls": {"issuer": "letsencrypt"},
            "host": "registry.example.org",
            "ingress": {"className": "nginx", "annotations": {"nginx.ingress.kubernetes.io/proxy-body-size": "0"}},
        },
    )
    ingress = made["registry-ingress"]
    assert ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-body-size"] == "0"
    [rule] = ingress["spec"]["rules"]
    assert rule["host"] == "registry.example.org"
    assert rule["http"]["paths"][0]["backend"] == {"service": {"name": "registry", "port": {"number": 5000}}}
    assert ingress["spec"]["ingressClassName"] == "nginx"
    [tls] = ingress["spec"]["tls"]
    assert tls["hosts"] == ["registry.example.org"]
    assert pod(made)["containers"][0]["readinessProbe"]["httpGet"]["scheme"] == "HTTP"
    assert "tls" not in configuration(made)["http"]
    for output in ("registry", "registryInCluster"):
        assert made.outputs[output] == "registry.example.org"
    assert made.outputs["url"] == "https://registry.example.org"


BOTH = ("registry", "mirror")


def speaks_tls(made: Deployed, secret: str, name: str = "registry") -> None:
    http = configuration(made, name)["http"]
    assert http["tls"]["minimumtls"] == "tls1.2"
    [volume] = [volume for volume in pod(made, name)["volumes"] if volume["name"] == "tls"]
    assert volume["secret"]["secretName"] == secret
    [container] = pod(made, name)["containers"]
    [mount] = [mount for mount in container["volumeMounts"] if mount["name"] == "tls"]
    assert Path(http["tls"]["certificate"]) == Path(mount["mountPath"]) / "tls.crt"
    assert Path(http["tls"]["key"]) == Path(mount["mountPath"]) / "tls.key"
    assert container["readinessProbe"]["httpGet"]["scheme"] == "HTTPS"


def test_tls_out_of_a_secret_that_somebody_else_makes(engine: Engine) -> None:
    made = deploy(engine, registry={"tls": {"secretName": "wildcard"}, "mirror": {}})
    speaks_tls(made, "wildcard")
    speaks_tls(made, "wildcard", "mirror")
    assert "registry-tls" not in engine.inputs


def test_tls_out_of_a_file_whose_key_is_a_secret(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "registry.pem").write_text(CERTIFICATE)
    made = deploy(engine, registry={"tls": {"certificateFile": str(tmp_path / "registry.pem")}}, registryTlsKey=KEY)
    secret = made["registry-tls"]
    assert secret["type"] == "kubernetes.io/tls"
    assert is_secret(engine.inputs["registry-tls"]["stringData"])
    assert secret["stringData"]["tls.crt"] == CERTIFICATE
    speaks_tls(made, "registry-tls")


def test_another_certificate_starts_the_processes_that_serve_it_again(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "registry.pem"
    given = {"tls": {"certificateFile": str(file)}, "mirror": {}}
    seen = set()
    for text in (CERTIFICATE, f"{CERTIFICATE}{CERTIFICATE}"):
        file.write_text(text)
        made = deploy(Engine(preview=engine.preview), registry=given, registryTlsKey=KEY)
        marks = {
            made[f"{name}-server"]["spec"]["template"]["metadata"]["annotations"]["ci/certificate"] for name in BOTH
        }
        assert len(marks) == 1
        seen |= marks
    for host in ("a.example.org", "b.example.org"):
        made = deploy(Engine(preview=engine.preview), registry={"tls": {"issuer": "ours"}, "host": host})
        seen.add(made["registry-server"]["spec"]["template"]["metadata"]["annotations"]["ci/certificate"])
    assert len(seen) == 4


def test_tls_from_cert_manager_names_every_address_that_is_used(engine: Engine) -> None:
    made = deploy(
        engine,
        registry={"tls": {"issuer": "ours", "issuerKind": "Issuer"}, "host": "registry.example.org:5443", "mirror": {}},
    )
    certificate = made["registry-certificate"]
    assert certificate["apiVersion"] == "cert-manager.io/v1"
    assert certificate["spec"]["dnsNames"] == ["registry.ci.svc", "registry.example.org", "mirror.ci.svc"]
    assert certificate["spec"]["issuerRef"] == {"group": "cert-manager.io", "kind": "Issuer", "name": "ours"}
    speaks_tls(made, "registry-tls")
    assert made.outputs["registry"] == "registry.example.org:5443"


def test_an_address_is_asked_for_as_one_since_no_client_looks_for_it_among_the_names(engine: Engine) -> None:
    made = deploy(engine, registry={"tls": {"issuer": "ours"}, "host": "192.0.2.7:30500", "nodePort": 30500})
    spec = made["registry-certificate"]["spec"]
    assert (spec["dnsNames"], spec["ipAddresses"]) == (["registry.ci.svc"], ["192.0.2.7"])


def test_plain_http_is_said_in_the_next_steps_and_tls_is_not(engine: Engine) -> None:
    assert any("plain HTTP" in step for step in deploy(engine).outputs["next"])
    made = deploy(Engine(preview=engine.preview), registry={"tls": {"secretName": "x"}})
    assert not any("plain HTTP" in step for step in made.outputs["next"])


def test_the_mirror_is_a_registry_of_its_own_that_nobody_pushes_to_and_that_logs_in_upstream(engine: Engine) -> None:
    made = deploy(engine, registry={**PLAIN, "mirror": {"user": "team", "keepHours": 24}}, mirrorPassword="up-stream")
    text = configuration(made, "mirror")
    assert text["proxy"] == {
        "remoteurl": "https://registry-1.docker.io",
        "ttl": "24h",
        "username": "team",
        "password": "up-stream",
    }
    assert "auth" not in text
    assert "initContainers" not in pod(made, "mirror")
    claims = {
        volume["persistentVolumeClaim"]["claimName"]
        for name in ("registry", "mirror")
        for volume in pod(made, name)["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert claims == {"registry", "mirror"}


def test_the_pods_end_is_the_time_for_a_collection_so_that_nobody_pushes_meanwhile(engine: Engine) -> None:
    made = deploy(engine, registry={**PLAIN, "garbageCollection": {"schedule": "5 4 * * 6", "deleteUntagged": True}})
    cron = made["registry-restart"]["spec"]
    assert cron["schedule"] == "5 4 * * 6"
    assert cron["concurrencyPolicy"] == "Forbid"
    [container] = cron["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["command"][:4] == ["kubectl", "delete", "pod", "registry-0"]
    [collect] = pod(made)["initContainers"]
    assert {"name": "FLAGS", "value": "--delete-untagged"} in collect["env"]
    assert [mount["name"] for mount in collect["volumeMounts"]] == ["files", "data", "tmp"]


@pytest.mark.parametrize(
    ("more", "pods"),
    [
        ({"plainHttp": True, "mirror": {}}, ["registry-0"]),
        ({"tls": {"secretName": "x"}}, ["registry-0"]),
        ({"tls": {"secretName": "x"}, "mirror": {}}, ["registry-0", "mirror-0"]),
        ({"tls": {"secretName": "x"}, "mirror": {}, "host": "r.example.org", "ingress": {}}, ["registry-0"]),
    ],
)
def test_a_mirror_that_speaks_tls_is_started_again_on_the_same_schedule_for_its_renewed_certificate(
    engine: Engine, more: dict[str, Any], pods: list[str]
) -> None:
    made = deploy(engine, registry=more)
    [container] = made["registry-restart"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["command"][3:-3] == pods
    [rule] = made["registry-restart-role"]["rules"]
    assert rule["resourceNames"] == pods


def test_untagged_images_stay_unless_it_is_asked_for(engine: Engine) -> None:
    [collect] = pod(deploy(engine))["initContainers"]
    assert {"name": "FLAGS", "value": ""} in collect["env"]


def test_the_pull_secret_names_the_registry_by_both_its_names_and_is_an_output(engine: Engine) -> None:
    made = deploy(engine, registry={**PLAIN, "nodePort": 30500})
    secret = made["login-registry-pull"]
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    assert secret["metadata"] == {"name": "registry-pull", "namespace": "ci-builds"}
    auths = json.loads(secret["stringData"][".dockerconfigjson"])["auths"]
    assert set(auths) == {"registry.ci.svc:5000", "localhost:30500"}
    assert made.outputs["pullSecret"] == "registry-pull"
    assert made.outputs["pullConfig"] == secret["stringData"][".dockerconfigjson"]
    assert made.hides("pullConfig")


def test_every_component_closes_its_outputs_and_owns_its_children(engine: Engine) -> None:
    deploy(engine, registry={**PLAIN, "mirror": {}})
    assert {"namespaces", "network", "registry", "mirror"} <= engine.finished
    for child, parent in {
        "registry-server": "ci:kubernetes:Registry::registry",
        "mirror-server": "ci:kubernetes:Mirror::mirror",
        "network-builds-nothing": "ci:kubernetes:Network::network",
        "namespaces-quota": "ci:kubernetes:Namespaces::namespaces",
    }.items():
        assert engine.requests[child].parent.endswith(parent), child


def test_everything_goes_through_the_provider_of_the_cluster_that_the_settings_name(engine: Engine) -> None:
    deploy(engine, kubernetes={"kubeconfig": "/etc/prod.kubeconfig", "context": "prod"})
    cluster = engine.inputs["cluster"]
    assert (cluster["kubeconfig"], cluster["context"]) == ("/etc/prod.kubeconfig", "prod")
    for name, request in engine.requests.items():
        if request.type.startswith("kubernetes:"):
            assert "pulumi:providers:kubernetes::cluster::cluster-id" in request.provider, name
