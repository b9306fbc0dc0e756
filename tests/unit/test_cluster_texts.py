"""The registry's names, and the texts that it reads."""

import base64
import json
import re

import pytest
import yaml

from components.kubernetes import endpoints, texts
from tests.support.kubernetes_stack import settings

PLAIN = {"plainHttp": True}
TLS = {"tls": {"secretName": "x"}}
INGRESS = {"ingress": {}, "host": "r.example.org"}
INSIDE, MIRROR = "registry.ci.svc:5000", "mirror.ci.svc:5000"


@pytest.mark.parametrize(
    ("registry", "push", "url", "plain"),
    [
        (PLAIN, INSIDE, f"http://{INSIDE}", (INSIDE,)),
        ({**PLAIN, "nodePort": 30500}, INSIDE, "http://localhost:30500", (INSIDE,)),
        ({**PLAIN, "nodePort": 30500, "host": "n:30500"}, INSIDE, "http://n:30500", (INSIDE,)),
        (TLS, INSIDE, f"https://{INSIDE}", ()),
        ({**TLS, "mirror": {}}, INSIDE, f"https://{INSIDE}", ()),
        ({**TLS, **INGRESS}, "r.example.org", "https://r.example.org", ()),
        ({**TLS, **INGRESS, "mirror": {}}, "r.example.org", "https://r.example.org", (MIRROR,)),
        ({**PLAIN, **INGRESS}, "r.example.org", "http://r.example.org", ("r.example.org",)),
    ],
)
def test_everybody_knows_the_registry_by_the_right_name(
    registry: dict[str, object], push: str, url: str, plain: tuple[str, ...]
) -> None:
    found = endpoints.of(settings(registry=registry))
    pull = url.partition("://")[2]
    assert (found.push, found.pull, found.url, found.plain) == (push, pull, url, plain)


def test_the_certificate_must_carry_every_name_once_and_without_ports() -> None:
    stack = settings(registry={**TLS, "nodePort": 30500, "mirror": {}})
    assert endpoints.names(stack) == ("registry.ci.svc", "localhost", "mirror.ci.svc")
    assert endpoints.names(settings(registry={**TLS, **INGRESS, "mirror": {}})) == ("r.example.org",)


def test_nodes_are_taught_a_name_that_only_the_cluster_knows_and_no_other() -> None:
    assert endpoints.hosts_toml(settings(registry={**PLAIN, "nodePort": 30500})) is None
    assert endpoints.hosts_toml(settings(registry={**TLS, "host": "r.example.org"})) is None
    text = endpoints.hosts_toml(settings(registry=TLS))
    assert text is not None
    assert '[host."https://<cluster IP>:5000"]' in text


def test_the_signing_secret_is_the_same_in_every_run_and_another_for_every_purpose() -> None:
    made = [texts.signing_secret("a password", purpose) for purpose in ("a", "a", "b")]
    assert made[0] == made[1] != made[2]
    assert texts.signing_secret("another", "a") != made[0]
    assert re.fullmatch("[0-9a-f]{64}", made[0])


def test_a_login_stands_under_each_host_and_wins_over_another_for_the_same() -> None:
    found = json.loads(texts.docker_config(["a:1", "b"], "ci", "p:w", more={"b": {"auth": "x"}, "c": {"auth": "y"}}))
    own = {"auth": base64.b64encode(b"ci:p:w").decode()}
    assert found == {"auths": {"a:1": own, "b": own, "c": {"auth": "y"}}}


def test_a_mirror_without_an_account_logs_in_nowhere() -> None:
    stack = settings(registry={**PLAIN, "mirror": {"upstream": "https://quay.io"}})
    text = yaml.safe_load(texts.mirror_configuration(stack.registry, tls=False, secret="x", password=None))
    assert text["proxy"] == {"remoteurl": "https://quay.io", "ttl": "168h"}
