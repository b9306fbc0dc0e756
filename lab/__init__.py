"""The lab: one real Kubernetes node in a network namespace of its own, built from sources that package mirrors serve.

Imported by the tests alone, run by `make lab`. It imports offline/ (images without a registry, Go) and
setup (cache, logs), and nothing of components/.
"""

from lab.lab import Lab, ensure, release

__all__ = ["Lab", "ensure", "release"]
