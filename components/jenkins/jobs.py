"""The jobs of a stack, in the language of the plugin job-dsl."""

from pathlib import Path
from typing import Final

from components.settings import JobSettings, Settings
from components.settings.checks import SAMPLE_JOB

FILE: Final = "/etc/ci/jobs.groovy"
"""The jobs' definitions, as `render` writes them."""

HOOK_FILE: Final = "/usr/share/jenkins/ref/init.groovy.d/ci-jobs.groovy.override"
"""A script that Jenkins runs once its jobs are loaded. `.override` makes the image copy it at every start."""

HOOK: Final = f"""\
// Makes and updates the jobs of the stack. Not by configuration as code: that runs before Jenkins has loaded its jobs,
// so it would make each one anew every time, and a new one would be forgotten until the next start.
import javaposse.jobdsl.plugin.JenkinsDslScriptLoader
import javaposse.jobdsl.plugin.JenkinsJobManagement

new JenkinsDslScriptLoader(new JenkinsJobManagement(System.out, [:], new File('.')))
    .runScript(new File('{FILE}').getText('UTF-8'))
"""

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


def render(settings: Settings) -> str:
    """Return the definitions of all jobs, the sample first.

    The plugin runs this text without a sandbox, so every value in it is quoted by `_groovy` or a checked number.
    """
    jobs = [sample(settings), *settings.jobs] if settings.jenkins.sample else settings.jobs
    return "\n".join(["// Written by Pulumi from the stack's ci:jobs.\n", *(_job(job) for job in jobs)])


def sample(settings: Settings) -> JobSettings:
    """Return the sample, for the engine that it will build on."""
    text = _SAMPLE.read_text(encoding="utf-8")
    script = text.replace(_INSIDE, _BY_ITSELF) if settings.docker.access == "tcp" else text
    description = "Builds an image on the jobs' engine and runs a command in it."
    return JobSettings.model_validate({"name": SAMPLE_JOB, "description": description, "script": script})


def _job(job: JobSettings) -> str:
    """Write a job in the language of the plugin job-dsl."""
    lines = [f"pipelineJob({_groovy(job.name)}) {{"]
    if job.description:
        lines.append(f"    description({_groovy(job.description)})")
    lines += [
        "    logRotator {",
        f"        numToKeep({job.keep_builds})",
        "    }",
        "    properties {",
        "        disableConcurrentBuilds()",
        *_schedule(job),
        "    }",
        "    definition {",
        *(_repository(job) if job.repository is not None else _script(job)),
        "    }",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _schedule(job: JobSettings) -> list[str]:
    if job.schedule is None:
        return []
    trigger = f"                cron {{ spec({_groovy(job.schedule)}) }}"
    return ["        pipelineTriggers {", "            triggers {", trigger, "            }", "        }"]


def _script(job: JobSettings) -> list[str]:
    return [
        "        cps {",
        f"            script({_groovy(job.script or '')})",
        "            sandbox(true)",
        "        }",
    ]


def _repository(job: JobSettings) -> list[str]:
    credentials = [f"                        credentials({_groovy(job.credentials)})"] if job.credentials else []
    return [
        "        cpsScm {",
        "            scm {",
        "                git {",
        "                    remote {",
        f"                        url({_groovy(job.repository or '')})",
        *credentials,
        "                    }",
        f"                    branch({_groovy('*/' + job.branch)})",
        "                }",
        "            }",
        f"            scriptPath({_groovy(job.jenkinsfile)})",
        "            lightweight(true)",
        "        }",
    ]


def _groovy(text: str) -> str:
    """Write text as a Groovy string in which nothing is replaced: single quotes, three of them over several lines."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    quote = "'''" if "\n" in text or "\r" in text else "'"
    return f"{quote}{escaped}{quote}"
