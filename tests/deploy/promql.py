"""What an expression of PromQL names: enough of a reading to hold rules and panels against what there is."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Final

from prometheus_client import Counter, Histogram
from prometheus_client.metrics import MetricWrapperBase

OF_PROMETHEUS: Final = {
    "up",
    "ALERTS",
    "process_start_time_seconds",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_max_fds",
}
"""Series that Prometheus and its client bring by themselves."""
_SERIES: Final = re.compile(r"\b(placelibre_\w+|process_\w+|up|ALERTS)\b(?:\{([^}]*)\})?")
_LABEL: Final = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_GROUPED: Final = re.compile(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\(([^)]*)\)")


def known_series(metrics: ModuleType) -> dict[str, set[str]]:
    """Return every series that our metrics make, with its labels."""
    found: dict[str, set[str]] = {}
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            labels = set(metric._labelnames)
            if isinstance(metric, Histogram):
                found |= {f"{metric._name}_{end}": labels for end in ("sum", "count")}
                found[f"{metric._name}_bucket"] = labels | {"le"}
            else:
                found[f"{metric._name}_total" if isinstance(metric, Counter) else metric._name] = labels
    return found


def named(expression: str) -> dict[str, set[str]]:
    """Return the series that an expression names, each with the labels by which it selects."""
    found: dict[str, set[str]] = {}
    for name, selector in _SERIES.findall(expression):
        found.setdefault(name, set()).update(_LABEL.findall(re.sub(r'"[^"]*"', '""', selector)))
    return found


def labels_of(expression: str) -> set[str]:
    """Return the labels by which an expression groups or joins."""
    return {label.strip() for found in _GROUPED.findall(expression) for label in found.split(",") if label.strip()}
