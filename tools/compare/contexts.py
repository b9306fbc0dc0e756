"""The three contexts that every way builds, made anew at each run and the same on every machine. Pure."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

Step = Literal["cold", "warm", "changed"]
STEPS: Final[tuple[Step, ...]] = ("cold", "warm", "changed")
"""What is built of each context, one after the other: for the first time; once more; with another last layer."""

MANY: Final = 3000
"""Files of the context `many`: about what a small web project carries without its dependencies."""
_A_FOLDER: Final = 50
"""Files in each of its folders."""
_LINES: Final = 4
"""Lines in each of its files, of 65 bytes each. More would not fit a ConfigMap, by which Kubernetes has it."""

HASHED_MB: Final = 300
"""What the heavy step reads and hashes, MB: some seconds of one processor."""
LEFT_MB: Final = 16
"""What it leaves behind, MB. Random, so that no compression helps."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Context:
    """One of the contexts."""

    name: str
    what: str
    """What it is, as the end of a sentence."""

    layers: str
    """The lines of its Dockerfile between the first ones and the last."""

    own: Callable[[str], dict[str, str]]
    """Its files by path, given the run's mark."""

    def files(self, *, base: str, run: str, last: str) -> dict[str, str]:
        """Give every file by path, the Dockerfile too.

        Args:
            base: the image that it builds from.
            run: a mark that no build had before. It is in the image's environment and in a file, so no cache of any
                way has a layer of it, and no registry a blob.
            last: what the last layer is made of.
        """
        dockerfile = f"FROM {base}\nENV CI_COMPARE={run}\n{self.layers}COPY last.txt /last.txt\n"
        return {"Dockerfile": dockerfile, "last.txt": f"{last}\n", **self.own(run)}


def _mark(run: str) -> dict[str, str]:
    return {"files/mark.txt": f"{run}\n"}


def _many(run: str) -> dict[str, str]:
    files = {f"files/{number // _A_FOLDER:03}/{number:05}.txt": _text(number) for number in range(MANY)}
    return {**files, **_mark(run)}


def _text(number: int) -> str:
    lines = (hashlib.sha256(f"{number}/{line}".encode()).hexdigest() for line in range(_LINES))
    return "".join(f"{line}\n" for line in lines)


_HEAVY: Final = (
    f"RUN head -c {HASHED_MB}000000 /dev/zero | sha256sum > /sum && head -c {LEFT_MB}000000 /dev/urandom > /noise\n"
)

FIRST: Final = Context(name="first", what="a step is run", layers="RUN true\nCOPY files /files\n", own=_mark)
"""What the stack in the cluster builds before anything else: what a way can't do on a machine shows with it."""

CONTEXTS: Final = (
    Context(name="tiny", what="two small files are copied", layers="COPY files /files\n", own=_mark),
    Context(
        name="heavy",
        what=f"a RUN step hashes {HASHED_MB} MB and leaves {LEFT_MB} MB of noise behind",
        layers=_HEAVY,
        own=lambda _: {},
    ),
    Context(
        name="many",
        what=f"{MANY} files of {65 * _LINES} bytes are copied",
        layers="COPY files /files\n",
        own=_many,
    ),
)
"""In the order in which they are measured and shown."""
