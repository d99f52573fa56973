"""The dashboard: every panel asks for what there is, says what it shows, and, over a real house, shows something."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml  # type: ignore[import-untyped]

from shared.runtime import metrics
from tests.conftest import ROOT
from tests.deploy.promql import OF_PROMETHEUS, known_series, labels_of, named
from tests.deploy.watchers import IS_INSTALLED, RULES, watched
from tests.house import SERVICES, House

DASHBOARD: Final = ROOT / "deploy" / "grafana" / "dashboards" / "placelibre.json"
RUNBOOK: Final = ROOT / "docs" / "runbook.md"
COLUMNS: Final = 24
UNITS: Final = {"short", "s", "d", "bytes", "percentunit", "reqps", "ops"}
SECRET: Final = "made-up-secret"
LIBRARY: Final[dict[str, Any]] = {
    "id": "central",
    "name": "Central (made up)",
    "time_zone": "Europe/Paris",
    "opening_hours": "24/7",
    "capacity": 100,
    "gates": [{"id": "front"}],
    "channels": [{"type": "console", "daily_budget": 50, "min_interval_min": 0}],
    "keys": [
        {"id": name, "sha256": sha256(SECRET.encode()).hexdigest(), "device": name, "role": role}
        for name, role in (("front", "gate"), ("desk", "staff"))
    ],
}
ROUNDS: Final = 60
WITHOUT_DATA: Final[dict[tuple[str, str], str]] = {
    ("Alerts", ""): "nothing is wrong",
    ("Edits of live posts", "{{channel}} {{outcome}}"): "a console keeps no live post",
    ("Told by push", "{{outcome}}"): "nobody asked to be told",
    ("Told by push", "ended: {{how}}"): "nobody asked to be told",
    ("Bodies of devices", "{{source}} {{outcome}}"): "its gate sends readings of its own, by a key",
    ("In quarantine, and read again", "{{code}}"): "there are no boxes",
    ("Sources that are fetched", "{{type}} failures"): "no source is fetched",
    ("Branches", "{{line}}"): "it has no branch, and so no carrier",
    ("Carried from branches", "{{what}}"): "it has no branch",
    ("Days until something ends", "certificate {{what}}"): "its bus is on this machine, without TLS",
    ("Days until something ends", "next key"): "its keys do not end",
    ("Days until something ends", "token {{channel}}"): "a console has no token",
}
"""Lines that a small house leaves empty, by panel and legend, each with the reason."""


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return found


def panels() -> list[dict[str, Any]]:
    return [each for each in dashboard()["panels"] if each["type"] != "row"]


def queries() -> list[tuple[str, str, str]]:
    """Return every query with its panel's title and its legend."""
    return [(panel["title"], each["legendFormat"], each["expr"]) for panel in panels() for each in panel["targets"]]


def test_every_panel_says_what_it_shows_in_which_unit_and_where_it_gets_bad() -> None:
    assert len(panels()) > 50
    titles = [each["title"] for each in panels()]
    assert len(set(titles)) == len(titles)
    for panel in panels():
        defaults = panel["fieldConfig"]["defaults"]
        assert len(panel["description"]) > 10, panel["title"]
        assert defaults["thresholds"]["steps"][0]["value"] is None, panel["title"]
        assert defaults.get("unit", "short") in UNITS, panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert all(each["datasource"] == panel["datasource"] for each in panel["targets"])
        steps = [each["value"] for each in defaults["thresholds"]["steps"][1:]]
        assert steps == sorted(steps), panel["title"]
    ids = [each["id"] for each in dashboard()["panels"]]
    assert len(set(ids)) == len(ids)
    assert {each["name"] for each in dashboard()["templating"]["list"]} == {"datasource", "runbook"}


def test_panels_stand_beside_each_other_and_not_on_each_other() -> None:
    places = [each["gridPos"] for each in dashboard()["panels"]]
    assert all(each["x"] + each["w"] <= COLUMNS for each in places)
    for one, other in combinations(places, 2):
        is_beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        is_above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert is_beside or is_above, (one, other)


def test_it_begins_with_what_the_public_is_told_and_goes_down_the_road() -> None:
    rows = [each["title"] for each in dashboard()["panels"] if each["type"] == "row"]
    first_words = ["Is the public", "The road", "Posts", "Devices", "Readers", "The bus", "Durability", "The services"]
    assert [row.startswith(words) for row, words in zip(rows, first_words, strict=True)] == [True] * len(rows)


def test_links_lead_to_sections_of_the_runbook() -> None:
    headings = re.findall(r"^#{2,4} (.+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)
    anchors = {each.lower().replace(" ", "-") for each in headings}
    links = [link["url"] for panel in panels() for link in panel["links"]]
    assert len(links) > 40
    assert {each.removeprefix("${runbook}#") for each in links} <= anchors


def test_every_metric_and_label_of_a_panel_is_there() -> None:
    known = known_series(metrics)
    for title, legend, expression in queries():
        series = named(expression)
        assert series, title
        for metric, labels in series.items():
            assert metric in known or metric in OF_PROMETHEUS, f"{title}: there is no {metric}"
            if metric in known:
                assert labels <= known[metric] | {"job", "instance"}, title
        shown = labels_of(expression) | {"job", "instance"}
        assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= shown, title


def test_every_metric_has_a_reader() -> None:
    expressions = [expression for _, _, expression in queries()]
    for path in RULES.glob("*.yml"):
        rules = yaml.safe_load(path.read_text(encoding="utf-8"))
        expressions += [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    read = {name for each in expressions for name in named(each)}
    # Of a histogram somebody has to look at the buckets; sum and count come with them.
    unread = {each for each in known_series(metrics) if not each.endswith(("_sum", "_count"))} - read
    assert unread == set(), "neither an alert nor a panel looks at these"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed; Debian has it in `prometheus`")
def test_every_query_parses(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": query[2]} for number, query in enumerate(queries())]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not IS_INSTALLED, reason="it needs Debian's prometheus and prometheus-alertmanager")
async def test_over_a_real_house_every_panel_shows_something(tmp_path: Path) -> None:
    house = House(tmp_path, PLACELIBRE_RECONCILE_EVERY_S="2", PLACELIBRE_MEASURE_EVERY_S="1")
    try:
        for name in SERVICES:  # one after the other: five at once are slow to start on a machine that is busy
            await house.start(name)
        await house.apply(LIBRARY)
        async with watched(house, tmp_path / "watch") as prometheus:
            await prometheus.until("sum(up) == 5")
            await somebody_counts(house)
            await people_come(house)
            empty = {(title, legend): expression for title, legend, expression in queries()}
            for _ in range(ROUNDS):
                for key in tuple(empty):
                    if await prometheus.query(empty[key]):
                        del empty[key]
                if empty.keys() <= WITHOUT_DATA.keys():
                    break
                await people_come(house)
                await asyncio.sleep(1)
            assert sorted(empty.keys() - WITHOUT_DATA.keys()) == []
    finally:
        await house.stop()


async def people_come(house: House) -> None:
    """Let some people in, look at the page, count heads once, and knock with a wrong key."""
    headers = {"Authorization": f"Bearer front.{SECRET}"}
    async with httpx.AsyncClient(trust_env=False) as client:
        for entries in range(3):
            body = {"kind": "gate_count", "library": "central", "gate": "front", "entries": entries, "exits": 0}
            answer = await client.post(f"{house.url('ingest')}/v1/readings", json=body, headers=headers)
            assert answer.status_code == 202, answer.text
        wrong = {"Authorization": "Bearer front.wrong"}
        assert (await client.post(f"{house.url('ingest')}/v1/readings", json=body, headers=wrong)).status_code == 401
        assert (await client.get(f"{house.url('api')}/v1/libraries/central")).is_success


async def somebody_counts(house: House) -> None:
    """Count heads once, so that the library is known and says so on its console."""
    headers = {"Authorization": f"Bearer desk.{SECRET}"}
    body = {"kind": "head_count", "library": "central", "people": 40}
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"{house.url('ingest')}/v1/readings", json=body, headers=headers)
        assert answer.status_code == 202, answer.text
