"""The staff's tablet as it is served: whole in every language, installable, strict, and small enough for poor Wi-Fi."""

from __future__ import annotations

import gzip
import json
import re
import struct
from collections.abc import AsyncIterator
from dataclasses import asdict, fields
from string import Formatter
from typing import Any

import httpx
import pytest
from babel import Locale
from fastapi import FastAPI

from services.ingest.pages import site, staff
from shared.domain.catalog import CATALOGS
from shared.domain.catalog.desk import DESK_WORDS
from shared.domain.catalog.desk.words import DeskWords

WEIGHT_KB = 60
ENGLISH = asdict(DESK_WORDS["en"])


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.include_router(site.router())
    app.include_router(staff.router())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ingest") as found:
        yield found


def test_every_language_of_the_house_has_words_for_the_desk() -> None:
    assert set(DESK_WORDS) == set(CATALOGS)


@pytest.mark.parametrize("language", sorted(DESK_WORDS))
def test_the_words_have_the_blanks_of_the_english_ones_and_all_plural_forms(language: str) -> None:
    wanted = {*Locale.parse(language).plural_form.tags, "other"} - ({"many"} if language == "fr" else set())
    for each in fields(DeskWords):
        said: Any = getattr(DESK_WORDS[language], each.name)
        if isinstance(said, str):
            assert said.strip() == said, each.name
            assert said, each.name
            assert blanks(said) == blanks(ENGLISH[each.name]), each.name
        else:
            assert set(said) == wanted, each.name
            assert all(blanks(form) == {"count"} for form in said.values()), each.name


def blanks(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("language", sorted(DESK_WORDS))
async def test_the_page_is_strict_and_in_the_language_that_was_asked_for(
    client: httpx.AsyncClient, language: str
) -> None:
    page = await client.get(f"/staff?lang={language}")
    assert page.status_code == 200
    assert f'<html lang="{language}">' in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", page.text)
    assert not re.search(r"<[^>]* (?:style|on[a-z]+)=", page.text)
    by_browser = await client.get("/staff", headers={"Accept-Language": f"{language},en;q=0.5"})
    assert by_browser.text == page.text


async def test_the_page_with_its_files_is_small(client: httpx.AsyncClient) -> None:
    page = await client.get("/staff?lang=uk")
    sent = len(gzip.compress(page.content))
    for path in re.findall(r'"(/staff/files/[^"]+\.(?:css|js))"', (await client.get("/staff/sw.js")).text):
        answer = await client.get(path, headers={"Accept-Encoding": "gzip"})
        assert answer.headers["content-encoding"] == "gzip"
        assert "immutable" in answer.headers["cache-control"]
        sent += int(answer.headers["content-length"])
    assert sent < WEIGHT_KB * 1024


async def test_everything_that_the_worker_keeps_is_there_and_every_module_is_kept(client: httpx.AsyncClient) -> None:
    worker = await client.get("/staff/sw.js")
    assert worker.headers["service-worker-allowed"] == "/staff"
    assert worker.headers["cache-control"] == "no-cache"
    listed = re.search(r"const FILES = (\[.*?\]);", worker.text, re.DOTALL)
    assert listed is not None
    kept = json.loads(listed[1])
    for path in kept:
        assert (await client.get(path)).status_code == 200, path
    names = {path.rpartition("/")[2] for path in kept}
    for path in kept:
        for module in re.findall(r'from "\./([a-z-]+\.js)"', (await client.get(path)).text):
            assert module in names, f"{path} needs {module}"


async def test_the_page_can_be_put_on_a_home_screen(client: httpx.AsyncClient) -> None:
    manifest = (await client.get("/staff/manifest.webmanifest?lang=fr")).json()
    assert (manifest["start_url"], manifest["scope"], manifest["display"]) == ("/staff", "/staff", "standalone")
    assert {(each["sizes"], each["purpose"]) for each in manifest["icons"]} == {
        (size, purpose) for size in ("192x192", "512x512") for purpose in ("any", "maskable")
    }
    for each in manifest["icons"]:
        picture = await client.get(each["src"])
        assert picture.headers["content-type"] == "image/png"
        width, height = struct.unpack(">II", picture.content[16:24])
        assert f"{width}x{height}" == each["sizes"]
    for missing in ("/staff/icon-64.png", "/staff/other-192.png"):
        assert (await client.get(missing)).status_code == 404


YOUNG = (
    r"\?\.[a-zA-Z\[(]",
    r"\?\?",
    r"\.replaceAll\(",
    r"\.at\(-",
    r"structuredClone",
    r"randomUUID",
    r"\.toSorted\(",
    r"\.findLast",
    r"\|\|=",
    r"Object\.hasOwn",
    r"^\s*await import",
    r"^\s+(?:static |#)\w+ ?=",
)
"""Syntax and names that a browser of 2020 does not know."""


@pytest.mark.parametrize("name", sorted(name for name in site.assets() if name.endswith(".js")))
def test_the_scripts_are_for_old_tablets(name: str) -> None:
    text = site.assets()[name].content.decode()
    for young in YOUNG:
        assert re.search(young, text, re.MULTILINE) is None, young


@pytest.mark.parametrize("name", sorted(name for name in site.assets() if name.endswith(".css")))
def test_the_styles_are_for_old_tablets(name: str) -> None:
    text = site.assets()[name].content.decode()
    for young in (r":has\(", r"(?<!-)\bgap:", r"clamp\(", r"^\s*inset:", r"aspect-ratio", r"color-mix", r"@layer"):
        assert re.search(young, text, re.MULTILINE) is None, young
