"""A client of another make that hears everything a broker says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

Heard = list[tuple[str, bytes]]
"""Topic and payload of each message, in the order in which they came."""


@contextmanager
def subscriber(port: int) -> Iterator[Heard]:
    """Everything the broker says, whether it is retained or new."""
    heard: Heard = []
    ready = threading.Event()
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda _client, _data, message: heard.append((message.topic, bytes(message.payload)))
    client.on_subscribe = lambda *_: ready.set()
    client.connect("127.0.0.1", port)
    client.subscribe("#", qos=1)
    client.loop_start()
    assert ready.wait(5)
    yield heard
    client.disconnect()
    client.loop_stop()
