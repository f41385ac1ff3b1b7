"""One WebRTC connection that sends a camera's H.264 as it is: nothing is encoded or decoded for a peer.

The only file that imports aiortc (extra `webrtc`), which does ICE, DTLS and SCTP. The RTP side of it is replaced: its
own sender makes packets for every peer anew and gives them timestamps that nobody else knows. Everything belongs to
the thread of the event loop.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from aioice import Candidate
from aioice.ice import get_host_addresses
from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.exceptions import InvalidAccessError, InvalidStateError, OperationError
from aiortc.rtcrtpparameters import RTCRtpSendParameters
from aiortc.rtcrtptransceiver import RTCRtpTransceiver
from aiortc.rtp import (
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    AnyRtcpPacket,
    RtcpByePacket,
    RtcpPsfbPacket,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
)
from aiortc.sdp import SessionDescription, candidate_from_sdp

from engine.errors import WebRtcError
from engine.types.packet import Packet
from engine.webrtc.rtp import Payloads, RtpStream, rtp_timestamp
from engine.webrtc.sdp import trickled, user_fragment, without_hidden_candidates

FRAMES_CHANNEL = "frames"
"""Label of the data channel that tells which frame an RTP timestamp belongs to."""
MOST_WAITING_BYTES = 1 << 20
"""A peer whose socket takes no more is not sent anything until a key frame after it has."""
MOST_CHANNEL_BYTES = 64 * 1024
MOST_ADDRESSES = 8
REPORT_INTERVAL_S = 1.0
_NTP_EPOCH_S = 2_208_988_800
_MALFORMED = (ValueError, IndexError, KeyError, AttributeError, TypeError, AssertionError, StopIteration)
"""What aiortc's parser raises, depending on what is wrong with a description."""
_Gather = Callable[..., Coroutine[Any, Any, list[Candidate]]]


class _PassthroughSender(RTCRtpSender):
    """Takes the place of aiortc's sender: told when the connection stands, what reports come, and when it ends."""

    ready: Callable[[RTCRtpSendParameters], None]
    report: Callable[[AnyRtcpPacket], None]
    ended: Callable[[], None]

    async def send(self, parameters: RTCRtpSendParameters) -> None:
        self.ready(parameters)

    async def stop(self) -> None:
        self.ended()

    async def _handle_rtcp_packet(self, packet: AnyRtcpPacket) -> None:
        self.report(packet)


class SendingPeer:
    """A connection that sends one video.

    on_ready     the connection stands: `send` sends from now on
    on_keyframe  the peer needs a key frame
    on_closed    the connection has ended, with the reason; called once
    addresses    of this machine, offered as candidates; the first one is preferred
    payloads     shared by all peers of one video

    statistics: sent again, and the share of packets that the peer has reported as lost
    """

    def __init__(
        self,
        addresses: Sequence[str],
        payloads: Payloads,
        on_ready: Callable[[], None],
        on_keyframe: Callable[[], None],
        on_closed: Callable[[str], None],
    ) -> None:
        self._payloads = payloads
        self._on_ready = on_ready
        self._on_keyframe = on_keyframe
        self._on_closed = on_closed
        self._addresses = list(addresses)
        self._stream: RtpStream | None = None
        self._frames: RTCDataChannel | None = None
        self._reporting: asyncio.Task[None] | None = None
        self._last: tuple[int, int] = 0, 0
        self._closed = False
        self.mappings_lost = 0
        self.loss = 0.0
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._transceiver = self._connection.addTransceiver("video", direction="sendonly")
        self._sender = self._taken_over(self._transceiver)
        _prefer_h264(self._transceiver)
        self._connection.on("datachannel", self._channel_opened)
        self._connection.on("connectionstatechange", self._state_changed)

    def _taken_over(self, transceiver: RTCRtpTransceiver) -> _PassthroughSender:
        sender = transceiver.sender
        sender.__class__ = _PassthroughSender
        assert isinstance(sender, _PassthroughSender)
        sender.ready, sender.report, sender.ended = self._start, self._reported, self._stop
        return sender

    @property
    def ready(self) -> bool:
        """Whether the connection stands."""
        return self._stream is not None and not self._closed

    @property
    def local_description(self) -> str:
        """Our side's SDP."""
        return self._connection.localDescription.sdp

    @property
    def session(self) -> str:
        """What names our ICE session: its user fragment."""
        return user_fragment(self.local_description)

    @property
    def sent_packets(self) -> int:
        """RTP packets sent."""
        return self._stream.packets if self._stream else 0

    @property
    def sent_again(self) -> int:
        """RTP packets sent again because the peer missed them."""
        return self._stream.again if self._stream else 0

    @property
    def received_packets(self) -> int:
        """What has come from the peer since the connection stands. It stops rising when the peer has gone."""
        reports = self._sender.transport._get_stats()
        return sum(each.packetsReceived for each in reports.values())

    async def answer(self, offer: str) -> str:
        """Our answer to a peer's offer, with all our candidates. Raises `WebRtcError`, one line of what is wrong."""
        offer = without_hidden_candidates(offer)
        try:
            _check_description(offer)
            await self._connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            if self._transceiver.mid is None:
                raise WebRtcError("the offer has no video; offer to receive one (recvonly)")
            for transceiver in self._connection.getTransceivers():
                if transceiver is not self._transceiver:
                    transceiver.direction = "inactive"
            answer = await self._connection.createAnswer()
        except OperationError:
            raise WebRtcError("the offer has no H.264 with packetization-mode=1 for its video") from None
        except (InvalidAccessError, InvalidStateError, *_MALFORMED) as error:
            raise WebRtcError(f"the offer is no usable session description: {error}") from None
        self._limit_candidates()
        await self._connection.setLocalDescription(answer)
        if self._transceiver.currentDirection != "sendonly":
            raise WebRtcError("the offer does not receive its video; offer it as recvonly")
        return self.local_description

    async def offer(self) -> str:
        """Our offer to a server, with all our candidates."""
        description = await self._connection.createOffer()
        self._limit_candidates()
        await self._connection.setLocalDescription(description)
        return self.local_description

    async def accept(self, answer: str) -> None:
        """Take the server's answer to our offer. Raises `WebRtcError`."""
        answer = without_hidden_candidates(answer)
        try:
            _check_description(answer)
            await self._connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        except OperationError:
            raise WebRtcError("the answer has no H.264 for the video") from None
        except (InvalidAccessError, InvalidStateError, *_MALFORMED) as error:
            raise WebRtcError(f"the answer is no usable session description: {error}") from None

    async def add_candidates(self, fragment: str) -> int:
        """Add trickled candidates; returns how many were of use. Raises `WebRtcError`."""
        count = 0
        for each in trickled(fragment):
            try:
                candidate = candidate_from_sdp(each.value)
                candidate.sdpMid = each.mid or self._transceiver.mid
                await self._connection.addIceCandidate(candidate)
            except _MALFORMED as error:
                raise WebRtcError(f"not a candidate: {each.value!r}: {error}") from None
            count += 1
        return count

    def send(self, packet: Packet) -> bool:
        """Send one access unit; False when the socket takes no more, and the peer must begin at a key frame again."""
        stream, transport = self._stream, self._sender.transport
        pair = transport.transport._connection._nominated.get(1)
        if stream is None or pair is None or self._closed:
            return False
        datagrams: Any = pair.protocol.transport
        if datagrams.is_closing() or datagrams.get_write_buffer_size() > MOST_WAITING_BYTES:
            return False
        meta = packet.meta
        timestamp = rtp_timestamp(meta.captured_ns)
        self._tell_frame(packet)
        protect, address = transport._tx_srtp.protect, pair.remote_addr
        for each in stream.packets_of(self._payloads.of(packet), timestamp):
            datagrams.sendto(protect(each), address)
        self._last = meta.wall_ns, timestamp
        return True

    def _tell_frame(self, packet: Packet) -> None:
        channel = self._frames
        if channel is None or channel.readyState != "open":
            return
        if channel.bufferedAmount > MOST_CHANNEL_BYTES:
            self.mappings_lost += 1
            return
        channel.send(self._payloads.frame_text(packet))

    async def close(self) -> None:
        """End the connection. A second call does nothing more."""
        self._finish("closed")
        await self._connection.close()

    def _limit_candidates(self) -> None:
        """Offer the addresses that were chosen, and no others: aioice would leave out those of the loopback."""
        for transport in {each.receiver.transport for each in self._connection.getTransceivers()}:
            ice: Any = transport.transport._connection
            ice.get_component_candidates = _gathering(ice.get_component_candidates, self._addresses)

    def _channel_opened(self, channel: RTCDataChannel) -> None:
        if channel.label == FRAMES_CHANNEL:
            self._frames = channel

    def _start(self, parameters: RTCRtpSendParameters) -> None:
        if self._stream is not None or self._closed:
            return
        codec = parameters.codecs[0]
        again = [
            each.payloadType
            for each in parameters.codecs
            if each.mimeType.lower() == "video/rtx" and each.parameters.get("apt") == codec.payloadType
        ]
        assert codec.payloadType is not None
        self._stream = RtpStream(
            self._sender._ssrc,
            codec.payloadType,
            secrets.randbelow(1 << 15),  # the lower half: SRTP does not bear an early wrap (RFC 3711, 3.3.1)
            self._sender._rtx_ssrc,
            again[0] if again else None,
        )
        transport = self._sender.transport
        transport._register_rtp_sender(self._sender, parameters)
        transport._rtp_router.register_sender(self._sender, ssrc=0)  # FIR names no medium in its header
        self._reporting = asyncio.ensure_future(self._report(parameters.rtcp.cname))
        self._on_ready()

    def _stop(self) -> None:
        if self._reporting is not None:
            self._reporting.cancel()
            self._sender.transport._unregister_rtp_sender(self._sender)

    async def _report(self, cname: str | None) -> None:
        """Sender reports: they tell the peer which time the RTP timestamps stand for."""
        assert self._stream is not None
        source = RtcpSdesPacket([RtcpSourceInfo(self._stream.ssrc, [(1, (cname or "camring").encode())])])
        with suppress(ConnectionError):
            try:
                while True:
                    await asyncio.sleep(REPORT_INTERVAL_S)
                    await self._sender.transport._send_rtp(bytes(self._sender_report()) + bytes(source))
            finally:
                await self._sender.transport._send_rtp(bytes(RtcpByePacket([self._stream.ssrc])))

    def _sender_report(self) -> RtcpSrPacket:
        """What time it is now on the clock of the RTP timestamps."""
        assert self._stream is not None
        wall_ns, timestamp = self._last
        now_ns = time.time_ns()
        passed = (now_ns - wall_ns) * 9 // 100_000 if wall_ns else 0
        seconds, rest = divmod(now_ns, 1_000_000_000)
        info = RtcpSenderInfo(
            ntp_timestamp=(seconds + _NTP_EPOCH_S) << 32 | (rest << 32) // 1_000_000_000,
            rtp_timestamp=timestamp + passed & 0xFFFFFFFF,
            packet_count=self._stream.packets & 0xFFFFFFFF,
            octet_count=self._stream.octets & 0xFFFFFFFF,
        )
        return RtcpSrPacket(self._stream.ssrc, info)

    def _reported(self, packet: AnyRtcpPacket) -> None:
        if isinstance(packet, RtcpRtpfbPacket) and packet.fmt == RTCP_RTPFB_NACK:
            self._send_again(packet.lost)
        elif isinstance(packet, RtcpPsfbPacket) and packet.fmt in (RTCP_PSFB_PLI, RTCP_PSFB_FIR):
            self._on_keyframe()
        elif isinstance(packet, RtcpRrPacket | RtcpSrPacket):
            for each in packet.reports:
                if each.ssrc == self._sender._ssrc:
                    self.loss = each.fraction_lost / 256

    def _send_again(self, sequences: Sequence[int]) -> None:
        transport = self._sender.transport
        pair = transport.transport._connection._nominated.get(1)
        if self._stream is None or pair is None or self._closed:
            return
        for sequence in sequences:
            packet = self._stream.once_more(sequence)
            if packet is not None:
                pair.protocol.transport.sendto(transport._tx_srtp.protect(packet), pair.remote_addr)

    def _state_changed(self) -> None:
        state = self._connection.connectionState
        if state in ("failed", "closed"):
            self._finish("the connection was lost" if state == "failed" else "the peer has gone")

    def _finish(self, reason: str) -> None:
        if not self._closed:
            self._closed = True
            self._on_closed(reason)


def _check_description(text: str) -> None:
    """What aiortc takes for granted: raises `ValueError` before it has begun to act on a description without it."""
    description = SessionDescription.parse(text)
    names = [media.rtp.muxId for media in description.media]
    together = [set(group.items) for group in description.group if group.semantic == "BUNDLE"]
    if len(set(names)) != len(names) or not all(names):
        raise ValueError("every medium needs an a=mid of its own")
    if together[:1] != [set(names)] and (together or len(names) > 1):
        raise ValueError("all media must be in one BUNDLE group")
    for media in description.media:
        if media.kind not in ("audio", "video", "application"):
            raise ValueError(f"a medium that WebRTC does not know: {media.kind!r}")
        if media.dtls is None or not media.dtls.fingerprints:
            raise ValueError("a=fingerprint is missing")
        if media.ice is None or not (media.ice.usernameFragment and media.ice.password):
            raise ValueError("a=ice-ufrag and a=ice-pwd are missing")


def _gathering(gather: _Gather, addresses: list[str]) -> _Gather:
    async def of_chosen(component: int, **_: Any) -> list[Candidate]:
        return await gather(component=component, addresses=addresses)

    return of_chosen


def addresses_for(reached_at: str) -> list[str]:
    """The candidates to offer to whoever has reached us at this address, which comes first.

    Who came over the loopback is on this machine, where nothing but the loopback is needed. Where it is not known
    (empty) all addresses are offered but those of the loopback.
    """
    if not reached_at:
        return get_host_addresses(use_ipv4=True, use_ipv6=True)[:MOST_ADDRESSES]
    address = ipaddress.ip_address(reached_at)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if address.is_loopback:
        return [str(address)]
    others = [each for each in get_host_addresses(use_ipv4=True, use_ipv6=True) if each != str(address)]
    return [str(address), *others][:MOST_ADDRESSES]


def _prefer_h264(transceiver: RTCRtpTransceiver) -> None:
    codecs = RTCRtpSender.getCapabilities("video").codecs
    transceiver.setCodecPreferences(
        [each for each in codecs if each.mimeType.lower() in ("video/h264", "video/rtx")]
    )
