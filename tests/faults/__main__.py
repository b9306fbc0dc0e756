"""Kills the verbs of a real stack, damages its files, runs verbs at one time, and does what the messages say.

A round is mended if `up` settles, and nothing is lost: the home's content and the password are the same. Each round has
a random generator of its own, so `--seed S --only damages --first 17 --rounds 1` repeats just that one. A round takes
some 20 seconds on two cores, all of them an hour, and no verb more than VERB_SECONDS.
"""

# ruff: noqa: T201 - this is a command that prints

import argparse
import os
import random
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import docker
import psutil

from tests.support import containers
from tests.support.names import PREFIX
from tests.support.verbs import Verbs, clone

NAME = f"{PREFIX}-faults"
HOST = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
STEPS = 8
"""How many verbs and repairs by hand a round may take until `up` has nothing to change."""
VERB_SECONDS = 240
ROUNDS = {"kills": 60, "damages": 60, "verbs": 30}
KILLED = ("up", "first up", "down", "recover", "backup", "restore", "preview")
TOGETHER = ("up", "down", "recover", "backup", "preview", "status")
FIELDS = {
    "a bit of a URN's name": rb'"urn":"[^"]*::([^":]+)"',
    "a bit of an id": rb'"id":"([^"]+)"',
    "a bit of a provider's reference": rb'"provider":"[^"]*::([^":]+)"',
    "a bit of a dependency": rb'"(?:dependencies":\["|parent":")[^"]*::([^":]+)"',
    "a bit of a secret": rb'"ciphertext":"v1:[^:]*:([^"]+)"',
    "a bit of a salt": rb'"salt":"v1:([^"]+)"',
    "a bit of a key": rb'"([a-zA-Z]+)":',
    "a bit": rb"([^\0]+)",
}
FILES = ("state", "state", "bak", "history", "backups", "record", "passphrase", "stack file", "lock", "all but history")
FOUND_FILES = {
    "state": "stacks/ci/offline.json",
    "bak": "stacks/ci/offline.json.bak",
    "history": "history/ci/offline/*.checkpoint.json",
    "record": "history/ci/offline/*.history.json",
    "backups": "backups/ci/offline/*.json",
}


class Trial:
    """A stack that is up, and what must still be there after each round."""

    def __init__(self, verbs: Verbs, engine: docker.DockerClient, scratch: Path) -> None:
        """Write into the home, and keep copies as an operator does: the passphrase, the stack's file, a backup."""
        self.verbs, self.engine, self.scratch = verbs, engine, scratch
        self.file = verbs.root / "stacks/Pulumi.offline.yaml"
        self.passphrase = verbs.root / ".local/passphrase"
        self.marker = secrets.token_hex(8)
        containers.inside(NAME, "sh", "-c", f"echo {self.marker} > /var/jenkins_home/marker")
        self.archive = scratch / "kept.zip"
        verbs.run("backup", "--file", str(self.archive))
        verbs.run("up")
        self.password = verbs.run("password").splitlines()[0]
        for path in (self.file, self.passphrase):
            shutil.copy(path, scratch)
        shutil.copytree(verbs.root / ".local", scratch / "local", symlinks=True)
        self.words: list[str] = []
        self.first = ["up"]

    def verb(self, *words: str) -> tuple[int, str]:
        """Run a verb; give its status and what it said."""
        self.words.append(words[0])
        with self.verbs.start(*words) as process:
            out, err = process.communicate("", timeout=VERB_SECONDS)
        return process.returncode, out + err

    def put_back(self) -> None:
        """Put back what an operator has a copy of."""
        shutil.copy(self.scratch / self.file.name, self.file)
        shutil.copy(self.scratch / self.passphrase.name, self.passphrase)

    def mend(self) -> str:
        """Do what the messages say until `up` changes nothing; give why that fails, or what is lost; else nothing."""
        words, self.first = self.first, ["up"]
        for _ in range(STEPS):
            status, text = self.verb(*words)
            if not status and "Nothing changed" in text:
                return self.lost()
            words = ["up"] if not status else self.obey(text)
            if not words:
                return f"nothing to do is named:\n{text[-1500:]}"
        return f"it does not settle in {STEPS} steps:\n{text[-1500:]}"

    def obey(self, text: str) -> list[str]:
        """Do what a message says; give the next verb, nothing where it says nothing."""
        if "from a copy" in text or "put the right one back" in text:
            self.put_back()
        elif self.file.name in text or "the settings of stack" in text:
            shutil.copy(self.scratch / self.file.name, self.file)
        elif "Run the restore again" in text:
            return ["restore", "--file", str(self.archive)]
        elif "make recover" in text:
            return ["recover"]
        elif busy := re.search(r"(?:pid|kill -INT|process) (\d+)", text):
            with suppress(psutil.Error):
                psutil.Process(int(busy[1])).wait(VERB_SECONDS)
        elif f"docker rm -f {NAME}" in text:
            self.engine.containers.get(NAME).remove(force=True)
        else:
            return []
        return ["up"]

    def lost(self) -> str:
        """What the stack does not have any more."""
        marker = containers.inside(NAME, "cat", "/var/jenkins_home/marker").strip()
        password = self.verbs.run("password").splitlines()[0]
        pairs = {"the home": (marker, self.marker), "the password": (password, self.password)}
        return ", ".join(f"{what} is lost" for what, (now, before) in pairs.items() if now != before)

    def begin_anew(self) -> None:
        """Bring the stack up as it was at first, after a round that failed."""
        self.put_back()
        with suppress(docker.errors.NotFound):
            self.engine.containers.get(NAME).remove(force=True)
        shutil.rmtree(self.verbs.root / ".local")
        shutil.copytree(self.scratch / "local", self.verbs.root / ".local", symlinks=True)
        self.verbs.run("recover")
        self.verbs.run("up")


def kill(trial: Trial, chance: random.Random) -> str:
    """Kill a verb, its Pulumi or both at a random time of the verb."""
    verb, victim, share = chance.choice(KILLED), chance.choice(("Pulumi", "the verb", "both")), chance.random()
    words = {"first up": ["up"], "backup": ["backup", "--file", str(trial.scratch / "new.zip")]}.get(verb, [verb])
    if verb in {"up", "recover", "preview"}:
        trial.verbs.edit(jenkins={"executors": chance.choice((3, 4, 5))})
    if verb in {"first up", "restore"}:
        trial.verbs.run("down")
    if verb == "restore":
        trial.engine.volumes.get(f"{NAME}-home").remove()
        words = ["restore", "--file", str(trial.archive)]
    if verb == "recover":
        _killed(trial, ["up"], "both", 2 + 4 * chance.random())
    (trial.scratch / "new.zip").unlink(missing_ok=True)
    seconds = share * {"down": 5, "preview": 5, "recover": 4, "backup": 8, "restore": 12}.get(verb, 9)
    ended = _killed(trial, words, victim, seconds)
    if verb == "restore" and not ended and not trial.engine.volumes.list(filters={"name": f"{NAME}-home"}):
        trial.first = words  # it has not begun; once it has, `up` asks for it
    shutil.copy(trial.scratch / trial.file.name, trial.file)
    return f"{verb}, {victim} after {seconds:.1f} s{' (it had ended)' if ended else ''}"


def _killed(trial: Trial, words: list[str], victim: str, seconds: float) -> bool:
    """Start a verb and kill it or its Pulumi after a time; give whether it had ended before."""
    with trial.verbs.start(*words) as process:
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return True
        whole = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for each in whole:
            with suppress(psutil.Error):
                is_verb = each.pid == process.pid
                if victim == "both" or is_verb == (victim == "the verb"):
                    each.kill()
        process.communicate(timeout=VERB_SECONDS)
    return False


def damage(trial: Trial, chance: random.Random) -> str:
    """Damage one file, or all of a kind."""
    where = chance.choice(FILES)
    backend = trial.verbs.root / ".local/state/.pulumi"
    if where == "lock":
        (folder := backend / "locks/organization/ci/offline").mkdir(parents=True, exist_ok=True)
        name = chance.choice(("a.json", "a.json.1f.tmp"))
        (folder / name).write_text(chance.choice(("", "{", '{"pid": 4194305, "hostname": "x"}', "\0" * 80)))
        return f"lock: {name}"
    names = [name for name in FOUND_FILES if name != "history"] if where == "all but history" else [where]
    paths = [max(backend.glob(FOUND_FILES[name])) for name in names if name in FOUND_FILES]
    paths = paths or [trial.passphrase if where == "passphrase" else trial.file]
    how = chance.choice((*FIELDS, *FIELDS, "cut", "empty", "gone", "zeros"))
    return f"{where}: {', '.join(_damaged(path, how, chance) for path in paths)}"


def _damaged(path: Path, how: str, chance: random.Random) -> str:
    content = path.read_bytes()
    if how in FIELDS:
        places = [match.span(1) for match in re.finditer(FIELDS[how], content)] or [(0, len(content))]
        start, end = chance.choice(places)
        place, bit = chance.randrange(start, end), 1 << chance.randrange(7)
        path.write_bytes(content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :])
        return f"{how}, {content[max(place - 30, 0) : place].decode(errors='replace')!r} is before it"
    if how == "gone":
        path.unlink()
    else:
        rest = {"cut": content[: chance.randrange(len(content))], "empty": b"", "zeros": bytes(len(content))}
        path.write_bytes(rest[how])
    return how


def together(trial: Trial, chance: random.Random) -> str:
    """Run two or three verbs at one time."""
    verbs = [chance.choice(TOGETHER) for _ in range(chance.choice((2, 3)))]
    started = []
    for number, verb in enumerate(verbs):
        words = [verb, "--file", str(trial.scratch / f"{number}.zip")] if verb == "backup" else [verb]
        (trial.scratch / f"{number}.zip").unlink(missing_ok=True)
        started.append(trial.verbs.start(*words))
        time.sleep(chance.uniform(0, 3))  # the fault itself: no two start together
    for process in started:
        with process:
            process.communicate("", timeout=VERB_SECONDS)
    return " + ".join(verbs)


FAULTS: dict[str, Callable[[Trial, random.Random], str]] = {"kills": kill, "damages": damage, "verbs": together}


def main() -> int:
    """Run the rounds and print a line for each, and the figures. Returns 1 if one was not mended."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--only", choices=ROUNDS, action="append")
    parser.add_argument("--first", type=int, default=1, help="the number of the first round")
    parser.add_argument("--rounds", type=int, help="how many of each kind; by default 60, 60 and 30")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    mended: dict[str, list[bool]] = {}
    with tempfile.TemporaryDirectory(prefix="ci-faults-") as folder:
        verbs = clone(Path(folder), "offline")
        verbs.edit(jenkins={"memoryMib": 512}, docker={"host": HOST})
        # `down` forgets a generated one.
        verbs.run("set", "ci:adminPassword", stdin=secrets.token_urlsafe(12))
        with verbs.deployed(NAME):
            (scratch := Path(folder) / "scratch").mkdir()
            trial = Trial(verbs, containers.client(HOST), scratch)
            for kind in given.only or ROUNDS:
                for number in range(given.first, given.first + (given.rounds or ROUNDS[kind])):
                    started, trial.words = time.monotonic(), []
                    what = FAULTS[kind](trial, random.Random(f"{given.seed}/{kind}/{number}"))
                    problem = trial.mend()
                    mended.setdefault(kind, []).append(not problem)
                    took = f"{' '.join(trial.words)}; {time.monotonic() - started:.0f} s"
                    print(f"{kind} {number}: {what}: {problem or 'mended'} ({took})", flush=True)
                    trial.begin_anew() if problem else trial.put_back()
    print("\n".join(f"{kind}: {sum(each)} of {len(each)} mended" for kind, each in mended.items()))
    return int(not all(map(all, mended.values())))


if __name__ == "__main__":
    sys.exit(main())
