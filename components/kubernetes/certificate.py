"""Looks at the certificate files that the settings name: readable, a pair, in time, with the right names."""

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from components import certificates
from components.certificates import read
from components.kubernetes import addresses
from components.settings import Problem, Settings

if TYPE_CHECKING:
    from cryptography import x509


def digest(text: str) -> str:
    """Give the text's SHA-256, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def look(settings: Settings) -> Iterator[Problem]:
    """Give what is wrong with `trustedCaFile`, the runner's `caFile`, and with `tls.certificateFile` and its key."""
    trusted = settings.kubernetes.trusted_ca_file
    if trusted is not None:
        yield from certificates.chain("ci:kubernetes.trustedCaFile", trusted)[1]
    if settings.gitlab_runner is not None and settings.gitlab_runner.ca_file is not None:
        yield from certificates.chain("ci:gitlabRunner.caFile", settings.gitlab_runner.ca_file)[1]
    tls = settings.registry.tls
    if tls is None or tls.certificate_file is None:
        return
    key = "ci:registry.tls.certificateFile"
    chain, problems = certificates.chain(key, tls.certificate_file)
    yield from problems
    if chain and settings.registry_tls_key is not None:
        yield from _pair(key, tls.certificate_file, chain[0], settings)


def _pair(key: str, path: str, certificate: "x509.Certificate", settings: Settings) -> Iterator[Problem]:
    secret = settings.registry_tls_key
    if secret is None:
        return
    private = certificates.private_key(secret.get_secret_value())
    if private is None:
        yield Problem(
            key="ci:registryTlsKey",
            code="bad_certificate",
            wrong="is not a private key that can be read",
            instead="set it from its file: `pulumi config set --secret ci:registryTlsKey < key.pem`",
        )
        return
    if private.public_key() != certificate.public_key():
        yield Problem(
            key="ci:registryTlsKey",
            code="bad_certificate",
            wrong=f"is not the key of the first certificate in {path}",
            instead="set the key that belongs to it",
        )
    yield from certificates.out_of_time(key, path, certificate)
    names = certificates.names(certificate)
    missing = [name for name in addresses.names(settings) if name not in names and f"*.{_parent(name)}" not in names]
    if missing:
        yield Problem(
            key=key,
            code="bad_certificate",
            value=path,
            wrong=f"is for {', '.join(sorted(names)) or 'no name at all'}, and not for {', '.join(missing)}",
            instead=f"give one whose alternative names hold {', '.join(addresses.names(settings))}",
        )
    if certificate.issuer == certificate.subject and settings.kubernetes.trusted_ca_file is None:
        yield Problem(
            key="ci:kubernetes.trustedCaFile",
            code="required",
            wrong=f"is missing, and {path} is signed by itself, so builds would not trust it",
            instead=f"give the certificate that signed it, for example {path}",
        )


def _parent(name: str) -> str:
    return name.partition(".")[2]


__all__ = ["digest", "look", "read"]
