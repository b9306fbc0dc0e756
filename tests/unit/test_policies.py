"""The policy pack's rules on what tests/registrations has recorded: stacks pass, and each rule finds a change."""

import copy
from typing import Any

import pytest
import yaml

from components.state import NAME
from policies import rules
from tests.components.test_every_stack import FOUND, updated
from tests.contract.test_registrations import STACKS


def resources(stack: str) -> dict[str, rules.Resource]:
    docker = yaml.safe_load(STACKS[stack].read_text())["config"].get("ci:docker", {})
    accepted = docker.get("acceptRootOnHost", False)
    return {
        name: rules.Resource(made["type"], f"{NAME}-{name}", updated(made["inputs"]), accepted)
        for name, made in FOUND[stack].items()
        if isinstance(made, dict) and "inputs" in made
    }


def broken(resource: rules.Resource) -> set[str]:
    return {name for name, rule in rules.RULES.items() if [*rule.check(resource)]}


@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_keeps_every_rule(stack: str) -> None:
    assert {name: found for name, made in resources(stack).items() if (found := broken(made))} == {}


def pod(inputs: Any) -> Any:
    return inputs["spec"]["template"]["spec"]


@pytest.mark.parametrize(
    ("stack", "name", "change", "rule"),
    [
        ("dev", "jenkins-controller", lambda it: it.update(privileged=True), "least-privilege"),
        ("dev", "jenkins-controller", lambda it: it.pop("capabilities"), "least-privilege"),
        ("dev", "jenkins-controller", lambda it: it["capabilities"].update(adds=["CAP_CHOWN"]), "least-privilege"),
        ("prod", "registry-server", lambda it: pod(it)["containers"][0].pop("securityContext"), "least-privilege"),
        ("prod", "registry-server", lambda it: pod(it)["volumes"].append({"hostPath": {"path": "/"}}), "host-accepted"),
        ("dev", "jenkins-controller", lambda it: it.update(image="jenkins/jenkins:latest"), "pinned-images"),
        ("proxy", "proxy-image", lambda it: it.update(name="registry.example.org:5000/haproxy"), "pinned-images"),
        ("prod", "registry-server", lambda it: pod(it)["containers"][0].update(image="registry"), "pinned-images"),
        ("dev", "jenkins-controller", lambda it: it.pop("memory"), "limits"),
        ("prod", "registry-server", lambda it: pod(it)["containers"][0]["resources"]["limits"].pop("memory"), "limits"),
        ("prod", "namespaces-builds", lambda it: it["metadata"].pop("labels"), "pod-security"),
    ],
)
def test_each_rule_finds_a_change_that_breaks_it(stack: str, name: str, change: Any, rule: str) -> None:
    made = resources(stack)[name]
    inputs = copy.deepcopy(made.inputs)
    change(inputs)
    assert broken(rules.Resource(made.type, made.name, inputs, made.accepted)) == {rule}


def test_a_socket_is_refused_where_root_on_the_host_is_not_accepted() -> None:
    made = resources("dev")["jenkins-controller"]
    assert broken(rules.Resource(made.type, made.name, made.inputs, accepted=False)) == {"host-accepted"}


def test_only_the_engine_beside_jenkins_may_be_privileged() -> None:
    made = resources("dind")["engine-container"]
    assert made.inputs["privileged"]
    assert broken(rules.Resource(made.type, "another", made.inputs, made.accepted)) == {"least-privilege"}
