"""Who reaches whom: each opening that a build needs is there, and nothing else is."""

import pytest

from tests.support.cluster import Stack, inline

ONE = {"name": "one", "context": inline('FROM alpine:latest\nCMD ["sh"]\n')}


@pytest.fixture(scope="module")
def deployed(stack: Stack) -> Stack:
    """Give a stack whose builds may connect to one address that nobody has, and so to nothing outside the cluster."""
    if stack.cluster.lab is not None and not stack.cluster.lab.enforces_network_policy():
        pytest.skip("the lab's node does not enforce network policies")
    stack.configure(ONE, kubernetes={"egress": ["192.0.2.1/32"]})
    stack.deployment.up()
    return stack


def answers(stack: Stack, host: str, port: int) -> bool:
    """Say whether a pod in the builds' namespace reaches an address."""
    image = stack.deployment.outputs()["images"]["one"]
    said = stack.run(image, "sh", "-c", f"timeout 5 nc {host} {port} </dev/null && echo open || echo closed")
    assert said.splitlines()[-1] == "Succeeded", said
    return "open" in said


def test_a_build_reaches_the_registry_by_its_name(deployed: Stack) -> None:
    assert answers(deployed, f"registry.{deployed.namespace}.svc", 5000)


def test_a_build_reaches_no_api_server(deployed: Stack) -> None:
    assert not answers(deployed, "kubernetes.default.svc", 443)


def test_a_build_reaches_no_address_that_is_not_listed(deployed: Stack) -> None:
    assert not answers(deployed, deployed.cluster.node, 10250)


def test_a_build_reaches_what_is_open_when_the_network_is(deployed: Stack) -> None:
    deployed.configure(ONE)
    deployed.deployment.up()
    assert answers(deployed, deployed.cluster.node, 10250)
