"""The names of the stacks whose manifests are judged."""

from typing import Final

from tests.support.manifests import AGAIN, EVERYTHING, LEAST, STACKS

ALL: Final = (*STACKS, AGAIN)
SCANNED: Final = (*(name for name in STACKS if not name.startswith("kubernetes-")), EVERYTHING, LEAST)
"""Those for the slow scanners. The others have the same pods."""
