"""The program that `pulumi up` runs: reads the stack's settings, deploys the chosen platform, exports its outputs."""

import gc
import signal

# It lives for a second or two: looking for garbage takes a tenth of that and finds next to none.
gc.disable()
# A failed update ends the program by this signal; Python would print where it was waiting.
signal.signal(signal.SIGINT, signal.SIG_DFL)

import pulumi  # noqa: E402

from components import platform, settings  # noqa: E402

stack = settings.load(preflight=platform.preflight)
for name, value in platform.deploy(stack).items():
    pulumi.export(name, value)
