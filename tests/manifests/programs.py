"""What judges the manifests: two Go programs, checkov in its own environment, and the schemas of others' kinds."""

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from lab import kueue
from lab.programs import Module
from offline import go
from setup import cache, process

HERE = Path(__file__).resolve().parent
CHECKOV_REQUIREMENTS = HERE / "checkov-requirements.txt"
"""Its own, since what it pins contradicts what the tests pin."""


class Tool(Module):
    """A Go module under `tools` here, with one program in it."""

    @property
    def folder(self) -> Path:
        """Where its go.mod is."""
        return HERE / "tools" / self.name


POD_SECURITY = Tool(
    "podsecurity", (".",), pinned="k8s.io/pod-security-admission", expect="about 30 s", output="podsecurity"
)
KUBE_SCORE = Tool(
    "kube-score",
    ("github.com/zegl/kube-score/cmd/kube-score",),
    pinned="github.com/zegl/kube-score",
    expect="about 45 s",
)
CERT_MANAGER = Tool("cert-manager", (), pinned="github.com/cert-manager/cert-manager", expect="about 2 s")
"""Only its schema is read, and nothing built."""

TOOLS = (POD_SECURITY, KUBE_SCORE, CERT_MANAGER)


def pod_security(pods: list[dict[str, Any]], version: str) -> list[dict[str, list[str]]]:
    """Give what each pod violates at `baseline` and at `restricted`, by the library that the API server asks.

    Each is `check: what: details`, the check named as the library names it.

    version: the standards as a release of Kubernetes has them, `v1.29` or `latest`.
    """
    words = [str(POD_SECURITY.ensure() / "podsecurity"), version]
    done = subprocess.run(words, input=json.dumps(pods), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, list[str]]] = json.loads(done.stdout)
    return found


def checkov() -> Path:
    """Give the command, in its own environment; made at the first call, 54 MB and about 35 s."""
    key = cache.digest(CHECKOV_REQUIREMENTS, sys.version, sys.base_prefix)
    return cache.make("checkov", key, _make_checkov, waiting_for="installing checkov") / "bin" / "checkov"


def _make_checkov(folder: Path) -> None:
    quiet = ("--disable-pip-version-check", "--no-input", "--only-binary=:all:", "--require-hashes", "--requirement")
    script = '"$0" -m venv "$1"; folder=$1; shift; "$folder/bin/python" -m pip install "$@"'
    process.run_logged(
        ["sh", "-ec", script, sys.executable, folder, *quiet, CHECKOV_REQUIREMENTS],
        title="installing checkov",
        expect="54 MB, about 40 s",
        name="checkov",
        remedy="Let pip reach its package index.",
    )


@functools.cache
def schema(kind: str, version: str) -> dict[str, Any]:
    """Give the schema of a Certificate, or of one of Kueue's kinds, as published, closed against unknown fields."""
    if kind == "Certificate":
        file = go.source(CERT_MANAGER.folder, CERT_MANAGER.pinned) / "deploy/crds/cert-manager.io_certificates.yaml"
    else:
        file = kueue.kinds() / f"kueue.x-k8s.io_{kind.lower()}s.yaml"
    versions = yaml.load(file.read_text(), yaml.CSafeLoader)["spec"]["versions"]
    [found] = [each["schema"]["openAPIV3Schema"] for each in versions if each["name"] == version]
    closed: dict[str, Any] = _closed(found)
    return closed


def _closed(schema: Any) -> Any:
    """Refuse what the schema does not name, where it names anything: the API server would drop it without a word."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(part) for key, part in schema.items()}
    if isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema:
        closed["additionalProperties"] = False
    return closed
