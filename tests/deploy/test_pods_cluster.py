"""Three buses under podman, as the three-node overlay describes them: one cluster, with copies of everything."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.deploy.pods import Cluster
from tests.deploy.test_pods import apply, cluster_of

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1500)]

BUSES = tuple(f"nats-{number}.nats-headless" for number in range(3))


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The buses of the three-node overlay, with their streams made and a library applied."""
    cluster = cluster_of("three-nodes", 3, tmp_path_factory.mktemp("three"))
    try:
        start_buses(cluster, *BUSES)
        cluster.services["nats"] = BUSES[0]
        cluster.start("provision")
        assert cluster.wait_for_the_end("provision") == 0, cluster.logs("provision")
        cluster.remove("provision")
        apply(cluster)
        yield cluster
    finally:
        cluster.end()


def start_buses(cluster: Cluster, *buses: str) -> None:
    for bus in buses:
        cluster.start("nats", ordinal=BUSES.index(bus), as_name=bus)
    for bus in buses:
        cluster.wait_for("nats", "startupProbe", bus)
        cluster.wait_for("nats", "readinessProbe", bus)


def monitored(cluster: Cluster, bus: str, path: str) -> dict[str, Any]:
    answer = httpx.get(f"http://{cluster.address(bus)}:8222/{path}", timeout=30, trust_env=False)
    found: dict[str, Any] = answer.json()
    return found


def test_three_buses_are_one_cluster_and_each_has_everything(three: Cluster) -> None:
    routes = monitored(three, BUSES[0], "routez")["routes"]
    assert {each["remote_name"] for each in routes} == {"nats-1", "nats-2"}
    known = {}
    for bus in BUSES:
        account = monitored(three, bus, "jsz?streams=true&config=true")["account_details"][0]
        known[bus] = {each["name"]: each for each in account["stream_detail"]}
    assert len(known[BUSES[0]]) > 20
    for streams in known.values():
        assert set(streams) == set(known[BUSES[0]])
        for stream in streams.values():
            assert stream["config"]["num_replicas"] == 3, stream["name"]
    three.start("provision")
    assert three.wait_for_the_end("provision") == 0
    answer = three.logs("provision")
    three.remove("provision")
    assert "as it should be" in answer
    assert "created" not in answer
    assert "updated" not in answer


def test_who_has_no_certificate_of_ours_becomes_no_part_of_the_cluster(three: Cluster) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    routes = (three.address(BUSES[0]), 6222)
    with socket.create_connection(routes, timeout=30) as plain:
        assert not said_by_tls(plain, context)
    tls = three.home / "secrets" / "tls"
    context.load_cert_chain(tls / "server.pem", tls / "server-key.pem")
    with socket.create_connection(routes, timeout=30) as plain:
        assert said_by_tls(plain, context).startswith(b"INFO"), "one of ours would be let in"


def said_by_tls(plain: socket.socket, context: ssl.SSLContext) -> bytes:
    """Return what the other end says after a handshake; nothing if it makes none."""
    try:
        with context.wrap_socket(plain) as secured:
            return secured.recv(1024)  # TLS 1.3 tells of a missing certificate with the first answer only
    except (ssl.SSLError, ConnectionError):
        return b""


def test_one_bus_of_three_may_go_and_without_a_quorum_none_is_restarted(three: Cluster) -> None:
    three.kill(BUSES[2])
    apply(three)
    three.kill(BUSES[1])
    three.wait_for("nats", "readinessProbe", BUSES[0], status=503)
    for _ in range(20):
        assert three.probe("nats", BUSES[0], "livenessProbe") == 200, "a restart would help nobody"
        time.sleep(0.5)
    start_buses(three, BUSES[1], BUSES[2])
    three.wait_for("nats", "readinessProbe", BUSES[0])
    three.start("apply")
    assert three.wait_for_the_end("apply") == 0
    assert "= stadtbibliothek: unchanged" in three.logs("apply")
    three.remove("apply")


def test_a_bus_that_is_moved_sends_its_clients_away_and_is_gone_in_time(three: Cluster) -> None:
    begun = time.monotonic()
    three.stop("nats", BUSES[1])
    took_s = time.monotonic() - begun
    assert took_s < three.workloads["nats"].pod["terminationGracePeriodSeconds"], "it was killed"
    assert three.probe("nats", BUSES[0], "readinessProbe") == 200
    start_buses(three, BUSES[1])
