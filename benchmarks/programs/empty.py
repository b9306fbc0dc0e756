"""The empty program."""

import pulumi  # noqa: F401 - what every program costs
