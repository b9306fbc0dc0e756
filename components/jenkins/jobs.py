"""The jobs of a stack, in the language of the plugin job-dsl."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from ..settings import JobSettings, Settings
from ..settings.checks import SAMPLE_JOB
from ..settings.jenkins import ON_NOTIFY

FILE: Final = "/etc/ci/jobs.json"
"""The jobs' definitions by name, each a text of its own."""

_SAMPLE: Final = Path(__file__).with_name("sample.Jenkinsfile")

_INSIDE: Final = """\
                script {
                    docker.image('simple-jenkins-image').inside {
                        sh 'cat /a.txt'
                    }
                }
"""
_BY_ITSELF: Final = """\
                // Not `inside`: it mounts the workspace, and this engine is on another machine.
                sh 'docker run --rm simple-jenkins-image'
"""
"""How the sample runs what it built, on an engine that sees Jenkins' files and on one that does not."""

_Lines = Sequence[str]


def all_of(settings: Settings) -> tuple[JobSettings, ...]:
    """Return the jobs that the stack names, the sample first."""
    return (sample(settings), *settings.jobs) if settings.jenkins.sample else settings.jobs


def render(settings: Settings) -> str:
    """Return the definitions of all jobs, as JSON.

    The plugin runs each without a sandbox, so every value in it is quoted by `_groovy` or a checked number.
    """
    return json.dumps(texts(settings), ensure_ascii=False, indent=2)


def texts(settings: Settings) -> Mapping[str, str]:
    """Return the definition of each job by its name, in its order: a job's place in the stack's file has no meaning."""
    return {
        job.name: "\n".join(_multibranch(job) if job.multibranch else _pipeline(job)) + "\n"
        for job in sorted(all_of(settings), key=lambda job: job.name)
    }


def sample(settings: Settings) -> JobSettings:
    """Return the sample, for the engine that it will build on."""
    text = _SAMPLE.read_text(encoding="utf-8")
    script = text.replace(_INSIDE, _BY_ITSELF) if settings.docker.access == "tcp" else text
    description = "Builds an image on the jobs' engine and runs a command in it."
    return JobSettings.model_validate({"name": SAMPLE_JOB, "description": description, "script": script})


def _pipeline(job: JobSettings) -> _Lines:
    script = _block("cps", [f"script({_groovy(job.script or '')})", "sandbox(true)"])
    return _block(
        f"pipelineJob({_groovy(job.name)})",
        _description(job),
        _block("logRotator", [f"numToKeep({job.keep_builds})"]),
        _block("properties", ["disableConcurrentBuilds()"], _triggers(job)),
        _block("definition", script if job.repository is None else _repository(job)),
    )


def _triggers(job: JobSettings) -> _Lines:
    triggers = []
    if job.schedule is not None:
        triggers.append(f"cron {{ spec({_groovy(job.schedule)}) }}")
    if job.poll is not None:
        # Without a schedule, the job is polled only after a call of git/notifyCommit.
        triggers.append(f"pollSCM {{ scmpoll_spec({_groovy('' if job.poll == ON_NOTIFY else job.poll)}) }}")
    return _block("pipelineTriggers", _block("triggers", triggers)) if triggers else []


def _repository(job: JobSettings) -> _Lines:
    remote = [f"url({_groovy(job.repository or '')})"]
    if job.credentials:
        remote.append(f"credentials({_groovy(job.credentials)})")
    git = _block("git", _block("remote", remote), [f"branch({_groovy('*/' + job.branch)})"])
    # Jenkins polls what the last build checked out, and a Jenkinsfile that was read by itself is not part of that. So a
    # pipeline without `checkout scm` would have one build and no more.
    lightweight = f"lightweight({'false' if job.poll else 'true'})"
    return _block("cpsScm", _block("scm", git), [f"scriptPath({_groovy(job.jenkinsfile)})", lightweight])


def _multibranch(job: JobSettings) -> _Lines:
    # With another id, Jenkins would take every branch for a new one, and build it.
    source = [f"id({_groovy(f'ci-{job.name}')})", f"remote({_groovy(job.repository or '')})"]
    if job.credentials:
        source.append(f"credentialsId({_groovy(job.credentials)})")
    git = _block("git", source, _block("traits", ["gitBranchDiscovery()"]))
    factory = _block("workflowBranchProjectFactory", [f"scriptPath({_groovy(job.jenkinsfile)})"])
    return _block(
        f"multibranchPipelineJob({_groovy(job.name)})",
        _description(job),
        _block("branchSources", _block("branchSource", _block("source", git))),
        _block("factory", factory),
        _block("triggers", _block("periodicFolderTrigger", ["interval('5m')"])),
        _block("orphanedItemStrategy", _block("discardOldItems", ["numToKeep(5)"])),
    )


def _description(job: JobSettings) -> _Lines:
    return [f"description({_groovy(job.description)})"] if job.description else []


def _block(head: str, *parts: _Lines) -> _Lines:
    # A line may hold a text of several lines, which must stay as it is: only the first is indented.
    return [f"{head} {{", *(f"    {line}" for part in parts for line in part), "}"]


def _groovy(text: str) -> str:
    """Write text as a Groovy string in which nothing is replaced: single quotes, three of them over several lines."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    quote = "'''" if "\n" in text or "\r" in text else "'"
    return f"{quote}{escaped}{quote}"
