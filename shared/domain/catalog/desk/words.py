"""What the staff's tablet says; a language that leaves something out does not pass the type checker.

Sentences stand alone, with their capital and their stop; labels and buttons begin with a capital. The tablet itself
fills the blanks, also without a connection, so what counts comes as `Forms` for all numbers. Nothing may have a default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Forms = Mapping[str, str]
"""A template with {count} for every plural category that the language has (CLDR: one, few, many, other)."""


@dataclass(frozen=True, slots=True)
class DeskWords:
    """All of one language."""

    language: str
    language_name: str
    title: str
    choose_language: str
    skip: str
    """To the content, for the keyboard."""
    sections: str
    """Names the navigation."""
    nav_now: str
    nav_public: str
    nav_record: str
    nav_posts: str
    nav_gates: str
    needs_script: str
    moment: str
    """Something is being asked; a moment."""

    line_stored: str
    line_lost: str
    line_trying: str
    waiting: Forms
    waiting_since: str
    """{time}"""
    refused_count: Forms
    said_kept: str
    said_stored: str
    said_uncounted: str
    """It came too late to change anything; it is in the record."""
    said_taken_back: str
    said_refused: str
    """{reason}"""
    store_full: Forms
    store_failed: str

    enrol_title: str
    enrol_how: str
    enrol_code: str
    enrol_go: str
    enrol_over: str
    no_answer: str
    enrol_again: str
    """{library}"""
    enrol_anew: str
    enrol_keep: str
    enrolled: str
    """{library}"""

    who: str
    nobody: str
    pin_of: str
    """{name}"""
    pin_digits: Forms
    pin_wrong: Forms
    """How many tries are left."""
    pin_wrong_plain: str
    pin_locked: str
    """{time}"""
    pin_unknown_here: str
    """{name}: has never signed in on this tablet, and there is no connection."""
    pin_checked_here: str
    erase: str
    ok: str
    back: str
    somebody_else: str
    lock: str
    sign_out: str
    sign_out_hint: str
    session_over: str
    waits_for_pin: str
    """{name}: what they tapped is sent once they have entered their PIN."""
    revoked_title: str
    revoked: str

    queue: str
    queue_where: str
    queue_door: str
    queue_none: str
    queue_people: str
    queue_here: str
    got_in: str
    recount: str
    whole_library: str
    held_seats: str
    at_the_door: str
    not_admitting: str
    throttle: str
    closing: str
    evacuation: str
    to_the_public: str
    notice: str
    mute: str
    is_on: str
    is_off: str
    since: str
    """{time}"""
    until: str
    """{time}"""
    nobody_knows: str
    """No estimate: a dash in words."""

    ask_people: str
    """{place}"""
    ask_seats: str
    """{place}"""
    ask_queue: str
    ask_got_in: str
    ask_which_place: str
    estimated_now: str
    """{people}"""
    last_said: str
    """{people}, {time}"""
    about_right: str
    """{people}"""
    too_many: str
    """{capacity}"""
    too_many_seats: str
    """{capacity}"""
    too_long_queue: str
    """{most}"""
    too_long: str
    minutes: str
    """{count}, short"""
    figure: str

    closing_title: str
    notice_title: str
    mute_title: str
    until_when: str
    for_an_hour: str
    until_closing: str
    """{time}"""
    until_tomorrow: str
    until_a_time: str
    for_a_week: str
    time_label: str
    time_wanted: str
    reason_label: str
    reason_hint: str
    closing_go: str
    closing_end: str
    notice_text: str
    notice_left: Forms
    notice_preview: str
    notice_go: str
    notice_end: str
    notice_wanted: str
    mute_hint: str
    mute_go: str
    mute_end: str
    evacuation_ask: str
    evacuation_go: str
    evacuation_end: str

    undo: str
    undo_left: Forms

    record_title: str
    record_none: str
    act_holds: str
    act_past: str
    act_taken_back: str
    act_taken_back_by: str
    """{name}, {time}"""
    act_waiting: str
    act_stored: str
    act_uncounted: str
    act_stranded: str
    """Nobody can send it any more: who tapped it has left, or the tablet has moved."""
    act_refused: str
    """{reason}"""
    act_with_key: str
    """Who said it, where a key of no person did."""
    act_tapped: str
    """{name}, {time}"""
    act_came: str
    """{time}: when it was tapped, of something that waited."""
    forget: str
    """A refused one: take it off the list."""
    take_back: str
    take_back_ask: str
    """{what}"""
    is_recount: str
    """{place}, {people}"""
    is_marker: str
    """{place}"""
    is_queue: str
    """{people}"""
    is_queueing_time: str
    """{minutes}"""
    is_ticket: str
    """{minutes}"""
    is_held: str
    """{place}, {seats}"""
    is_notice: str
    """{until}, {text}"""
    is_notice_ended: str
    is_closing: str
    """{until}"""
    is_closing_ended: str
    is_not_admitting: str
    is_not_admitting_ended: str
    is_throttle: str
    is_throttle_ended: str
    is_evacuation: str
    is_evacuation_ended: str
    is_mute: str
    """{until}"""
    is_mute_ended: str
    is_undo: str
    """{what}"""
    is_undo_plain: str

    public_title: str
    public_as_of: str
    """{time}"""
    public_offline: str
    """{time}"""
    public_expired: str
    public_expired_offline: str
    public_unknown: str
    public_card: str
    public_notice: str
    public_no_notice: str
    public_pending: str

    posts_title: str
    desk_offline: str
    """{time}"""
    posts_none: str
    post_in: str
    """{channel}, {language}"""
    post_awaits: str
    post_awaits_until: str
    """{time}"""
    post_held: str
    post_held_until: str
    """{time}"""
    post_approved: str
    post_declined: str
    approve: str
    decline: str
    budgets: str
    label: str
    """{name}: before what it is of"""
    budget_left: Forms
    """{count}: how many posts a channel may still make today."""
    budget_next: str
    """{time}"""
    needs_line: str

    gates_title: str
    gates_none: str
    gate_heard: str
    """{time}"""
    gate_well: str
    gate_unwell: str
    devices_link: str

    tablet_title: str
    tablet_is: str
    """{tablet}, {library}"""
    signed_in: str
    """{name}"""
    insecure: str
    insecure_pin: str
    keeps_poorly: str
    clock_off: str
    """{duration}: minutes"""
    version: str
