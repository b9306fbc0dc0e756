"""The lab's enforcer of NetworkPolicies: rules for the node's firewall, in force before a pod's first packet."""
