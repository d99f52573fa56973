"""What whoever provisions is told beside what was made."""

from __future__ import annotations

from collections.abc import Iterable

from cli.terminal import warn
from shared.contracts import subjects
from shared.contracts.retention import SHORTEST, ages
from shared.runtime.provision import Provisioned


def tell_left(done: Iterable[Provisioned]) -> None:
    """Say what was set by hand and stays, since setting it right would take out what is there."""
    for each in done:
        if each.left:
            name = each.name.removeprefix(subjects.bucket_stream(""))
            remedy = "set it back with the tool that set it, if what it keeps may go"
            if "max_age" in each.left and name in SHORTEST:
                usual = ages()[name].days
                remedy = f"`placelibre retention {name} --days {usual}` takes out what is older than is usual"
            warn(f"{each.name} keeps more than is usual and stays so ({', '.join(each.left)}): {remedy}")
