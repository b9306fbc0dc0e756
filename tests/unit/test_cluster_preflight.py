"""What is looked at before anything is made: the cluster, and the files on this machine."""

import datetime as dt
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from components import labels
from components.kubernetes.preflight import preflight
from tests.support.kubernetes_stack import FakeReader, build, settings

PLAIN = {"plainHttp": True}
OURS = labels.of("ci", "test")
Key = ec.EllipticCurvePrivateKey


def look(reader: FakeReader | None = None, *, deployed: bool = False, **keys: Any) -> list[str]:
    found = preflight(settings(**keys), reader or FakeReader(), project="ci", stack="test", deployed=deployed)
    return [str(problem) for problem in found]


def test_a_cluster_that_fits_is_no_problem() -> None:
    assert look() == []


def test_a_namespace_of_somebody_else_is_not_taken_over_unless_that_is_asked_for() -> None:
    [text] = look(FakeReader(found={"ci-builds": {}}))
    assert text.startswith('ci:kubernetes.namespace = "ci" leads to the namespace ci-builds, which is there already')
    assert "which no stack of this project made" in text
    assert "adoptNamespaces: true" in text
    [text] = look(FakeReader(found={"ci": labels.of("ci", "prod")}))
    assert "belongs to the stack ci/prod" in text
    assert look(FakeReader(found={"ci": {}, "ci-builds": {}}), kubernetes={"adoptNamespaces": True}) == []


def test_a_namespace_that_an_earlier_life_of_this_stack_left_is_its_own() -> None:
    assert look(FakeReader(found={"ci": OURS})) == []


def test_a_storage_class_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    [text] = look(FakeReader(classes={"slow": True, "fast": False}), registry={**PLAIN, "storageClass": "fats"})
    assert text.startswith('ci:registry.storageClass = "fats" is not among the cluster\'s (fast, slow)')
    assert look(FakeReader(classes={"fast": False}), registry={**PLAIN, "storageClass": "fast"}) == []


@pytest.mark.parametrize(("classes", "instead"), [({"fast": False}, "give one of fast"), ({}, "those that you add")])
def test_a_cluster_without_a_default_storage_class_needs_one_named(classes: dict[str, bool], instead: str) -> None:
    [text] = look(FakeReader(classes=classes))
    assert "is missing, and the cluster has no default one" in text
    assert instead in text


def test_a_cluster_that_is_too_old_is_refused() -> None:
    [text] = look(FakeReader(at=(1, 28)))
    assert "leads to Kubernetes 1.28; give a cluster of 1.29 or newer" in text
    assert look(FakeReader(at=(1, 29))) == []
    assert look(FakeReader(at=(2, 0))) == []


def test_a_cluster_that_gives_no_answer_is_one_problem_with_its_address() -> None:
    [text] = look(FakeReader(broken=True))
    assert text.startswith("ci:kubernetes.context leads to a cluster that can't be asked: https://192.0.2.1:6443")
    assert "kubectl version" in text


def test_a_stack_that_is_deployed_does_not_ask_again() -> None:
    reader = FakeReader(broken=True)
    assert look(reader, deployed=True) == []
    assert reader.asked == []


@pytest.mark.parametrize("deployed", [False, True])
def test_a_secret_that_there_is_not_is_refused_with_how_to_make_it(*, deployed: bool) -> None:
    tls = {"tls": {"secretName": "own-tls"}}
    [text] = look(FakeReader(), deployed=deployed, registry=tls)
    assert text.startswith('ci:registry.tls.secretName = "own-tls" is not among the Secrets of the namespace ci; make')
    assert "`kubectl --namespace ci create secret tls own-tls --cert=FILE --key=FILE`" in text
    # A namespace that somebody had to make first is refused in its turn, unless that is written, too.
    assert ("kubectl create namespace ci" in text and "adoptNamespaces: true" in text) is not deployed
    reader = FakeReader(secrets=["own-tls"])
    assert look(reader, deployed=deployed, registry=tls) == []
    assert reader.asked[-1] == "secret ci/own-tls"


def kubeconfig(folder: Path, content: Any) -> dict[str, Any]:
    (folder / "kubeconfig").write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return {"kubeconfig": str(folder / "kubeconfig")}


def test_a_context_that_there_is_not_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path, {"contexts": [{"name": "dev"}, {"name": "prod"}]})
    reader = FakeReader()
    [text] = look(reader, kubernetes={**file, "context": "pord"})
    assert text.startswith('ci:kubernetes.context = "pord" is not among the contexts of')
    assert "(dev, prod)" in text
    assert reader.asked == []
    assert look(kubernetes={**file, "context": "prod"}) == []


@pytest.mark.parametrize("content", ["", "- a", "contexts: 7", "a: [", "7"])
def test_a_file_that_is_no_kubeconfig_is_refused(tmp_path: Path, content: str) -> None:
    [text] = look(kubernetes=kubeconfig(tmp_path, content))
    assert "is no kubeconfig; give a file with contexts in it" in text


def test_a_file_that_is_not_even_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_bytes(b"\xff\x00\xfe")
    [text] = look(kubernetes={"kubeconfig": str(tmp_path / "kubeconfig")})
    assert "is no kubeconfig" in text


def test_a_kubeconfig_that_is_not_there_is_refused_with_its_whole_path(tmp_path: Path) -> None:
    [text] = look(kubernetes={"kubeconfig": str(tmp_path / "missing")})
    assert "can't be read (No such file or directory" in text
    [text] = look(kubernetes={"kubeconfig": str(tmp_path)})
    assert "can't be read (Is a directory" in text


def test_a_context_folder_that_can_not_be_packed_is_refused_with_its_build(tmp_path: Path) -> None:
    found = look(
        builds=[
            build("a"),
            build("b", context={"directory": str(tmp_path / "missing")}),
            build("c", context={"directory": str(tmp_path)}),
        ]
    )
    assert found[0].startswith("ci:builds[1].context.directory")
    assert found[1].startswith("ci:builds[2].context.directory")


def test_inline_files_that_are_too_big_together_are_refused() -> None:
    noise = random.Random(1)  # bytes that don't compress, and the same in every run
    files = {f"f{number}": noise.randbytes(450_000).hex() for number in range(2)}
    [text] = look(builds=[build(context={"inline": {"Dockerfile": "", **files}}), build("b")])
    assert text.startswith("ci:builds[0].context.inline is too big for a ConfigMap")


@pytest.fixture(scope="module")
def key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def pem(key: Key) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def certificate(key: Key, *names: str, days: tuple[int, int] = (-1, 1), own: bool = False) -> str:
    """Give a certificate for these names, valid from and until so many days from now."""
    now = dt.datetime.now(dt.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "registry")])
    issuer = subject if own else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now + dt.timedelta(days=days[0]))
        .not_valid_after(now + dt.timedelta(days=days[1]))
    )
    if names:
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def with_certificate(folder: Path, key: Key, text: str, **kubernetes: Any) -> list[str]:
    (folder / "tls.pem").write_text(text)
    return look(
        registry={"tls": {"certificateFile": str(folder / "tls.pem")}, "host": "r.example.org"},
        registryTlsKey=pem(key),
        kubernetes=kubernetes,
    )


NAMES = ("registry.ci.svc", "r.example.org")


def test_a_certificate_that_fits_is_no_problem(tmp_path: Path, key: Key) -> None:
    assert with_certificate(tmp_path, key, certificate(key, *NAMES)) == []
    assert with_certificate(tmp_path, key, certificate(key, "*.ci.svc", "*.example.org")) == []


def test_a_key_of_another_certificate_is_refused_without_being_shown(tmp_path: Path, key: Key) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    [text] = with_certificate(tmp_path, other, certificate(key, *NAMES))
    assert text.startswith("ci:registryTlsKey is not the key of the first certificate in")
    assert pem(other).splitlines()[1] not in text


def test_a_key_that_can_not_be_read_is_refused(tmp_path: Path, key: Key) -> None:
    (tmp_path / "tls.pem").write_text(certificate(key, *NAMES))
    [text] = look(
        registry={"tls": {"certificateFile": str(tmp_path / "tls.pem")}},
        registryTlsKey="-----BEGIN PRIVATE KEY-----\nbm90IGEga2V5\n-----END PRIVATE KEY-----\n",
    )
    assert text.startswith("ci:registryTlsKey is not a private key that can be read")
    assert "bm90IGEga2V5" not in text


@pytest.mark.parametrize("days", [(-3, -1), (1, 3)])
def test_a_certificate_of_another_time_is_refused_with_its_dates(
    tmp_path: Path, key: Key, days: tuple[int, int]
) -> None:
    [text] = with_certificate(tmp_path, key, certificate(key, *NAMES, days=days))
    begins = dt.datetime.now(dt.UTC) + dt.timedelta(days=days[0])
    assert f"is valid from {begins:%Y-%m-%d}" in text


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("registry.ci.svc",), "is for registry.ci.svc, and not for r.example.org"),
        (("*.org", "registry.ci.svc"), "and not for r.example.org"),
        ((), "is for no name at all, and not for registry.ci.svc, r.example.org"),
    ],
)
def test_a_certificate_for_other_names_is_refused_with_those_that_it_lacks(
    tmp_path: Path, key: Key, names: tuple[str, ...], said: str
) -> None:
    [text] = with_certificate(tmp_path, key, certificate(key, *names))
    assert said in text
    assert "registry.ci.svc, r.example.org" in text.partition("; ")[2]


def test_a_certificate_that_signs_itself_needs_to_be_trusted_by_name(tmp_path: Path, key: Key) -> None:
    own = certificate(key, *NAMES, own=True)
    [text] = with_certificate(tmp_path, key, own)
    assert text.startswith("ci:kubernetes.trustedCaFile is missing")
    (tmp_path / "ca.pem").write_text(own)
    assert with_certificate(tmp_path, key, own, trustedCaFile=str(tmp_path / "ca.pem")) == []


@pytest.mark.parametrize("content", [b"", b"not a certificate", b"\xff\xfe"])
def test_a_file_without_a_certificate_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.pem").write_bytes(content)
    [text] = look(kubernetes={"trustedCaFile": str(tmp_path / "x.pem")})
    assert text.startswith("ci:kubernetes.trustedCaFile")
    assert "holds no certificates in PEM form" in text


def test_a_certificate_file_that_is_not_there_is_refused() -> None:
    [text] = look(kubernetes={"trustedCaFile": "/nowhere/ca.pem"})
    assert text.startswith("ci:kubernetes.trustedCaFile")
