"""Certificate authorities and what they sign, ECDSA P-256 throughout: the lab's own, and any that a test wants."""

import base64
import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab import configs, layout
from lab.layout import Layout
from setup import cache

_PKCS8 = serialization.PrivateFormat.PKCS8
ADMIN = ("kubernetes-admin", "system:masters")
"""The user and the group that may do everything, as RBAC has it from the start."""
CLIENTS = {
    "admin": ADMIN,
    "controller-manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "kube-proxy": ("system:kube-proxy", ""),
    "apiserver-kubelet-client": ("ci-lab-kubelet-client", "system:masters"),
}
"""Certificates by which the lab's programs are known: the file's name, the user, the group."""


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, in PEM."""

    certificate: str
    key: str

    def write(self, folder: Path, name: str, *, mode: int = 0o600) -> tuple[Path, Path]:
        """Write `<name>.crt` and `<name>.key`, which has this mode; give their paths."""
        public, private = folder / f"{name}.crt", folder / f"{name}.key"
        cache.write(private, self.key, mode)
        cache.write(public, self.certificate)
        return public, private


class Authority:
    """A certificate authority."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        """Take the parts of one that is there; see `new` and `of`."""
        self._key, self._certificate = key, certificate

    @classmethod
    def new(cls, name: str = "ci-lab", *, days: int = 365) -> Self:
        """Make one that is good for so many days from now; negative: whose time has been over for so long."""
        key, subject = ec.generate_private_key(ec.SECP256R1()), _subject(name)
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        unsigned = _unsigned(subject, subject, key, days).add_extension(usage, critical=True)
        unsigned = unsigned.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        return cls(key, unsigned.sign(key, hashes.SHA256()))

    @classmethod
    def of(cls, certificate: str, key: str) -> Self:
        """Take one by its PEM texts."""
        loaded = serialization.load_pem_private_key(key.encode(), None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise TypeError("the authority's key is no elliptic curve's")
        return cls(loaded, x509.load_pem_x509_certificate(certificate.encode()))

    @property
    def pem(self) -> str:
        """Its certificate."""
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    def itself(self) -> Pair:
        """Give its own certificate and key, as of a server whose certificate nobody else has signed."""
        return Pair(self.pem, private_pem(self._key))

    def server(self, *names: str, days: int = 365, since: int = -60) -> Pair:
        """Sign a server's certificate for these DNS names and IP addresses, good from and for so many days from now."""
        found = x509.SubjectAlternativeName([_name(name) for name in names])
        return self._sign(_subject(names[0]), ExtendedKeyUsageOID.SERVER_AUTH, days, found, since=since)

    def client(self, user: str = "jenkins", group: str = "", *, days: int = 365) -> Pair:
        """Sign a client's certificate."""
        return self._sign(_subject(user, group), ExtendedKeyUsageOID.CLIENT_AUTH, days)

    def _sign(
        self, subject: x509.Name, purpose: x509.ObjectIdentifier, days: int, *more: x509.ExtensionType, since: int = -60
    ) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        unsigned = _unsigned(subject, self._certificate.subject, key, days, since)
        for extension in (x509.ExtendedKeyUsage([purpose]), *more):
            unsigned = unsigned.add_extension(extension, critical=False)
        signed = unsigned.sign(self._key, hashes.SHA256())
        return Pair(signed.public_bytes(serialization.Encoding.PEM).decode(), private_pem(key))


def private_pem(key: ec.EllipticCurvePrivateKey, form: serialization.PrivateFormat = _PKCS8) -> str:
    """A private key as text, not encrypted."""
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def make(lab: Layout) -> None:
    """All that the lab's programs need: the authority, its certificates, the tokens' key and the kubeconfigs."""
    lab.pki.mkdir(parents=True, mode=0o700)
    authority = Authority.new()
    authority.itself().write(lab.pki, "ca")
    for file, (user, group) in {**CLIENTS, "kubelet-client": (f"system:node:{lab.netns}", "system:nodes")}.items():
        pair = authority.client(user, group)
        pair.write(lab.pki, file)
        cache.write(lab.data / f"config/{file}.kubeconfig", kubeconfig(lab, authority, file, pair), 0o600)
    cache.write(lab.kubeconfig, (lab.data / "config/admin.kubeconfig").read_text(), 0o600)
    api = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
    node = (lab.node_address, "127.0.0.1", "localhost")
    authority.server(*api, str(layout.API), *node).write(lab.pki, "apiserver")
    authority.server(lab.netns, *node).write(lab.pki, "kubelet")
    # The API server reads a tokens key in no other form.
    form = serialization.PrivateFormat.TraditionalOpenSSL
    cache.write(lab.pki / "tokens.key", private_pem(ec.generate_private_key(ec.SECP256R1()), form), 0o600)


def kubeconfig(lab: Layout, authority: Authority, client: str, pair: Pair) -> str:
    """A client's kubeconfig, with everything in it: it can be taken elsewhere on this machine."""
    texts = {"ca": authority.pem, "certificate": pair.certificate, "key": pair.key}
    inline = {name: base64.b64encode(text.encode()).decode() for name, text in texts.items()}
    return configs.render("kubeconfig.yaml", lab, client=client, **inline)


def _unsigned(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int, since: int = -60
) -> x509.CertificateBuilder:
    start, end = (dt.datetime.now(dt.UTC) + dt.timedelta(days=of) for of in (since, days))
    return x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number(), start, end)


def _subject(name: str, group: str = "") -> x509.Name:
    names = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    return x509.Name(names + ([x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []))


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
