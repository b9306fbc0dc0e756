"""Certificates for a server and its clients, signed by an authority of this stack alone.

All of them are kept, encrypted, in the state. The authority stays; the certificates are made again in time.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Final

import pulumi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFE_DAYS: Final = 366
_PERIOD_DAYS: Final = 244
"""Two thirds of a certificate's life. The first update of each such period makes new ones, so an update never leaves
one that has less than a third of its life left."""

_AUTHORITY_DAYS: Final = 36_525
_NO_USES: Final = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
    *("key_agreement", "crl_sign", "encipher_only", "decipher_only"),
)
"""What the authority's key is not for."""

_SERVER: Final = ExtendedKeyUsageOID.SERVER_AUTH
_CLIENT: Final = ExtendedKeyUsageOID.CLIENT_AUTH
_SKEW: Final = dt.timedelta(hours=1)
"""How far a node's clock may be behind."""


def kept(name: str, hosts: Sequence[str], opts: pulumi.ResourceOptions) -> pulumi.Output[Mapping[str, str]]:
    """Return what `issued` gives for these host names, from the state or, where it has none, made now. A secret."""
    first = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(ignore_changes=["input"]))
    authority = pulumi.Stash(f"{name}-authority", input=pulumi.Output.secret(made()), opts=first)
    known: pulumi.Output[Mapping[str, str]] = pulumi.Output.secret(authority.output)
    certificates = pulumi.Stash(
        # Ignored changes would also be ignored in a replacement, so each period has a name of its own.
        f"{name}-certificates-{period()}",
        input=known.apply(lambda found: issued(found, hosts)),
        opts=first,
    )
    return pulumi.Output.secret(certificates.output)


def period() -> int:
    """Return the number of the period that it is now."""
    return int(dt.datetime.now(dt.UTC).timestamp() // dt.timedelta(days=_PERIOD_DAYS).total_seconds())


def made() -> Mapping[str, str]:
    """Return a new authority: `certificate` and `key` in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    basic = x509.BasicConstraints(ca=True, path_length=0)
    signs = x509.KeyUsage(key_cert_sign=True, **dict.fromkeys(_NO_USES, False))
    builder = _builder("authority", "authority", key.public_key(), _AUTHORITY_DAYS)
    builder = builder.add_extension(basic, critical=True).add_extension(signs, critical=True)
    return {"certificate": _signed(builder, key), "key": _pem(key)}


def issued(authority: Mapping[str, str], hosts: Sequence[str]) -> Mapping[str, str]:
    """Return `server` and `client` with `serverKey` and `clientKey`, `authority`, all in PEM, and `expires` as a date.

    hosts: the server's names. Its certificate is good for a client too, so that it can probe itself.
    """
    signing = serialization.load_pem_private_key(authority["key"].encode(), password=None)
    if not isinstance(signing, ec.EllipticCurvePrivateKey):
        raise TypeError
    found = {"authority": authority["certificate"]}
    roles = {"server": (hosts, [_SERVER, _CLIENT]), "client": (["client"], [_CLIENT])}
    for role, (names, usages) in roles.items():
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(role, "authority", key.public_key(), _LIFE_DAYS)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        )
        found |= {role: _signed(builder, signing), f"{role}Key": _pem(key)}
    expires = x509.load_pem_x509_certificate(found["server"].encode()).not_valid_after_utc
    return {**found, "expires": f"{expires:%F}"}


def _builder(role: str, issuer: str, key: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, role)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _signed(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> str:
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    return _pem(builder.add_extension(identifier, critical=False).sign(key, hashes.SHA256()))


def _pem(part: x509.Certificate | ec.EllipticCurvePrivateKey) -> str:
    if isinstance(part, x509.Certificate):
        return part.public_bytes(serialization.Encoding.PEM).decode()
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return part.private_bytes(serialization.Encoding.PEM, *form).decode()
