"""Preflight of the certificate files: readable, key and certificate match, valid now, right names."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import SecretStr

from .. import certificates
from ..settings import Problem, Settings
from . import endpoints

if TYPE_CHECKING:
    from cryptography import x509


def preflight(settings: Settings) -> Iterator[Problem]:
    """Yield the problems of `trustedCaFile`, the runner's `caFile`, and `tls.certificateFile` with its key."""
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
    if chain and isinstance(settings.registry_tls_key, SecretStr):
        text = settings.registry_tls_key.get_secret_value()
        yield from certificates.pair("ci:registryTlsKey", text, "ci:registryTlsKey", chain, tls.certificate_file)
        yield from _certificate(key, tls.certificate_file, chain[0], settings)


def _certificate(key: str, path: str, certificate: "x509.Certificate", settings: Settings) -> Iterator[Problem]:
    yield from certificates.out_of_time(key, path, certificate)
    names = certificates.names(certificate)
    missing = [
        name for name in endpoints.names(settings) if name not in names and f"*.{name.partition('.')[2]}" not in names
    ]
    if missing:
        yield Problem(
            key=key,
            code="bad_certificate",
            value=path,
            wrong=f"is valid for {', '.join(sorted(names)) or 'no name'}, but not for {', '.join(missing)}",
            instead=f"give one whose subject alternative names include {', '.join(endpoints.names(settings))}",
        )
    if certificate.issuer == certificate.subject and settings.kubernetes.trusted_ca_file is None:
        yield Problem(
            key="ci:kubernetes.trustedCaFile",
            code="required",
            wrong=f"is required, since {path} is self-signed and builds would not trust it",
            instead=f"give the certificate that signed it, for example {path}",
        )
