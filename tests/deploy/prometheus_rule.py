"""Writes the PrometheusRule of the component `monitoring` from the rules that Prometheus reads everywhere else.

python -m tests.deploy.prometheus_rule
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped]

DEPLOY: Final = Path(__file__).parent.parent.parent / "deploy"
RULES: Final = DEPLOY / "prometheus" / "rules"
TARGET: Final = DEPLOY / "k8s" / "components" / "monitoring" / "prometheus-rule.yaml"


def rendered(rules: Path = RULES) -> str:
    """Return the manifest with the groups of all files, in the order of their names."""
    groups: list[dict[str, Any]] = [
        group for file in sorted(rules.glob("*.yml")) for group in yaml.safe_load(file.read_text())["groups"]
    ]
    manifest = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "placelibre", "labels": {"app.kubernetes.io/name": "placelibre"}},
        "spec": {"groups": groups},
    }
    head = "# Written by `python -m tests.deploy.prometheus_rule` from deploy/prometheus/rules; edit those.\n"
    body: str = yaml.safe_dump(manifest, sort_keys=False, width=120, allow_unicode=True)
    return head + body


if __name__ == "__main__":
    TARGET.write_text(rendered())
