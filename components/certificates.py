"""Files of certificates that settings name."""

from pathlib import Path
from typing import Any

from components.settings import Problem


def read(path: str) -> str:
    """Give a PEM file's text. `~` is the user's folder."""
    return Path(path).expanduser().read_text(encoding="ascii")


def readable(key: str, path: str) -> tuple[list[Any], list[Problem]]:
    """Give the certificates of a file, or what is wrong with it, under this key."""
    from cryptography import x509  # noqa: PLC0415 - 0.05 s that only a stack with certificate files pays

    try:
        found = x509.load_pem_x509_certificates(read(path).encode())
    except OSError as error:
        wrong = f"can't be read ({error.strerror})"
    except ValueError:
        wrong = "holds no certificates in PEM form"
    else:
        return found, []
    return [], [
        Problem(key=key, value=path, wrong=wrong, instead="give the path of a file with BEGIN CERTIFICATE in it")
    ]
