"""No secret leaves the envelope that keeps it out of logs, previews and the state."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import Engine, is_secret
from tests.support.kubernetes_platform import Deployed, deploy
from tests.support.kubernetes_stack import INLINE, REGISTRY_PASSWORD, build

CLEAR: dict[str, Any] = {
    "registryPassword": REGISTRY_PASSWORD,
    "gitToken": "glpat-made-up-0123456789",
    "gitSshKey": "-----BEGIN OPENSSH PRIVATE KEY-----\nssh-made-up\n-----END OPENSSH PRIVATE KEY-----\n",
    "registryTlsKey": "-----BEGIN PRIVATE KEY-----\ntls-made-up\n-----END PRIVATE KEY-----\n",
    "mirrorPassword": "mirror-made-up-01234",
    "dockerConfig": json.dumps({"auths": {"ghcr.io": {"auth": "Z2hjci1tYWRlLXVwOnB3"}}}),
    "storageCredentials": "[default]\naws_secret_access_key = storage-made-up\n",
}
"""Every secret of this platform, by its key."""

TELLTALES = {
    "registryPassword": REGISTRY_PASSWORD,
    "gitToken": "glpat-made-up-0123456789",
    "gitSshKey": "ssh-made-up",
    "registryTlsKey": "tls-made-up",
    "mirrorPassword": "mirror-made-up-01234",
    "dockerConfig": "Z2hjci1tYWRlLXVwOnB3",
    "storageCredentials": "storage-made-up",
}
"""What would be seen of each, were it seen."""

BUILDS = [
    build("a", destinations=["a:1", "ghcr.io/team/a:1"], schedule="@daily"),
    build("b", context={"git": {"repository": "https://git.example.org/x.git", "credentials": "gitToken"}}),
    build(
        "c",
        context={
            "git": {
                "repository": "ssh://git@git.example.org/x.git",
                "credentials": "gitSshKey",
                "knownHosts": "git.example.org ssh-ed25519 AAAA",
            }
        },
    ),
    build("d", context={"archive": "s3://bucket/d.tar.gz"}),
    build("e", context=INLINE),
]


@pytest.fixture
def made(engine: Engine, tmp_path: Path) -> Deployed:
    (tmp_path / "registry.pem").write_text("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
    registry = {"tls": {"certificateFile": str(tmp_path / "registry.pem")}, "mirror": {"user": "team"}}
    return deploy(engine, registry=registry, builds=BUILDS, **CLEAR)


def written(secret: str) -> Iterator[str]:
    """Give the ways in which a secret may stand in a text."""
    yield secret
    yield json.dumps(secret)[1:-1]
    for around in ("", "x", "xx"):
        # base64 of a text with something in front: three ways, of which the first and last characters vary.
        yield base64.b64encode(f"{around}{secret}".encode()).decode().rstrip("=")[4:-4]


@pytest.mark.parametrize("key", list(TELLTALES))
def test_a_secret_is_registered_in_an_envelope_and_nowhere_else(made: Deployed, key: str) -> None:
    everything = json.dumps(made.engine.inputs, default=repr)
    if key != "dockerConfig":  # its base64 stands in the configuration as it is
        assert any(form in everything for form in written(TELLTALES[key])), "the secret is not used at all"
    in_clear = made.in_clear()
    for form in written(TELLTALES[key]):
        assert form not in in_clear


def test_a_users_hash_and_the_registrys_signing_secret_are_in_no_clear_text(made: Deployed) -> None:
    in_clear = made.in_clear()
    assert "$2a$" not in in_clear
    assert "draintimeout" not in in_clear


def test_every_kubernetes_secret_is_sent_as_a_secret(made: Deployed) -> None:
    for name in made.of("Secret"):
        assert is_secret(made.engine.inputs[name]["stringData"]), name


def test_no_pod_has_a_secret_among_its_arguments_or_variables(made: Deployed) -> None:
    for name, _, pod in made.pods():
        for container in [*pod["containers"], *pod.get("initContainers", ())]:
            shown = json.dumps([container.get(part) for part in ("args", "command", "env")])
            assert "secretKeyRef" not in shown, name
            for secret in TELLTALES.values():
                assert secret not in shown, name


def test_builds_get_just_the_secrets_that_they_need(made: Deployed) -> None:
    def mounted(name: str) -> dict[str, Any]:
        volumes = made[f"build-{name}-job"]["spec"]["template"]["spec"]["volumes"]
        return {
            volume["secret"]["secretName"]: [item["key"] for item in volume["secret"].get("items", ())]
            for volume in volumes
            if "secret" in volume
        }

    assert mounted("a") == {"registry-push": [".dockerconfigjson"]}
    assert mounted("b") == {"registry-push": [".dockerconfigjson"], "git": ["token"]}
    assert mounted("c") == {"registry-push": [".dockerconfigjson"], "git": ["key"]}
    assert mounted("d") == {"registry-push": [".dockerconfigjson"], "storage": []}
    assert mounted("e") == {"registry-push": [".dockerconfigjson"]}


def test_builds_push_with_every_login_and_nodes_pull_with_the_registrys_alone(made: Deployed) -> None:
    push = json.loads(made["login-registry-push"]["stringData"][".dockerconfigjson"])["auths"]
    pull = json.loads(made["login-registry-pull"]["stringData"][".dockerconfigjson"])["auths"]
    assert push["ghcr.io"] == {"auth": "Z2hjci1tYWRlLXVwOnB3"}
    assert "ghcr.io" not in pull
    assert base64.b64decode(push["registry.ci.svc:5000"]["auth"]).decode() == f"ci:{REGISTRY_PASSWORD}"


def test_a_stack_without_git_or_storage_has_no_secrets_for_them(engine: Engine) -> None:
    deploy(engine, builds=[build()])
    assert not {"login-git", "login-storage", "trusted-ca"} & set(engine.inputs)
