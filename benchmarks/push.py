"""From a push to the pushed image, beside the most that it should take: the watcher's interval and two empty Jobs."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

from benchmarks.comparison import EMPTY, empty, job
from benchmarks.contexts import files
from benchmarks.kubernetes import Stack, builds
from benchmarks.model import Benchmark, Command, Options, Variant, static
from benchmarks.project import output
from components.labels import BUILD

EVERY_SECONDS: Final = 10
_FILES: Final = files("tiny", base="", mark="pushed", last="first")
_COMMIT: Final = """\
date +%N > last.txt && git add . &&
git -c user.name=bench -c user.email=bench@example.org commit --quiet --message bench && git push --quiet origin main"""
_PUSH: Final = f"""{_COMMIT} && head=$(git rev-parse --short=12 HEAD)
until job=$("$@" get job --output=name | grep -e "-$head-"); do sleep 0.2; done
"$@" wait --for=condition=complete --timeout=600s "$job"
"""


def push(options: Options, cleanup: ExitStack) -> Iterator[Benchmark]:
    """Deploy a stack that watches the branch `main` of the repository that the options name."""
    [plain] = builds(1)
    watched = {"name": "pushed", "destinations": ["pushed:1"], "onPush": {"everySeconds": EVERY_SECONDS}}
    watched["context"] = {"git": {"repository": options.repository}}
    clone = options.scratch / "clone"
    output(Command(words=("git", "clone", "--quiet", options.repository, str(clone))))
    for path, text in _FILES.items():
        (clone / path).parent.mkdir(exist_ok=True)
        (clone / path).write_text(text, encoding="utf-8")
    output(Command(words=("sh", "-c", f"git checkout --quiet -B main && {_COMMIT}"), cwd=clone))
    stack = Stack(options, cleanup, "push", {"ci:builds": [plain, {**plain, **watched}]})
    declared = {each["kind"]: each for each in stack.manifests() if each["metadata"]["labels"][BUILD] == plain["name"]}
    jobs = [job(stack, f"{EMPTY}-{each}", empty(declared["Job"]), declared["ConfigMap"]) for each in (1, 2)]
    kubectl = stack.kubectl("--namespace", stack.builds).words

    def most() -> Command:
        script = [f"sleep {EVERY_SECONDS}", *(put(_FILES).words[2] for put in jobs)]
        return Command(words=("sh", "-ec", "\n".join(script), "sh", *kubectl))

    pushed = Command(words=("sh", "-c", _PUSH, "sh", *kubectl), cwd=clone)
    variants = Variant("an interval and two empty Jobs", {"": most}), static("a push", pushed)
    title = f"From a push to the pushed image, tiny, asked every {EVERY_SECONDS} s"
    yield Benchmark(name="push", title=title, variants=variants, goals={"a push": 1.0})
