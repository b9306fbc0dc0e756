"""What is said of each way in words, once. Figures and rights are no part of it: they are measured, or read. Pure."""

from __future__ import annotations

import dataclasses
from typing import Final


@dataclasses.dataclass(frozen=True, kw_only=True)
class Words:
    """What is said of one way."""

    title: str
    """What it is, in a few words."""

    build: str
    """What carries a build out."""

    escape: str
    """What a build that breaks out of what it is given can reach."""

    choose: str
    """When to choose it."""

    at: str
    """What it costs, beside what was measured."""

    whose: str = ""
    """Whose host it is that its builds may read, where that is not Jenkins' own."""


WORDS: Final = {
    "socket": Words(
        title="the host's socket, mounted",
        build="the host's own engine",
        escape="root on the host, and without breaking out: any job may ask for a container that has the host's `/`",
        choose="Everyone who can change a job may be root on the host anyway: one team, one machine.",
        at="Jobs of different projects see and can remove each other's containers and images.",
    ),
    "dind": Words(
        title="Docker-in-Docker",
        build="an engine of the stack's own, in a container beside Jenkins",
        escape=(
            "the inner engine and all that it holds, without breaking out. From there root on the host, by what an "
            "engine needs of the host's kernel (to mount, to make namespaces), for whoever knows how"
        ),
        choose="Builds must not meet the host's own containers, images and cache, and they are trusted otherwise.",
        at="Its images and cache take disk a second time, and begin empty.",
    ),
    "tcp": Words(
        title="an engine elsewhere, by TCP with certificates of both sides",
        build="an engine on another host",
        escape="root on the host of that engine, and not on Jenkins' own",
        choose="There is a machine for nothing but builds, which may be thrown away and made anew.",
        at="Each context crosses the network, and whoever has the client's key is root over there.",
        whose="the engine's",
    ),
    "proxy": Words(
        title="the host's engine behind a proxy that filters",
        build="the host's own engine, asked through a filter",
        escape=(
            "the host's engine, as far as the filter lets it: containers without the host's folders, devices and "
            "namespaces, but of the host's kernel, and other projects' images. A gap in the filter, or in the engine "
            "behind it, is root on the host"
        ),
        choose=(
            "The socket would do, and a job must not be root on the host by one plain command. The first choice on a "
            "Docker host."
        ),
        at="What the filter does not know is refused, BuildKit among it; it is no sandbox for whoever means harm.",
    ),
    "kaniko": Words(
        title="Kaniko in a Job",
        build="a pod that is root of its own container, without an engine",
        escape=(
            "the pod's own container, as its root with few capabilities; for more it takes a hole in the node's "
            "kernel. It reaches the pod's logins to the registry"
        ),
        choose=(
            "Builds come from people who must not be root anywhere, and a cluster is there. The first choice on "
            "Kubernetes where namespaces enforce `baseline`."
        ),
        at="Every build unpacks its base anew, and a layer that is in the cache is pulled to be used.",
    ),
    "buildkit": Words(
        title="BuildKit without root, in a Job",
        build="a pod that is an ordinary user, with a user namespace inside it",
        escape=(
            "an ordinary user of the node, whose system calls are not filtered: more of the kernel lies open to it "
            "than with Kaniko. It reaches the pod's logins to the registry"
        ),
        choose=(
            "Dockerfiles use what only BuildKit knows (`RUN --mount`, here-documents), and the namespace may be "
            "`privileged`."
        ),
        at="The node must let users make user namespaces.",
    ),
    "buildah": Words(
        title="Buildah in a Job",
        build="a pod that is root of its own container, and makes a user namespace in it",
        escape=(
            "the pod's own container, as its root with few capabilities and without a filter of system calls; for more "
            "it takes a hole in the node's kernel, of which more lies open than with Kaniko. It reaches the pod's "
            "logins to the registry"
        ),
        choose="A Dockerfile that Kaniko can't build must be built under `baseline`, or the team uses Podman already.",
        at=(
            "The node must let pods make user namespaces; where its kernel lets them mount no overlays, whole layers "
            "are copied."
        ),
    ),
}

QUESTIONS: Final = (
    (
        "May each of them be root on the machine that builds? Then a Docker engine will do:",
        (
            ("the least to run", "socket"),
            ("the same engine, without the plain ways to root on the host", "proxy"),
            ("builds must not meet the host's own images and containers", "dind"),
            ("the machine that builds is another one than that of the CI", "tcp"),
        ),
    ),
    (
        "May they not? Then no engine will do, whatever stands before it, and builds belong into pods:",
        (
            ("the namespace enforces `baseline`, as most may", "kaniko"),
            ("it enforces `baseline`, and the Dockerfile is one that Kaniko can't build", "buildah"),
            ("Dockerfiles need BuildKit, and the namespace may be `privileged`", "buildkit"),
        ),
    ),
)
"""What to ask, and by the answer which way to choose."""
