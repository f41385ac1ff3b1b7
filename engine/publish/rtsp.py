"""RTSP: publish to a media server with ANNOUNCE and RECORD, media over the same TCP connection.

RTSP: RFC 2326; session description: RFC 8866; H.264 in RTP: RFC 6184, packetization mode 1; RTCP reports: RFC 3550.
"""

from __future__ import annotations

import base64
import secrets
import struct
import time
from contextlib import suppress

from engine.errors import PtzBusy, PtzLocked, PublishError, PublishRefused, PublishUnreachable
from engine.lockout import Governor, Permit
from engine.publish.base import GOODBYE_S, Destination, Sink, serves
from engine.publish.connection import Connection
from engine.publish.h264 import DELIMITER, ParameterSets, kind_of, nal_units
from engine.publish.rtsp_messages import FORBIDDEN, UNAUTHORIZED, Answer, Login, RtspLink, ntp_time
from engine.types.packet import Packet

PAYLOAD_TYPE = 96
MOST_PAYLOAD_BYTES = 1400
"""Of an RTP packet: servers hand them on over UDP as they are."""
ALIVE_S = 2.0
"""How often the server is asked whether it is there, and told what time it is."""

_MEDIA_CHANNEL, _REPORT_CHANNEL = 0, 1
_FRAGMENTATION_UNIT = 28
_SENDER_REPORT = 200


@serves("rtsp", "rtsps")
class RtspSink(Sink):
    """One publication to `rtsp://[USER:PASSWORD@]HOST[:PORT]/PATH`."""

    def __init__(self, destination: Destination, timeout_s: float = 5.0) -> None:
        super().__init__(destination, timeout_s)
        self._connection = Connection(destination.label, timeout_s)
        self._link = RtspLink(self._connection, None)
        self._url = ""
        self._session = ""
        self._first_ns = 0
        self._sequence = secrets.randbelow(1 << 16)
        self._source = secrets.randbits(32)
        self._time_offset = secrets.randbits(32)
        self._packets = self._octets = 0
        self._asked: tuple[int, float] | None = None
        self._answers = False
        self._alive_due_s = 0.0

    def open(self, first: Packet) -> None:
        """Connect, announce and record; see `Sink.open`. A refused password is not tried again at once."""
        address = self.destination.address()
        query = f"?{address.query}" if address.query else ""
        self._url = f"{address.scheme}://{address.place}{address.path}{query}"
        login = Login(address.user, address.password) if address.user else None
        governor = Governor(address.host, login.user, login.password) if login else None
        permit = self._permit(governor) if governor else None
        self._link = RtspLink(self._connection, login)
        answer: Answer | None = None
        try:
            self._connection.connect(address.host, address.port, tls=address.scheme == "rtsps")
            description = describe(first, self.destination.camera)
            answer = self._link.ask("ANNOUNCE", self._url, {"Content-Type": "application/sdp"}, description)
        finally:
            if governor and permit:
                _tell(governor, permit, self._link.asked_for_login, answer)
        self._accepted("ANNOUNCE", answer)
        transport = "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record"
        setup = self._accepted(
            "SETUP", self._link.ask("SETUP", f"{self._url}/streamid=0", {"Transport": transport})
        )
        self._session = setup.header("session").partition(";")[0]
        if not self._session:
            raise PublishError(f"publish {self._connection.label}: the server gave no session")
        headers = {"Session": self._session, "Range": "npt=0.000-"}
        self._accepted("RECORD", self._link.ask("RECORD", self._url, headers))
        self._first_ns = first.meta.captured_ns

    def write(self, packet: Packet) -> None:
        """Send one picture in as many RTP packets as it needs."""
        self._link.listen()
        meta = packet.meta
        ticks = (meta.captured_ns - self._first_ns) * 9 // 100_000
        rtp_time = (self._time_offset + ticks) & 0xFFFFFFFF
        units = [unit for unit in nal_units(packet.data) if kind_of(unit) != DELIMITER]
        payloads = [payload for unit in units for payload in payloads_of(unit)]
        framed = []
        for index, payload in enumerate(payloads):
            self._sequence = (self._sequence + 1) & 0xFFFF
            marker = 0x80 if index == len(payloads) - 1 else 0
            header = struct.pack(
                ">BBHII", 0x80, marker | PAYLOAD_TYPE, self._sequence, rtp_time, self._source
            )
            framed.append(_interleaved(_MEDIA_CHANNEL, header + payload))
            self._octets += len(payload)
        self._packets += len(payloads)
        self._connection.send(b"".join(framed))
        self._keep_alive(meta.wall_ns, rtp_time)

    def close(self) -> None:
        """Say goodbye in what room there is, and hang up."""
        if self._session:
            self._connection.hurry(GOODBYE_S)
            with suppress(PublishError):  # then it need not be told
                self._link.ask("TEARDOWN", self._url, {"Session": self._session})
            self._session = ""
        self._connection.close()

    def interrupt(self) -> None:
        """See `Sink.interrupt`."""
        self._connection.interrupt()

    def _permit(self, governor: Governor) -> Permit:
        try:
            return governor.reserve()
        except PtzLocked as error:
            raise PublishRefused(f"publish {self._connection.label}: {error}") from None
        except PtzBusy as error:
            raise PublishUnreachable(f"publish {self._connection.label}: {error}") from None

    def _accepted(self, method: str, answer: Answer) -> Answer:
        if answer.status == 200:
            return answer
        line = f"publish {self._connection.label}: {method}: {answer.status} {answer.reason}"
        if answer.status in (UNAUTHORIZED, FORBIDDEN):
            raise PublishRefused(f"{line}; check user and password")
        raise PublishError(line)

    def _keep_alive(self, wall_ns: int, rtp_time: int) -> None:
        """A server that answered before and does so no more has stopped, though its system still takes data."""
        now_s = time.monotonic()
        if self._asked is not None and self._link.answered >= self._asked[0]:
            self._asked, self._answers = None, True
        if self._asked is not None:
            if self._answers and now_s - self._asked[1] > self.timeout_s:
                raise PublishUnreachable(
                    f"publish {self._connection.label}: the server has not answered for {self.timeout_s:g} s"
                )
        elif now_s >= self._alive_due_s:
            self._alive_due_s = now_s + ALIVE_S
            self._asked = self._link.send("OPTIONS", self._url, {"Session": self._session}), now_s
            report = struct.pack(
                ">BBHIQIII", 0x80, _SENDER_REPORT, 6, self._source, ntp_time(wall_ns), rtp_time,
                self._packets & 0xFFFFFFFF, self._octets & 0xFFFFFFFF,
            )  # fmt: skip
            self._connection.send(_interleaved(_REPORT_CHANNEL, report))


def describe(first: Packet, name: str) -> str:
    """The session description of a stream that begins with this key frame."""
    parameters = ParameterSets.of(first.data)
    sets = ",".join(base64.b64encode(each).decode() for each in (parameters.sps, parameters.pps))
    lines = [
        "v=0",
        "o=- 0 0 IN IP4 127.0.0.1",
        f"s={name}",
        "c=IN IP4 0.0.0.0",
        "t=0 0",
        f"m=video 0 RTP/AVP {PAYLOAD_TYPE}",
        f"a=rtpmap:{PAYLOAD_TYPE} H264/90000",
        f"a=fmtp:{PAYLOAD_TYPE} packetization-mode=1;profile-level-id={parameters.sps[1:4].hex().upper()};"
        f"sprop-parameter-sets={sets}",
        "a=control:streamid=0",
    ]
    return "\r\n".join([*lines, ""])


def payloads_of(unit: bytes) -> list[bytes]:
    """A NAL unit as RTP payloads: itself where it fits, else fragmentation units of type A."""
    if len(unit) <= MOST_PAYLOAD_BYTES:
        return [unit]
    indicator = bytes((unit[0] & 0xE0 | _FRAGMENTATION_UNIT,))
    room, kind = MOST_PAYLOAD_BYTES - 2, kind_of(unit)
    payloads = []
    for start in range(1, len(unit), room):
        begins, ends = start == 1, start + room >= len(unit)
        header = bytes((0x80 * begins | 0x40 * ends | kind,))
        payloads.append(indicator + header + unit[start : start + room])
    return payloads


def _interleaved(channel: int, data: bytes) -> bytes:
    return struct.pack(">cBH", b"$", channel, len(data)) + data


def _tell(governor: Governor, permit: Permit, asked_for_login: bool, answer: Answer | None) -> None:
    """The outcome of a login. Without an answer to a password the permit counts as if refused, for a while."""
    if not asked_for_login:
        governor.returned(permit)
    elif answer is not None and answer.status == UNAUTHORIZED:
        governor.refused(permit)
    elif answer is not None:
        governor.accepted(permit)
