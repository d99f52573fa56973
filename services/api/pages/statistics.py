"""Days, weeks, months and years of one library."""

from __future__ import annotations

from fastapi import APIRouter

from services.api.day_figures import PastDays
from services.api.pages.rendering import Renderer
from services.api.profiles import Profiles
from services.api.shelf import Shelf


def routes(renderer: Renderer, shelf: Shelf, past: PastDays, profiles: Profiles) -> APIRouter:
    """Return the routes of this module."""
    del renderer, shelf, past, profiles
    return APIRouter(include_in_schema=False)
