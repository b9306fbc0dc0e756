"""The registry, its mirror, its certificate and the ways in."""

from pathlib import Path

from components import labels
from tests.support.engine import Engine, is_secret
from tests.support.kubernetes_platform import deploy
from tests.support.kubernetes_stack import HASH

PLAIN = {"plainHttp": True}
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n"


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


BOTH = ("registry", "mirror")


def test_another_certificate_starts_the_processes_that_serve_it_again(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "registry.pem"
    given = {"tls": {"certificateFile": str(file)}, "mirror": {}}
    seen = set()
    for text in (CERTIFICATE, f"{CERTIFICATE}{CERTIFICATE}"):
        file.write_text(text)
        made = deploy(Engine(preview=engine.preview), registry=given, registryTlsKey=KEY)
        marks = {
            made[f"{name}-server"]["spec"]["template"]["metadata"]["annotations"][labels.CERTIFICATE] for name in BOTH
        }
        assert len(marks) == 1
        seen |= marks
    for host in ("a.example.org", "b.example.org"):
        made = deploy(Engine(preview=engine.preview), registry={"tls": {"issuer": "ours"}, "host": host})
        seen.add(made["registry-server"]["spec"]["template"]["metadata"]["annotations"][labels.CERTIFICATE])
    assert len(seen) == 4


def test_an_address_is_asked_for_as_one_since_no_client_looks_for_it_among_the_names(engine: Engine) -> None:
    made = deploy(engine, registry={"tls": {"issuer": "ours"}, "host": "192.0.2.7:30500", "nodePort": 30500})
    spec = made["registry-certificate"]["spec"]
    assert (spec["dnsNames"], spec["ipAddresses"]) == (["registry.ci.svc"], ["192.0.2.7"])
