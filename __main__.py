"""The program that `pulumi up` runs: reads the stack's settings, deploys the chosen platform, exports its outputs."""

import pulumi

from components import platform, settings

stack = settings.load(preflight=platform.preflight)
for name, value in platform.deploy(stack).items():
    pulumi.export(name, value)
