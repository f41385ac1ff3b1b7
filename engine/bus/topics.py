"""What messages are called: prefix, camera and kind, and how each broker writes that.

Pure. A name may hold whatever a camera's name may; what a broker cannot have in a name stands there as `%` and two
hexadecimal digits for each byte (RFC 3986, section 2.1), so that names stay different and can be read back.

Sources: MQTT 3.1.1, section 4.7; NATS subjects, docs.nats.io/nats-concepts/subjects; Kafka's `Topic.validate`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

RESULTS, EVENTS, STATE, SNAPSHOT, STATUS = "results", "events", "state", "snapshot", "status"
"""Kinds of messages: frame records, events, what a camera does, where its picture is, whether the engine lives."""

ONLINE, OFFLINE = b"online", b"offline"
"""What `STATUS` says, as Home Assistant expects it."""

_LONGEST_KAFKA_NAME = 249
_NOT_FOR_MQTT = frozenset("%/+#$")
_NOT_FOR_NATS = frozenset("%.*>$ ")
_NOT_FOR_REDIS = frozenset("%: ")
_FOR_KAFKA = re.compile(r"[A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True)
class Topic:
    """A name for messages, in levels, not yet as any broker writes it.

    prefix  what stands before everything of this engine
    kind    what the messages are
    camera  whom they are about; empty: all cameras together
    """

    prefix: tuple[str, ...]
    kind: str
    camera: str = ""

    @property
    def levels(self) -> tuple[str, ...]:
        """Prefix, camera where there is one, kind."""
        return (*self.prefix, self.camera, self.kind) if self.camera else (*self.prefix, self.kind)


def mqtt_topic(topic: Topic) -> str:
    """`camring/gate/events`."""
    return "/".join(_escaped(level, _NOT_FOR_MQTT) for level in topic.levels)


def nats_subject(topic: Topic) -> str:
    """`camring.gate.events`."""
    return ".".join(_escaped(level, _NOT_FOR_NATS) for level in topic.levels)


def redis_key(topic: Topic) -> str:
    """`camring:gate:events`."""
    return ":".join(_escaped(level, _NOT_FOR_REDIS) for level in topic.levels)


def kafka_place(topic: Topic) -> tuple[str, str]:
    """(`camring.events`, `gate`): a topic for each kind, the camera is the key, so that its messages stay in order.

    Kafka takes letters, digits, `.`, `_` and `-` only: any other character of the prefix becomes `_`.
    """
    levels = (*topic.prefix, topic.kind)
    name = ".".join("".join(c if _FOR_KAFKA.match(c) else "_" for c in level) for level in levels)
    return name[-_LONGEST_KAFKA_NAME:], topic.camera or topic.prefix[-1]


def levels_of(text: str, separator: str) -> tuple[str, ...]:
    """The levels that a broker's name stands for; `separator` is `/` for MQTT, `.` for NATS, `:` for Redis."""
    return tuple(unquote(level) for level in text.split(separator))


def _escaped(level: str, forbidden: frozenset[str]) -> str:
    return "".join(
        "".join(f"%{byte:02X}" for byte in c.encode()) if c in forbidden or not c.isprintable() else c
        for c in level
    )
