"""Opening hours, for people's calendars and for programs."""

from __future__ import annotations

from fastapi import APIRouter

from services.api.profiles import Profiles
from services.api.shelf import Shelf


def routes(shelf: Shelf, profiles: Profiles) -> APIRouter:
    """Return the routes of this module."""
    del shelf, profiles
    return APIRouter(include_in_schema=False)
