"""The requests of the engine's API that a Docker pipeline needs, and no others.

What the docker client asks for the commands of the plugin Docker Pipeline (build, inspect, run, top, exec, logs, port,
stop, rm, tag, push, pull, login, info, version, images, rmi), read off the wire, with `ps` and with the `kill` by which
the client passes a job's end on.
"""

from dataclasses import dataclass
from typing import Final

_CONTAINER: Final = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
_IMAGE: Final = r"[A-Za-z0-9][A-Za-z0-9_.:@/-]*"
_VERSION: Final = r"(?:/v1\.(?:4[1-9]|[5-9][0-9]))?"
"""From 1.41 on, the engine 20.10's. Older ones mean other things by the same requests: up to 1.23, starting a container
takes a configuration that could make it privileged."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One kind of request that is let through."""

    methods: str
    """`GET`, or several with `|` between."""

    path: str
    """Without a version. `{container}` and `{image}` stand for one name; that of an image may have `/` in it."""

    query: tuple[str, ...] = ()
    """The keys that it may ask with, each with any value, or with those that stand behind its `=`: an expression."""

    body: bool = False
    """Whether its body is looked at: the JSON that says what a container or a command in it may do."""

    @property
    def place(self) -> str:
        """A regular expression (PCRE) for the path, with a version or without, and for nothing after it."""
        return _VERSION + self.path.replace(".", r"\.").format(container=_CONTAINER, image=_IMAGE)

    @property
    def expression(self) -> str:
        """A regular expression (PCRE) that matches `METHOD /path?query` of this call, whole."""
        keys = "|".join(key if "=" in key else f"{key}=[^&;]*" for key in self.query)
        query = rf"(?:\?(?:(?:{keys})(?:&|$))*)?" if keys else r"\??"
        return f"^(?:{self.methods}) {self.place}{query}$"


_BUILD: Final = (
    "buildargs", "buildid", "cachefrom", "cgroupparent=", "cpuperiod", "cpuquota", "cpusetcpus", "cpusetmems",
    "cpushares", "dockerfile", "extrahosts", "forcerm", "labels", "memory", "memswap",
    "networkmode=(?:default|bridge|none)?", "nocache", "platform", "pull", "q", "rm", "shmsize", "squash", "t",
    "target", "ulimits", "version=1?",
)  # fmt: skip
"""Of the old builder, which runs nothing but the Dockerfile's steps. Not: `remote`, by which the engine fetches from
addresses that it alone may reach; `securityopt`; `version=2`, which is BuildKit."""

CALLS: Final = (
    Call(methods="GET|HEAD", path="/_ping"),
    Call(methods="GET", path="/info"),
    Call(methods="GET", path="/version"),
    Call(methods="POST", path="/auth"),
    Call(methods="POST", path="/build", query=_BUILD),
    Call(methods="GET", path="/images/json", query=("all", "digests", "filter", "filters", "manifests", "shared-size")),
    Call(methods="POST", path="/images/create", query=("fromImage", "platform", "tag")),
    Call(methods="GET", path="/images/{image}/json", query=("manifests", "platform")),
    Call(methods="POST", path="/images/{image}/tag", query=("repo", "tag")),
    Call(methods="POST", path="/images/{image}/push", query=("platform", "tag")),
    Call(methods="DELETE", path="/images/{image}", query=("force", "noprune", "platforms")),
    Call(methods="GET", path="/containers/json", query=("all", "before", "filters", "limit", "since", "size")),
    Call(methods="POST", path="/containers/create", query=("name", "platform"), body=True),
    # `docker inspect IMAGE` asks for a container of that name first, and looks for an image only after a 404. The
    # engine gives that answer best, so an image's name is let through here.
    Call(methods="GET", path="/containers/{image}/json", query=("size",)),
    Call(methods="GET", path="/containers/{container}/top", query=("ps_args",)),
    Call(
        methods="GET",
        path="/containers/{container}/logs",
        query=("details", "follow", "since", "stderr", "stdout", "tail", "timestamps", "until"),
    ),
    Call(
        methods="POST",
        path="/containers/{container}/attach",
        query=("detachKeys", "logs", "stderr", "stdin", "stdout", "stream"),
    ),
    Call(methods="POST", path="/containers/{container}/start", query=("detachKeys",)),
    Call(methods="POST", path="/containers/{container}/stop", query=("signal", "t")),
    Call(methods="POST", path="/containers/{container}/kill", query=("signal",)),
    Call(methods="POST", path="/containers/{container}/wait", query=("condition",)),
    Call(methods="DELETE", path="/containers/{container}", query=("force", "link", "v")),
    Call(methods="POST", path="/containers/{container}/exec", body=True),
    Call(methods="POST", path="/exec/{container}/start"),
    Call(methods="GET", path="/exec/{container}/json"),
)

HIDDEN: Final = (
    rf"^GET {_VERSION}/(?:networks|volumes|services|tasks|nodes|plugins|secrets|configs)/{_IMAGE}(?:/json)?(?:\?.*)?$"
)
"""What `docker inspect NAME` asks when there is neither such a container nor such an image. Answered as by an engine
that has none: a refusal would end the client's search with other words than "No such object"."""
