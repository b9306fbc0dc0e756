"""Certificates for tests: an authority, what it signs, and how each of them can be wrong."""

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, in PEM."""

    certificate: str
    key: str

    def write(self, folder: Path, name: str, *, mode: int = 0o600) -> tuple[Path, Path]:
        """Write both; give the certificate's path and the key's, which has this mode."""
        public, private = folder / f"{name}.pem", folder / f"{name}-key.pem"
        public.write_text(self.certificate)
        private.write_text(self.key)
        private.chmod(mode)
        return public, private


class Authority:
    """A certificate authority."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        """Take one that is there; see `new` and `of`."""
        self._key, self._certificate = key, certificate

    @classmethod
    def new(cls, name: str = "a test's authority", *, days: int = 30) -> Self:
        """Make one that is good for so many days from now; negative: whose time has been over for so long."""
        key, subject = ec.generate_private_key(ec.SECP256R1()), _subject(name)
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        builder = _unsigned(subject, subject, key, days).add_extension(usage, critical=True)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        return cls(key, builder.sign(key, hashes.SHA256()))

    @classmethod
    def of(cls, certificate: str, key: str) -> Self:
        """Take one by its PEM texts."""
        loaded = serialization.load_pem_private_key(key.encode(), None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        return cls(loaded, x509.load_pem_x509_certificate(certificate.encode()))

    @property
    def pem(self) -> str:
        """Its certificate."""
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    def server(self, *names: str, days: int = 30, since: int = -60) -> Pair:
        """Sign a server's certificate for these names and addresses, valid since so many days from now."""
        found = x509.SubjectAlternativeName([_name(name) for name in names])
        return self._sign(names[0], ExtendedKeyUsageOID.SERVER_AUTH, days, found, since=since)

    def client(self, name: str = "jenkins", *, days: int = 30) -> Pair:
        """Sign a client's certificate."""
        return self._sign(name, ExtendedKeyUsageOID.CLIENT_AUTH, days)

    def itself(self) -> Pair:
        """Give its own certificate as that of a server which nobody else has signed."""
        return Pair(self.pem, _pem(self._key))

    def _sign(
        self, name: str, purpose: x509.ObjectIdentifier, days: int, *more: x509.ExtensionType, since: int = -60
    ) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _unsigned(_subject(name), self._certificate.subject, key, days, since)
        for extension in (x509.ExtendedKeyUsage([purpose]), *more):
            builder = builder.add_extension(extension, critical=False)
        signed = builder.sign(self._key, hashes.SHA256())
        return Pair(signed.public_bytes(serialization.Encoding.PEM).decode(), _pem(key))


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


def _unsigned(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int, since: int = -60
) -> x509.CertificateBuilder:
    start, end = (dt.datetime.now(dt.UTC) + dt.timedelta(days=of) for of in (since, days))
    return x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number(), start, end)


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
