"""The registry that every way pushes to: its login, and what an image in it takes."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import io
import json
import tarfile
import zlib
from typing import TYPE_CHECKING, Any, Final

import requests

from tools.compare.figures import Size

if TYPE_CHECKING:
    from pathlib import Path

USER: Final = "ci"
_MANIFESTS: Final = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
_SECONDS: Final = 60
_CHUNK: Final = 2**20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Registry:
    """The stack's registry as this machine and its engines reach it."""

    host: str
    """Host and port."""

    ca: Path
    """The authority of its certificate, as PEM."""

    password: str = dataclasses.field(repr=False)

    def docker_config(self) -> str:
        """Give the text of a docker client's config.json that is logged in."""
        login = base64.b64encode(f"{USER}:{self.password}".encode()).decode()
        return json.dumps({"auths": {self.host: {"auth": login}}})

    def size(self, repository: str, reference: str) -> Size:
        """Give what an image takes. Reads every layer."""
        manifest = self._manifest(repository, reference)
        layers = manifest["layers"]
        packed = manifest["config"]["size"] + sum(layer["size"] for layer in layers)
        unpacked = sum(self._unpacked(repository, layer["digest"]) for layer in layers)
        return Size(packed=packed, unpacked=unpacked, layers=len(layers))

    def config(self, repository: str, reference: str) -> str:
        """Give the digest of an image's configuration, which is the id that an engine knows it by."""
        return str(self._manifest(repository, reference)["config"]["digest"])

    def file(self, repository: str, reference: str, path: str) -> str:
        """Give the text of a file in the newest layer that has it.

        Raises:
            KeyError: where none has it.
        """
        for layer in reversed(self._manifest(repository, reference)["layers"]):
            data = self._ask(f"{repository}/blobs/{layer['digest']}").content
            with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))) as tar:
                for member in tar:
                    found = tar.extractfile(member) if member.name.strip("./") == path.strip("/") else None
                    if found is not None:
                        return found.read().decode()
        raise KeyError(path)

    def _manifest(self, repository: str, reference: str) -> dict[str, Any]:
        found: dict[str, Any] = self._ask(f"{repository}/manifests/{reference}", accept=_MANIFESTS).json()
        if "manifests" in found:  # an index, beside the image's own with what is attested about it
            [image] = [each for each in found["manifests"] if each["platform"]["os"] != "unknown"]
            return self._manifest(repository, str(image["digest"]))
        return found

    def _unpacked(self, repository: str, digest: str) -> int:
        unpack, total = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16), 0
        with self._ask(f"{repository}/blobs/{digest}", stream=True) as answer:
            for chunk in answer.iter_content(_CHUNK):
                total += len(unpack.decompress(chunk))
        return total

    def _ask(self, path: str, *, accept: str = "*/*", stream: bool = False) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False  # a proxy of the user's is not for this machine's addresses
            answer = session.get(
                f"https://{self.host}/v2/{path}",
                auth=(USER, self.password),
                verify=str(self.ca),
                headers={"Accept": accept},
                timeout=_SECONDS,
                stream=stream,
            )
        answer.raise_for_status()
        return answer
