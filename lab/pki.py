"""The lab's certificate authority and what it signs: ECDSA P-256 throughout, good for a year."""

import base64
import datetime as dt
import ipaddress
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab import layout
from lab.layout import Layout
from ops.toolchain import cache

GOOD_FOR = dt.timedelta(days=365)
CLOCK_SKEW = dt.timedelta(hours=1)
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


class Authority:
    """A certificate authority in a folder; what it has signed lies beside its own certificate."""

    def __init__(self, folder: Path, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        """Take the parts of an authority that exists; see `new` and `load`."""
        self._folder, self._key, self._certificate = folder, key, certificate

    @classmethod
    def new(cls, folder: Path) -> Self:
        """Make an authority. Its key is kept too, so that a test can have a server's certificate made later."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ci-lab")])
        unsigned = _unsigned(name, name, key).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        made = cls(folder, key, unsigned.add_extension(usage, critical=True).sign(key, hashes.SHA256()))
        made._write("ca", made._certificate, key)
        return made

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The authority whose `ca.crt` and `ca.key` are in a folder."""
        key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{folder / 'ca.key'} is no elliptic curve's key")
        return cls(folder, key, x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes()))

    def client(self, file: str, user: str, group: str) -> None:
        """Sign a client's certificate: `<file>.crt` and `<file>.key`."""
        names = [x509.NameAttribute(NameOID.COMMON_NAME, user)]
        if group:
            names.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
        self._sign(file, x509.Name(names), ExtendedKeyUsageOID.CLIENT_AUTH, ())

    def server(self, file: str, names: Sequence[str]) -> tuple[Path, Path]:
        """Sign a server's certificate for DNS names and IP addresses; returns its file and its key's."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        return self._sign(file, subject, ExtendedKeyUsageOID.SERVER_AUTH, names)

    def _sign(
        self, file: str, subject: x509.Name, purpose: x509.ObjectIdentifier, names: Sequence[str]
    ) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        unsigned = _unsigned(subject, self._certificate.subject, key)
        unsigned = unsigned.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        if names:
            unsigned = unsigned.add_extension(
                x509.SubjectAlternativeName([_name(name) for name in names]), critical=False
            )
        return self._write(file, unsigned.sign(self._key, hashes.SHA256()), key)

    def _write(self, file: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> tuple[Path, Path]:
        public, private = self._folder / f"{file}.crt", self._folder / f"{file}.key"
        cache.write(private, private_pem(key), 0o600)
        cache.write(public, certificate.public_bytes(serialization.Encoding.PEM).decode())
        return public, private


def private_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """A private key as text, not encrypted."""
    form = serialization.PrivateFormat.TraditionalOpenSSL  # the API server reads a tokens key in no other
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def make(lab: Layout) -> None:
    """All that the lab's programs need: the authority, its certificates, the tokens' key and the kubeconfigs."""
    lab.pki.mkdir(parents=True, mode=0o700)
    authority = Authority.new(lab.pki)
    for file, (user, group) in CLIENTS.items():
        authority.client(file, user, group)
    authority.client("kubelet-client", f"system:node:{lab.netns}", "system:nodes")
    api = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
    node = (lab.node_address, "127.0.0.1", "localhost")
    authority.server("apiserver", (*api, str(layout.API), *node))
    authority.server("kubelet", (lab.netns, *node))
    authority.server("node", (*layout.NAMES, *node))
    tokens = ec.generate_private_key(ec.SECP256R1())
    cache.write(lab.pki / "tokens.key", private_pem(tokens), 0o600)
    token = secrets.token_hex(32)
    cache.write(lab.pki / "known-tokens.csv", f'{token},enforcer,enforcer,"{ADMIN[1]}"\n', 0o600)
    account = lab.pki / "run" / "secrets" / "kubernetes.io" / "serviceaccount"
    cache.write(account / "token", token, 0o600)
    cache.write(account / "ca.crt", lab.ca.read_text())
    for file in (*CLIENTS, "kubelet-client"):
        cache.write(lab.config / f"{file}.kubeconfig", kubeconfig(lab, file), 0o600)
    cache.write(lab.kubeconfig, kubeconfig(lab, "admin"), 0o600)


def kubeconfig(lab: Layout, client: str) -> str:
    """A client's kubeconfig, with everything in it: it can be taken elsewhere on this machine."""

    def inline(file: str) -> str:
        return base64_text((lab.pki / file).read_bytes())

    user = {"client-certificate-data": inline(f"{client}.crt"), "client-key-data": inline(f"{client}.key")}
    cluster = {"certificate-authority-data": inline("ca.crt"), "server": lab.api}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": lab.netns, "cluster": cluster}],
            "users": [{"name": client, "user": user}],
            "contexts": [{"name": lab.netns, "context": {"cluster": lab.netns, "user": client}}],
            "current-context": lab.netns,
        }
    )


def base64_text(data: bytes) -> str:
    """Bytes as one line of base64."""
    return base64.b64encode(data).decode()


def _unsigned(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return x509.CertificateBuilder(
        issuer, subject, key.public_key(), x509.random_serial_number(), now - CLOCK_SKEW, now + GOOD_FOR
    )


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
