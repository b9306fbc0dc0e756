"""`python -m ops` in a clone of its own, the way an operator uses it."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import yaml

from tests.support import jenkins
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]


class Verbs:
    """The verbs on one stack of one clone."""

    def __init__(self, root: Path, stack: str) -> None:
        """Take a clone that is there; see `clone`."""
        self.root, self.stack = root, stack
        self.first = ""
        """What the `up` of `deployed` printed."""
        # The clone's own backend, whoever runs the tests.
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
        self.env |= {"YES": "1", "PULUMI_CREDENTIALS_PATH": str(root / "nobody")}

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a verb on the stack."""
        command = [sys.executable, "-m", "ops", words[0], "--stack", self.stack, *words[1:]]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=self.root, env=self.env, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def run(self, *words: str, stdin: str = "", status: int | None = 0) -> str:
        """Run a verb on the stack, and give what it printed, stdout first. A status of None is any but 0."""
        with self.start(*words) as process:
            out, err = process.communicate(stdin, timeout=400)
        assert process.returncode == status if status is not None else process.returncode, out + err
        return out + err

    def plain(self, words: str) -> str:
        """Run plain Pulumi on the stack, as somebody without `make` does; give what it printed."""
        line = f'eval "$({sys.executable} -m ops env --stack {self.stack})" && pulumi {words} --stack {self.stack}'
        done = subprocess.run(
            ["/bin/sh", "-c", line],
            cwd=self.root,
            env=self.env,
            text=True,
            capture_output=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def kill_pulumi_when(self, condition: Callable[[], object], *words: str) -> int:
        """Start a verb, and kill its Pulumi without warning when a condition holds; give the verb's status."""
        with self.start(*words) as process:
            eventually(lambda: condition() or process.poll() is not None, seconds=240)
            assert process.poll() is None, process.communicate()
            [lock] = (self.root / ".local/state/.pulumi/locks").rglob("*.json")
            os.kill(json.loads(lock.read_text())["pid"], signal.SIGKILL)
            process.communicate(timeout=120)
        return process.returncode

    def killed_when(self, ask: Callable[[], Any], *words: str) -> None:
        """Start a verb, and kill it once something is so."""
        with self.start(*words) as process:
            eventually(ask, seconds=120, every=0)  # a copy takes some tenths of a second
            assert process.poll() is None, process.communicate()
            process.kill()
            process.communicate()

    @contextmanager
    def deployed(self, container: str, *volumes: str, **sections: Any) -> Iterator[Self]:
        """Bring the stack up under a container's name and free ports; in the end remove it, its home and volumes."""
        home = f"{container}-home"
        names = {"containerName": container, "homeVolume": home, "httpPort": free_port(), "agentPort": free_port()}
        self.edit(jenkins=names)
        self.edit(**sections)
        try:
            self.first = self.run("up")
            yield self
        finally:
            self.run("recover")
            self.run("down")
            subprocess.run(["docker", "volume", "rm", "--force", home, *volumes], check=True, capture_output=True)

    @property
    def keys(self) -> dict[str, Any]:
        """The settings in the stack's file."""
        return dict(yaml.safe_load(self._file.read_text())["config"])

    @property
    def _file(self) -> Path:
        return self.root / "stacks" / f"Pulumi.{self.stack}.yaml"

    def edit(self, **sections: Any) -> None:
        """Lay these settings over the stack's file, as an editor would; `docker` is ci:docker."""
        content = yaml.safe_load(self._file.read_text())
        self._file.write_text(yaml.safe_dump({**content, "config": _laid(content["config"], sections)}))


def _laid(config: dict[str, Any], sections: Mapping[str, Any]) -> dict[str, Any]:
    """Lay sections over a stack file's config, one level deeper as well; a list takes the place of the one there."""
    for name, section in sections.items():
        if isinstance(section, list):
            config[f"ci:{name}"] = section
            continue
        old = config.setdefault(f"ci:{name}", {})
        for key, value in section.items():
            old[key] = {**old[key], **value} if isinstance(old.get(key), dict) and isinstance(value, dict) else value
    return config


_DIND: Mapping[str, Mapping[str, Any]] = {
    # Without privileges, it starts on machines too that keep a capability back.
    "docker": {"dind": {"image": "ci-offline-dind:1", "privileged": False}},
}
STAND_INS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "dind": _DIND,
    "agents": _DIND,
    "proxy": {"docker": {"proxy": {"image": "ci-offline-proxy:1"}}},
}
"""The images beside Jenkins that stand in on a closed network."""


def copy_project(root: Path) -> Path:
    """Copy the project without its tests and what is made in it.

    In the copy, the engine looks at a container's health each second: an update waits for the first look at each.
    """
    made = (".git", ".hypothesis", ".local", ".venv", "*_cache", "__pycache__")
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(*made, "tests"))
    (root / ".venv").symlink_to(sys.prefix)
    service = root / "components/docker/container.py"
    text = service.read_text()
    assert 'interval="5s"' in text
    service.write_text(text.replace('interval="5s"', 'interval="1s"'))
    return root


def clone(tmp: Path, stack: str) -> Verbs:
    """Copy the project, for a stack with Jenkins. The images beside it are those of a closed network."""
    root = copy_project(tmp / "clone")
    made = Verbs(root, stack)
    example = root / "examples" / "stacks" / f"Pulumi.{stack}.yaml"
    if example.exists():
        shutil.copy(example, root / "stacks")
    made.edit(jenkins={"image": jenkins.image()})
    made.edit(**STAND_INS.get(stack, {}))
    # What this machine's own clone has encrypted fits no other passphrase.
    made._file.write_text(yaml.safe_dump({"config": made.keys}))  # noqa: SLF001
    return made


_FIRST = 20_000 + 1_000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PORTS = iter(random.sample(range(_FIRST, _FIRST + 1_000), 1_000))
"""Each is given once, to one process of the tests."""


def free_port() -> int:
    """A port that nobody has, below those that the kernel gives to outgoing connections, so that it stays free."""
    for port in _PORTS:
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("a thousand ports are taken")
