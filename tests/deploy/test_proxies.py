"""What the shipped proxies pass on, and what stays inside."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped]

from services.api.front import WRITABLE

TREE: Final = Path(__file__).parents[2]
INSIDE: Final = {"/metrics", "/readyz"}
DENIED: Final = "nginx.ingress.kubernetes.io/denylist-source-range"
BODY: Final = "nginx.ingress.kubernetes.io/proxy-body-size"


def ingresses() -> list[dict[str, Any]]:
    text = (TREE / "deploy/k8s/components/ingress/ingress.yaml").read_text(encoding="utf-8")
    return list(yaml.safe_load_all(text))


def test_every_host_of_the_ingress_refuses_what_is_for_those_inside() -> None:
    hosts, refused = set(), set()
    for each in ingresses():
        for rule in each["spec"]["rules"]:
            hosts.add(rule["host"])
            if each["metadata"]["annotations"].get(DENIED) == "0.0.0.0/0,::/0":
                refused |= {(rule["host"], path["path"]) for path in rule["http"]["paths"]}
                assert all(path["pathType"] == "Exact" for path in rule["http"]["paths"])
    assert len(hosts) == 2
    assert refused == {(host, path) for host in hosts for path in INSIDE}


def test_the_ingress_lets_through_every_body_that_the_api_takes() -> None:
    (api,) = (each for each in ingresses() if each["metadata"]["name"] == "api")
    size = api["metadata"]["annotations"][BODY]
    assert int(size.removesuffix("k")) * 1024 >= max(room.bytes_max for room in WRITABLE.values())


def test_the_proxies_of_the_page_on_deploying_keep_it_inside_too() -> None:
    page = (TREE / "docs/deploy.md").read_text(encoding="utf-8")
    caddy, nginx = re.findall(r"```\n(.*?)```", page[page.index("## A proxy in front") :], re.DOTALL)[:2]
    assert f"path {' '.join(sorted(INSIDE))}" in caddy
    assert caddy.count("reverse_proxy 127.0.0.1:8001") == caddy.count("import inside") == 2
    assert set(re.findall(r"location = (\S+)\s+\{ return 404; \}", nginx)) == INSIDE
