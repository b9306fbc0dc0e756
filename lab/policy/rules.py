"""NetworkPolicies as rules of nftables: pure, from the cluster's objects to a text that `nft -f` takes as one step.

What a policy means is in the API reference of networking.k8s.io/v1. Where that leaves a choice: what is not allowed is
dropped, not rejected; a connection that has begun goes on; the node reaches its pods always; addresses are those that a
pod really has, after a Service's were put in place.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import json
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

TABLE = "ci_lab_policy"
Object = dict[str, Any]
Direction = Literal["Ingress", "Egress"]
HEAD = {"Ingress": ("from", "saddr"), "Egress": ("to", "daddr")}
"""For each direction: the key of the rule's other side, and which address of a packet is the other side's."""


@dataclasses.dataclass(frozen=True)
class Pod:
    """A pod as far as policies look at it."""

    namespace: str
    name: str
    ip: str
    labels: Mapping[str, str]
    ports: Mapping[tuple[str, str], int]
    """The container's ports that have a name: (name, protocol) to number."""


def pod(found: Object, ip: str) -> Pod:
    """A pod from the API server's object and the address that it really has."""
    containers = [*found["spec"].get("containers", []), *found["spec"].get("initContainers", [])]
    ports = {
        (port["name"], port.get("protocol", "TCP")): port["containerPort"]
        for container in containers
        for port in container.get("ports", [])
        if port.get("name")
    }
    meta = found["metadata"]
    return Pod(meta["namespace"], meta["name"], ip, meta.get("labels") or {}, ports)


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether a label selector takes these labels. An empty one takes all."""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_holds(expression, labels) for expression in selector.get("matchExpressions") or [])


def _holds(expression: Object, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or []
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case other:
            raise ValueError(f"A selector's operator is In, NotIn, Exists or DoesNotExist, not {other}.")


def ruleset(pods: Iterable[Pod], namespaces: Mapping[str, Mapping[str, str]], policies: Sequence[Object]) -> str:
    """The whole table anew.

    Args:
        pods: every pod that has an address of its own.
        namespaces: each namespace's labels.
        policies: the NetworkPolicies, as the API server has them.

    Returns:
        What `nft -f` replaces the table by, in one step: no packet passes between two states.
    """
    known = sorted(pods, key=lambda each: int(ipaddress.ip_address(each.ip)))
    maps: dict[Direction, list[str]] = {"Ingress": [], "Egress": []}
    chains = []
    for number, each in enumerate(known):
        for direction, entries in maps.items():
            applied = [policy for policy in policies if _applies(policy, each, direction)]
            if applied:
                name = f"{direction.lower()}_{number}"
                entries.append(f"{each.ip} : jump {name}")
                chains.append(_chain(name, direction, each, known, namespaces, applied))
    ingress, egress = _lookup("daddr", maps["Ingress"]), _lookup("saddr", maps["Egress"])
    hook = "    type filter hook {} priority filter; policy accept;\n    ct state established,related accept\n"
    return (
        f"table ip {TABLE} {{}}\ndelete table ip {TABLE}\ntable ip {TABLE} {{\n"
        + "".join(chains)
        + f"  chain forward {{\n{hook.format('forward')}{egress}{ingress}  }}\n"
        + f"  chain input {{\n{hook.format('input')}{egress}  }}\n}}\n"
    )


def _lookup(field: str, entries: Sequence[str]) -> str:
    return f"    ip {field} vmap {{ {', '.join(entries)} }}\n" if entries else ""


def _applies(policy: Object, target: Pod, direction: Direction) -> bool:
    spec = policy["spec"]
    return (
        policy["metadata"]["namespace"] == target.namespace
        and direction in spec.get("policyTypes", ["Ingress"])
        and selects(spec.get("podSelector") or {}, target.labels)
    )


def _chain(  # noqa: PLR0913, PLR0917 - all of the cluster decides it
    name: str,
    direction: Direction,
    target: Pod,
    pods: Sequence[Pod],
    namespaces: Mapping[str, Mapping[str, str]],
    policies: Sequence[Object],
) -> str:
    """One pod's chain for one direction: whatever no rule lets return is dropped."""
    lines = []
    for policy in policies:
        meta = policy["metadata"]
        comment = json.dumps(f"{meta['namespace']}/{meta['name']}"[:100])
        for rule in policy["spec"].get(direction.lower()) or []:
            matches = _matches(rule, direction, target, pods, namespaces)
            lines += [" ".join(filter(None, ["   ", match, f"return comment {comment}\n"])) for match in matches]
    return f"  chain {name} {{\n{''.join(dict.fromkeys(lines))}    drop\n  }}\n"


def _matches(
    rule: Object,
    direction: Direction,
    target: Pod,
    pods: Sequence[Pod],
    namespaces: Mapping[str, Mapping[str, str]],
) -> Iterator[str]:
    """The packets that one rule allows, each line a condition; an empty one is every packet."""
    key, field = HEAD[direction]
    ports = rule.get("ports") or []
    if not rule.get(key):
        yield from _with_ports("", ports, [target] if direction == "Ingress" else [])
        return
    for peer in rule[key]:
        block = peer.get("ipBlock")
        if block:
            condition = _block(block, field)
            if condition:
                yield from _with_ports(condition, ports, [target] if direction == "Ingress" else [])
            continue
        chosen = [each for each in pods if _is_peer(peer, each, target.namespace, namespaces)]
        if direction == "Ingress" or not any(isinstance(port.get("port"), str) for port in ports):
            if chosen:
                addresses = ", ".join(each.ip for each in chosen)
                yield from _with_ports(f"ip {field} {{ {addresses} }}", ports, [target])
        else:  # a port's name is another number in each pod that is reached
            for each in chosen:
                yield from _with_ports(f"ip {field} {each.ip}", ports, [each])


def _with_ports(condition: str, ports: Sequence[Object], reached: Sequence[Pod]) -> Iterator[str]:
    """A condition joined with each port of a rule; alone when the rule names none."""
    if not ports:
        yield condition
    for port in ports:
        protocol, number = port.get("protocol", "TCP"), port.get("port")
        if number is None:
            yield f"{condition} meta l4proto {protocol.lower()}".strip()
            continue
        if isinstance(number, str):
            number = next((pod.ports[number, protocol] for pod in reached if (number, protocol) in pod.ports), None)
            if number is None:
                continue  # nobody has a port of that name: it allows nothing
        last = port.get("endPort")
        yield f"{condition} {protocol.lower()} dport {number}{f'-{last}' if last else ''}".strip()


def _block(block: Object, field: str) -> str:
    """An ipBlock as a condition; empty for one of IPv6, of which the lab has none."""
    if ":" in block["cidr"]:
        return ""
    excepted = [cidr for cidr in block.get("except") or [] if ":" not in cidr]
    without = f" ip {field} != {{ {', '.join(excepted)} }}" if excepted else ""
    return f"ip {field} {block['cidr']}{without}"


def _is_peer(peer: Object, each: Pod, namespace: str, namespaces: Mapping[str, Mapping[str, str]]) -> bool:
    """Whether a rule's peer takes a pod. A selector that is not there narrows nothing, but keeps to the namespace."""
    where, which = peer.get("namespaceSelector"), peer.get("podSelector")
    if where is None:
        if each.namespace != namespace:
            return False
    elif not selects(where, namespaces.get(each.namespace, {})):
        return False
    return which is None or selects(which, each.labels)
