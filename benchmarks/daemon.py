"""A BuildKit daemon that stays: its client as a Job beside an empty Job, and the client alone beside `docker build`.

The second comparison has no pod's start in it: `buildctl` runs in a pod that is there, as it does for somebody with a
client's certificate. Neither side pushes.
"""

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Final

from benchmarks.comparison import EMPTY, TIMED, Files, Way, cluster_of, empty, engine, job, meter
from benchmarks.contexts import BASE, CONTEXTS, packed
from benchmarks.docker_host import remove
from benchmarks.kubernetes import Stack, build
from benchmarks.model import Benchmark, Command, Options
from benchmarks.project import Project, output
from components.labels import BUILD

NAME: Final = "daemon"
DIRECT: Final = "buildctl"
_MEASURED: Final = ("tiny", "base")
_SIZES: Final = {"storageGib": 4, "cpuMillicores": 2000, "memoryMib": 4096}
_DIRECT: Final = TIMED.format(
    folder="/tmp/bench",  # noqa: S108 - in the container
    command="buildctl --tlsdir=$certificates --tlsservername=buildkit "
    "build --frontend=dockerfile.v0 --local=context=. --local=dockerfile=. --output=type=image,name=$0",
)


def daemon(options: Options, cleanup: ExitStack) -> Iterator[Benchmark]:
    """Deploy a stack with a daemon, and one with Jenkins and the host's engine."""
    cleanup.callback(remove)
    config = {
        "ci:kubernetes": cluster_of(options.cluster_stack, "buildkit"),
        "ci:buildkit": _SIZES,
        "ci:builds": [build(NAME, BASE, builder="buildkit", cpuMillicores=2000, memoryMib=4096)],
    }
    stack = Stack(options, cleanup, NAME, config)
    registry = json.loads(output(stack.program.pulumi("stack", "output", "registryInCluster", "--json")))
    declared = {each["kind"]: each for each in stack.manifests()}
    base = f"{registry}/{NAME}:1"
    ways = (
        Way(EMPTY, "", job(stack, EMPTY, empty(declared["Job"]), declared["ConfigMap"])),
        Way(NAME, base, job(stack, NAME, declared["Job"], declared["ConfigMap"])),
    )
    direct = (
        engine(Project(options.scratch / "docker", options.stack), options, "socket"),
        Way(DIRECT, base, _client(stack, declared["Job"])),
    )
    for context in _MEASURED:
        for kind, pair, goal in (("daemon", ways, 1.4), ("direct", direct, 1.5)):
            yield Benchmark(
                name=f"{kind}-{context}",
                title=f"{context}, {CONTEXTS[context]}: {' beside '.join(way.name for way in reversed(pair))}",
                variants=tuple(way.variant(context) for way in pair),
                goals={pair[1].name: goal},
            )


def _client(stack: Stack, declared: dict[str, Any]) -> Callable[[Files], Command]:
    """Start the pod of a build's Job with nothing to do, and give what builds files in it."""
    spec = json.loads(json.dumps(declared["spec"]["template"]["spec"]))
    container = next(each for each in spec["containers"] if each["name"] == DIRECT)
    container |= {"command": ["sleep", "36000"], "args": []}
    certificates = next(each["mountPath"] for each in container["volumeMounts"] if each["name"] == "buildkit")
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": DIRECT, "namespace": stack.builds}, "spec": spec}
    labels = declared["spec"]["template"]["metadata"]["labels"]
    # By this label `job` removes what built before.
    pod["metadata"]["labels"] = {key: value for key, value in labels.items() if key != BUILD}
    output(stack.kubectl("create", "--filename", "-"), json.dumps(pod))
    output(
        stack.kubectl("wait", "--namespace", stack.builds, f"pod/{DIRECT}", "--for=condition=ready", "--timeout=120s")
    )
    inside = ("exec", "--namespace", stack.builds, "--stdin", DIRECT, "--", "sh", "-c")

    def put(contents: Files) -> Command:
        output(stack.kubectl(*inside, "rm -rf /tmp/bench && tar -xf - -C /tmp"), packed(contents, "bench/").decode())
        run = stack.kubectl(*inside, f"certificates={certificates}\n{_DIRECT}", "direct:1")
        return dataclasses.replace(run, meter=meter())

    return put
