"""The alerts: each fires and stays quiet as its tests say, names what there is, and is explained in the runbook."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]

from shared.runtime import metrics
from tests.conftest import ROOT
from tests.deploy.promql import OF_PROMETHEUS, known_series, labels_of, named

DEPLOY: Final = ROOT / "deploy"
RULES: Final = sorted((DEPLOY / "prometheus" / "rules").glob("*.yml"))
TESTS: Final = DEPLOY / "prometheus" / "tests"
RUNBOOK: Final = ROOT / "docs" / "runbook.md"
ALERTMANAGER: Final = DEPLOY / "alertmanager" / "alertmanager.yml"
NOTIFYING: Final = DEPLOY / "alertmanager" / "alertmanager-notify.yml"
SEVERITIES: Final = {"critical", "warning", "info", "none"}
WATCHDOG: Final = "PlacelibreWatchdog"
LINK: Final = "{{ with $externalLabels.runbook }}{{ . }}{{ else }}docs/runbook.md{{ end }}"
"""Whoever keeps the runbook at an address of its own says so once, in an external label of Prometheus."""

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed; Debian has it in `prometheus`"
)
needs_amtool = pytest.mark.skipif(
    shutil.which("amtool") is None, reason="amtool is not installed; Debian has it in `prometheus-alertmanager`"
)


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@cache
def alerts() -> dict[str, dict[str, Any]]:
    found = [rule for path in RULES for group in read(path)["groups"] for rule in group["rules"]]
    assert len({each["alert"] for each in found}) == len(found)
    return {each["alert"]: each for each in found}


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@needs_promtool
@pytest.mark.parametrize("rules", RULES, ids=lambda each: each.stem)
def test_the_alerts_of_a_topic_fire_when_they_should_and_stay_quiet_else(rules: Path) -> None:
    run("promtool", "check", "rules", str(rules))
    run("promtool", "test", "rules", str(TESTS / rules.name))


def tried() -> tuple[set[str], set[str]]:
    """Return the alerts that a test has seen firing, and those that one has seen quiet."""
    fired: set[str] = set()
    quiet: set[str] = set()
    for path in TESTS.glob("*.yml"):
        for test in read(path)["tests"]:
            for check in test.get("alert_rule_test", ()):
                (fired if check["exp_alerts"] else quiet).add(check["alertname"])
            for check in test.get("promql_expr_test", ()):
                wanted = re.findall(r'alertname="(\w+)"', check["expr"])
                of_samples = [re.findall(r'alertname="(\w+)"', each["labels"]) for each in check["exp_samples"]]
                (fired if check["exp_samples"] else quiet).update(wanted)
                fired.update(name for each in of_samples for name in each)
    return fired, quiet


def test_every_alert_is_tried_both_ways() -> None:
    fired, quiet = tried()
    assert alerts().keys() - fired == set()
    # The watchdog is never quiet; that is what it is for.
    assert alerts().keys() - quiet - {WATCHDOG} == set()
    assert fired | quiet <= alerts().keys()


def test_every_alert_says_how_urgent_it_is_what_is_so_and_what_to_do() -> None:
    for name, rule in alerts().items():
        assert name.startswith("Placelibre")
        assert set(rule["labels"]) == {"severity"}, name
        assert rule["labels"]["severity"] in SEVERITIES, name
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}, name
        assert len(rule["annotations"]["description"]) > 60, name
        assert "for" in rule or name == WATCHDOG


def test_every_number_of_a_rule_has_its_reason_beside_it() -> None:
    for path in RULES:
        for each in path.read_text(encoding="utf-8").split("- alert: ")[1:]:
            # The urgent twin of an alert stands under the reason that the file gives for both.
            name = each.split()[0]
            twin = name.endswith("Soon") or name.removesuffix("s") + "sSoon" in alerts()
            assert "\n        # " in each or twin or name == WATCHDOG, name


def test_every_alert_has_its_section_in_the_runbook() -> None:
    headings = re.findall(r"^#{2,4} (.+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)
    for name, rule in alerts().items():
        assert rule["annotations"]["runbook_url"] == f"{LINK}#{name.lower()}"
        assert name in headings
    assert {each for each in headings if each.startswith("Placelibre")} == alerts().keys()


def test_what_an_operator_is_told_to_look_for_in_a_log_is_what_the_code_writes_there() -> None:
    code = "".join(path.read_text() for part in ("shared", "services", "cli") for path in (ROOT / part).rglob("*.py"))
    for page in (*RULES, RUNBOOK):
        for name in re.findall(r"`([a-z]+(?:_[a-z]+)+)`", page.read_text(encoding="utf-8")):
            assert re.search(rf"\b{name}\b", code), f"{page.name}: {name}"


def test_every_metric_and_label_of_a_rule_is_one_of_ours_or_of_prometheus() -> None:
    known = known_series(metrics)
    used: set[str] = set()
    for name, rule in alerts().items():
        series = named(rule["expr"])
        used |= set(series)
        for metric, labels in series.items():
            assert metric in known or metric in OF_PROMETHEUS, f"{name}: there is no {metric}"
            if metric in known:
                assert labels <= known[metric] | {"job", "instance"}, f"{name}: {metric} has no {labels}"
        of_series = set().union(*(known.get(each, {"job", "instance"}) for each in series)) | {"job", "instance"}
        assert labels_of(rule["expr"]) <= of_series, name
        for text in rule["annotations"].values():
            templated = set(re.findall(r"\$labels\.(\w+)", text))
            assert templated <= of_series, f"{name}: {templated - of_series}"
    assert len(used) > 40


@needs_amtool
@pytest.mark.parametrize("path", [ALERTMANAGER, NOTIFYING], ids=lambda each: each.stem)
@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (("alertname=PlacelibreWatchdog", "severity=none"), "dead-mans-switch"),
        (("alertname=PlacelibreBusDown", "severity=critical"), "on-call"),
        (("alertname=PlacelibreDeviceSilent", "severity=warning"), "operator"),
        (("alertname=PlacelibreKeyExpires", "severity=info"), "now-and-then"),
        (("alertname=OfSomebodyElse",), "operator"),
    ],
)
def test_each_alert_reaches_whom_it_concerns(path: Path, labels: tuple[str, ...], receiver: str) -> None:
    run("amtool", "check-config", str(path))
    route = ("amtool", "config", "routes", "test", "--config.file", str(path), f"--verify.receivers={receiver}")
    assert receiver in run(*route, *labels)


def test_the_two_ways_to_run_alertmanager_differ_in_their_receivers_alone() -> None:
    quiet, notifying = read(ALERTMANAGER), read(NOTIFYING)
    for part in ("route", "inhibit_rules"):
        assert quiet[part] == notifying[part]
    assert [each["name"] for each in quiet["receivers"]] == [each["name"] for each in notifying["receivers"]]
    assert all(set(each) == {"name"} for each in quiet["receivers"]), "the quiet one sends nothing"
    assert all(len(each) > 1 for each in notifying["receivers"])
    assert "password:" not in NOTIFYING.read_text(), "what is secret stands in files of its own"


def test_what_keeps_other_alerts_quiet_names_alerts_that_there_are() -> None:
    text = ALERTMANAGER.read_text(encoding="utf-8")
    names = {
        f"{head}{each}"
        for head, body in re.findall(r'alertname=~"(Placelibre\w*)\(([^)]+)\)"', text)
        for each in body.split("|")
    }
    names |= set(re.findall(r'alertname="(\w+)"', text))
    assert len(names) > 30
    assert names <= alerts().keys()


def test_nothing_keeps_itself_quiet() -> None:
    for rule in read(ALERTMANAGER)["inhibit_rules"]:
        [source] = [each for each in rule["source_matchers"] if each.startswith("alertname")]
        names = [each for each in alerts() if re.fullmatch(pattern_of(source), each)]
        assert names
        for target in rule["target_matchers"]:
            if target.startswith("alertname"):
                assert not [each for each in names if re.fullmatch(pattern_of(target), each)], source


def pattern_of(matcher: str) -> str:
    return matcher.partition("=")[2].lstrip("~").strip('"')
