"""docker-compose.yml does what it says: it is valid, and the installation that it describes really runs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml  # type: ignore[import-untyped]

from tests.deploy.compose import RUN_HERE, SERVICES, Site, wait_for
from tests.deploy.standins import COMMANDS, ROOT, make_image, make_program, podman

LIBRARY: Final = """\
[[libraries]]
id = "central"
name = "Central library (simulated)"
time_zone = "Europe/Paris"
country = "FR"
languages = ["en", "fr"]
opening_hours = "24/7"
capacity = 100
gates = [{ id = "front", name = "the front door" }]

[[libraries.channels]]
type = "console"
languages = ["en"]
min_interval_min = 0
daily_budget = 50
"""
OURS: Final = ("bus", *SERVICES)
PUBLISHED: Final = {"api", "ingest", "prometheus", "grafana"}


def compose_file() -> dict[str, Any]:
    """Return docker-compose.yml with its anchors resolved."""
    parsed: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return parsed


def test_every_container_is_confined_and_limited() -> None:
    for name, service in compose_file()["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["pids_limit"] > 0, name
        assert "mem_limit" in service or name == "init", name
        assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}, name
        assert "privileged" not in service, name


def test_nobody_runs_as_root_but_what_hands_out_files_without_a_network() -> None:
    roots = {name for name, service in compose_file()["services"].items() if service["user"].startswith("0")}
    assert roots == {"init"}
    assert compose_file()["services"]["init"]["network_mode"] == "none"


def test_only_the_page_the_readings_and_the_operators_views_are_published_and_on_loopback() -> None:
    published = {name: service["ports"] for name, service in compose_file()["services"].items() if "ports" in service}
    assert set(published) == PUBLISHED
    assert all("127.0.0.1:" in port for ports in published.values() for port in ports)


def test_the_bus_and_the_monitoring_have_no_way_out_of_their_own() -> None:
    compose = compose_file()
    assert {name for name, network in compose["networks"].items() if network} == {"bus", "monitoring"}
    assert all(compose["networks"][name]["internal"] for name in ("bus", "monitoring"))
    assert compose["services"]["bus"]["networks"] == ["bus"]


def test_each_service_gets_its_own_key_and_no_other() -> None:
    services = compose_file()["services"]
    for name in SERVICES:
        sources = {each if isinstance(each, str) else each["source"] for each in services[name]["secrets"]}
        assert sources == {f"seed_{name}", "bus_ca"}
        assert not any("deploy/compose/bus" in volume for volume in services[name].get("volumes", ()))


def test_images_of_others_are_named_exactly() -> None:
    for name, service in compose_file()["services"].items():
        assert ":" in service["image"].rpartition("/")[2] or service["image"].startswith("${IMAGE"), name
        assert not service["image"].endswith(":latest"), name


@pytest.mark.tools
def test_the_file_is_valid_by_the_schema_of_compose() -> None:
    command = [".tools/bin/check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An installation that is up, with one library in force, made by the commands of docs/deploy.md."""
    make_image()
    for program in COMMANDS:
        make_program(program)
    made = Site(tmp_path_factory.mktemp("site"), LIBRARY)
    try:
        made.init()
        made.up()
        yield made
    finally:
        made.down(is_data_kept=False)


@pytest.fixture(scope="module")
def key(site: Site) -> str:
    """A key of the library, made and put into force as an operator does it."""
    answer = json.loads(site.operator("keys", "new", "central", "--device", "desk", "--role", "staff", "--json"))
    site.write_libraries(LIBRARY + "\n" + answer["toml"])
    site.operator("apply")
    made: str = answer["key"]
    return made


def send(site: Site, key: str, people: int) -> httpx.Response:
    return httpx.post(
        f"http://127.0.0.1:{site.ports['ingest']}/v1/readings",
        headers={"Authorization": f"Bearer {key}"},
        json={"kind": "head_count", "library": "central", "people": people},
        timeout=10,
        trust_env=False,
    )


def status(site: Site) -> dict[str, Any]:
    answer = site.get("api", "/v1/libraries/central")
    body: dict[str, Any] = answer.json() if answer.status_code == 200 else {}
    return body


@pytest.mark.containers
def test_every_container_is_healthy_and_the_provisioning_has_ended_well(site: Site) -> None:
    for name in RUN_HERE:
        state = site.inspect(name)["State"]
        if name == "provision":
            assert (state["Status"], state["ExitCode"]) == ("exited", 0)
        else:
            assert state["Status"] == "running"
            assert state["Health"]["Status"] == "healthy", name


@pytest.mark.containers
def test_a_reading_goes_in_and_its_level_comes_out_on_the_page_and_as_a_post(site: Site, key: str) -> None:
    wait_for(lambda: send(site, key, 98).status_code == 202, "the key is known and the reading stored")
    wait_for(lambda: "full" in json.dumps(status(site)), "the API serves the level")
    page = site.get("api", "/l/central")
    assert page.status_code == 200
    assert "Central library" in page.text
    assert "Full" in page.text
    wait_for(lambda: "central" in posts(site), "the publisher has posted on the console")


def posts(site: Site) -> str:
    """Return what the publisher has printed but for its log, which is JSON."""
    return "\n".join(line for line in site.log("publisher").splitlines() if not line.startswith("{"))


@pytest.mark.containers
@pytest.mark.parametrize("service", OURS)
def test_our_processes_run_as_nobody_in_particular_and_without_rights(site: Site, service: str) -> None:
    process = site.process(service)
    assert process["Uid"].split() == process["Gid"].split() == ["10001"] * 4
    assert {int(process[name], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb")} == {0}
    assert process["NoNewPrivs"] == "1"
    assert process["Seccomp"] == "2"


@pytest.mark.containers
@pytest.mark.parametrize("service", OURS)
def test_the_root_is_really_read_only(site: Site, service: str) -> None:
    for path in ("/etc/written", "/opt/placelibre/written", "/var/written", "/written"):
        with pytest.raises(RuntimeError, match=r"Read-only file system|Permission denied"):
            podman("exec", "--user", "0:0", site.container(service), "python", "-c", f"open({path!r}, 'w')")


@pytest.mark.containers
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_sees_no_key_but_its_own(site: Site, service: str) -> None:
    code = "import os; print(sorted(os.listdir('/run/secrets')))"
    assert podman("exec", site.container(service), "python", "-c", code).strip() == "['bus_ca', 'seed']"


@pytest.mark.containers
def test_who_is_not_on_a_network_does_not_get_through(site: Site) -> None:
    code = "import socket; socket.create_connection(('bus', 4222), 3)"
    podman("exec", site.container("api"), "python", "-c", code)
    with pytest.raises(RuntimeError):
        podman("exec", site.container("prometheus"), "python3", "-c", code)


@pytest.mark.containers
def test_prometheus_reaches_every_service_and_has_loaded_every_rule(site: Site) -> None:
    def are_all_up() -> bool:
        targets = site.get("prometheus", "/api/v1/targets").json()["data"]["activeTargets"]
        health = {each["labels"]["job"]: each["health"] for each in targets}
        return health == dict.fromkeys((*SERVICES, "prometheus", "alertmanager"), "up")

    wait_for(are_all_up, "all targets are up", 90)
    groups = site.get("prometheus", "/api/v1/rules").json()["data"]["groups"]
    loaded = {rule["name"] for group in groups for rule in group["rules"]}
    files = (ROOT / "deploy" / "prometheus" / "rules").glob("*.yml")
    written = {
        rule.get("alert") or rule["record"]
        for file in files
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
    }
    assert loaded == written
    assert written


@pytest.mark.containers
def test_alertmanager_hears_the_watchdog(site: Site) -> None:
    def has_heard() -> bool:
        code = (
            "import urllib.request as r;"
            "print(r.urlopen('http://alertmanager:9093/api/v2/alerts', timeout=5).read().decode())"
        )
        alerts = json.loads(podman("exec", site.container("prometheus"), "python3", "-c", code))
        return any("Watchdog" in each["labels"]["alertname"] for each in alerts)

    wait_for(has_heard, "the watchdog fires in Alertmanager", 120)


@pytest.mark.containers
def test_what_is_stored_outlives_the_containers(site: Site, key: str) -> None:
    wait_for(lambda: send(site, key, 97).status_code == 202, "the reading is stored")
    wait_for(lambda: bool(status(site)), "the API serves the library")
    before = status(site)["revision"]
    site.down()
    site.up()
    wait_for(lambda: bool(status(site)), "the API serves the library again")
    assert status(site)["revision"] >= before
    assert send(site, key, 96).status_code == 202


@pytest.mark.containers
def test_a_second_init_changes_nothing(site: Site) -> None:
    def files() -> dict[Path, bytes]:
        return {
            path: path.read_bytes()
            for folder in ("bus", "credentials")
            for path in (site.folder / "deploy" / "compose" / folder).rglob("*")
            if path.is_file()
        }

    before = files()
    site.init()
    assert files() == before
