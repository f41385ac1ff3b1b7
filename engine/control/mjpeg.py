"""Motion JPEG: pictures one after the other in one answer, for what can show nothing else. Any `<img>` plays it.

Nobody waits for a viewer: whoever reads slowly gets the newest picture, and fewer of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Annotated, Literal

import msgspec
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from engine.control.bodies import must
from engine.control.commands import CommandFailed
from engine.control.operations import Answer, Call, Media, Operation
from engine.control.roles import Role
from engine.control.video import PICTURES, VideoHub
from engine.types.packet import Packet, PacketFlag

BOUNDARY = "camring-frame"
MOST_VIEWERS = 16
"""Each holds a connection, and encoding JPEGs costs more than H.264."""


class MjpegQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which picture, and how many a second at most."""

    view: Literal["clean", "overlay"] = "overlay"
    fps: Annotated[float, must("a number from 0.1 to 60", ge=0.1, le=60.0)] = 10.0


class _Newest:
    """The newest picture that is due and has not been sent."""

    def __init__(self, fps: float) -> None:
        self._interval_ns = round(1e9 / fps)
        self._due_ns = 0
        self._packet: Packet | None = None
        self._gone = False
        self._there = asyncio.Event()

    def take(self, packet: Packet) -> bool:
        """A picture; one that was not sent yet is replaced."""
        captured_ns = packet.meta.captured_ns
        # A quarter of an interval early is in time, so that a rate that divides the camera's is kept.
        if captured_ns < self._due_ns - self._interval_ns // 4:
            return True
        self._due_ns = max(self._due_ns + self._interval_ns, captured_ns)
        self._packet = packet
        self._there.set()
        return True

    def end(self, reason: str) -> None:
        """There will be no more."""
        self._gone = True
        self._there.set()

    async def next(self) -> Packet | None:
        """The next picture, None at the end."""
        while self._packet is None and not self._gone:
            self._there.clear()
            await self._there.wait()
        packet, self._packet = self._packet, None
        return packet


class _Pictures(StreamingResponse):
    """The answer; `gone` is called when it has ended in whatever way, also before it has begun."""

    def __init__(self, parts: AsyncIterator[bytes], gone: Callable[[], None]) -> None:
        media_type = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
        super().__init__(parts, 200, {"Cache-Control": "no-store"}, media_type)
        self._gone = gone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._gone()


def part_of(packet: Packet) -> bytes:
    """One picture as a part of the answer, with its frame number and time, by which it is joined with records."""
    meta = packet.meta
    head = (
        f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(packet.data)}\r\n"
        f"X-Frame: {meta.frame_index}\r\nX-Time: {meta.wall_ns / 1e9:.6f}\r\n"
        f"X-No-Signal: {int(bool(meta.flags & PacketFlag.NO_SIGNAL))}\r\n\r\n"
    )
    return head.encode() + packet.data + b"\r\n"


def mjpeg_operations(hub: VideoHub, check_camera: Callable[[str], None]) -> list[Operation]:
    """The operation. `check_camera` raises `CommandFailed` for a camera that is not there."""
    viewers: set[_Newest] = set()

    async def watch(call: Call) -> Response:
        check_camera(call.camera)
        if len(viewers) >= MOST_VIEWERS:
            raise CommandFailed(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{MOST_VIEWERS} viewers watch as Motion JPEG already; use /hls or /whep",
                headers={"Retry-After": "10"},
            )
        rendition = PICTURES[call.query.view]
        newest = _Newest(call.query.fps)
        viewers.add(newest)
        subscription = hub.subscribe(call.camera, rendition, newest.end)
        try:
            await hub.require(call.camera, rendition)
        except BaseException:
            viewers.discard(newest)
            subscription.close()
            raise

        async def parts() -> AsyncIterator[bytes]:
            subscription.start(newest.take, replay=True)
            while (packet := await newest.next()) is not None:
                yield part_of(packet)
            yield f"--{BOUNDARY}--\r\n".encode()

        def gone() -> None:
            viewers.discard(newest)
            subscription.close()

        return _Pictures(parts(), gone)

    return [
        Operation(
            method="GET",
            path="/mjpeg/{camera}",
            name="mjpeg",
            tag="video",
            summary="a camera as Motion JPEG; every part has X-Frame, X-Time and X-No-Signal",
            role=Role.VIEWER,
            handler=watch,
            query=MjpegQuery,
            answers={200: Answer("pictures until the client goes", Media("multipart/x-mixed-replace"))},
        )
    ]
