"""Tests on a real cluster: the lab's node, or one of yours with CI_TEST_CLUSTER=1 and a KUBECONFIG."""
