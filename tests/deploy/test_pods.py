"""The pods run: the templates of the overlays under podman, one reading in, one post out."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.daytime import zone_at_noon
from tests.deploy import standins
from tests.deploy.manifests import K8S, built, kustomized
from tests.deploy.pods import FORGIVING_S, Cluster, user_and_groups
from tests.deploy.test_k8s import made_by_bus_init

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1500)]

SECRET = "made-up-secret-of-a-gate"
LIBRARIES = f"""
[[libraries]]
id = "stadtbibliothek"
name = "Stadtbibliothek (simulated figures)"
time_zone = "{zone_at_noon()}"
country = "DE"
opening_hours = "24/7"
capacity = 100
gates = [{{ id = "main" }}]
channels = [{{ type = "console" }}]
keys = [
  {{ id = "main-gate", sha256 = "{sha256(SECRET.encode()).hexdigest()}", device = "box", role = "gate" }},
  {{ id = "desk", sha256 = "{sha256(SECRET.encode()).hexdigest()}", device = "tablet", role = "staff" }},
]
"""
SERVICES = ("aggregator", "ingest", "publisher", "api", "auditor")


def cluster_of(overlay: str, nodes: int, home: Path) -> Cluster:
    secrets = made_by_bus_init(home / "secrets", nodes)
    (secrets / "kustomization.yaml").write_text((K8S / "secrets" / overlay / "kustomization.yaml").read_text())
    jobs = [each for name in ("apply", "restore") for each in kustomized(K8S / "jobs" / name)]
    backup = [each for each in built("everything") if each["kind"] == "CronJob"]
    manifests = [*built(overlay), *jobs, *backup, *kustomized(secrets)]
    cluster = Cluster(home, f"placelibre-{overlay}", standins.make_image(), manifests)
    cluster.add("ConfigMap", "placelibre-libraries", {"libraries.toml": LIBRARIES.encode()})
    return cluster


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The single-node overlay, up and with a library applied."""
    cluster = cluster_of("single-node", 1, tmp_path_factory.mktemp("single"))
    try:
        cluster.start("nats")
        # All at once, as `kubectl apply` does: whoever is first waits for the others.
        for name in ("provision", *SERVICES):
            cluster.start(name)
        assert cluster.wait_for_the_end("provision") == 0, cluster.logs("provision")
        for name in SERVICES:
            cluster.wait_for(name, "startupProbe")
            cluster.wait_for(name, "livenessProbe")
        apply(cluster)
        for name in SERVICES:
            cluster.wait_for(name)
        yield cluster
    finally:
        cluster.end()


def apply(cluster: Cluster) -> None:
    """Run the Job until it succeeds, as often as its backoffLimit lets it: a bus may be choosing a leader."""
    for _ in range(1 + cluster.workloads["apply"].manifest["spec"]["backoffLimit"]):
        cluster.start("apply")
        code, words = cluster.wait_for_the_end("apply"), cluster.logs("apply")
        cluster.remove("apply")
        if code == 0:
            return
        time.sleep(5)
    raise AssertionError(words)


def send(cluster: Cluster, key: str = "main-gate", **reading: Any) -> httpx.Response:
    """Send one reading to ingest: by default somebody who walks in."""
    known = reading or {"kind": "gate_count", "gate": "main", "entries": 1, "exits": 0}
    return httpx.post(
        f"http://{cluster.address('ingest')}:8001/v1/readings",
        json=[{"library": "stadtbibliothek", **known}],
        headers={"Authorization": f"Bearer {key}.{SECRET}"},
        timeout=30,
        trust_env=False,
    )


def status(cluster: Cluster) -> dict[str, Any]:
    url = f"http://{cluster.address('api')}:8000/v1/libraries/stadtbibliothek"
    answer = httpx.get(url, timeout=30, trust_env=False)
    found: dict[str, Any] = answer.json() if answer.status_code == 200 else {}
    return found


def posts(cluster: Cluster, pod: str = "publisher") -> list[str]:
    lines = cluster.logs(pod).splitlines()
    return [line for line in lines if "Stadtbibliothek" in line and not line.startswith("{")]


def wait_until(what: Any, reason: str) -> None:
    end = time.monotonic() + FORGIVING_S
    while not what():
        assert time.monotonic() < end, reason
        time.sleep(0.3)


def test_one_reading_goes_in_and_one_post_comes_out(single: Cluster) -> None:
    answer = send(single, "desk", kind="head_count", people=60)
    assert answer.status_code == 202, answer.text
    wait_until(lambda: status(single).get("state") == "open", json.dumps(status(single)))
    wait_until(lambda: posts(single), single.logs("publisher"))
    assert len(posts(single)) == 1, posts(single)


@pytest.mark.parametrize("name", ["nats", *SERVICES])
def test_inside_a_pod_there_is_no_root_and_nothing_to_write_on(single: Cluster, name: str) -> None:
    container = next(iter(single.containers_of(name)))
    python = "/opt/placelibre/bin/python"
    lines = single.execute(name, container, "cat", "/proc/1/status").splitlines()
    assert user_and_groups(lines) == (10001, 10001)
    fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"].strip() == "1"
    assert fields["Seccomp"].strip() == "2"
    attempt = (
        "import errno\n"
        "for place in ('/etc/x', '/opt/placelibre/x', '/usr/x', '/etc/placelibre/x', '/x'):\n"
        "    try: open(place, 'w')\n"
        "    except OSError as error: print(errno.errorcode[error.errno])\n"
        "    else: print('written', place)\n"
        "open('/tmp/x', 'w').write('x'); print('tmp')\n"
    )
    assert single.execute(name, container, python, "-c", attempt).split() == ["EROFS"] * 5 + ["tmp"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_sees_its_own_key_and_no_other(single: Cluster, name: str) -> None:
    found = single.execute(name, name, "find", "/etc/placelibre", "-name", "*.nk", "-o", "-name", "*key*.pem")
    assert found.split() == [f"/etc/placelibre/nkey/{name}.nk"]


def test_a_bus_that_is_away_makes_services_wait_and_not_die(single: Cluster) -> None:
    assert send(single).status_code == 202
    single.stop("nats")
    for name in ("ingest", "aggregator", "publisher"):
        single.wait_for(name, "readinessProbe", status=503)
    for name in SERVICES:
        assert single.probe(name, name, "livenessProbe") == 200, name
    assert send(single).status_code == 503
    assert status(single)["state"] == "open", "the api answers with what it has"
    single.start("nats")
    for name in SERVICES:
        single.wait_for(name)


def test_a_killed_pod_comes_back_with_everything(single: Cluster) -> None:
    before = applied(single)
    assert send(single).status_code == 202
    wait_until(lambda: applied(single) > before, "the reading is not applied")
    said = len(posts(single))
    for name in ("nats", "aggregator"):
        single.kill(name)
    single.start("nats")
    single.wait_for("nats")
    single.start("aggregator")
    for name in SERVICES:
        single.wait_for(name)
    after = applied(single)
    assert after == before + 1, "the aggregator goes on from its checkpoint and from the log, each reading once"
    assert send(single).status_code == 202
    wait_until(lambda: applied(single) == after + 1, "the reading after the kill is not applied")
    assert len(posts(single)) == said, "nothing is said twice"


def applied(cluster: Cluster) -> float:
    text = httpx.get(f"http://{cluster.address('aggregator')}:8002/metrics", timeout=30, trust_env=False).text
    found = re.search(r'^placelibre_aggregator_readings\{outcome="applied"\} (\S+)$', text, re.MULTILINE)
    return float(found.group(1)) if found else 0.0


def test_the_provisioning_job_may_run_again(single: Cluster) -> None:
    single.remove("provision")
    single.start("provision")
    assert single.wait_for_the_end("provision") == 0, single.logs("provision")


def test_a_backup_is_put_back_onto_a_bus_that_has_lost_its_disk(single: Cluster) -> None:
    """The procedure of docs/backup.md."""
    assert send(single, "desk", kind="head_count", people=41).status_code == 202
    wait_until(lambda: is_known(single), json.dumps(status(single)))
    single.start("backup")
    assert single.wait_for_the_end("backup") == 0, single.logs("backup")
    for name in SERVICES:
        single.stop(name)
    claims = single.home / "claims"
    shutil.copytree(claims / "backup" / "backups", claims / "restore" / "backups")  # one claim there, two folders here
    subprocess.run(["chown", "-R", "10001:10001", str(claims / "restore")], check=True)
    single.start("restore")
    assert single.wait_for_the_end("restore") == 1, "a bus that holds something is not replaced without a word"
    assert "--replace" in single.logs("restore")
    single.remove("restore")
    single.stop("nats")
    shutil.rmtree(claims / "nats")
    single.start("nats")
    single.wait_for("nats")
    single.start("restore")
    assert single.wait_for_the_end("restore") == 0, single.logs("restore")
    for name in SERVICES:
        single.start(name)
    for name in SERVICES:
        single.wait_for(name)
    wait_until(lambda: is_known(single), json.dumps(status(single)))
    assert send(single).status_code == 202, "the gate's key holds as before"


def is_known(cluster: Cluster) -> bool:
    """Tell whether the head-count of this test is what is shown, as far as an estimate follows one."""
    people = status(cluster).get("people")
    return people is not None and abs(people["value"] - 41) <= 8


def test_a_service_stops_within_the_time_that_its_pod_has(single: Cluster) -> None:
    for name in ("publisher", "api"):
        begun = time.monotonic()
        single.stop(name)
        took_s = time.monotonic() - begun
        assert took_s < single.workloads[name].pod["terminationGracePeriodSeconds"], f"{name} was killed"
        single.start(name)
    for name in ("publisher", "api"):
        single.wait_for(name)
