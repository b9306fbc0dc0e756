"""Waits for a condition."""

from collections.abc import Callable
from typing import Any

import tenacity


def eventually(ask: Callable[[], Any], *, seconds: float = 30, every: float = 0.05) -> Any:
    """Ask until the answer is true, and give it; fail after so many seconds."""
    return tenacity.Retrying(
        wait=tenacity.wait_fixed(every),
        stop=tenacity.stop_after_delay(seconds),
        retry=tenacity.retry_if_result(lambda answer: not answer),
    )(ask)
