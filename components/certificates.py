"""Reads certificates and keys that the settings name, and tells what is wrong with them.

Everything is imported late: `cryptography` takes 0.05 s, which only a stack with certificates pays.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.settings import Problem

if TYPE_CHECKING:
    from cryptography import x509


def read(path: str) -> str:
    """Give a PEM file's text. `~` is the user's folder."""
    return Path(path).expanduser().read_text(encoding="ascii")


def chain(key: str, path: str) -> tuple[Sequence["x509.Certificate"], Sequence[Problem]]:
    """Give the certificates in a file, or what is wrong with it, under the setting's key."""
    from cryptography import x509  # noqa: PLC0415 - see above

    try:
        found = x509.load_pem_x509_certificates(read(path).encode())
    except OSError as error:
        wrong = f"can't be read ({error.strerror})"
    except ValueError:
        wrong = "holds no certificates in PEM form"
    else:
        return found, ()
    instead = "give the path of a file with BEGIN CERTIFICATE in it"
    return (), (Problem(key=key, value=path, wrong=wrong, instead=instead),)


def private_key(text: str) -> Any:  # noqa: ANN401 - one of seven kinds, alike in what is asked of them
    """Give a private key without passphrase from its PEM text; None where it is none."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - see above

    try:
        return serialization.load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError):
        return None


def out_of_time(key: str, path: str, certificate: "x509.Certificate") -> Iterator[Problem]:
    """Give a problem for a certificate that is not valid now."""
    now = dt.datetime.now(dt.UTC)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        yield Problem(
            key=key,
            value=path,
            wrong=f"is valid from {certificate.not_valid_before_utc:%F} to {certificate.not_valid_after_utc:%F}",
            instead="give one that is valid now",
        )


def names(certificate: "x509.Certificate") -> frozenset[str]:
    """Give the names and addresses that a server's certificate is for."""
    from cryptography import x509  # noqa: PLC0415 - see above

    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    addresses = (str(address) for address in found.get_values_for_type(x509.IPAddress))
    return frozenset([*found.get_values_for_type(x509.DNSName), *addresses])
