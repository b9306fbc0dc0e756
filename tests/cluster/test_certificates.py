"""A registry whose certificate comes from cert-manager, or from a Secret that somebody else made."""

import contextlib
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client

from tests.support.cluster import Cluster, Stack, inline, until

ONE = {"name": "one", "context": inline('FROM alpine:latest\nCMD ["echo", "over TLS"]\n')}
CERTIFICATES = ("cert-manager.io", "v1", "certificates")
SECRET = "somebodys-tls"


@pytest.fixture(scope="module")
def kind(cluster: Cluster, lab: Any) -> Iterator[None]:
    """Let the cluster know cert-manager's Certificates, and an issuer of it."""
    api, definitions = client.ApiextensionsV1Api(cluster.api), Path(__file__).with_name("certificates.yaml")
    made = list(yaml.safe_load_all(definitions.read_text()))
    for definition in made:
        api.create_custom_resource_definition(definition)
    issuer = {"apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer", "metadata": {"name": "lab"}}
    issuers = (CERTIFICATES[0], CERTIFICATES[1], "clusterissuers")

    def create() -> Any:
        with contextlib.suppress(client.ApiException):  # the API server takes a moment to serve a new kind
            return client.CustomObjectsApi(cluster.api).create_cluster_custom_object(*issuers, issuer)
        return None

    until(create)
    yield
    for definition in made:
        api.delete_custom_resource_definition(definition["metadata"]["name"])


def make_secret(stack: Stack, lab: Any, name: str, *hosts: str) -> str:
    """Make a Secret with a certificate of the lab's authority; give the certificate."""
    certificate, key = lab.certificate(name, *hosts)
    both: dict[str, str] = {"tls.crt": certificate.read_text(), "tls.key": key.read_text()}
    secret = {"metadata": {"name": name}, "type": "kubernetes.io/tls", "stringData": both}
    stack.core.create_namespaced_secret(stack.namespace, secret)
    return both["tls.crt"]


def issue(stack: Stack, lab: Any) -> tuple[dict[str, Any], str]:
    """Do what cert-manager does for a Certificate; give what was asked for, and the certificate."""
    group, version, plural = CERTIFICATES
    api = client.CustomObjectsApi(stack.cluster.api)

    def asked() -> Any:
        try:
            found: Any = api.list_namespaced_custom_object(group, version, stack.namespace, plural)
        except client.ApiException:
            return None
        return found["items"][0] if found["items"] else None

    wanted = until(asked)
    spec = wanted["spec"]
    certificate = make_secret(stack, lab, spec["secretName"], *spec["dnsNames"])
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    api.patch_namespaced_custom_object_status(
        group, version, stack.namespace, plural, wanted["metadata"]["name"], ready
    )
    return spec, certificate


def served(stack: Stack) -> str:
    """Give the certificate that the registry shows."""
    return ssl.get_server_certificate((stack.cluster.node, stack.node_port)).strip()


@pytest.fixture(scope="module")
def issued(kind: None, stack: Stack, lab: Any) -> tuple[Stack, dict[str, Any], str]:
    """Give the stack with a certificate from cert-manager; what it asked for; the certificate."""
    del kind
    host = f"localhost:{stack.node_port}"
    lab.trust(host)
    tls = {"tls": {"issuer": "lab"}, "plainHttp": None}
    stack.configure(ONE, registry=tls, kubernetes={"trustedCaFile": str(lab.ca)})
    with ThreadPoolExecutor(1) as cert_manager:
        asked = cert_manager.submit(issue, stack, lab)
        stack.deployment.up()
    return (stack, *asked.result())


def test_cert_managers_certificate_is_waited_for_served_and_trusted_by_builds_and_nodes(
    issued: tuple[Stack, dict[str, Any], str],
) -> None:
    stack, asked, certificate = issued
    assert asked["issuerRef"] == {"group": "cert-manager.io", "kind": "ClusterIssuer", "name": "lab"}
    assert {f"registry.{stack.namespace}.svc", "localhost"} <= set(asked["dnsNames"])
    assert certificate.startswith(served(stack))
    assert stack.run(stack.deployment.outputs()["images"]["one"]) == "over TLS\nSucceeded"
    assert set(stack.deployment.up()) == {"same"}


def test_anothers_secret_is_looked_for_and_then_served(issued: tuple[Stack, dict[str, Any], str], lab: Any) -> None:
    stack, asked, _ = issued
    own = {"tls": {"secretName": SECRET}, "plainHttp": None}
    stack.configure({**ONE, "trigger": "anew"}, registry=own, kubernetes={"trustedCaFile": str(lab.ca)})
    said = stack.deployment.pulumi("preview", status=None)
    assert "ci:registry.tls.secretName" in said
    certificate = make_secret(stack, lab, SECRET, *asked["dnsNames"])
    stack.deployment.up()
    assert certificate.startswith(served(stack))
    assert stack.run(stack.deployment.outputs()["images"]["one"]) == "over TLS\nSucceeded"
    assert set(stack.deployment.up()) == {"same"}
    stack.deployment.destroy()
    assert SECRET in {secret.metadata.name for secret in stack.core.list_namespaced_secret(stack.namespace).items}
