"""The status as pictures for e-ink and print: the sign of any size, the QR code."""

from __future__ import annotations

from fastapi import APIRouter

from services.api.profiles import Profiles
from services.api.shelf import Shelf


def routes(shelf: Shelf, profiles: Profiles) -> APIRouter:
    """Return the routes of this module."""
    del shelf, profiles
    return APIRouter(include_in_schema=False)
