"""Whether Jenkins has the jobs that a stack names. It starts without those that it refuses."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import SecretStr

from ops import engine
from ops.finding import Finding
from ops.jenkins import AwayError, Jenkins
from ops.settings import stack_password
from ops.stack import Stack
from ops.toolchain.console import OpsError

AWAY_SECONDS = 10
"""How long Jenkins may be away. Its container is healthy by then."""


def examine(stack: Stack, found: Mapping[str, Any]) -> Iterator[Finding]:
    """Find whether Jenkins has each job of the stack. found: the outputs of the stack, whose container is healthy."""
    if found.get("setup") != "casc" or engine.is_stand_in(stack.settings, found["container"]):
        return
    password = SecretStr(stack_password(stack))
    try:
        with Jenkins(found["url"], found["adminUser"], password, away_seconds=AWAY_SECONDS) as jenkins:
            yield from compare(jenkins, found["jobs"], found["container"])
    except AwayError as away:
        # The port of a Jenkins on another host may be open on that host alone.
        yield Finding("jobs", f"not known. {away.what}", "BAD" if stack.settings.docker.is_local else "note")
    except OpsError as failed:
        yield Finding("jobs", f"not known. {failed.what}", "BAD", failed.remedy)


def compare(jenkins: Jenkins, wanted: list[str], container: str) -> Iterator[Finding]:
    """Find which of the wanted jobs Jenkins refused, or does not have."""
    there, refused = jenkins.jobs()
    for line in refused:
        yield Finding("jobs", line, "BAD", f"The whole reason: docker logs {container}")
    missing = [name for name in wanted if name not in there and not any(f" job {name}: " in line for line in refused)]
    if missing:
        seen = f"Jenkins has no {', '.join(missing)}"
        yield Finding("jobs", seen, "BAD", f"docker restart {container} makes it again, or its log says why not")
    if not missing and not refused:
        yield Finding("jobs", f"Jenkins has all {len(wanted)} of the stack")
