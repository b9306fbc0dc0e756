"""`doctor`: every prerequisite, where it was found, and what to do where it was not. Changes nothing."""

# ruff: noqa: PLC0415 - imported late: each platform needs libraries that the other does not

import http
import os
import platform
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pulumi

from components.settings import Problem
from components.settings.docker import PLUGIN_VARIABLES
from ops import clone, cluster, engine, finding
from ops.finding import Finding
from ops.stack import Stack, backend, environment
from setup import cache, toolchain
from setup import engine as local_engine
from setup.console import OpsError

FREE_GIB = 5
"""The least free disk, GiB: Jenkins' image takes 1, its plugins 0.5, a built CLI with Go's cache 3."""

ENFORCERS = re.compile("antrea-agent|calico-node|canal|cilium|kube-network-policies|kube-router|ovnkube-node|weave-net")
"""DaemonSets whose pods enforce NetworkPolicies. Source: each project's own manifests."""


def show(named: str | None) -> int:
    """Print the findings to stdout. Returns 1 if one is bad, else 0."""
    here = clone.here()
    return finding.show(examine(named), lambda verb: here.make(verb, named or here.chosen), marks=True)


def examine(named: str | None) -> Iterator[Finding]:
    """Look at everything that a stack needs, in the order in which it is needed."""
    here = clone.here()
    name = named or here.chosen
    here.require(name)
    yield Finding("Python", f"{platform.python_version()} in {Path(sys.prefix).resolve()}")
    # The stack can be asked where the CLI and a backend of our own, or the stack itself, are there already.
    tools = toolchain.find()
    stack = Stack(here, name, tools) if tools else None
    if stack and stack.owns_backend:
        stack.prepare()
    if stack and stack.exists():
        yield from _tools(stack.platform)
        yield from of_settings(stack)
    else:
        yield from _tools("")
        seen = "not read yet: run `make preview` first"
        yield Finding("settings", seen, "note")
        yield _engine(local_engine.DEFAULT_HOST)
    yield _state(here)
    cache.root().mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache.root()).free / 2**30
    remedy = "" if free >= FREE_GIB else f"{FREE_GIB} GiB are needed; `docker system df` shows what can be removed"
    yield Finding("disk", f"{free:.0f} GiB free for {cache.root()}", "BAD" if remedy else "ok", remedy)


def of_settings(stack: Stack) -> Iterator[Finding]:
    """What the stack's settings ask for, and what the program would refuse of it."""
    try:
        settings = stack.settings
        if settings.platform == "kubernetes":
            yield from _cluster(stack)
        else:
            if ignored := " ".join(name for name in PLUGIN_VARIABLES if os.environ.get(name)):
                seen = f"`make` ignores {ignored}, and plain `pulumi` refuses it"
                yield Finding("environment", seen, "note", f"unset {ignored}")
            there = _engine(settings.docker.host)
            yield there
            if settings.docker.is_local and there.mark != "ok":
                return  # `make up` has to start it first
            images, trouble = ", ".join(engine.images(settings)), engine.image_problem(settings)
            remedy = engine.remedy(trouble) if trouble else ""
            if engine.unreachable(trouble):
                remedy = "make up, without STACK=, deploys the stack offline instead"
            yield Finding("images", trouble or images, "note" if trouble else "ok", remedy)
        problems = _problems(stack)
    except OpsError as trouble:
        yield Finding("settings", trouble.what, "BAD", trouble.remedy)
        return
    yield from (Finding("settings", str(problem), "BAD") for problem in problems)
    if not problems:
        yield Finding("settings", f"of stack {stack.name}, no problem found")


def _cluster(stack: Stack) -> Iterator[Finding]:
    """Find which cluster it is, and whether NetworkPolicies hold. The API takes them in any case, and says nothing."""
    from kubernetes import client

    from components.kubernetes.cluster import named

    cluster.require(stack)
    with cluster.asked():
        api = cluster.reader(stack).client
        version, wanted = client.VersionApi(api).get_code().git_version, stack.settings.kubernetes
        yield Finding("cluster", f"{version} at {api.configuration.host}, {named(wanted)}")
        try:
            listed = client.AppsV1Api(api).list_daemon_set_for_all_namespaces().items
            sets, lacks = {each.metadata.name for each in listed}, "no known enforcer runs in the cluster"
        except client.ApiException as error:
            if error.status != http.HTTPStatus.FORBIDDEN:
                raise
            sets, lacks = set(), "this user may not look at DaemonSets"
    enforcing = ", ".join(sorted(filter(ENFORCERS.fullmatch, sets)))
    if enforcing or cluster.is_lab(stack):
        yield Finding("NetworkPolicies", f"enforced by {enforcing or 'the lab itself'}")
    elif any(each.startswith("kube-flannel") for each in sets):
        remedy = "Add an enforcer, such as Calico"
        yield Finding("NetworkPolicies", "not enforced by Flannel: builds reach everything", "note", remedy)
    else:
        seen = f"it is unknown whether they are enforced: {lacks}"
        yield Finding("NetworkPolicies", seen, "note", "Without an enforcer they have no effect")


def _problems(stack: Stack) -> list[Problem]:
    """The problems of the host or cluster for which an update would be refused, as a preview finds them."""
    project, name = stack.clone.name, clone.short(stack.name)
    pulumi.runtime.settings.configure(pulumi.runtime.Settings(project, name, dry_run=True))
    if stack.settings.platform == "docker":
        from components.docker import host

        known = {each["urn"]: each for each in stack.deployment().get("resources") or ()}
        env = stack.env
        return list(host.preflight(stack.settings, project=project, stack=name, state=known, environment=env))
    from components.kubernetes import preflight

    reader = cluster.reader(stack)
    return list(preflight.preflight(stack.settings, reader, project=project, stack=name, deployed=False))


def _tools(platform: str) -> Iterator[Finding]:
    found = toolchain.find(platform)
    if not found:
        remedy = "`make up` gets what is missing; on a closed network that takes minutes, once"
        yield Finding("Pulumi", "the CLI or one of its plugins is not on this machine yet", "note", remedy)
        return
    for name, (kind, where) in found.parts.items():
        official = kind == "official"
        remedy = "" if official else "An official one on the PATH or in Pulumi's home is preferred"
        yield Finding(name, f"{kind}, {where}", "ok" if official else "note", remedy)


def _engine(host: str) -> Finding:
    name = "Docker engine"
    if not host.startswith("unix://"):
        return Finding(name, f"{host}: another machine's, not looked at from here", "note")
    try:
        version = local_engine.version(host)
    except OpsError as closed:
        return Finding(name, closed.what, "BAD", closed.remedy)
    if version:
        return Finding(name, f"{version} at {host}")
    if host != local_engine.DEFAULT_HOST:
        return Finding(name, f"none answers at {host}", "BAD", "Start it, or set another ci:docker.host")
    seen = f"{local_engine.installed() or 'not installed'}; nothing answers at {host}"
    return Finding(name, seen, "note", "`make up` installs and starts it")


def _state(here: clone.Clone) -> Finding:
    env, own = environment(here, os.environ)
    if not own:
        return Finding("state", f"in {backend(env)}, as you chose")
    if here.passphrase.exists() and here.passphrase.stat().st_mode & 0o077:
        mend = f"chmod 600 {shlex.quote(str(here.passphrase))}"
        return Finding("state", f"{here.passphrase} can be read by others", "BAD", mend)
    key = env.get("PULUMI_CONFIG_PASSPHRASE_FILE") or "PULUMI_CONFIG_PASSPHRASE"
    return Finding("state", f"in {here.state}, its secrets encrypted with {key}")
