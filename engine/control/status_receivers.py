"""The shape of a status, as `engine.control.status`: of those who receive what the engine makes."""

from __future__ import annotations

from typing import TypedDict


class BrokerStatus(TypedDict):
    """One message broker.

    state       connecting, connected, waiting (before it is tried again) or stopped; `reason` why, in a line
    sent        messages that it has confirmed, by kind
    dropped     messages that it was not sent, by reason: overflow, memory, away, unconfirmed, topics, stopped
    queue       messages that wait for it now: state, events, results
    reconnects  how often it was connected again
    """

    state: str
    reason: str
    sent: dict[str, int]
    dropped: dict[str, int]
    queue: dict[str, int]
    reconnects: int


class BusStatus(TypedDict):
    """Results for other programs.

    brokers  by URL without credentials
    lost     records that were overwritten before they could be read, by camera
    """

    brokers: dict[str, BrokerStatus]
    lost: dict[str, int]


class DestinationStatus(TypedDict):
    """One place that a camera's processed video goes to.

    state        connecting, live, idle (no video at present), waiting (before it is tried again), refused, disk full,
                 misconfigured, stuck or stopped; `reason` why, in a line; `since_s` for how long
    connections  how often it was live; `reconnects` how often again
    packets, bytes  sent, over all connections
    dropped      packets that it was not sent, by reason: disconnected, no_keyframe, too_slow
    queue        packets that wait for it now
    lag_ms       age of the newest packet when it had been sent, since its frame was captured; None before the first
    """

    state: str
    reason: str
    since_s: float
    connections: int
    reconnects: int
    packets: int
    bytes: int
    dropped: dict[str, int]
    queue: int
    lag_ms: float | None


class PublishStatus(TypedDict):
    """Processed video of one camera on its way to servers and folders.

    destinations  by address without credentials
    lost          packets that were overwritten before they could be read
    """

    destinations: dict[str, DestinationStatus]
    lost: int


class ViewersStatus(TypedDict):
    """Those who watch live video over HTTP.

    watching  now, by rendition
    skipped   packets that they were not sent, by reason
    """

    watching: dict[str, int]
    skipped: dict[str, int]
