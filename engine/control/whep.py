"""WHEP: browsers and players fetch a camera's video over WebRTC (draft-ietf-wish-whep).

One POST with an offer, one answer with everything in it; what is encoded already is passed on. A session ends when it
is deleted, when its connection is lost, or when nothing has been heard of the viewer for a while. Without the extra
`webrtc` the answer is 501, and viewers have HLS and MJPEG.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import ipaddress
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from engine.control.commands import CommandFailed
from engine.control.operations import Answer, Call, Media, Operation
from engine.control.roles import Role
from engine.control.video import VIDEO, Subscription, VideoHub
from engine.errors import WebRtcError
from engine.types.packet import Rendition
from engine.webrtc.rtp import Payloads

if TYPE_CHECKING:
    from engine.webrtc.peer import SendingPeer

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"
MOST_SDP_BYTES = 64 * 1024
MISSING = "WebRTC needs the extra `webrtc` (pip install 'camring[webrtc]'); use /hls or /mjpeg"


@dataclass(frozen=True, slots=True)
class WhepLimits:
    """What sessions may cost.

    sessions   at the same time
    connect_s  a connection that does not stand by then will not
    silence_s  a viewer that nothing has been heard of for so long has gone
    check_s    how often that is looked at
    """

    sessions: int = 32
    connect_s: float = 15.0
    silence_s: float = 15.0
    check_s: float = 1.0


class WhepQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which picture: `clean`, or `overlay` with everything drawn in."""

    view: Literal["clean", "overlay"] = "clean"


class _Session:
    """One viewer's connection."""

    def __init__(self, camera: str, subscription: Subscription, peer: SendingPeer, now_s: float) -> None:
        self.camera = camera
        self.subscription = subscription
        self.peer = peer
        self.begun_s = now_s
        self.heard_s = now_s
        self._received = 0

    def look(self, now_s: float) -> None:
        received = self.peer.received_packets
        if received != self._received:
            self._received, self.heard_s = received, now_s


class WhepSessions:
    """All viewers over WebRTC. Belongs to the serving thread."""

    def __init__(
        self,
        hub: VideoHub,
        limits: WhepLimits | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hub = hub
        self._limits = limits or WhepLimits()
        self._now_s = now_s
        self._sessions: dict[str, _Session] = {}
        self._payloads: dict[tuple[str, Rendition], Payloads] = {}
        self._watching: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._ended: Counter[str] = Counter()

    async def begin(self, camera: str, view: str, offer: str, reached_at: str) -> tuple[str, SendingPeer]:
        """A new session: its name, and the peer with the answer. Raises `CommandFailed`.

        reached_at  the address of ours that the viewer knows, empty where that is not known
        """
        peers = await _peers()
        if len(self._sessions) >= self._limits.sessions:
            raise CommandFailed(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{self._limits.sessions} WebRTC sessions are open already; use /hls, or try again later",
                headers={"Retry-After": "10"},
            )
        rendition, name = VIDEO[view], secrets.token_urlsafe(12)
        subscription = self._hub.subscribe(
            camera, rendition, lambda reason: self._end(name, "camera removed")
        )
        peer: SendingPeer = peers.SendingPeer(
            peers.addresses_for(reached_at),
            self._payloads.setdefault((camera, rendition), Payloads()),
            on_ready=lambda: subscription.start(peer.send, replay=False),
            on_keyframe=subscription.ask_for_keyframe,
            on_closed=lambda reason: self._end(name, reason),
        )
        self._sessions[name] = _Session(camera, subscription, peer, self._now_s())
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())
        try:
            await self._hub.require(camera, rendition)
            await peer.answer(offer)
        except WebRtcError as error:
            self._end(name, "refused")
            raise CommandFailed(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None
        except BaseException:
            self._end(name, "refused")
            raise
        return name, peer

    def find(self, camera: str, name: str) -> SendingPeer:
        """The peer of a session. Raises `CommandFailed`."""
        session = self._sessions.get(name)
        if session is None or session.camera != camera:
            raise CommandFailed(HTTPStatus.NOT_FOUND, "there is no such session, or it has ended")
        return session.peer

    def end(self, camera: str, name: str) -> None:
        """End a session. Raises `CommandFailed` where there is none."""
        self.find(camera, name)
        self._end(name, "deleted")

    @property
    def closed(self) -> bool:
        """Whether all sessions have ended, and all connections with them."""
        return not self._sessions and not self._closing

    def _end(self, name: str, reason: str) -> None:
        session = self._sessions.pop(name, None)
        if session is None:
            return
        self._ended[reason] += 1
        session.subscription.close()
        task = asyncio.create_task(session.peer.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _watch(self) -> None:
        """End the sessions of viewers that do not come, or have gone without a word."""
        while self._sessions:
            await asyncio.sleep(self._limits.check_s)
            now_s = self._now_s()
            for name, session in tuple(self._sessions.items()):
                session.look(now_s)
                if not session.peer.ready and now_s - session.begun_s > self._limits.connect_s:
                    self._end(name, "never connected")
                elif session.peer.ready and now_s - session.heard_s > self._limits.silence_s:
                    self._end(name, "silent")
        self._watching = None

    def statistics(self) -> dict[str, Any]:
        """Sessions now, RTP packets of theirs sent and sent again, sessions ended by reason."""
        peers = [session.peer for session in self._sessions.values()]
        return {
            "sessions": len(peers),
            "packets": sum(peer.sent_packets for peer in peers),
            "again": sum(peer.sent_again for peer in peers),
            "ended": dict(self._ended),
        }


async def _peers() -> Any:
    """The module that needs aiortc, loaded by another thread: that takes a second. Raises `CommandFailed`."""
    if importlib.util.find_spec("aiortc") is None:
        raise CommandFailed(HTTPStatus.NOT_IMPLEMENTED, MISSING)
    return await asyncio.to_thread(importlib.import_module, "engine.webrtc.peer")


def whep_operations(sessions: WhepSessions, check_camera: Callable[[str], None]) -> list[Operation]:
    """The operations. `check_camera` raises `CommandFailed` for a camera that is not there."""

    async def view(call: Call) -> Response:
        check_camera(call.camera)
        name, peer = await sessions.begin(
            call.camera, call.query.view, _text(call.body), _reached_at(call.request)
        )
        headers = {
            "Location": f"/whep/{quote(call.camera, safe='')}/{name}",
            "ETag": f'"{peer.session}"',
            "Accept-Patch": FRAGMENT,
            "Cache-Control": "no-store",
        }
        return Response(peer.local_description, HTTPStatus.CREATED, headers, SDP)

    async def trickle(call: Call) -> Response:
        peer = sessions.find(call.camera, call.request.path_params["session"])
        known = call.request.headers.get("if-match")
        if known not in (None, "*", f'"{peer.session}"'):
            raise CommandFailed(
                HTTPStatus.PRECONDITION_FAILED, "If-Match names another ICE session than this one's ETag"
            )
        try:
            await peer.add_candidates(_text(call.body))
        except WebRtcError as error:
            raise CommandFailed(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def leave(call: Call) -> Response:
        sessions.end(call.camera, call.request.path_params["session"])
        return Response(status_code=HTTPStatus.OK)

    session_path = "/whep/{camera}/{session}"
    return [
        Operation(
            method="POST",
            path="/whep/{camera}",
            name="whep_begin",
            tag="video",
            summary="watch a camera over WebRTC (WHEP): an SDP offer that receives H.264",
            role=Role.VIEWER,
            handler=view,
            query=WhepQuery,
            body=Media(
                SDP, "the offer; a data channel `frames` in it gets the frame number of every RTP timestamp"
            ),
            most_body_bytes=MOST_SDP_BYTES,
            answers={
                201: Answer(
                    "the answer, with all candidates",
                    Media(SDP),
                    {"Location": "the session, to be deleted in the end", "ETag": "the ICE session"},
                )
            },
            problems={501: "without the extra `webrtc`"},
        ),
        Operation(
            method="PATCH",
            path=session_path,
            name="whep_trickle",
            tag="video",
            summary="further ICE candidates of a WHEP session; needed only where the offer had none",
            role=Role.VIEWER,
            handler=trickle,
            body=Media(FRAGMENT, "candidates (RFC 8840)"),
            most_body_bytes=MOST_SDP_BYTES,
            answers={204: Answer("taken")},
            problems={412: "If-Match names another ICE session"},
        ),
        Operation(
            method="DELETE",
            path=session_path,
            name="whep_end",
            tag="video",
            summary="end a WHEP session",
            role=Role.VIEWER,
            handler=leave,
            answers={200: Answer("ended")},
        ),
    ]


def _reached_at(request: Request) -> str:
    """The address of ours that the viewer knows; empty where only a proxy on this machine knows one."""
    server: str = (request.scope.get("server") or ("127.0.0.1", 0))[0]
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    if not ipaddress.ip_address(server).is_loopback or host == "localhost":
        return server
    try:
        return server if ipaddress.ip_address(host).is_loopback else ""
    except ValueError:
        return ""


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise CommandFailed(HTTPStatus.BAD_REQUEST, "the body is not UTF-8") from None
