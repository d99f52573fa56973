"""What is wrong with a device, in a sentence of one language."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from shared.domain.catalog.devices.words import HealthWords
from shared.domain.device_health import Ailment, HealthCode
from shared.domain.messages import Formats


def sentence(ailment: Ailment, words: HealthWords, formats: Formats, now: datetime) -> str:
    """Return what is wrong and what to do about it; `now` tells whether a time is of today."""
    return _template(ailment, words).format(
        time=when(ailment.since, formats, now) if ailment.since else "",
        line=ailment.line,
        flag=ailment.flag,
        people=formats.number(max(ailment.people_in, ailment.people_out)),
        people_in=formats.number(ailment.people_in),
        people_out=formats.number(ailment.people_out),
        count=formats.number(ailment.count),
        percent=formats.percent(round(ailment.percent)),
        duration=formats.duration(round(abs(ailment.off_by) / timedelta(minutes=1))),
    )


def when(at: datetime, formats: Formats, now: datetime) -> str:
    """Return a time of day, with its date if it is not of today."""
    time, date = formats.time(at), formats.date(at)
    return time if date == formats.date(now) else f"{time} ({date})"


def _template(ailment: Ailment, words: HealthWords) -> str:
    is_behind = ailment.off_by > timedelta(0)
    templates: Mapping[HealthCode, str] = {
        HealthCode.NEVER_HEARD: words.never_heard,
        HealthCode.SILENT: words.silent,
        HealthCode.TARGET_GONE: words.target_gone,
        HealthCode.SOURCE_GONE: words.source_gone,
        HealthCode.NEVER_COUNTED: words.never_counted,
        HealthCode.ONE_WAY: words.one_way_out_dead if ailment.way == "out" else words.one_way_in_dead,
        HealthCode.IMBALANCE: words.imbalance,
        HealthCode.WRONG_CLOCK: words.clock_behind if is_behind else words.clock_ahead,
        HealthCode.WRONG_TIME_ZONE: words.time_zone,
        HealthCode.LOW_BATTERY: words.low_battery,
        HealthCode.FLAGGED: words.flags.get(ailment.flag, words.other_flag),
        HealthCode.LOST_REPORTS: words.lost_reports(ailment.count),
        HealthCode.QUARANTINED: words.quarantined(ailment.count),
        HealthCode.UNMAPPED_LINE: words.unmapped_line,
    }
    return templates[ailment.code]
