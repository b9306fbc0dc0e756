"""The program that `pulumi up` runs: reads the stack's settings, deploys the chosen platform, exports its outputs."""

import sys

import pulumi

from components import platform, settings

try:
    stack = settings.load(preflight=platform.preflight)
except settings.SettingsError as refused:
    pulumi.log.error(str(refused))
    sys.exit(32)  # Pulumi's language host takes this for "the user was told", and adds no error of its own
for name, value in platform.deploy(stack).items():
    pulumi.export(name, value)
