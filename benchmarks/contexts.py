"""The contexts that every way builds. They are made new in each round, and are the same on every machine."""

import hashlib
import io
import tarfile
from collections.abc import Mapping
from typing import Final, Literal

STEPS: Final = ("cold", "warm", "changed")
"""What is built of each context, one after the other: for the first time; the same again; with another last file."""
BASE_MB: Final = 110
"""Size of the larger base image, MB: about that of a language's slim image. Random, so that it does not compress."""
FILES: Final = 3000
"""Files of the context `many`: about what a small web project has without its dependencies."""
LINES: Final = 4
"""Lines in each of its files, of 65 bytes. More would not fit a ConfigMap, by which Kubernetes has it."""
CONTEXTS: Final = {
    "tiny": "two small files on a small base",
    "base": f"a step that writes 8 MB on a base of {BASE_MB} MB",
    "many": f"{FILES} files of {65 * LINES} bytes on a small base",
}
BASE: Final = {"Dockerfile": f"FROM alpine:latest\nRUN head -c {BASE_MB}000000 /dev/urandom > /base\n"}
"""The context of the larger base. Each way builds it once before the first round."""


def files(context: str, *, base: str, mark: str, last: str) -> dict[str, str]:
    """Give a context's files by path.

    base: the name of the larger base, as this way knows it. mark: a text that no build had before, so that no cache has
    a layer of it. last: what the last file holds.
    """
    first = base if context == "base" else "alpine:latest"
    step = f"RUN head -c 8000000 /dev/urandom > /written && echo {mark}\n" if context == "base" else ""
    own = {"files/mark.txt": mark}
    if context == "many":
        own |= {f"files/{number // 50:03}/{number:05}.txt": _text(number) for number in range(FILES)}
    dockerfile = f"FROM {first}\nENV MARK={mark}\n{step}COPY files /files\nCOPY last.txt /last.txt\n"
    return {"Dockerfile": dockerfile, "last.txt": last, **own}


def packed(contents: Mapping[str, str], folder: str = "", mode: Literal["w", "w:gz"] = "w") -> bytes:
    """Give files as a tar archive, below a folder."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=mode) as tar:
        for path, text in contents.items():
            info = tarfile.TarInfo(f"{folder}{path}")
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return data.getvalue()


def _text(number: int) -> str:
    return "".join(f"{hashlib.sha256(f'{number}/{line}'.encode()).hexdigest()}\n" for line in range(LINES))
