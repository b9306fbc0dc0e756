"""Whether GitLab knows a runner, asked by the runner itself, which has the token."""

import re
from typing import Final

from ops.finding import Finding

VERIFY: Final = ["gitlab-runner", "verify", "--config=/etc/ci/gitlab-runner/config.toml"]
"""What asks GitLab whether the token holds. It changes nothing there, and prints the token's first letters only."""

_STAND_IN: Final = 3
"""What the stand-in ends with, which asks nobody."""


def known(code: int | None, output: str | bytes) -> Finding:
    """Find whether it does, from the exit code of VERIFY in the runner's container and what it printed."""
    text = output.decode(errors="replace") if isinstance(output, bytes) else output
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in text.splitlines() if line.strip()]
    if code == 0 and any("is alive" in line or "is valid" in line for line in lines):
        return Finding("GitLab", "knows the runner and takes its token")
    if code == _STAND_IN:
        return Finding("GitLab", "not asked: a stand-in runs in the place of GitLab Runner, and runs no jobs")
    last = "".join(letter for letter in (lines or [""])[-1] if letter.isprintable())
    remedy = "The token: make set KEY=ci:gitlabRunnerToken; the address: ci:gitlabRunner.url"
    return Finding("GitLab", f"does not take the runner ({last or f'exit code {code}'})", "BAD", remedy)
