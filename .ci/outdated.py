"""`make outdated`: the pins that renovate.json knows, and what their registries have. Changes nothing.

Each registry is where its client looks for it: uv's configuration, GOPROXY, JENKINS_UC, the host in an image's name.
Jenkins' pinned plugins are also compared with what they require of each other, as far as their manifests are at hand:
in an image of Jenkins on this machine's engine, and on the update site for the newest releases.
"""

# ruff: noqa: ANN401, INP001, S603, S607, T201 - a script, which asks, runs git and uv, and prints

import contextlib
import functools
import io
import json
import os
import re
import subprocess
import tarfile
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
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


class Plugin(NamedTuple):
    """What a plugin's manifest says. needs: the version of each plugin that it needs; optional: of those it may use."""

    name: str
    version: str
    jenkins: str
    needs: Mapping[str, str]
    optional: Mapping[str, str]


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
        return {name: entry["version"] for name, entry in _update_site().items()}
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
    """A version's numbers, to compare. A plugin's commit, as in 5.3.8-1048.va_c299057e35c, is none of them."""
    return [int(number) for number in re.findall(r"\d+", re.sub(r"\.v[0-9a-f_]+$", "", version))]


def unmet(pinned: Mapping[str, str], jenkins: str, plugins: Iterable[Plugin]) -> Iterator[str]:
    """Yield what plugins require and the pins do not give. pinned: versions by name. jenkins: the pinned release."""
    for plugin in plugins:
        if numbers(plugin.jenkins) > numbers(jenkins):
            yield f"{plugin.name} {plugin.version} needs Jenkins {plugin.jenkins}, and {jenkins} is pinned"
        used = {name: version for name, version in plugin.optional.items() if name in pinned}
        for name, version in {**plugin.needs, **used}.items():
            if numbers(pinned.get(name, "0")) < numbers(version):
                instead = f"{pinned[name]} is pinned" if name in pinned else "it is not pinned"
                yield f"{plugin.name} {plugin.version} needs {name} {version}, and {instead}"


def in_images() -> Iterator[Plugin]:
    """Read the plugins' manifests in Jenkins' images on this machine's engine: those of stacks and of the tests."""
    names = _docker("image", "ls", "--quiet", "--filter", "reference=ci*-jenkins").decode().split()
    for image in filter(None, [*names, os.environ.get("CI_TEST_JENKINS")]):
        made = _docker("create", image).decode().strip()
        try:
            packed = _docker("cp", f"{made}:/usr/share/jenkins/ref/plugins", "-")
        except OSError:
            continue  # made from stand-ins
        finally:
            _docker("rm", made)
        with tarfile.open(fileobj=io.BytesIO(packed)) as files:
            for file in filter(None, map(files.extractfile, files)):
                with zipfile.ZipFile(io.BytesIO(file.read())) as jar:
                    yield of_manifest(jar.read("META-INF/MANIFEST.MF").decode())


def of_manifest(text: str) -> Plugin:
    """Read a plugin's manifest, in which a long line goes on after a line end and a space."""
    head = dict(line.split(": ", 1) for line in re.sub(r"\r?\n ", "", text).splitlines() if ": " in line)
    parts = [part.partition(";") for part in head.get("Plugin-Dependencies", "").split(",") if part]
    needs, optional = (
        dict(part.split(":") for part, _, how in parts if ("optional" in how) is is_optional)
        for is_optional in (False, True)
    )
    # A version may carry more than its number, as "1.2 (private-...)".
    return Plugin(head["Short-Name"], head["Plugin-Version"].split()[0], head["Jenkins-Version"], needs, optional)


def on_update_site() -> Iterator[Plugin]:
    """Give what the update site says of each plugin's newest release."""
    for name, entry in _update_site().items():
        versions = [{}, {}]
        for each in entry["dependencies"]:
            versions[each["optional"]][each["name"]] = each["version"]
        yield Plugin(name, entry["version"], entry["requiredCore"], *versions)


def _check_plugins(pinned: Mapping[str, str], jenkins: str) -> None:
    """Print what the pinned plugins require and the pins do not give, and of how many that is known."""
    plugins: dict[str, Plugin] = {}
    for read in (in_images, on_update_site):
        with contextlib.suppress(OSError, ValueError, KeyError):  # no way to the site, which is named below
            plugins |= {each.name: each for each in read() if pinned.get(each.name) == each.version}
    for line in unmet(pinned, jenkins, plugins.values()):
        print(line)
    print(f"requirements of {len(plugins)} of the {len(pinned)} pinned plugins were compared with the pins")


@functools.cache
def _update_site() -> Mapping[str, Any]:
    site = os.environ.get("JENKINS_UC") or "https://updates.jenkins.io"
    return dict(_get(f"{site}/update-center.actual.json").json()["plugins"])


def _docker(*words: str) -> bytes:
    try:
        return subprocess.run(["docker", *words], capture_output=True, check=True).stdout
    except subprocess.CalledProcessError as failed:
        raise OSError(failed.stderr.decode()) from failed


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
    jenkins = next(name for _, name in groups if name.startswith("jenkins/jenkins:")).partition(":")[2]
    _check_plugins({pin.name: pin.version for pin in groups["jenkins-plugins", ""]}, jenkins.partition("-")[0])
    for host, names in silent.items():
        print(f"can't be asked: {host}, for {len(names)} names: {', '.join(sorted(names)[:9])}")


if __name__ == "__main__":
    main()
