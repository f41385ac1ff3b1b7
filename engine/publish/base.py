"""What every sink is: a place that takes one stream of encoded packets, found by the scheme of its URL.

A sink works in the thread of its delivery (`engine.publish.delivery`), which reconnects, counts and waits. It knows one
protocol, is opened once, and bounds every wait on the network by itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from engine.config.publish import PublishAddress, publish_address, put_camera_in
from engine.errors import ConfigError
from engine.registry import import_siblings
from engine.secrets import mask_url
from engine.types.packet import Packet


@dataclass(frozen=True, slots=True)
class Destination:
    """Where one camera's video goes.

    url     as configured, with `{camera}` put in and `${VARIABLE}` references left as they are: safe to show masked
    camera  the camera's name
    """

    url: str
    camera: str

    @classmethod
    def of(cls, template: str, camera: str) -> Destination:
        """The destination of one camera, from a setting that holds `{camera}`."""
        return cls(put_camera_in(template, camera), camera)

    @property
    def label(self) -> str:
        """How messages and statuses name it: without user, password and tokens."""
        return mask_url(self.url)

    def address(self) -> PublishAddress:
        """The address with its secrets in place: for the moment of use, never to be kept or logged.

        Raises `ConfigError` where a variable is not set any more.
        """
        return publish_address(self.url)


GOODBYE_S = 0.2
"""How long a sink may take to say goodbye to its server."""


class Sink(ABC):
    """One connection, or one folder, that is written from `open` to `close`. Used by one thread, but for `interrupt`.

    schemes        schemes of the URLs that it serves
    takes_changes  whether it goes on when another encoder begins (another size); otherwise it is opened anew
    timeout_s      longest wait for the network in any one call
    """

    schemes: ClassVar[tuple[str, ...]] = ()
    takes_changes: ClassVar[bool] = False

    def __init__(self, destination: Destination, timeout_s: float = 5.0) -> None:
        self.destination = destination
        self.timeout_s = timeout_s

    @abstractmethod
    def open(self, first: Packet) -> None:
        """Connect. `first` is a key frame that begins with SPS and PPS: what is written next is that or a later one.

        Raises `PublishUnreachable`, `PublishRefused`, `PublishDiskFull` or another `PublishError`.
        """

    @abstractmethod
    def write(self, packet: Packet) -> None:
        """Send one packet; those of an opened sink come in order, without holes. Raises `PublishError`."""

    @abstractmethod
    def close(self) -> None:
        """Say goodbye where that takes no wait, and let go. May be called twice and after any failure. Never raises."""

    def interrupt(self) -> None:  # noqa: B027 - a sink that cannot hang has nothing to do
        """Called by another thread: make a call that waits fail at once with `PublishUnreachable`."""


SINKS: dict[str, type[Sink]] = {}
"""By scheme."""


def serves(*schemes: str) -> Callable[[type[Sink]], type[Sink]]:
    """Class decorator: this sink serves URLs of these schemes."""

    def register(sink: type[Sink]) -> type[Sink]:
        sink.schemes = schemes
        SINKS.update(dict.fromkeys(schemes, sink))
        return sink

    return register


def create_sink(destination: Destination, timeout_s: float = 5.0) -> Sink:
    """The sink for a destination, not opened. Raises `ConfigError` for a scheme that nobody serves."""
    import_siblings(__package__)
    scheme = destination.address().scheme
    if scheme not in SINKS:
        raise ConfigError(
            f"publish {destination.label}: {scheme} cannot be published to by this installation"
        )
    return SINKS[scheme](destination, timeout_s)
