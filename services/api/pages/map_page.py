"""The map of all libraries."""

from __future__ import annotations

from fastapi import APIRouter

from services.api.pages.rendering import Renderer
from services.api.profiles import Profiles
from services.api.shelf import Shelf


def routes(renderer: Renderer, shelf: Shelf, profiles: Profiles) -> APIRouter:
    """Return the routes of this module."""
    del renderer, shelf, profiles
    return APIRouter(include_in_schema=False)
