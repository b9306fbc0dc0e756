"""The Kubernetes platform's figures, on the lab's node."""
