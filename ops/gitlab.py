"""Whether GitLab knows a runner, asked by the runner itself, which has the token."""

import re
from typing import Final

from ops.finding import Finding

VERIFY: Final = ["gitlab-runner", "verify", "--config=/etc/ci/gitlab-runner/config.toml"]
"""What asks GitLab whether the token holds. It changes nothing there, and prints the token's first letters only."""


def known(output: str) -> Finding:
    """Find whether it does, from what VERIFY printed in the runner's container."""
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in output.splitlines() if line.strip()]
    if any("is alive" in line or "is valid" in line for line in lines):
        return Finding("GitLab", "knows the runner and accepts its token")
    if any("is not GitLab Runner but a stand-in" in line for line in lines):
        return Finding("GitLab", "not asked: a stand-in, which runs no jobs, runs in the place of GitLab Runner")
    last = "".join(letter for letter in (lines or ["it says nothing"])[-1] if letter.isprintable())
    remedy = "The token: `make set KEY=ci:gitlabRunnerToken`; the address: ci:gitlabRunner.url"
    return Finding("GitLab", f"does not accept the runner ({last})", "BAD", remedy)
