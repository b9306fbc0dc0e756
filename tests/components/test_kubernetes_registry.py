"""The registry, its mirror, its certificate and the ways in."""

from pathlib import Path
from typing import Any

from components import labels
from tests.support.engine import Engine, is_secret
from tests.support.kubernetes_platform import deploy
from tests.support.kubernetes_stack import HASH

PLAIN = {"plainHttp": True}
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n"


def marks(engine: Engine, name: str = "registry", **keys: Any) -> dict[str, str]:
    """Give the annotations by which a server's pod is started again."""
    made = deploy(Engine(preview=engine.preview), **keys)
    found: dict[str, str] = made[f"{name}-server"]["spec"]["template"]["metadata"]["annotations"]
    return found


def test_a_change_of_the_files_starts_the_process_again_and_a_preview_shows_the_pod(engine: Engine) -> None:
    deploy(engine)
    assert not is_secret(engine.inputs["registry-server"]["spec"])
    users = [{"name": "deployer", "passwordHash": HASH}]
    assert marks(engine, registry={**PLAIN, "users": users}) != marks(engine, registry=PLAIN)


def test_another_certificate_starts_the_processes_that_serve_it_again(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "registry.pem"
    keys = {"registry": {"tls": {"certificateFile": str(file)}, "mirror": {}}, "registryTlsKey": KEY}
    seen = []
    for text in (CERTIFICATE, f"{CERTIFICATE}{CERTIFICATE}"):
        file.write_text(text)
        registry, mirror = (marks(engine, name, **keys)[labels.CERTIFICATE] for name in ("registry", "mirror"))
        assert registry == mirror
        seen.append(registry)
    registries: list[dict[str, Any]] = [{"tls": {"issuer": "ours"}, "host": host} for host in ("a.test", "b.test")]
    seen += [marks(engine, registry=each)[labels.CERTIFICATE] for each in registries]
    assert len(set(seen)) == 4


def test_an_address_is_asked_for_as_one_since_no_client_looks_for_it_among_the_names(engine: Engine) -> None:
    made = deploy(engine, registry={"tls": {"issuer": "ours"}, "host": "192.0.2.7:30500", "nodePort": 30500})
    spec = made["registry-certificate"]["spec"]
    assert (spec["dnsNames"], spec["ipAddresses"]) == (["registry.ci.svc"], ["192.0.2.7"])
