"""The event stream of ISAPI (alertStream): heartbeats without end, in all the spellings that cameras have."""

from __future__ import annotations

from collections.abc import Iterator

from ptz.simulator.isapi_documents import IsapiDocuments, utc_text
from ptz.simulator.rules import Has
from ptz.xml import element

BOUNDARIES = (
    ("boundary", "boundary"),
    ('"<boundary>"', "<boundary>"),
    ("MIME_boundary", "MIME_boundary"),
    ("--boundary", "boundary"),
)
"""As the header says it, and as it is used: the last one says it with the dashes that come before each part."""

PATH = "/ISAPI/Event/notification/alertStream"
PIECE_S = 0.05


class AlertStream:
    """What one subscriber gets.

    now_s      when it subscribed
    clock_s    what the camera's clock showed then, seconds since 1970
    beat_s     between heartbeats: 0.3 on old firmware, 10 on newer
    """

    def __init__(
        self, documents: IsapiDocuments, has: Has, now_s: float, clock_s: float, beat_s: float
    ) -> None:
        self._documents = documents
        self._has = has
        self._now_s = now_s
        self._clock_s = clock_s
        self._beat_s = beat_s
        fault = has("alert_boundary", now_s, PATH)
        self._told, self._boundary = BOUNDARIES[int(fault.value) % len(BOUNDARIES) if fault else 0]

    @property
    def content_type(self) -> str:
        """Of the whole stream."""
        return f"multipart/mixed; boundary={self._told}"

    def chunks(self) -> Iterator[tuple[float, bytes]]:
        """Heartbeats: seconds to wait, bytes."""
        beat, wait_s = 0, 0.0
        while True:
            at_s = self._now_s + beat * self._beat_s
            if self._has("alert_silent", at_s, PATH):
                yield wait_s, b""
            else:
                part = self._part(beat, at_s)
                if self._has("alert_junk", at_s, PATH):
                    part = b"\r\n\x00junk\r\n" + part
                if self._has("alert_split", at_s, PATH):
                    third = len(part) // 3
                    yield wait_s, part[:third]
                    yield PIECE_S, part[third : 2 * third]
                    wait_s, part = PIECE_S, part[2 * third :]
                yield wait_s, part
            wait_s = self._beat_s
            beat += 1

    def _part(self, beat: int, at_s: float) -> bytes:
        clock_s = self._clock_s + at_s - self._now_s
        body = self._documents.whole(
            "EventNotificationAlert",
            element("ipAddress", "192.0.2.10"),
            element("portNo", 80),
            element("protocol", "HTTP"),
            element("macAddress", "00:00:5e:00:53:01"),
            element("channelID", 1),
            element("dateTime", utc_text(clock_s)),
            element("activePostCount", beat),
            element("eventType", "videoloss"),
            element("eventState", "inactive"),
            element("eventDescription", "videoloss alarm"),
        )
        length = b"" if self._has("alert_no_length", at_s, PATH) else b"Content-Length: %d\r\n" % len(body)
        head = b'Content-Type: application/xml; charset="UTF-8"\r\n' + length
        return b"--" + self._boundary.encode() + b"\r\n" + head + b"\r\n" + body + b"\r\n"
