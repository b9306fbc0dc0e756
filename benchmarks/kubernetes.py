"""The Kubernetes platform: previews with nothing to do by number of builds, and twenty builds beside `kubectl`."""

import functools
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any, Final

from benchmarks import bare
from benchmarks.model import PREFIX, Benchmark, BenchmarkError, Command, Options, Variant, static
from benchmarks.project import Project, merged, output
from components.labels import BUILD

SIZES: Final = (1, 20, 100)
"""How many builds the stacks of the previews have."""
MORE: Final = 20
"""How many builds are added at once."""
PORT: Final = 31900
"""The NodePort of the registry, which is one of 30000 to 32767."""


class Stack:
    """A stack of this project in the cluster, in namespaces of its own."""

    def __init__(self, options: Options, cleanup: ExitStack, name: str, config: Mapping[str, Any]) -> None:
        """Deploy it with the cluster's stack's settings and these on top. Raises BenchmarkError without a cluster."""
        self.kubeconfig, self.namespace, self.builds = options.kubeconfig, f"{PREFIX}-{name}", f"{PREFIX}-{name}-builds"
        if not self.kubeconfig.is_file():
            raise BenchmarkError(f"{self.kubeconfig} does not exist: `make lab` makes it, or give --kubeconfig")
        self.project = Project(options.scratch / name, options.cluster_stack)
        own = {
            "ci:kubernetes": {
                "kubeconfig": str(options.kubeconfig),
                "namespace": self.namespace,
                # The same however many builds there are: a change of it would be one more thing to do.
                "quota": {"cpuMillicores": 100_000, "memoryMib": 200_000},
            },
            "ci:registry": {"nodePort": PORT, "storageGib": 10},
        }
        self._remove()  # what a run left that was killed
        cleanup.callback(self._remove)
        self.program = self.project.deploy(name, merged(own, config))

    def kubectl(self, *words: str) -> Command:
        """Give a kubectl command for the cluster."""
        return Command(words=("kubectl", "--kubeconfig", str(self.kubeconfig), *words))

    def image(self, name: str) -> str:
        """Give the image of a build, as pods name it: by its digest, since each later build takes the tag."""
        found = json.loads(output(self.program.pulumi("stack", "output", "--json")))
        return f"{found['registryInCluster']}/{found['images'][name].rpartition('/')[2]}"

    def _remove(self) -> None:
        """Delete its namespaces, and wait until they are gone."""
        names = (self.namespace, self.builds, f"{self.namespace}-buildkit")
        output(self.kubectl("delete", "namespace", "--ignore-not-found", "--timeout=300s", *names))

    def manifests(self) -> list[dict[str, Any]]:
        """Give the Jobs and contexts of its builds, as kubectl applies them."""
        wanted = {"kubernetes:batch/v1:Job", "kubernetes:core/v1:ConfigMap"}
        resources = self.program.export()["deployment"]["resources"]
        found = [bare.plain(each["inputs"]) for each in resources if each["type"] in wanted]
        return [each for each in found if BUILD in (each["metadata"].get("labels") or {})]


def build(name: str, files: Mapping[str, str], builder: str = "kaniko", **resources: int) -> dict[str, Any]:
    """Give the settings of a build of these files."""
    own = {"name": name, "builder": builder, "destinations": [f"{name}:1"], "context": {"inline": dict(files)}}
    return {**own, "resources": resources or {"cpuMillicores": 500, "memoryMib": 512}}


def builds(count: int) -> list[dict[str, Any]]:
    """Give the settings of small builds, each with a context of its own: two files, a base image, one layer."""
    dockerfile = "FROM alpine:latest\nCOPY a.txt /a.txt\n"
    return [build(f"b{each:03}", {"Dockerfile": dockerfile, "a.txt": f"{each}\n"}) for each in range(count)]


def previews(size: int, options: Options, cleanup: ExitStack) -> Iterator[Benchmark]:
    """Measure previews with nothing to do of a stack with so many builds."""
    stack = Stack(options, cleanup, f"n{size}", {"ci:builds": builds(size)})
    ours = stack.program
    plain = bare.program(stack.project, ours)
    limited = stack.project.other("default_client", ours.stack)
    shutil.copy(ours.settings, limited.settings)
    limited.load(ours.export())
    output(limited.up())  # only its provider differs
    for program in (ours, limited):
        output(program.pulumi("preview", "--expect-no-changes"))
    title = f"Preview with nothing to do, {size} build{'s' if size > 1 else ''}"
    names = {"bare program": plain, "this project": ours}
    variants = tuple(static(name, program.pulumi("preview")) for name, program in names.items())
    yield Benchmark(name=f"kubernetes-{size}", title=title, variants=variants, goals={"this project": 1.05})
    variants = (static("default client settings", limited.pulumi("preview")), variants[1])
    title = f"{title}, the provider's client"
    goals = {"this project": 0.65} if size == SIZES[-1] else {}
    yield Benchmark(name=f"kubernetes-client-{size}", title=title, variants=variants, goals=goals)


def many(options: Options, cleanup: ExitStack) -> Iterator[Benchmark]:
    """Measure how long twenty small builds take that are added to a stack with one."""
    stack = Stack(options, cleanup, "many", {"ci:builds": builds(1)})
    ours = stack.program
    before = ours.export()
    ours.configure({"ci:builds": builds(1 + MORE)})
    output(ours.make("up"))
    old, found = builds(1)[0]["name"], stack.manifests()
    items = [each for each in found if each["metadata"]["labels"][BUILD] != old]
    file = options.scratch / "builds.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}), encoding="utf-8")
    selector = f"{BUILD},{BUILD}!={old}"
    wait = ("wait", "job", "--namespace", stack.builds, "--selector", selector)
    words = stack.kubectl().words
    script = f'"$@" apply -f {file} && "$@" {" ".join(wait)} --for=condition=complete --timeout=900s'
    lines = {"`kubectl`": Command(words=("sh", "-c", script, "sh", *words)), "`pulumi up`": ours.up()}
    lines["`make up`"] = ours.make("up")

    def unbuilt(command: Command) -> Command:
        delete = ("delete", "job,configmap,pod", "--namespace", stack.builds, "--selector", selector)
        output(stack.kubectl(*delete, "--wait=true", "--timeout=300s"))
        ours.load(before)
        return command

    variants = tuple(Variant(name, {"": functools.partial(unbuilt, command)}) for name, command in lines.items())
    title = f"{MORE} builds added, until all are pushed"
    yield Benchmark(name="kubernetes-builds", title=title, variants=variants, goals={"`make up`": 1.1})
