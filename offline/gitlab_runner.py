"""The image that stands in for GitLab Runner: it starts, checks its files and runs no job.

A stack with a runner can be deployed with it, changed and taken down, and no more. It says so in its log.
"""

from pathlib import Path

from offline import archive


def entries() -> list[archive.Entry]:
    """Every file of it, beside a shell and its tools."""
    return [
        archive.Entry("/usr/bin/gitlab-runner", source=Path(__file__).with_name("gitlab-runner.sh")),
        # As in the real image on Ubuntu: its user's, and the stack runs it as another.
        archive.Entry("/home/gitlab-runner", mode=0o750, owner=999),
    ]
