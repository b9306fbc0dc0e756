"""Programs that stand in for real ones at the process boundary."""

from pathlib import Path


def script(path: Path, body: str) -> Path:
    """An executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def pulumi(folder: Path, version: str = "3.259.0", *, host: bool = True) -> Path:
    """A Pulumi CLI that only knows its version and environment, with or without a language host beside it."""
    if host:
        script(folder / "pulumi-language-python", "exit 1")
    return script(folder / "pulumi", f'[ "$1" = env ] && exec env; echo v{version}')
