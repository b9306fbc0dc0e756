"""Names that no container, volume or network of this machine has."""

import secrets

PREFIX = f"ci-test-{secrets.token_hex(3)}"
"""How the name of everything begins that this process of the tests makes on the machine's Docker engine."""


def stable(text: str) -> str:
    """A parameter's id that is the same in each process of the tests, as pytest-xdist wants it."""
    return text.replace(PREFIX, "ci-test")
