"""Names as each broker writes them: different for different cameras, and read back."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.bus.topics import (
    EVENTS,
    STATUS,
    Topic,
    kafka_place,
    levels_of,
    mqtt_topic,
    nats_subject,
    redis_key,
)

# What a camera may be called: printable, no slashes, no outer blanks.
NAMES = st.text(
    st.characters(exclude_characters="/\\", exclude_categories=("C", "Z")), min_size=1, max_size=30
)


def test_the_usual_ones_can_be_read() -> None:
    topic = Topic(("site", "camring"), EVENTS, "gate-1")
    assert mqtt_topic(topic) == "site/camring/gate-1/events"
    assert nats_subject(topic) == "site.camring.gate-1.events"
    assert redis_key(topic) == "site:camring:gate-1:events"
    assert kafka_place(topic) == ("site.camring.events", "gate-1")
    assert mqtt_topic(Topic(("camring",), STATUS)) == "camring/status"
    assert kafka_place(Topic(("camring",), STATUS)) == ("camring.status", "camring")


@given(NAMES)
def test_every_name_can_be_read_back(name: str) -> None:
    topic = Topic(("camring",), EVENTS, name)
    for text, separator in ((mqtt_topic(topic), "/"), (nats_subject(topic), "."), (redis_key(topic), ":")):
        assert levels_of(text, separator) == ("camring", name, "events")
    assert not set("+#$") & set(mqtt_topic(topic))
    assert not re.search(r"[\s*>]", nats_subject(topic))
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,249}", kafka_place(topic)[0])


@pytest.mark.parametrize("name", ["a/b", "a+", "#", "a b", "ü", "%41", "a.b", "*", ">"])
def test_no_name_breaks_a_level(name: str) -> None:
    topic = Topic(("camring",), EVENTS, name)
    assert mqtt_topic(topic).count("/") == 2 and nats_subject(topic).count(".") == 2
    assert redis_key(topic).count(":") == 2
