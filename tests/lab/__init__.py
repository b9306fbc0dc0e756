"""Tests of the lab itself: a real Kubernetes node on this machine."""
