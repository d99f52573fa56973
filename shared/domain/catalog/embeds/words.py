"""What is said around embedding; a language that leaves something out does not pass the type checker.

Blanks are named and filled with `str.format`; every language has the blanks of the English one. Nothing may have a
default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BuilderWords:
    """The page that builds the snippet. Headings, labels, choices and buttons begin with a capital."""

    title: str
    intro: str
    kind: str
    kinds: Mapping[str, str]
    """frame, element, badge, qr, link"""
    hints: Mapping[str, str]
    """What each kind is for, in one sentence."""
    library: str
    library_hint: str
    """Where there are too many for a list."""
    language: str
    language_reader: str
    """The choice that leaves the language to the reader's browser."""
    theme: str
    themes: Mapping[str, str]
    """auto, light, dark"""
    size: str
    sizes: Mapping[str, str]
    """line, small, card"""
    ground: str
    grounds: Mapping[str, str]
    """sheet, none"""
    parts: str
    part_name: str
    parts_hint: str
    says: str
    what: Mapping[str, str]
    """state, seats, wait"""
    zone: str
    whole_library: str
    style: str
    styles: Mapping[str, str]
    """flat, flat-square"""
    label: str
    label_hint: str
    leads_to: str
    targets: Mapping[str, str]
    """page, display, feed"""
    pixels: str
    quiet_zone: str
    quiet_zone_hint: str
    apply: str
    snippet: str
    html: str
    html_pinned: str
    pinned_hint: str
    markdown: str
    address: str
    copy: str
    copied: str
    copy_by_hand: str
    """Said where the browser does not let a page copy."""
    preview: str
    loads: Mapping[str, str]
    """By kind, with {origin}: what the reader's browser loads from where. Nothing for a link."""
    privacy: str
    csp: str
    csp_none: str
    files_title: str
    files: Mapping[str, str]
    """poster, svg, png: names of links to what can be printed."""
    help: str
    """What most often goes wrong on the editor's side."""
    nothing_yet: str


@dataclass(frozen=True, slots=True)
class EmbedWords:
    """What is said on other people's pages, on paper, and to those who put it there."""

    language: str
    in_new_tab: str
    """Read out behind a link's words, in brackets."""
    is_there_a_seat: str
    """{name}: the words of a link to a library's page."""
    live_status: str
    """{name}: what a frame or a badge is, for those who do not see it."""
    no_such_library: str
    code_of: str
    """{name}: what a QR code is, for those who do not see it."""
    poster_title: str
    poster_lead: str
    poster_how: str
    poster_hint: str
    """Said on the screen only."""
    builder: BuilderWords
