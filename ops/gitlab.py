"""Whether GitLab knows a runner, asked by the runner itself, which has the token."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

VERIFY: Final = ("gitlab-runner", "verify", "--config=/etc/ci/gitlab-runner/config.toml")
"""What asks GitLab whether the token holds. It changes nothing there, and prints the token's first letters only."""

_STAND_IN: Final = 3
"""What the stand-in ends with, which asks nobody."""


def known(run: Callable[[list[str]], tuple[int | None, object]]) -> tuple[bool, str]:
    """Give whether it does, and what to say of it.

    Args:
        run: runs words in the runner's container; gives the exit code and what was printed.
    """
    code, output = run(list(VERIFY))
    text = output.decode(errors="replace") if isinstance(output, bytes) else str(output)
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in text.splitlines() if line.strip()]
    last = "".join(letter for letter in (lines[-1] if lines else "") if letter.isprintable())
    if code == 0 and any("is alive" in line or "is valid" in line for line in lines):
        return True, "knows the runner and takes its token"
    if code == _STAND_IN:
        return True, "not asked: a stand-in runs in the place of GitLab Runner, and runs no jobs"
    advice = "the token: make set KEY=ci:gitlabRunnerToken; the address: ci:gitlabRunner.url"
    return False, f"does not take the runner ({last or f'exit code {code}'}); {advice}"
