"""Who may reach whom, by NetworkPolicies: the rules of networking.k8s.io/v1, evaluated for one connection.

A pod that no policy selects for a direction is open in it; one that is selected may do what any of them allows, and no
more. A connection needs both ends. https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

Policy = dict[str, Any]


@dataclass(frozen=True)
class End:
    """One end of a connection: a pod of some namespace, or an address outside of the cluster."""

    name: str
    namespace: str = ""
    """Empty: no pod."""
    labels: dict[str, str] = field(default_factory=dict, hash=False)
    address: str = ""
    named_ports: dict[str, int] = field(default_factory=dict, hash=False)

    @property
    def namespace_labels(self) -> dict[str, str]:
        """What the control plane puts onto every namespace."""
        return {"kubernetes.io/metadata.name": self.namespace}


def may_reach(policies: Iterable[Policy], source: End, target: End, port: int, protocol: str = "TCP") -> bool:
    """Tell whether a connection from `source` to a port of `target` is let through."""
    policies = tuple(policies)
    return _lets(policies, "Egress", source, target, (target, port, protocol)) and _lets(
        policies, "Ingress", target, source, (target, port, protocol)
    )


def _lets(policies: Iterable[Policy], direction: str, pod: End, other: End, where: tuple[End, int, str]) -> bool:
    selecting = [each for each in policies if pod.namespace and _selects(each, pod, direction)]
    if not selecting:
        return True
    key, peers = ("egress", "to") if direction == "Egress" else ("ingress", "from")
    return any(
        _is_peer(rule.get(peers), other, each["metadata"]["namespace"]) and _is_port(rule.get("ports"), where)
        for each in selecting
        for rule in each["spec"].get(key) or ()
    )


def _selects(policy: Policy, pod: End, direction: str) -> bool:
    spec = policy["spec"]
    return (
        policy["metadata"]["namespace"] == pod.namespace
        and direction in spec["policyTypes"]
        and matches(spec["podSelector"], pod.labels)
    )


def _is_peer(peers: list[dict[str, Any]] | None, other: End, namespace: str) -> bool:
    if not peers:  # left out, or empty: everybody
        return True
    return any(_is_one(each, other, namespace) for each in peers)


def _is_one(peer: dict[str, Any], other: End, namespace: str) -> bool:
    if "ipBlock" in peer:
        if other.namespace:  # what an address block says of pods differs between networks; here it is for the outside
            return False
        address, block = ip_address(other.address), peer["ipBlock"]
        return address in ip_network(block["cidr"]) and not any(
            address in ip_network(each) for each in block.get("except", ())
        )
    if not other.namespace:
        return False
    if "namespaceSelector" in peer:
        if not matches(peer["namespaceSelector"], other.namespace_labels):
            return False
    elif other.namespace != namespace:
        return False
    return matches(peer.get("podSelector", {}), other.labels)


def _is_port(ports: list[dict[str, Any]] | None, where: tuple[End, int, str]) -> bool:
    target, port, protocol = where
    if not ports:
        return True
    for each in ports:
        if each.get("protocol", "TCP") != protocol:
            continue
        wanted = each.get("port", port)
        number = target.named_ports.get(wanted) if isinstance(wanted, str) else wanted
        if number is not None and number <= port <= each.get("endPort", number):
            return True
    return False


def matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Tell whether a label selector selects; an empty one selects everything."""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for each in selector.get("matchExpressions") or ():
        present, values = labels.get(each["key"]), each.get("values") or ()
        match each["operator"]:
            case "In":
                is_matched = present in values
            case "NotIn":
                is_matched = present not in values
            case "Exists":
                is_matched = present is not None
            case "DoesNotExist":
                is_matched = present is None
            case other:
                raise ValueError(f"no operator {other}")
        if not is_matched:
            return False
    return True
