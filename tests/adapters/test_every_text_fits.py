"""Whatever the status and the language: on every channel some form fits as that channel counts, and nothing is cut."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.publisher.channels import bluesky, discord, linkedin, ntfy, slack, telegram, x
from services.publisher.channels.channel import Limits, fitting, forms, graphemes
from shared.contracts.configuration import LANGUAGES
from shared.contracts.posts import PostIntent
from shared.contracts.status import PublicStatus
from shared.domain.messages import SHORTEST_MAX
from shared.domain.status import Status
from shared.runtime.wording import live_sentences_for, sentences_for
from tests.domain.test_messages import statuses
from tests.fakes.announcements import intent_of

EXAMPLES = int(os.environ.get("TEXTS_PER_LANGUAGE", "25"))
URL = "https://live.bibliotheque-municipale.example/l/grande-salle-de-lecture"
counted: Counter[str] = Counter()


def bluesky_texts(intent: PostIntent) -> list[str]:
    found = []
    for each in bluesky._written(intent, None):
        data = each["text"].encode()
        assert graphemes(each["text"]) <= 300
        assert len(data) <= 3000
        for facet in each.get("facets", ()):
            start, end = facet["index"]["byteStart"], facet["index"]["byteEnd"]
            said = data[start:end].decode()  # the offsets lie between characters, or this fails
            feature = facet["features"][0]
            if feature["$type"].endswith("#tag"):
                assert said == f"#{feature['tag']}"
            else:
                assert feature["uri"] == intent.url
            counted["facets"] += 1
        found.append(each["text"])
    return found


def telegram_texts(intent: PostIntent) -> list[str]:
    texts = telegram._fitting(intent)
    for text in texts:
        units = text.encode("utf-16-le")
        assert len(units) // 2 <= 4096
        for entity in telegram._content(intent, text)["entities"]:
            start, end = 2 * entity["offset"], 2 * (entity["offset"] + entity["length"])
            assert units[start:end].decode("utf-16-le")
            counted["entities"] += 1
    return texts


def x_texts(intent: PostIntent) -> list[str]:
    plain = [x.unlinked(each) for each in forms(intent, with_url=False)]
    return [each for each in plain if x.fits(each) and not x.addresses(each)]


CHANNELS: dict[str, Callable[[PostIntent], list[str]]] = {
    "mastodon": lambda intent: list(fitting(forms(intent), Limits(500, 23))),
    "bluesky": bluesky_texts,
    "telegram": telegram_texts,
    "x": x_texts,
    "discord": discord._fitting,
    "ntfy": ntfy._fitting,
    "slack": lambda intent: list(fitting(forms(intent), slack.LIMITS)),
    "linkedin": lambda intent: [
        each for each in forms(intent) if len(linkedin.escaped(each, intent.hashtags)) <= linkedin.LIMITS.characters
    ],
}


def intents(status: Status, language: str) -> Iterator[PostIntent]:
    """Yield the announcement and the live post of a status."""
    for texts in (sentences_for(status, (language,))[language], live_sentences_for(status, language)):
        intent = intent_of(language=language, url=URL)
        update = {"texts": texts, "status": PublicStatus.of(status, {}), "hashtags": ("Bibliothèque", "Читальня")}
        yield intent.model_copy(update=update)


@pytest.mark.parametrize("language", LANGUAGES)
def test_some_form_fits_every_channel_and_keeps_its_ends(language: str) -> None:
    @settings(max_examples=EXAMPLES)
    @given(statuses())
    def check(status: Status) -> None:
        for intent in intents(status, language):
            assert len(intent.texts.shortest) <= SHORTEST_MAX
            whole = {intent.texts.long, intent.texts.short, intent.texts.shortest}
            for name, choose in CHANNELS.items():
                texts = choose(intent)
                assert texts, (name, intent.texts.shortest)
                # A form is taken whole or not at all: what goes out begins with one of the three.
                bare = texts[0].replace(x.ZERO_WIDTH_SPACE, "").replace("\\", "")
                assert any(bare.startswith(each.replace("\\", "")) for each in whole), name
                counted[name] += 1

    check()
    print(language, dict(counted))


@given(status=statuses(), language=st.sampled_from(LANGUAGES))
def test_the_shortest_form_needs_no_room_that_a_text_message_does_not_have(status: Status, language: str) -> None:
    for intent in intents(status, language):
        assert len(intent.texts.shortest) <= SHORTEST_MAX
