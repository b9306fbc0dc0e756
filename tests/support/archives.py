"""Archives of `make backup` that somebody changed, with their hashes made anew."""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ops import archive


def rewritten(path: Path, parts: Mapping[str, bytes], **manifest: Any) -> None:
    """Change parts of an archive, and keys of its manifest. The signature stays as it is, if the format has one."""
    with zipfile.ZipFile(path) as packed:
        old = {name: packed.read(name) for name in packed.namelist()}
    changed = {name: data for name, data in {**old, **parts}.items() if not name.startswith("manifest.")}
    about = json.loads(old["manifest.json"])
    about |= {"sha256": {name: hashlib.sha256(data).hexdigest() for name, data in changed.items()}}
    about |= {"sizes": {name: len(data) for name, data in changed.items()}, **manifest}
    signature = {"manifest.hmac": old["manifest.hmac"]} if about["format"] == archive.FORMAT else {}
    with zipfile.ZipFile(path, "w") as packed:
        for name, data in {**changed, **signature, "manifest.json": json.dumps(about).encode()}.items():
            packed.writestr(name, data)


def with_resources(path: Path, *entries: Mapping[str, Any], **manifest: Any) -> None:
    """Add resources to the state in an archive."""
    with zipfile.ZipFile(path) as packed:
        state = json.loads(packed.read("state.json"))
    state["checkpoint"]["latest"]["resources"] += entries
    rewritten(path, {"state.json": json.dumps(state).encode()}, **manifest)
