"""A BuildKit daemon that stays: its client as a Job beside an empty Job, and the client alone beside `docker build`.

The second comparison has no pod's start in it: `buildctl` runs in a pod that is there, as it does for somebody with a
client's certificate. Neither side pushes. And a push to a branch, beside the most that its build should take.
"""

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Final

from benchmarks.comparison import EMPTY, SIZES, TIMED, Files, Way, cluster_of, empty, engine, job, meter
from benchmarks.contexts import BASE, CONTEXTS, files, packed
from benchmarks.docker_host import remove
from benchmarks.kubernetes import Stack, build, builds
from benchmarks.model import Benchmark, Command, Options, Variant, static
from benchmarks.project import Project, output
from components.labels import BUILD

NAME: Final = "daemon"
DIRECT: Final = "buildctl"
_MEASURED: Final = ("tiny", "base")
_DIRECT: Final = TIMED.format(
    folder="/tmp/bench",  # noqa: S108 - in the container
    command="buildctl --tlsdir=$certificates --tlsservername=buildkit "
    "build --frontend=dockerfile.v0 --local=context=. --local=dockerfile=. --output=type=image,name=$0",
)

EVERY_SECONDS: Final = 10
_COMMIT: Final = """\
date +%N > last.txt && git add . &&
git -c user.name=bench -c user.email=bench@example.org commit --quiet --message bench && git push --quiet origin main"""
_PUSH: Final = f"""{_COMMIT} && head=$(git rev-parse --short=12 HEAD)
until job=$("$@" get job --output=name | grep -e "-$head-"); do sleep 0.2; done
"$@" wait --for=condition=complete --timeout=600s "$job"
"""


def daemon(options: Options, cleanup: ExitStack) -> Iterator[Benchmark]:
    """Deploy a stack with a daemon, and one with Jenkins and the host's engine."""
    cleanup.callback(remove)
    config = {
        "ci:kubernetes": cluster_of(options.cluster_stack, "buildkit"),
        "ci:buildkit": SIZES,
        "ci:builds": [build(NAME, BASE, builder="buildkit", cpuMillicores=2000, memoryMib=4096)],
    }
    stack = Stack(options, cleanup, NAME, config)
    declared = {each["kind"]: each for each in stack.manifests()}
    base = stack.image(NAME)
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


def push(options: Options, cleanup: ExitStack) -> Iterator[Benchmark]:
    """Deploy a stack that watches the branch `main` of the repository that the options name."""
    [plain], clone, tiny = builds(1), options.scratch / "clone", files("tiny", base="", mark="pushed", last="first")
    output(Command(words=("git", "clone", "--quiet", options.repository, str(clone))))
    output(Command(words=("tar", "-xf", "-"), cwd=clone), packed(tiny).decode())
    output(Command(words=("sh", "-c", f"git checkout --quiet -B main && {_COMMIT}"), cwd=clone))
    git = {"context": {"git": {"repository": options.repository}}, "onPush": {"everySeconds": EVERY_SECONDS}}
    watched = {**plain, **git, "name": "pushed", "destinations": ["pushed:1"]}
    stack = Stack(options, cleanup, "push", {"ci:builds": [plain, watched]})
    declared = {each["kind"]: each for each in stack.manifests() if each["metadata"]["labels"][BUILD] == plain["name"]}
    nothing = empty(declared["Job"], image=cluster_of(options.cluster_stack).get("gitImage", "alpine/git"))
    jobs = [job(stack, f"{EMPTY}-{each}", nothing, declared["ConfigMap"]) for each in (1, 2)]
    kubectl = stack.kubectl("--namespace", stack.builds).words

    def most() -> Command:
        script = [f"sleep {EVERY_SECONDS}", *(put(tiny).words[2] for put in jobs)]
        return Command(words=("sh", "-ec", "\n".join(script), "sh", *kubectl))

    a_push = static("a push", Command(words=("sh", "-c", _PUSH, "sh", *kubectl), cwd=clone))
    variants = Variant("an interval and two empty Jobs", {"": most}), a_push
    title = f"From a push to the pushed image, tiny, asked every {EVERY_SECONDS} s"
    yield Benchmark(name="push", title=title, variants=variants, goals={"a push": 1.0})
