"""The Docker platform: previews, updates with nothing to do, and the first one beside `docker run`."""

import dataclasses
import functools
import json
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any, Final

from benchmarks import bare
from benchmarks.model import PREFIX, Benchmark, Command, Options, Variant, static
from benchmarks.project import Program, Project, output, said

NAME: Final = f"{PREFIX}-jenkins"
"""Of the container and of its volume. Only one variant's is there at a time."""
IMAGE: Final = f"{NAME}:1"
"""The deployed container's image together with the files that were copied into the container."""
KEYS: Final = ("GroupAdd", "CapDrop", "CapAdd", "SecurityOpt", "Memory", "MemorySwap", "ShmSize")
"""The engine's names of a container's settings that `docker run` knows as options, as `--group-add`."""
LABEL: Final = "ci-bench"
"""Without the prefix of components/labels.py: the proxy lets no build give a label that has it."""
"""Of images that are built."""
_REMOVE: Final = f"""\
docker ps --all --quiet --filter name={PREFIX}- | xargs -r docker rm --force --volumes
docker volume ls --quiet --filter name={PREFIX}- | xargs -r docker volume rm --force
docker network ls --quiet --filter name={PREFIX} | xargs -r docker network rm
docker image ls --quiet --filter label={LABEL} | xargs -r docker image rm --force
"""
ENDS: Final = {
    "runs": f"""begun=$(date +%s.%N); "$@" || exit 1
started=$(date --date "$(docker inspect --format "{{{{.State.StartedAt}}}}" {NAME})" +%s.%N)
echo "bench-seconds $(echo "$begun $started" | awk '{{ print $2 - $1 }}')"
""",
    "is healthy": f""""$@" || exit 1
until [ "$(docker inspect --format "{{{{.State.Health.Status}}}}" {NAME})" = healthy ]; do sleep 0.02; done
""",
}
"""When a container is there. The engine makes its first health check one interval after the start."""


def docker_host(options: Options, cleanup: ExitStack) -> Iterator[Benchmark]:
    """Measure the stack that the options name."""
    project = Project(options.scratch, options.stack)
    remove()
    cleanup.callback(remove)
    ours = project.deploy("bench", {"ci:jenkins": jenkins(NAME)})
    plain = bare.program(project, ours)
    hosts = json.loads(output(docker("inspect", NAME)))[0]["HostConfig"]
    output(docker("commit", "--change", f"LABEL {LABEL}=", NAME, IMAGE))
    output(ours.pulumi("preview", "--expect-no-changes"))
    programs = {"bare program": plain, "this project": ours, "empty program": project.other("empty", "bench")}
    previews = tuple(static(name, each.pulumi("preview")) for name, each in programs.items())
    goals = {"this project": 1.05}
    title = f"Preview with nothing to do, stack `{options.stack}`"
    yield Benchmark(name="docker-preview", title=title, variants=previews, goals=goals)
    updates = (static("`pulumi up`", ours.up()), static("`make up`", ours.make("up")))
    yield Benchmark(name="docker-up", title="Update with nothing to do", variants=updates)
    clear(ours, plain)
    title = f"Preview with all to create, stack `{options.stack}`"
    yield Benchmark(name="docker-create", title=title, variants=previews, goals=goals)
    yield _first(ours, hosts)


def _first(ours: Program, hosts: Mapping[str, Any]) -> Benchmark:
    """Compare what leads from nothing to a container that runs, and to one that is healthy."""
    lines = {"`docker run`": docker("run", *run_words(hosts)), "`pulumi up`": ours.up()}

    def step(command: Command, script: str) -> Command:
        clear(ours)
        return dataclasses.replace(command, words=("sh", "-c", script, "sh", *command.words))

    variants = [
        Variant(name, {key: functools.partial(step, line, script) for key, script in ENDS.items()})
        for name, line in lines.items()
    ]
    title = "From nothing to a container that runs, and to a healthy one"
    return Benchmark(name="docker-first", title=title, variants=tuple(variants))


def clear(*programs: Program) -> None:
    """Remove what was deployed, and let the programs' states forget it."""
    for program in programs:
        state = program.export()
        program.load({**state, "deployment": {**state["deployment"], "resources": []}})
    output(docker("rm", "--force", "--volumes", NAME))
    output(docker("volume", "rm", "--force", NAME))


def remove() -> None:
    """Remove every container, volume, network and image of the benchmarks from the engine."""
    said("sh", "-c", _REMOVE)


def docker(*words: str) -> Command:
    """Give a docker command."""
    return Command(words=("docker", *words))


def run_words(hosts: Mapping[str, Any]) -> list[str]:
    """Give the words of `docker run` for a container's settings, as `docker inspect` shows them under HostConfig."""
    words = ["--detach", "--name", NAME, *(["--init"] if hosts.get("Init") else [])]
    for inside, ports in (hosts.get("PortBindings") or {}).items():
        words += [f"--publish={each['HostIp']}:{each['HostPort']}:{inside}" for each in ports]
    for key in KEYS:
        value, flag = hosts.get(key) or [], re.sub("(?<=[a-z])(?=[A-Z])", "-", key).lower()
        words += [f"--{flag}={each}" for each in (value if isinstance(value, list) else [value])]
    mounts = [f"{each['Source']}:{each['Target']}" for each in hosts.get("Mounts") or ()]
    words += [f"--volume={each}" for each in [*mounts, *(hosts.get("Binds") or ())]]
    return [*words, IMAGE]


def jenkins(name: str) -> dict[str, Any]:
    """Give settings of a Jenkins that meets no other one: names of its own, and a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return {"containerName": name, "homeVolume": name, "httpPort": probe.getsockname()[1], "agentPort": None}
