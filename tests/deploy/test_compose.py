"""docker-compose.yml does what it says: it is valid, and the installation that it describes really runs."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml  # type: ignore[import-untyped]

from cli.service_list import services_of
from tests.daytime import zone_at_noon
from tests.deploy.compose import RUN_HERE, SERVICES, Site, wait_for
from tests.deploy.standins import COMMANDS, ROOT, make_image, make_program, podman

LIBRARY: Final = f"""\
[[libraries]]
id = "central"
name = "Central library (simulated)"
time_zone = "{zone_at_noon()}"
country = "FR"
languages = ["en", "fr"]
opening_hours = "24/7"
capacity = 100
gates = [{{ id = "front", name = "the front door" }}]

[[libraries.channels]]
type = "console"
languages = ["en"]
min_interval_min = 0
daily_budget = 50
"""
OURS: Final = ("bus", *SERVICES)
PUBLISHED: Final = {"api", "ingest", "prometheus", "alertmanager", "grafana"}


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
    closed = {name for name, network in compose["networks"].items() if (network or {}).get("internal")}
    assert closed == {"bus", "monitoring"}
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


def test_the_operator_s_doctor_asks_every_service_where_it_listens() -> None:
    services = compose_file()["services"]
    given = services["operator"]["environment"]
    asked = {each.kind: each.address for each in services_of(given["PLACELIBRE_SERVICES"])}
    assert asked == {name: f"http://{name}:{services[name]['environment']['PLACELIBRE_PORT']}" for name in SERVICES}
    for name in SERVICES:
        assert set(services["operator"]["networks"]) & set(services[name]["networks"]), name
    assert given["PLACELIBRE_PROMETHEUS"] == "http://prometheus:9090"
    assert f"exports:{given['PLACELIBRE_EXPORT_DIR']}" in services["operator"]["volumes"]


def test_a_backup_by_hand_keeps_as_many_exports_as_the_auditor_does() -> None:
    """Both write into the same folder: the one that keeps fewer would take away what the other has promised."""
    services = compose_file()["services"]
    auditor, operator = (
        (
            services[name]["environment"]["PLACELIBRE_EXPORT_DIR"],
            services[name]["environment"]["PLACELIBRE_EXPORT_KEEP"],
        )
        for name in ("auditor", "operator")
    )
    assert auditor == operator == ("/exports", "${EXPORT_KEEP:-14}")


def test_what_is_the_operator_s_own_is_said_in_env_and_on_the_page() -> None:
    """So nothing that git tracks has to be edited, and an upgrade is a `git pull`."""
    named = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
    page = (ROOT / "docs" / "deploy.md").read_text()
    assert named == set(re.findall(r"^\| `([A-Z_]+)` \|", page, re.MULTILINE))
    for mount in ("operator", "alertmanager"):
        [bind] = [each for each in compose_file()["services"][mount]["volumes"] if isinstance(each, dict)]
        assert bind["bind"]["create_host_path"] is False, "a file that is not there is no empty folder"
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"/my/", "/.env", "/deploy/compose/credentials/", "/deploy/compose/bus/"} <= set(ignored)


def test_what_alertmanager_is_to_read_is_where_compose_puts_it() -> None:
    volumes = compose_file()["services"]["alertmanager"]["volumes"]
    [mounted] = [each for each in volumes if "credentials" in str(each)]
    source, target, mode = mounted.split(":")
    assert (source, mode) == ("./deploy/compose/credentials/alertmanager", "ro")
    text = (ROOT / "deploy" / "alertmanager" / "alertmanager-notify.yml").read_text()
    files = re.findall(r"(?:password|credentials)_file: (\S+)", text)
    assert files
    assert {str(Path(each).parent) for each in files} == {target}


def test_the_gateway_of_the_proxy_s_network_does_not_change_by_itself() -> None:
    [pool] = compose_file()["networks"]["front"]["ipam"]["config"]
    subnet = ip_network(pool["subnet"].removeprefix("${FRONT_SUBNET:-").removesuffix("}"))
    assert f"FORWARDED_ALLOW_IPS={subnet[1]}" in (ROOT / "docs" / "deploy.md").read_text()


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
def test_the_doctor_has_asked_every_service_and_says_so_when_one_is_down(site: Site, key: str) -> None:
    wait_for(lambda: send(site, key, 98).status_code == 202, "the reading is stored")
    report = json.loads(site.operator("doctor", "--json"))
    subjects = {each["subject"] for each in report["findings"]}
    assert {f"service {name}" for name in SERVICES} <= subjects, report
    assert "services" not in subjects
    podman("stop", site.container("publisher"))
    try:
        report = json.loads(site.operator("doctor", "--json", is_well=False))
        found = {each["subject"]: each["severity"] for each in report["findings"]}
        assert found["service publisher"] == "wrong"
    finally:
        podman("start", site.container("publisher"))
        wait_for(lambda: site.is_healthy("publisher"), "publisher is healthy", 90)


@pytest.mark.containers
def test_an_alert_can_be_tried_and_seen_from_this_machine(site: Site) -> None:
    podman(
        *("exec", site.container("alertmanager"), "amtool", "--alertmanager.url=http://127.0.0.1:9093"),
        *("alert", "add", "TryMe", "severity=critical"),
    )

    def is_seen() -> bool:
        return any(each["labels"]["alertname"] == "TryMe" for each in site.get("alertmanager", "/api/v2/alerts").json())

    wait_for(is_seen, "Alertmanager has the alert")


@pytest.mark.containers
def test_a_credential_that_is_added_can_be_read_by_alertmanager_with_a_configuration_of_one_s_own(site: Site) -> None:
    own = site.folder / "my" / "alertmanager.yml"
    own.parent.mkdir()
    own.write_text((ROOT / "deploy" / "alertmanager" / "alertmanager-notify.yml").read_text())
    own.chmod(0o644)
    added = site.folder / "deploy" / "compose" / "credentials" / "alertmanager" / "smtp-password"
    added.write_text("not a password\n")
    added.chmod(0o600)
    site.init()
    site.compose(
        "up", "--detach", "--force-recreate", "--no-deps", "alertmanager", ALERTMANAGER_CONFIG="./my/alertmanager.yml"
    )
    wait_for(lambda: site.is_healthy("alertmanager"), "alertmanager is healthy")
    read = podman("exec", site.container("alertmanager"), "cat", "/run/credentials/smtp-password")
    assert read == "not a password\n"
    loaded = podman("exec", site.container("alertmanager"), "cat", "/etc/alertmanager/alertmanager.yml")
    assert "smtp_auth_password_file: /run/credentials/smtp-password" in loaded


@pytest.mark.containers
def test_a_backup_goes_out_of_its_volume_comes_back_and_is_put_back(site: Site, key: str) -> None:
    """The procedure of docs/backup.md, to the letter."""
    wait_for(lambda: send(site, key, 97).status_code == 202, "the reading is stored")
    wait_for(lambda: "full" in json.dumps(status(site)), "the level is known")
    site.operator("backup", "/exports")
    archive = site.folder / "exports.tar"
    site.tar(archive, "-C", "/exports", "-cf", "-", ".")
    with tarfile.open(archive) as opened:
        assert any(name.endswith("manifest.json") for name in opened.getnames()), opened.getnames()[:9]
    site.down(is_data_kept=False)  # the machine is gone, and its volumes with it
    site.init()
    site.compose("up", "--detach", "--no-deps", "bus")
    wait_for(lambda: site.is_healthy("bus"), "the bus is healthy", 90)
    site.tar(archive, "-C", "/exports", "-xf", "-", is_put_in=True)
    assert "nothing was touched" in site.operator("restore", "/exports", "--dry-run")
    assert "Restored into the bus at tls://bus:4222" in site.operator("restore", "/exports")
    site.up()
    wait_for(lambda: "full" in json.dumps(status(site)), "the level of before is known again", 90)
    assert send(site, key, 96).status_code == 202, "the keys of before still hold"


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
