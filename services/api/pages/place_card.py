"""Where a library is and how to reach it: what can be tapped, with its address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from services.api.profiles import Profile

MAP_ZOOM: Final = 17
"""A few streets around."""
COORDINATE: Final = ".6f"
"""Ten centimetres; more digits say nothing of a building."""


@dataclass(frozen=True, slots=True)
class Tap:
    """Something that can be tapped: what it shows, and where it leads."""

    shown: str
    href: str


@dataclass(frozen=True, slots=True)
class PlaceCard:
    """A library's address and contact; what nobody said is empty."""

    lines: tuple[str, ...]
    map: str
    map_app: str
    phone: Tap | None
    email: Tap | None
    websites: tuple[Tap, ...]


def place_card(profile: Profile | None, url: str) -> PlaceCard | None:
    """Return what is known of a place; None for nothing. `url` is the page that the library's posts link to."""
    contact = profile.contact if profile else None
    own = [contact.website if contact else "", "" if _is_here(url) else url]
    card = PlaceCard(
        lines=_lines(profile),
        map=_map(profile),
        map_app=_geo(profile),
        phone=Tap(contact.phone, f"tel:{_dialled(contact.phone)}") if contact and contact.phone else None,
        email=Tap(contact.email, f"mailto:{contact.email}") if contact and contact.email else None,
        websites=tuple(Tap(_shown(each), each) for each in dict.fromkeys(own) if each),
    )
    return None if card == PlaceCard((), "", "", None, None, ()) else card


def _lines(profile: Profile | None) -> tuple[str, ...]:
    address = profile.address if profile else None
    if address is None:
        return ()
    town = " ".join(each for each in (address.postal_code, address.city) if each)
    return tuple(each for each in (address.street, town) if each)


def _map(profile: Profile | None) -> str:
    if profile is None or profile.location is None:
        return ""
    lat, lon = (format(each, COORDINATE) for each in (profile.location.lat, profile.location.lon))
    return f"https://www.openstreetmap.org/?mlat={lat}&mlon={lon}#map={MAP_ZOOM}/{lat}/{lon}"


def _geo(profile: Profile | None) -> str:
    """Return the position as RFC 5870 writes it, which telephones open in the map that is on them."""
    if profile is None or profile.location is None:
        return ""
    return f"geo:{format(profile.location.lat, COORDINATE)},{format(profile.location.lon, COORDINATE)}"


def _dialled(phone: str) -> str:
    """Return a number as RFC 3966 wants it: the digits and their plus; (0) is for those who call from at home."""
    return "+" + "".join(each for each in phone.replace("(0)", "") if each.isdigit())


def _shown(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.netloc.removeprefix('www.')}{parts.path.rstrip('/')}"


def _is_here(url: str) -> bool:
    """Tell whether an address is one of these very pages."""
    return urlsplit(url).path.startswith("/l/")
