"""Ways of asking: one module for each, found by itself. A module with an `API` is one."""

from __future__ import annotations

import importlib
import pkgutil
from difflib import get_close_matches
from functools import cache
from urllib.parse import urlsplit

from pydantic import ValidationError

from services.ingest.sources.means import SourceFailed
from services.ingest.sources.polled.api import Api
from shared.contracts.devices import PollSource


@cache
def apis() -> dict[str, Api]:
    """Return every way of asking by its name."""
    modules = (importlib.import_module(f"{__name__}.{each.name}") for each in pkgutil.iter_modules(__path__))
    found = (getattr(module, "API", None) for module in modules)
    return {each.name: each for each in sorted(filter(None, found), key=lambda each: each.name)}


def api_of(source: PollSource) -> Api:
    """Return how a source is asked. Raises SourceFailed, naming the ways there are."""
    known = apis().get(source.api)
    if known is None:
        raise SourceFailed(f"there is no api {source.api!r}; there are {', '.join(apis())}")
    return known


def faults(source: PollSource) -> list[tuple[str, str]]:
    """Return what a source cannot be asked with: the key and the reason, each. Nothing is asked."""
    try:
        api = api_of(source)
    except SourceFailed as error:
        return [("api", str(error))]
    found = []
    parts = urlsplit(source.url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        found.append(("url", "an address that begins with https:// or http:// is wanted, without a password in it"))
    if api.needs_credentials and not source.credentials:
        found.append(("credentials", f"{api.title} is asked with credentials; name their secrets file"))
    try:
        api.options.model_validate(dict(source.options))
    except ValidationError as error:
        for each in error.errors()[:5]:
            key = str(each["loc"][0]) if each["loc"] else ""
            close = get_close_matches(key, api.options.model_fields, 1)
            hint = f"; do you mean {close[0]}?" if close and each["type"] == "extra_forbidden" else ""
            found.append((f"options.{key}" if key else "options", f"{each['msg']}{hint}"))
    return found
