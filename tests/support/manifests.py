"""Renders a stack of the Kubernetes platform: every object as the API server would be sent it."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support import gitlab
from tests.support.engine import Engine, unwrap
from tests.support.kubernetes_platform import deploy
from tests.support.kubernetes_stack import HASH, REGISTRY_PASSWORD
from tests.support.settings import RUNNER_TOKEN

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "ci:"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
"""No certificate: nothing that renders a stack reads it. So are the keys below."""

_DIGEST = f"@sha256:{'ab' * 32}"

EVERYTHING: Mapping[str, Any] = {
    "kubernetes": {
        "context": "prod",
        "kanikoImage": f"ghcr.io/osscontainertools/kaniko:v1.28.3{_DIGEST}",
        "gitImage": f"alpine/git:v2.52.0{_DIGEST}",
        "kubectlImage": f"registry.k8s.io/kubectl:v1.34.4{_DIGEST}",
        "quota": {"cpuMillicores": 20_000, "memoryMib": 40_960},
        "egress": ["203.0.113.0/24", "2001:db8::/32"],
        "objectStorage": {"region": "eu-central-1", "endpoint": "https://minio.example.org"},
    },
    "registry": {
        "image": f"registry:3.1.2{_DIGEST}",
        "storageClass": "fast",
        "host": "registry.example.org:30500",
        "nodePort": 30_500,
        "users": [{"name": "deployer", "passwordHash": HASH}],
        "allowFrom": ["10.0.0.0/16"],
        "mirror": {"user": "team"},
        "garbageCollection": {"schedule": "5 4 * * 6", "deleteUntagged": True},
    },
    "builds": [
        {
            "name": "inline",
            "context": {"inline": {"Dockerfile": "FROM scratch\n"}},
            "destinations": ["inline:1", "inline:latest", "ghcr.io/team/inline:1"],
            "args": {"VERSION": "1.2.3"},
            "labels": {"org.opencontainers.image.source": "https://git.example.org/team/inline"},
            "target": "runtime",
            "platform": "linux/amd64",
            "schedule": "@daily",
            "retries": 2,
        },
        {"name": "directory", "context": {"directory": str(ROOT / "examples" / "hello")}, "cache": {"enabled": False}},
        {
            "name": "https",
            "context": {
                "git": {
                    "repository": "https://git.example.org/team/website.git",
                    "ref": "v1.2.3",
                    "directory": "images/website",
                    "credentials": "gitToken",
                }
            },
            "schedule": "17 2 * * *",
        },
        {
            "name": "ssh",
            "context": {
                "git": {
                    "repository": "ssh://git@git.example.org/team/website.git",
                    "credentials": "gitSshKey",
                    "knownHosts": "git.example.org ssh-ed25519 AAAA",
                }
            },
        },
        {"name": "archive", "context": {"archive": "https://files.example.org/website-1.2.3.tar.gz"}},
        {"name": "s3", "context": {"archive": "s3://bucket/website.tar.gz"}},
        {"name": "gs", "context": {"archive": "gs://bucket/website.tar.gz"}},
        {"name": "volume", "context": {"volume": {"claim": "sources", "path": "website"}}},
    ],
    "gitlabRunner": {
        "url": "https://gitlab.example.org:8443/git",
        "image": f"gitlab/gitlab-runner:alpine-v19.3.0{_DIGEST}",
        "helperImage": f"registry.example.org/ci/gitlab-runner-helper:x86_64-v19.3.0{_DIGEST}",
        "concurrency": 3,
    },
    "gitlabRunnerToken": RUNNER_TOKEN,
    "gitToken": "glpat-made-up-0123456789",
    "gitSshKey": "-----BEGIN PRIVATE KEY-----\nmade-up\n-----END PRIVATE KEY-----\n",
    "registryTlsKey": "-----BEGIN PRIVATE KEY-----\nmade-up\n-----END PRIVATE KEY-----\n",
    "mirrorPassword": "mirror-made-up-01234",
    "dockerConfig": json.dumps({"auths": {"ghcr.io": {"auth": "Z2hjci1tYWRlLXVwOnB3"}}}),
    "storageCredentials": "[default]\naws_secret_access_key = made-up\n",
}
"""A stack that has each thing that a stack can have, but for what excludes another. The certificates come to it."""

_SOURCES: Mapping[str, Any] = {
    "inline": {"inline": {"Dockerfile": "FROM scratch\n"}},
    "directory": {"directory": str(ROOT / "examples" / "hello")},
    "git": {"git": {"repository": "https://git.example.org/team/website.git", "credentials": "gitToken"}},
    "archive": {"archive": "https://files.example.org/website-1.2.3.tar.gz"},
    "volume": {"volume": {"claim": "sources", "path": "website"}},
}
EVERY_BUILDER: Mapping[str, Any] = {
    "kubernetes": {"context": "prod", "buildsPodSecurity": "privileged"},
    "registry": {"tls": {"secretName": "given"}, "mirror": {}},
    "builds": [
        {"name": f"{builder}-{kind}", "builder": builder, "context": context}
        for builder in ("kaniko", "buildkit", "buildah")
        for kind, context in _SOURCES.items()
        if builder != "kaniko" or kind == "inline"
    ]
    + [
        {"name": f"{builder}-daily", "builder": builder, "context": _SOURCES["inline"], "schedule": "@daily"}
        for builder in ("buildkit", "buildah")
    ],
    "gitToken": "glpat-made-up-0123456789",
}
"""A stack whose builds have builders of all kinds beside each other, which takes a namespace for the neediest."""

LEAST: Mapping[str, Any] = {"registry": {"tls": {"secretName": "given"}, "garbageCollection": None}}
"""A registry alone, with a certificate that somebody else makes, and no collections."""


@dataclass(frozen=True)
class Pod:
    """A pod that some object makes."""

    owner: str
    """The object: kind and name."""

    namespace: str
    metadata: Mapping[str, Any]
    spec: Mapping[str, Any]


@dataclass(frozen=True)
class Stack:
    """All of a stack's objects."""

    name: str
    objects: Sequence[Mapping[str, Any]]

    def of(self, kind: str) -> list[Mapping[str, Any]]:
        """Give the objects of a kind."""
        return [each for each in self.objects if each["kind"] == kind]

    def pods(self) -> Iterator[Pod]:
        """Give every pod that an object makes, with the metadata that it would have."""
        for each in self.objects:
            spec = each.get("spec", {})
            template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
            if template is not None:
                metadata = each["metadata"]
                yield Pod(
                    owner=f"{each['kind']} {metadata['name']}",
                    namespace=metadata["namespace"],
                    metadata=template.get("metadata", {}),
                    spec=template["spec"],
                )

    def jobs(self) -> Iterator[Pod]:
        """Give the pod of a job, where there is a GitLab Runner: it makes them, and no object of the stack does."""
        for each in self.of("Secret"):
            if "config.toml" in each["stringData"]:
                found = gitlab.config(each["stringData"]["config.toml"])
                namespace = found["runners"][0]["kubernetes"]["namespace"]
                yield Pod(owner="GitLab job", namespace=namespace, metadata={}, spec=gitlab.job_pod(found))

    def text(self) -> str:
        """Give all objects as one file that kubectl would take. JSON is YAML, too."""
        return "".join(f"---\n{json.dumps(each, indent=1)}\n" for each in self.objects)


def committed(name: str) -> Stack:
    """Render a stack as its file has it."""
    [path] = [*ROOT.glob(f"stacks/Pulumi.{name}.yaml"), *ROOT.glob(f"examples/stacks/Pulumi.{name}.yaml")]
    found = yaml.safe_load(path.read_text())["config"]
    keys = {key.removeprefix(PREFIX): value for key, value in found.items()}
    if "gitlabRunner" in keys:
        keys["gitlabRunnerToken"] = RUNNER_TOKEN
    return render(name, **keys)


def everything(folder: Path) -> tuple[Stack, Stack]:
    """Render the stack that has everything: as its first update makes it, and as one does that finds no Jobs any more.

    folder: an empty one, for the certificates.
    """
    certificate, trusted = folder / "registry.pem", folder / "ca.pem"
    for path in (certificate, trusted):
        path.write_text(CERTIFICATE)
    keys = {
        **EVERYTHING,
        "kubernetes": {**EVERYTHING["kubernetes"], "trustedCaFile": str(trusted)},
        "registry": {**EVERYTHING["registry"], "tls": {"certificateFile": str(certificate)}},
        "gitlabRunner": {**EVERYTHING["gitlabRunner"], "caFile": str(trusted)},
    }
    outputs: dict[str, Any] = {}
    first = render("everything", outputs=outputs, **keys)
    return first, render("everything, again", last=outputs, **keys)


def render(
    name: str, *, last: Mapping[str, Any] | None = None, outputs: dict[str, Any] | None = None, **keys: Any
) -> Stack:
    """Render a stack with these keys.

    last: the outputs of the update before.
    outputs: is filled with the outputs of this one.
    """
    engine = Engine(preview=False)
    with contextlib.chdir(ROOT):
        made = deploy(engine, last=last, **{"registryPassword": REGISTRY_PASSWORD, **keys})
    if outputs is not None:
        outputs.update(made.outputs)
    found = [
        _object(request.type, engine.inputs[key])
        for key, request in engine.requests.items()
        if request.type.startswith("kubernetes:")
    ]
    return Stack(name, found)


def _object(token: str, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    sent: dict[str, Any] = _plain(inputs)
    # kubernetes:apps/v1:StatefulSet. The core group has a name in the token and none on the wire.
    group, kind = token.split(":")[1:]
    version = group.removeprefix("core/")
    given = str(sent["apiVersion"])
    short = f"{given.partition('/')[0].partition('.')[0]}/{given.partition('/')[2]}"
    assert (version in {given, short}, sent["kind"]) == (True, kind), token
    return sent


def _plain(value: Any) -> Any:
    bare = unwrap(value)
    if isinstance(bare, Mapping):
        return {key: _plain(part) for key, part in bare.items() if part is not None}
    if isinstance(bare, float) and bare.is_integer():
        # The engine's protocol has no whole numbers; the provider gives them back.
        return int(bare)
    return [_plain(part) for part in bare] if isinstance(bare, list) else bare
