"""Lighthouse over every kind of page, as on a slow phone: `make lighthouse`. Fails below the bar."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tests.browser.stage import staged

HERE: Final = Path(__file__).parent
PROGRAM: Final = HERE / "node_modules" / ".bin" / "lighthouse"
CHROMIUM: Final = "/usr/bin/chromium"
BAR: Final = {"performance": 0.95, "accessibility": 1.0}
BYTES_MAX: Final = 60_000
PAGES: Final = (
    "/",
    "/map",
    "/l/many",
    "/l/full",
    "/l/expired",
    "/l/many/statistics?period=month",
    "/display/many",
    "/embed?library=few",
    "/embed/few",
)


async def _measured(url: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        str(PROGRAM),
        url,
        "--quiet",
        "--output=json",
        "--only-categories=performance,accessibility",
        "--chrome-flags=--headless=new --no-sandbox",
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "CHROME_PATH": os.environ.get("CHROME_PATH", CHROMIUM)},
    )
    said, _ = await process.communicate()
    report: dict[str, Any] = json.loads(said)
    return report


async def _run(pages: list[str]) -> int:
    worst = 0
    with TemporaryDirectory() as home:
        async with staged(Path(home)) as (url, _):
            for page in pages:
                report = await _measured(url + page)
                scores = {name: report["categories"][name]["score"] or 0.0 for name in BAR}
                audits = report["audits"]
                paint_ms = audits["first-contentful-paint"]["numericValue"]
                weight = audits["total-byte-weight"]["numericValue"]
                is_good = all(scores[name] >= bar for name, bar in BAR.items()) and (
                    weight < BYTES_MAX or page == "/map"
                )
                worst = worst or not is_good
                sys.stdout.write(
                    f"{'ok  ' if is_good else 'BAD '} {page:36} performance {scores['performance'] * 100:3.0f}"
                    f"  accessibility {scores['accessibility'] * 100:3.0f}"
                    f"  first paint {paint_ms / 1000:.2f} s  {weight / 1000:5.1f} kB\n"
                )
                for each in audits.values():
                    if not is_good and each.get("score") is not None and each["score"] < 1 and each.get("title"):
                        sys.stdout.write(f"       {each['score']:.2f} {each['title']}\n")
                sys.stdout.flush()
    return int(worst)


if __name__ == "__main__":
    sys.exit(asyncio.run(_run(sys.argv[1:] or list(PAGES))))
