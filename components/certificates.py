"""Reads certificates and keys that the settings name, and reports what is wrong with them."""

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from components.settings import Problem


def read(path: str) -> str:
    """Return a PEM file's text. `~` is the user's home."""
    return Path(path).expanduser().read_text(encoding="ascii")


def chain(key: str, path: str) -> tuple[Sequence[x509.Certificate], Sequence[Problem]]:
    """Return the certificates in a file, or what is wrong with it, under the setting's key."""
    try:
        found = x509.load_pem_x509_certificates(read(path).encode())
    except OSError as error:
        wrong = f"cannot be read ({error.strerror})"
    except ValueError:
        wrong = "holds no certificates in PEM form"
    else:
        return found, ()
    return (), (Problem(key, "bad_file", wrong, "give the path of a file with BEGIN CERTIFICATE in it", path),)


def private_key(text: str) -> Any:  # noqa: ANN401 - one of seven kinds, alike in what is asked of them
    """Return a private key without passphrase from its PEM text, or None if it is none."""
    try:
        return serialization.load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError):
        return None


def out_of_time(key: str, path: str, certificate: x509.Certificate) -> Iterator[Problem]:
    """Return a problem if a certificate is not valid now."""
    now = dt.datetime.now(dt.UTC)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        wrong = f"is valid from {certificate.not_valid_before_utc:%F} to {certificate.not_valid_after_utc:%F}"
        yield Problem(key, "bad_certificate", wrong, "give one that is valid now", path)


def names(certificate: x509.Certificate) -> frozenset[str]:
    """Return the names and addresses that a server's certificate is for."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    addresses = (str(address) for address in found.get_values_for_type(x509.IPAddress))
    return frozenset([*found.get_values_for_type(x509.DNSName), *addresses])
