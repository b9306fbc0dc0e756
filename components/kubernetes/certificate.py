"""Looks at the certificate files that the settings name: readable, a pair, in time, with the right names."""

import datetime as dt
import hashlib
from collections.abc import Iterator
from typing import Any

from components.certificates import readable
from components.kubernetes import addresses
from components.settings import Problem, Settings


def digest(text: str) -> str:
    """Give the text's SHA-256, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def look(settings: Settings) -> Iterator[Problem]:
    """Give what is wrong with `trustedCaFile`, the runner's `caFile`, and with `tls.certificateFile` and its key."""
    trusted = settings.kubernetes.trusted_ca_file
    if trusted is not None:
        yield from readable("ci:kubernetes.trustedCaFile", trusted)[1]
    if settings.gitlab_runner is not None and settings.gitlab_runner.ca_file is not None:
        yield from readable("ci:gitlabRunner.caFile", settings.gitlab_runner.ca_file)[1]
    tls = settings.registry.tls
    if tls is None or tls.certificate_file is None:
        return
    key = "ci:registry.tls.certificateFile"
    chain, problems = readable(key, tls.certificate_file)
    yield from problems
    if chain and settings.registry_tls_key is not None:
        yield from _pair(key, tls.certificate_file, chain[0], settings)


def _pair(key: str, path: str, certificate: Any, settings: Settings) -> Iterator[Problem]:  # noqa: ANN401 - see above
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    secret = settings.registry_tls_key
    if secret is None:
        return
    try:
        private = serialization.load_pem_private_key(secret.get_secret_value().encode(), password=None)
    except (ValueError, TypeError):
        yield Problem(
            key="ci:registryTlsKey",
            wrong="is not a private key that can be read",
            instead="set it from its file: `pulumi config set --secret ci:registryTlsKey < key.pem`",
        )
        return
    if private.public_key() != certificate.public_key():
        yield Problem(
            key="ci:registryTlsKey",
            wrong=f"is not the key of the first certificate in {path}",
            instead="set the key that belongs to it",
        )
    now = dt.datetime.now(dt.UTC)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        yield Problem(
            key=key,
            value=path,
            wrong=f"is valid from {certificate.not_valid_before_utc:%F} to {certificate.not_valid_after_utc:%F}",
            instead="give one that is valid now",
        )
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = {str(name) for name in found.get_values_for_type(x509.DNSName)}
        names |= {str(address) for address in found.get_values_for_type(x509.IPAddress)}
    except x509.ExtensionNotFound:
        names = set()
    missing = [name for name in addresses.names(settings) if name not in names and f"*.{_parent(name)}" not in names]
    if missing:
        yield Problem(
            key=key,
            value=path,
            wrong=f"is for {', '.join(sorted(names)) or 'no name at all'}, and not for {', '.join(missing)}",
            instead=f"give one whose alternative names hold {', '.join(addresses.names(settings))}",
        )
    if certificate.issuer == certificate.subject and settings.kubernetes.trusted_ca_file is None:
        yield Problem(
            key="ci:kubernetes.trustedCaFile",
            wrong=f"is missing, and {path} is signed by itself, so builds would not trust it",
            instead=f"give the certificate that signed it, for example {path}",
        )


def _parent(name: str) -> str:
    return name.partition(".")[2]
