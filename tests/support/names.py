"""Names that no container, volume or network of this machine has."""

import secrets

PREFIX = f"ci-test-{secrets.token_hex(3)}"
"""How the name of everything begins that this run of the tests makes on the machine's Docker engine."""
