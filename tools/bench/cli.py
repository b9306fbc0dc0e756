"""The command line of the benchmark: `python -m tools.bench`."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import docker.errors
import requests
import typer
from rich.console import Console

from ops import choice
from ops.clone import Clone, here, read_yaml
from tools.bench import machine, report
from tools.bench.engine import Engine, free_ports
from tools.bench.lab import IMAGE, NAMES, STACK, Lab
from tools.bench.measure import Deadline
from tools.bench.plan import Plan
from tools.bench.stats import LEAST_ROUNDS, missed
from tools.offline import binaries, images
from tools.toolchain import cache, console, docker_engine
from tools.toolchain.errors import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS: Final = 350
"""How long the measuring may take, by default. About 250 on two quiet cores."""
ROUNDS: Final = 11
"""Rounds of the previews, whose goal is a matter of some hundredths."""

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def bench(
    stack: Annotated[str, typer.Option(help="Whose settings the previews take. Default: dev, or offline.")] = "",
    rounds: Annotated[int, typer.Option(min=LEAST_ROUNDS, help="Most rounds of the previews.")] = ROUNDS,
    seconds: Annotated[int, typer.Option(min=60, help="Give up after this many.")] = SECONDS,
    write: Annotated[bool, typer.Option(help="Write docs/benchmarks.md.")] = True,  # noqa: FBT002 - an option
) -> None:
    """Measure this project beside bare programs, `pulumi up` and `docker run`. Fails when a goal is missed."""
    clone = here()
    with cache.locked(cache.root() / "bench.lock", "measuring"):
        base, why = _base(clone, stack)
        engine, docker = _prepare(clone, base)
        if machine.busy():
            console.note(f"other work is going on (load {os.getloadavg()[0]:.1f}): the figures will be of both")
        with _cleaned(engine) as root:
            lab = Lab(root, clone, base, free_ports(2 * len(NAMES)))
            about = machine.describe(lab.tools.origin, engine.version())
            found = Plan(lab, engine, Deadline(seconds), rounds=rounds, docker=docker).run()
    Console(width=None if sys.stdout.isatty() else 160).print(report.table(found, about))
    for sentence in report.verdict(found):
        console.note(sentence)
    if write:
        target = clone.root / "docs" / "benchmarks.md"
        cache.write(target, report.page(found, about, stack=why))
        console.note(f"written: {target.relative_to(clone.root)}")
    raise typer.Exit(1 if missed(found) else 0)


def _base(clone: Clone, named: str) -> tuple[str, str]:
    """Choose the stack whose settings the previews take, and say why."""
    if named:
        if not clone.committed(named).is_file():
            raise Trouble(f"There is no stack {named!r}.", f"Stacks here: {', '.join(clone.stacks())}", code=2)
        return named, f"The previews are of the stack `{named}`, which was asked for."
    docker_engine.ensure(choice.docker_host(_settings(clone, choice.USUAL)))
    trouble = choice.image_trouble(_settings(clone, choice.USUAL))
    if not trouble:
        return choice.USUAL, f"The previews are of the stack `{choice.USUAL}`."
    # Without the engine's own words, which name this machine's network.
    reason = trouble.partition(" (")[0]
    return choice.STAND_IN, (
        f"The previews are of the stack `{choice.STAND_IN}`, since {reason}. It differs from `{choice.USUAL}` in one "
        "resource: its image is a ready one, where the other's is built."
    )


def _settings(clone: Clone, stack: str) -> dict[str, Any]:
    return read_yaml(clone.committed(stack))


def _prepare(clone: Clone, base: str) -> tuple[Engine, Path]:
    """Get what is not to be measured: the engine, the images, a docker client."""
    host = choice.docker_host(_settings(clone, base))
    if not host.startswith("unix://"):
        raise Trouble(
            f"The engine of the stack {base} is at {host}.", "The benchmark needs one on this machine.", code=2
        )
    docker_engine.ensure(host)
    images.ensure(host)
    engine = Engine(host)
    engine.remove(NAMES)  # of a run that was killed
    engine.tag(images.CONTROLLER, IMAGE)
    client = shutil.which("docker")
    return engine, Path(client) if client else binaries.docker_cli()


@contextlib.contextmanager
def _cleaned(engine: Engine) -> Iterator[Path]:
    """Give a temporary folder; whatever happens, take it away and all that was deployed from it."""
    root = Path(tempfile.mkdtemp(prefix="ci-bench-"))
    whole = False
    try:
        yield root
        whole = True
    finally:
        # A second Ctrl-C must not leave a container behind.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if not whole:
            console.note("removing what the benchmark has made")
            time.sleep(1)  # the engine may be making a container for a plugin that has just been stopped
        with contextlib.ExitStack() as steps:  # each is done, even if one before it fails
            steps.callback(signal.signal, signal.SIGINT, signal.default_int_handler)
            steps.callback(shutil.rmtree, root, ignore_errors=True)
            for image in (IMAGE, f"ci-jenkins:{STACK}"):
                steps.callback(engine.remove_image, image)
            for name in NAMES:
                steps.callback(engine.remove, (name,))


def _end(number: int, _: object) -> NoReturn:
    sys.exit(128 + number)


def main() -> None:
    """Run the benchmark. 1: a goal is missed, or something failed; 2: usage; 130: Ctrl-C."""
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGHUP, _end)
    try:
        app()
    except Trouble as trouble:
        console.note(f"error: {trouble}")
        sys.exit(trouble.code)
    except (requests.RequestException, docker.errors.DockerException) as gone:
        console.note(
            f"error: the Docker engine does not do what it is asked: {gone}\n  See that `docker version` works."
        )
        sys.exit(1)
    except KeyboardInterrupt:
        console.note("stopped")
        sys.exit(130)
