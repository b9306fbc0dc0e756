"""Reads certificates and keys that the settings name, and reports what is wrong with them."""

import datetime as dt
from collections.abc import Iterator, Sequence

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from . import regular_file
from .settings import Problem
from .settings.problems import HIDDEN


def read(path: str) -> str:
    """Return a PEM file's text, with Unix line ends. `~` is the user's home."""
    return regular_file.read(path).decode("ascii").replace("\r\n", "\n")


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


def pair(  # noqa: PLR0913 - the last by keyword
    key: str, text: str, secret: str, chain: Sequence[x509.Certificate], path: str, *, shown: object = HIDDEN
) -> Iterator[Problem]:
    """Return a problem if a PEM text is not the private key of the first certificate in a file, if it has one.

    key: the setting that the text comes from. secret: the one that may hold it. path: of the file. shown: in messages.
    """
    wrong = f"is not the key of the first certificate in {path}"
    instead = f"run `pulumi config set --secret {secret} < key.pem`" if shown is HIDDEN else "give the key's own file"
    try:
        private = serialization.load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError):
        wrong = "is not a private key in PEM form without a passphrase"
    else:
        if not chain or private.public_key() == chain[0].public_key():
            return
    yield Problem(key, "bad_certificate", wrong, instead, shown)


def out_of_time(key: str, path: str, certificate: x509.Certificate) -> Iterator[Problem]:
    """Return a problem if a certificate is not valid now."""
    now = dt.datetime.now(dt.UTC)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        wrong = f"is valid only from {certificate.not_valid_before_utc:%F} to {certificate.not_valid_after_utc:%F}"
        yield Problem(key, "bad_certificate", wrong, "give one that is valid now", path)


def names(certificate: x509.Certificate) -> frozenset[str]:
    """Return the names and addresses that a server's certificate is for."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    addresses = (str(address) for address in found.get_values_for_type(x509.IPAddress))
    return frozenset([*found.get_values_for_type(x509.DNSName), *addresses])
