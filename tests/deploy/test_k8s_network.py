"""Who may reach whom in the cluster: the whole matrix, by what the NetworkPolicies say."""

from __future__ import annotations

import pytest

from shared.contracts.permissions import SERVICES
from shared.runtime.public_address import is_public
from tests.deploy.manifests import VARIANTS, built, of_kind, workloads
from tests.deploy.reach import End, matches, may_reach

OURS = "placelibre"
SERVICE_PORTS = {"api": 8000, "ingest": 8001, "aggregator": 8002, "publisher": 8003, "carrier": 8004, "auditor": 8005}
BUS_CLIENTS = {
    "ingest",
    "aggregator",
    "publisher",
    "api",
    "auditor",
    "provision",
    "backup",
    "carrier",
    "apply",
    "restore",
}

DNS = End("dns", "kube-system", {"k8s-app": "kube-dns"})
PROMETHEUS = End("prometheus", "monitoring", {"app.kubernetes.io/name": "prometheus"})
CONTROLLER = End("ingress", "ingress-nginx", {"app.kubernetes.io/name": "ingress-nginx"})
STRANGERS = (
    End("a pod of somebody else", "shop", {"app.kubernetes.io/component": "api", "app.kubernetes.io/name": OURS}),
    End("an unknown pod of ours", OURS, {"app.kubernetes.io/name": OURS, "app.kubernetes.io/component": "debug"}),
    End("another pod of the monitoring", "monitoring", {"app.kubernetes.io/name": "grafana"}),
    End("another pod of the system", "kube-system", {"k8s-app": "metrics-server"}),
)
INTERNET = (End("internet", address="93.184.216.34"), End("internet by IPv6", address="2606:2800:220:1::1"))
NOT_INTERNET = tuple(
    End(f"network {each}", address=each)
    for each in (
        *("10.0.0.1", "10.96.0.1", "172.20.0.5", "192.168.1.20", "100.64.0.9", "169.254.169.254", "127.0.0.1"),
        *("0.0.0.1", "192.0.0.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "fd00::1", "fe80::1", "::1"),
        *("::ffff:10.0.0.1", "64:ff9b::a00:1"),
    )
)
NODE = End("the Kubernetes API", address="10.96.0.1")
PUBLISHED = {443, 465, 587, 1883, 8883}
FETCHED = {22, 80, 443, 1883, 8883}
PORTS = sorted({*SERVICE_PORTS.values(), *PUBLISHED, *FETCHED, 25, 53, 4222, 4223, 5432, 6222, 6443, 7422, 8222, 8080})


def ends_of(variant: str) -> dict[str, End]:
    return {
        name: End(name, OURS, each.labels, named_ports=each.ports) for name, each in workloads(built(variant)).items()
    }


def expected(source: str, target: str, port: int, protocol: str, variant: str, ends: dict[str, End]) -> bool:
    """The matrix of docs/kubernetes.md."""
    is_whole = variant == "everything"
    ours = {*ends}
    if (source, target, protocol, port) == ("nats", "nats", "TCP", 6222):
        return variant != "single-node"
    if target == "dns" and port == 53 and protocol in {"TCP", "UDP"}:
        return source not in ours or source != "nats" or variant != "single-node"
    if protocol == "UDP":
        return source not in ours and target not in ours
    if target == "nats":
        return port == 4222 and source in BUS_CLIENTS & ours
    if target.startswith("internet") and source in ours:
        return port in {"publisher": PUBLISHED, "ingest": FETCHED}.get(source, set())
    if source == "ingress" and target in {"api", "ingest"}:
        return is_whole and port == SERVICE_PORTS[target]
    if source == "prometheus" and target in SERVICE_PORTS:
        return is_whole and port == SERVICE_PORTS[target]
    if target == "carrier" and not (source in ours or source in {each.name for each in PODS}):
        return port == 7422
    return source not in ours and target not in ours


PODS = (DNS, PROMETHEUS, CONTROLLER, *STRANGERS)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_edge_of_the_matrix_is_open_and_no_other(variant: str) -> None:
    ends = ends_of(variant)
    policies = list(of_kind(built(variant), "NetworkPolicy").values())
    outside = (*PODS, *INTERNET, *NOT_INTERNET)
    wrong = []
    tried = 0
    for source in (*ends.values(), *outside):
        for target in (*ends.values(), *outside):
            if not (source.name in ends or target.name in ends):
                continue  # not ours to say
            for protocol in ("TCP", "UDP"):
                for port in PORTS:
                    tried += 1
                    found = may_reach(policies, source, target, port, protocol)
                    if found is not expected(source.name, target.name, port, protocol, variant, ends):
                        wrong.append(f"{source.name} -> {target.name}:{port}/{protocol}: {found}")
    assert not wrong, wrong[:20]
    assert tried > 10_000


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_pod_is_under_a_default_deny_for_both_directions(variant: str) -> None:
    policies = of_kind(built(variant), "NetworkPolicy").values()
    denials = [each for each in policies if not each["spec"].get("ingress") and not each["spec"].get("egress")]
    for end in ends_of(variant).values():
        for direction in ("Ingress", "Egress"):
            assert any(
                direction in each["spec"]["policyTypes"] and matches(each["spec"]["podSelector"], end.labels)
                for each in denials
            ), (end.name, direction)


@pytest.mark.parametrize("variant", VARIANTS)
def test_who_has_a_key_of_the_bus_reaches_it_and_nobody_else_does(variant: str) -> None:
    policies = list(of_kind(built(variant), "NetworkPolicy").values())
    ends = ends_of(variant)
    bus = ends["nats"]
    for name, each in workloads(built(variant)).items():
        secrets = {volume["secret"]["secretName"] for volume in each.pod["volumes"] if "secret" in volume}
        has_key = bool(secrets & {f"placelibre-nkey-{user}" for user in SERVICES})
        assert may_reach(policies, ends[name], bus, 4222) is has_key, name


@pytest.mark.parametrize("policy", ["publisher-reaches-the-internet", "ingest-fetches-from-the-internet"])
def test_what_is_left_out_of_the_internet_is_what_our_own_check_of_addresses_refuses(policy: str) -> None:
    rule = of_kind(built("three-nodes"), "NetworkPolicy")[policy]["spec"]
    who = End("one of ours", OURS, rule["podSelector"]["matchLabels"])
    policies = list(of_kind(built("three-nodes"), "NetworkPolicy").values())
    for each in (*INTERNET, *NOT_INTERNET):
        assert may_reach(policies, who, each, 443) is is_public(each.address), each


def test_nobody_reaches_the_kubernetes_api() -> None:
    policies = list(of_kind(built("everything"), "NetworkPolicy").values())
    for end in ends_of("everything").values():
        assert not may_reach(policies, end, NODE, 443)
        assert not may_reach(policies, end, NODE, 6443)


def policy(name: str, **spec: object) -> dict[str, object]:
    return {
        "metadata": {"name": name, "namespace": OURS},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"], **spec},
    }


class TestTheEvaluator:
    """It would be worth nothing if it said yes or no to everything."""

    one = End("one", OURS, {"is": "one"}, named_ports={"http": 80})
    two = End("two", OURS, {"is": "two"})
    far = End("far", "elsewhere", {"is": "two"})

    def test_without_a_policy_everything_is_open(self) -> None:
        assert may_reach([], self.two, self.one, 80)

    def test_a_policy_without_rules_closes_its_direction_only(self) -> None:
        closed = policy("closed")
        assert not may_reach([closed], self.two, self.one, 80)
        assert may_reach([policy("closed", podSelector={"matchLabels": {"is": "one"}})], self.one, self.two, 80)

    def test_a_pod_selector_alone_means_the_same_namespace(self) -> None:
        peers = [{"podSelector": {"matchLabels": {"is": "two"}}}]
        rule = policy("rule", ingress=[{"from": peers, "ports": [{"port": "http"}]}])
        assert may_reach([rule], self.two, self.one, 80)
        assert not may_reach([rule], self.far, self.one, 80)
        assert not may_reach([rule], self.two, self.one, 81)
        assert not may_reach([rule], self.two, self.one, 80, "UDP")

    def test_both_selectors_of_one_peer_must_match(self) -> None:
        peer = {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "elsewhere"}},
            "podSelector": {"matchLabels": {"is": "one"}},
        }
        assert not may_reach([policy("rule", ingress=[{"from": [peer]}])], self.far, self.one, 80)

    def test_a_rule_without_peers_lets_everybody_in(self) -> None:
        assert may_reach([policy("rule", ingress=[{}])], self.far, self.one, 80)

    def test_both_ends_have_to_let_a_connection_through(self) -> None:
        shut = policy("shut", podSelector={"matchLabels": {"is": "two"}}, policyTypes=["Egress"])
        assert not may_reach([policy("rule", ingress=[{}]), shut], self.two, self.one, 80)

    def test_exceptions_of_an_address_block_hold(self) -> None:
        block = {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}
        out = policy("out", policyTypes=["Egress"], egress=[{"to": [block]}])
        assert may_reach([out], self.one, End("outside", address="93.184.216.34"), 443)
        assert not may_reach([out], self.one, End("inside", address="10.1.2.3"), 443)
        assert not may_reach([out], self.one, self.far, 443)
