"""`make outdated`: the pins that renovate.json knows, and what their registries have. Changes nothing.

Each registry is where its client looks for it: uv's configuration, GOPROXY, JENKINS_UC, the host in an image's name.
"""

# ruff: noqa: ANN401, INP001, S603, S607, T201 - a script, which asks, runs git and uv, and prints

import json
import os
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import requests

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 20


class Pin(NamedTuple):
    """A version that stands in a file. source: `docker`, `jenkins-plugins`, `pypi` or `go`, as Renovate calls it."""

    source: str
    name: str
    version: str
    file: str


def pins() -> Iterator[Pin]:
    """Find what renovate.json finds."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    for file in listed.stdout.splitlines():
        for files, wanted, source, fixed in _managers():
            if re.search(files, file):
                for found in re.finditer(wanted, (ROOT / file).read_text(), re.MULTILINE):
                    yield Pin(source, fixed or found["depName"], found["currentValue"], file)


def _managers() -> Iterator[tuple[str, str, str, str]]:
    """For each manager: the patterns of its files and of a pin in them, its source, and the name where it is fixed."""
    config = json.loads((ROOT / "renovate.json").read_text())
    for each in config["customManagers"]:
        wanted = each["matchStrings"][0].replace("(?<", "(?P<")
        yield (
            each["managerFilePatterns"][0].strip("/"),
            wanted,
            each["datasourceTemplate"],
            each.get("depNameTemplate", ""),
        )
    requirement = r"^(?P<depName>[\w.-]+)==(?P<currentValue>[^\s;]+)"
    yield config["pip_requirements"]["managerFilePatterns"][0].strip("/"), requirement, "pypi", ""
    tools = "|".join(config["packageRules"][0]["matchPackageNames"])
    module = rf"^(?:require )?\s*(?P<depName>{tools}|\S+\.\S+/\S+(?= \S+$)) (?P<currentValue>v\S+)"
    yield r"(^|/)go\.mod$", module, "go", ""


def newest(source: str, pinned: list[Pin]) -> Mapping[str, str]:
    """Ask a registry for the newest release of each name. Of images and modules, all pins are of one name."""
    name, version = pinned[0].name, pinned[0].version
    if source == "docker":
        return {name: _tag(name, version)}
    if source == "go":
        said = subprocess.run(["go", "env", "GOPROXY"], capture_output=True, text=True, check=False).stdout
        proxy = re.split("[,|]", said.strip())[0]
        known = _get(f"{proxy}/{re.sub('[A-Z]', lambda upper: '!' + upper[0].lower(), name)}/@v/list").text.split()
        return {name: max(filter(re.compile(r"v[\d.]+(\+incompatible)?").fullmatch, known), key=numbers, default="v0")}
    if source == "jenkins-plugins":
        site = os.environ.get("JENKINS_UC") or "https://updates.jenkins.io"
        plugins = _get(f"{site}/update-center.actual.json").json()["plugins"]
        return {name: entry["version"] for name, entry in plugins.items()}
    words = [".venv/bin/uv", "pip", "compile", "--quiet", "--no-deps", "--no-header", "--no-annotate", "-"]
    names = "\n".join({pin.name for pin in pinned})
    done = subprocess.run(words, cwd=ROOT, input=names, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(done.stderr)
    return dict(line.split("==") for line in done.stdout.split())


def _tag(name: str, pinned: str) -> str:
    """The newest tag that looks like the pinned one."""
    host, slash, path = name.partition("/")
    if not slash or "." not in host:
        host, path = "registry-1.docker.io", name if slash else f"library/{name}"
    url, head, tags = f"https://{host}/v2/{path}/tags/list?n=1000", None, []
    while url:
        answer = requests.get(url, headers=head, timeout=SECONDS)
        if answer.status_code == requests.codes.unauthorized and not head:
            asked = dict(re.findall(r'(\w+)="([^"]*)"', answer.headers["WWW-Authenticate"]))
            token = _get(asked.pop("realm"), {**asked, "scope": f"repository:{path}:pull"}).json()["token"]
            head = {"Authorization": f"Bearer {token}"}
            continue
        answer.raise_for_status()
        tags += answer.json()["tags"]
        url = requests.compat.urljoin(url, answer.links["next"]["url"]) if "next" in answer.links else ""
    shape = re.compile(re.sub(r"\d+", r"\\d+", re.escape(pinned)))
    return max(filter(shape.fullmatch, tags), key=numbers, default=pinned)


def numbers(version: str) -> list[int]:
    """A version's numbers, to compare."""
    return [int(number) for number in re.findall(r"\d+", version)]


def _get(url: str, query: Mapping[str, str] | None = None) -> Any:
    answer = requests.get(url, query, timeout=SECONDS)
    answer.raise_for_status()
    return answer


def main() -> None:
    """Ask for each pin, and print what is newer and what could not be asked."""
    groups, silent = defaultdict[tuple[str, str], list[Pin]](list), defaultdict[str, set[str]](set)
    for pin in pins():
        one = {"docker": f"{pin.name}:{pin.version}", "go": pin.name}
        groups[pin.source, one.get(pin.source, "")].append(pin)
    with ThreadPoolExecutor(8) as pool:
        asked = {key: pool.submit(newest, key[0], found) for key, found in groups.items()}
    for key, found in sorted(groups.items()):
        try:
            have = asked[key].result()
        except (OSError, ValueError, KeyError) as error:
            url = getattr(getattr(error, "request", None), "url", "") or f"//{key[0]}"
            silent[url.split("/")[2]] |= {pin.name for pin in found}
            continue
        for pin in found:
            if numbers(have.get(pin.name, "0")) > numbers(pin.version):
                print(f"{pin.name} {pin.version} -> {have[pin.name]}  {pin.file}")
    for host, names in silent.items():
        print(f"can't be asked: {host}, for {len(names)} names: {', '.join(sorted(names)[:9])}")


if __name__ == "__main__":
    main()
