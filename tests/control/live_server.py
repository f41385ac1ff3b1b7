"""A real server with live video of real encoders, and viewers over WebRTC that read the clock in the pictures."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from bench.live_camera import LiveCameras, read_clock
from engine.control.app import create_app
from engine.control.hls import HlsStreams
from engine.control.listen import bind_socket
from engine.control.server import ControlServer
from engine.control.video import VideoHub, VideoLimits
from engine.control.video_routes import LiveVideo
from engine.control.whep import WhepLimits
from tests.control.statuses import make_status


@dataclass
class LiveServer:
    """A server in a thread, its cameras, and what shows their video."""

    port: int
    live: LiveCameras
    video: LiveVideo
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def statistics(self) -> dict[str, Any]:
        return self.video.statistics()

    def sessions(self) -> int:
        return int(self.statistics()["webrtc"]["sessions"])


@contextmanager
def live_server(
    *cameras: str, limits: WhepLimits | None = None, hls_idle_s: float = 20.0, **options: Any
) -> Iterator[LiveServer]:
    """A server with live video of these cameras."""
    live = LiveCameras(lambda commands: VideoHub(commands, VideoLimits(want_every_s=0.3)))
    video = LiveVideo(live.hub, lambda: list(live.cameras), limits)
    video.hls = HlsStreams(live.hub, idle_s=hls_idle_s)
    app = create_app(make_status, live.commands, more=video.operations())
    listening = bind_socket("127.0.0.1", 0)
    server = LiveServer(listening.getsockname()[1], live, video)
    serving = ControlServer(app, listening)

    def tick() -> bool:
        return not (server.stop.is_set() and video.end())

    thread = threading.Thread(target=serving.run, args=(tick,), daemon=True)
    thread.start()
    try:
        for name in cameras:
            live.add(name, **options)
        yield server
    finally:
        server.stop.set()
        thread.join(10)
        live.stop()
        assert not thread.is_alive()


def wait_for(condition: Callable[[], Any], timeout_s: float = 10.0) -> Any:
    """Wait until it is true; what it gives."""
    until = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < until, "it did not come in time"
        time.sleep(0.02)
    return found


class Viewer:
    """A WHEP client that decodes: numbers read from the pictures, and what the data channel says of them."""

    def __init__(self, url: str, *, frames_channel: bool = True) -> None:
        self.url = url
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.told: dict[int, dict[str, Any]] = {}
        self.seen: list[tuple[int, int, int]] = []
        """RTP timestamp, frame number and age in ms of every picture."""
        self.location = ""
        self.etag = ""
        self._playing: asyncio.Task[None] | None = None
        self.peer.addTransceiver("video", direction="recvonly")
        self.peer.on("track", self._play)
        if frames_channel:
            channel = self.peer.createDataChannel("frames", ordered=False, maxRetransmits=0)
            channel.on("message", self._told)

    def _told(self, text: str) -> None:
        body = json.loads(text)
        self.told[body["rtp"]] = body

    def _play(self, track: Any) -> None:
        self._playing = asyncio.create_task(self._pictures(track))

    async def _pictures(self, track: Any) -> None:
        try:
            while True:
                picture = await track.recv()
                number, painted_ms = read_clock(picture.to_ndarray(format="gray"))
                age_ms = (time.monotonic_ns() // 1_000_000 & 0xFFFFFFFF) - painted_ms
                self.seen.append((picture.pts & 0xFFFFFFFF, number, age_ms))
        except MediaStreamError:
            return

    async def begin(self) -> None:
        """Offer, and take the answer."""
        await self.peer.setLocalDescription(await self.peer.createOffer())
        async with httpx.AsyncClient() as client:
            answer = await client.post(
                self.url,
                content=self.peer.localDescription.sdp,
                headers={"Content-Type": "application/sdp"},
                timeout=20,
            )
        assert answer.status_code == 201, answer.text
        self.location, self.etag = answer.headers["location"], answer.headers["etag"]
        await self.peer.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))

    async def until_seen(self, count: int, timeout_s: float = 15.0) -> None:
        """Wait until so many pictures have been seen."""
        async with asyncio.timeout(timeout_s):
            while len(self.seen) < count:
                await asyncio.sleep(0.02)

    async def close(self) -> None:
        await self.peer.close()
        if self._playing is not None:
            self._playing.cancel()


@asynccontextmanager
async def viewer(url: str, **options: Any) -> AsyncIterator[Viewer]:
    """A viewer that watches, and leaves in the end without a word to the server but over its connection."""
    each = Viewer(url, **options)
    try:
        await each.begin()
        yield each
    finally:
        await each.close()
