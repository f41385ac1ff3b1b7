"""Low-latency HLS from memory: what every player and every browser plays, through any proxy (RFC 8216bis).

A stream is cut while somebody fetches it, once for all viewers; it ends when nobody has fetched anything for a while.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Any, Literal

import msgspec
from starlette.responses import Response

from engine.control.bodies import must
from engine.control.commands import CommandFailed
from engine.control.operations import Answer, Call, Media, Operation
from engine.control.roles import Role
from engine.control.video import VIDEO, VideoHub
from engine.publish.low_latency_hls import PLAYLIST, HlsSettings, LowLatencyHls
from engine.types.packet import Packet

PLAYLIST_TYPE = "application/vnd.apple.mpegurl"
IDLE_S = 20.0
"""A stream that nobody has fetched anything of for so long is given up."""
FIRST_S = 10.0
"""How long the first playlist may take: the encoder has to start, and a segment has to be full."""
MOST_STREAMS = 32
_NUMBER = must("a whole number of at least 0", ge=0, le=2**53)


class HlsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The delivery directives of RFC 8216bis, 6.2.5."""

    msn: Annotated[int, _NUMBER] | None = msgspec.field(default=None, name="_HLS_msn")
    part: Annotated[int, _NUMBER] | None = msgspec.field(default=None, name="_HLS_part")
    skip: Literal["YES", "v2"] | None = msgspec.field(default=None, name="_HLS_skip")


class _Stream:
    """One camera's view, cut for all who fetch it. Belongs to the serving thread."""

    def __init__(self, hub: VideoHub, camera: str, view: str, settings: HlsSettings, now_s: float) -> None:
        self.hls = LowLatencyHls(settings)
        self.fetched_s = now_s
        self.gone = False
        self._changed = asyncio.Event()
        self._subscription = hub.subscribe(camera, VIDEO[view], self.end)

    def start(self) -> None:
        self._subscription.start(self._take, replay=True)

    def _take(self, packet: Packet) -> bool:
        if self.hls.add(packet):
            self._wake()
        return True

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def end(self, reason: str) -> None:
        self.gone = True
        self._subscription.close()
        self._wake()

    async def until(self, there: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until something is there; False when it does not come in time."""
        try:
            async with asyncio.timeout(timeout_s):
                while not there():
                    if self.gone:
                        return False
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True


class HlsStreams:
    """All streams that somebody fetches. Belongs to the serving thread."""

    def __init__(
        self,
        hub: VideoHub,
        settings: HlsSettings | None = None,
        idle_s: float = IDLE_S,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hub = hub
        self._settings = settings or HlsSettings()
        self._idle_s = idle_s
        self._now_s = now_s
        self._streams: dict[tuple[str, str], _Stream] = {}
        self._watching: asyncio.Task[None] | None = None
        # A player that comes back after its stream was given up finds newer numbers than it has seen.
        self._next_numbers: dict[tuple[str, str], int] = {}

    async def playlist(self, camera: str, view: str, query: HlsQuery) -> str:
        """The playlist, as soon as it has what was asked for. Raises `CommandFailed`."""
        if query.part is not None and query.msn is None:
            raise CommandFailed(HTTPStatus.BAD_REQUEST, "_HLS_part needs _HLS_msn")
        stream = await self._stream(camera, view)
        hls = stream.hls
        # Players that know no parts find nothing in a playlist without a whole segment, and give up.
        first = hls.settings.first_number
        if not await stream.until(lambda: hls.ready and hls.has(first), FIRST_S):
            raise CommandFailed(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{camera}: no video yet; try again",
                headers={"Retry-After": "1"},
            )
        if query.msn is not None:
            number, part = query.msn, query.part
            if hls.is_too_far(number, part):
                raise CommandFailed(HTTPStatus.BAD_REQUEST, "_HLS_msn and _HLS_part lie too far ahead")
            if not await stream.until(lambda: hls.has(number, part), 3.0 * hls.target_s):
                raise CommandFailed(HTTPStatus.SERVICE_UNAVAILABLE, f"{camera}: that part does not come")
        stream.fetched_s = self._now_s()
        return hls.playlist(query.skip is not None)

    async def file(self, camera: str, view: str, name: str) -> bytes:
        """A file that a playlist has named; one that it has only announced, as soon as it is there."""
        stream = self._streams.get((camera, view))
        if stream is not None:
            stream.fetched_s = self._now_s()
            if stream.hls.is_hinted(name):
                there = await stream.until(lambda: not stream.hls.is_hinted(name), 3.0 * stream.hls.target_s)
                if not there:
                    raise CommandFailed(HTTPStatus.SERVICE_UNAVAILABLE, f"{camera}: that part does not come")
            content = stream.hls.file(name)
            if content is not None:
                return content
        raise CommandFailed(HTTPStatus.NOT_FOUND, f"{camera}: no such file; fetch the playlist again")

    async def _stream(self, camera: str, view: str) -> _Stream:
        key = camera, view
        stream = self._streams.get(key)
        if stream is not None and not stream.gone:
            stream.fetched_s = self._now_s()
            return stream
        self._drop(key)
        if len(self._streams) >= MOST_STREAMS:
            raise CommandFailed(
                HTTPStatus.SERVICE_UNAVAILABLE, f"{MOST_STREAMS} HLS streams are fetched already"
            )
        settings = replace(self._settings, first_number=self._next_numbers.get(key, 0))
        stream = _Stream(self._hub, camera, view, settings, self._now_s())
        self._streams[key] = stream
        try:
            await self._hub.require(camera, VIDEO[view])
        except BaseException:
            self._drop(key)
            raise
        stream.start()
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())
        return stream

    def _drop(self, key: tuple[str, str]) -> None:
        stream = self._streams.pop(key, None)
        if stream is not None:
            self._next_numbers[key] = stream.hls.next_number + 1
            stream.end("over")

    async def _watch(self) -> None:
        while self._streams:
            await asyncio.sleep(1.0)
            for key, stream in tuple(self._streams.items()):
                if stream.gone or self._now_s() - stream.fetched_s > self._idle_s:
                    self._drop(key)
        self._watching = None

    def statistics(self) -> dict[str, Any]:
        """Streams that are being cut."""
        return {"streams": len(self._streams)}


def hls_operations(streams: HlsStreams, check_camera: Callable[[str], None]) -> list[Operation]:
    """The operations. `check_camera` raises `CommandFailed` for a camera that is not there."""

    def view_of(call: Call) -> str:
        check_camera(call.camera)
        view: str = call.request.path_params["view"]
        if view not in VIDEO:
            raise CommandFailed(HTTPStatus.NOT_FOUND, f"no view {view!r}; there are: {', '.join(VIDEO)}")
        return view

    async def playlist(call: Call) -> Response:
        text = await streams.playlist(call.camera, view_of(call), call.query)
        # A playlist changes with every part; a blocked one has been waited for and is the newest there is.
        return Response(text, 200, {"Cache-Control": "no-cache"}, PLAYLIST_TYPE)

    async def file(call: Call) -> Response:
        name: str = call.request.path_params["file"]
        content = await streams.file(call.camera, view_of(call), name)
        # What has a name never changes.
        headers = {"Cache-Control": "private, max-age=60, immutable"}
        return Response(content, 200, headers, "video/mp4")

    return [
        Operation(
            method="GET",
            path="/hls/{camera}/{view}/" + PLAYLIST,
            name="hls_playlist",
            tag="video",
            summary="a camera as low-latency HLS: the playlist of the view `clean` or `overlay`",
            role=Role.VIEWER,
            handler=playlist,
            query=HlsQuery,
            answers={200: Answer("the playlist", Media(PLAYLIST_TYPE))},
        ),
        Operation(
            method="GET",
            path="/hls/{camera}/{view}/{file}",
            name="hls_file",
            tag="video",
            summary="an init segment, a segment or a part that the playlist names",
            role=Role.VIEWER,
            handler=file,
            answers={200: Answer("fragmented MP4", Media("video/mp4"))},
        ),
    ]
