"""Waits for Jenkins' builds before an update replaces a container that they need.

Those are the controller's, the agents', and the engine's or proxy's beside them. In quiet mode Jenkins starts no build,
and each branch of a pipeline pauses before its next step. A paused one goes on after the start; a plain `sh` step that
runs in that container would be lost.

It is no hook of Pulumi's. A hook before a deletion makes a plain `pulumi destroy` fail, and one before an update would
have to sit on a resource that is saved although the replacement behind it fails. So the program itself compares: the
digests of the inputs now with those that a Stash has, which is written once all of the containers are there.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import pulumi
from pulumi.output import contains_unknowns

from .. import state
from ..jenkins.builds import Builds, NoJenkinsError, StartingError

_DEPLOYED: Final = "deployed"
"""The end of the name of the Stash with the digests, and with what reaches the Jenkins that they are of."""

_POLL_SECONDS: Final = 2.0
_AWAY_SECONDS: Final = 10
"""How long Jenkins may be away before the update goes on without waiting."""

_START_SECONDS: Final = 120
"""How long Jenkins may be starting before that. Builds on agents go on while it does."""

_KINDS: Final = frozenset(
    {f"docker:index/{each}" for each in ("container:Container", "network:Network", "volume:Volume")}
)
"""What is held back. The plugin removes a network or a volume after the containers that use it."""

_IN_PLACE: Final = frozenset({"destroy_grace_seconds", "labels", "restart", "wait_timeout"})
"""Inputs of which a change replaces nothing."""

_FAILURES: Final = (OSError, ValueError, KeyError, TypeError)


class Drain:
    """Holds back what replaces the containers of one Jenkins until its builds have ended or paused."""

    def __init__(
        self, name: str, inside: pulumi.ResourceOptions, *, host: str, seconds: int, removes: bool = False
    ) -> None:
        """Read what the last update deployed.

        name: of the CI. inside: the options of what is in it. host: the engine's address now. seconds: how long to wait
        at most; 0 does not. removes: the CI has no Jenkins any more, so the deployed one goes at the update's end.
        """
        self._name, self._inside = name, inside
        self._host, self._seconds, self._removes = host, seconds, removes
        self._digests: dict[str, pulumi.Output[str]] = {}
        self._held: list[pulumi.Resource] = []
        self._last = _last(name)
        self._waiting: asyncio.Future[None] | None = None
        if removes and self._last is not None:
            self._hold("controller", None)

    def hold(self, args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        """Let a container, its network or volume be registered after the wait, if its inputs changed.

        It is a transformation of the components whose containers builds need.
        """
        if args.type_ not in _KINDS or args.opts.retain_on_delete:
            return None
        inputs = {key: value for key, value in args.props.items() if key not in _IN_PLACE}
        self._held.append(args.resource)
        after = pulumi.ResourceOptions(depends_on=self._hold(args.name.removeprefix(f"{self._name}-"), inputs))
        return pulumi.ResourceTransformationResult(args.props, pulumi.ResourceOptions.merge(args.opts, after))

    def keep(self, url: str, user: str, password: pulumi.Input[str] | None) -> None:
        """Register the Stash, once all that was held back is there."""
        value = {"inputs": self._digests, "url": url, "user": user, "password": password}
        after = pulumi.ResourceOptions.merge(self._inside, pulumi.ResourceOptions(depends_on=self._held))
        pulumi.Stash(f"{self._name}-{_DEPLOYED}", input=pulumi.Output.secret(value), opts=after)

    def _hold(self, name: str, inputs: object) -> pulumi.Output[list[pulumi.Resource]]:
        digest = pulumi.Output.from_input([self._host, inputs]).apply(_digest, run_with_unknowns=True)
        self._digests[name] = digest

        async def wait(now: str) -> list[pulumi.Resource]:
            last = (self._last or {}).get("inputs")
            # What an earlier version deployed has no digest. What is new replaces nothing.
            if self._seconds and self._last and (last is None or last.get(name, now) != now or self._removes):
                self._waiting = self._waiting or asyncio.ensure_future(self._wait(self._last))
                await self._waiting
            return []

        return digest.apply(wait)

    async def _wait(self, last: Mapping[str, Any]) -> None:
        builds = Builds(last["url"], last["user"], last["password"])
        with _noted(builds.url, "would go" if pulumi.runtime.is_dry_run() else "goes"):
            if pulumi.runtime.is_dry_run():
                if busy := await self._at_work(builds):
                    pulumi.log.warn(f"The update waits for Jenkins' builds {', '.join(busy)}: {self._bound}")
                return
            # The other questions are asked of a Jenkins that has answered.
            await asyncio.wait_for(self._drain(builds), self._seconds + 3 * _AWAY_SECONDS)

    async def _drain(self, builds: Builds) -> None:
        end = time.monotonic() + self._seconds
        before = await self._at_work(builds)
        await asyncio.to_thread(builds.quiet, on=True)
        if self._removes:
            pulumi.log.info(f"Jenkins at {builds.url} starts no builds any more, since the update removes it.")
        else:
            builds.guard()
        if before:
            pulumi.log.info(f"waiting for Jenkins' builds {', '.join(before)}: {self._bound}")
        await asyncio.sleep(_POLL_SECONDS)  # a step that begins as quiet mode does is seen a moment later
        while (busy := await asyncio.to_thread(builds.at_work)) and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)
        if busy:
            pulumi.log.warn(f"The update goes on. These builds may lose a plain `sh` step: {', '.join(busy)}")

    async def _at_work(self, builds: Builds) -> list[str]:
        end = time.monotonic() + min(self._seconds, _START_SECONDS)
        while True:
            try:
                return await asyncio.to_thread(builds.at_work)
            except StartingError:
                if time.monotonic() >= end:
                    raise
            await asyncio.sleep(_POLL_SECONDS)

    @property
    def _bound(self) -> str:
        return f"at most {self._seconds} s (ci:jenkins.drainSeconds)"


def _last(name: str) -> Mapping[str, Any] | None:
    """Return what reaches the Jenkins of the last update, and the digests if that update kept them."""
    last = state.of_root(name)
    # Its output is the value of its first day. Before a CI was one component, its name was not in front.
    ends = (f":Stash::{name}-{_DEPLOYED}", f":Stash::{_DEPLOYED}")
    stashes = (each["outputs"]["input"] for urn, each in last.resources.items() if urn.endswith(ends))
    kept: Mapping[str, Any] | None = next(stashes, None)
    if kept is None:
        outputs = last.outputs
        kept = {"url": outputs.get("url"), "user": outputs.get("adminUser"), "password": outputs.get("adminPassword")}
    return kept if kept.get("url") and kept.get("password") else None


def _digest(inputs: object) -> str:
    """Return a digest; an empty one while a preview does not know all of the inputs, since then some change."""
    if contains_unknowns(inputs):
        return ""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, default=vars).encode()).hexdigest()


@contextmanager
def _noted(url: str, goes: str) -> Iterator[None]:
    try:
        yield
    except NoJenkinsError:
        return
    except (*_FAILURES, TimeoutError) as error:
        reason = str(error) or type(error).__name__
        pulumi.log.warn(
            f"Jenkins at {url} can't be asked for its builds ({reason}). The update {goes} on without waiting."
        )
