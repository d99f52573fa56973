"""Statistics of one library, for programs and spreadsheets."""

from __future__ import annotations

from fastapi import APIRouter

from services.api.history import History
from services.api.profiles import Profiles
from services.api.shelf import Shelf


def routes(shelf: Shelf, history: History, profiles: Profiles) -> APIRouter:
    """Return the routes of this module."""
    del shelf, history, profiles
    return APIRouter(include_in_schema=False)
