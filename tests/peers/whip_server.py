"""A WHIP server (RFC 9725) on aiortc, in a thread: takes one publication after the other and decodes it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bench.live_camera import read_clock
from engine.control.listen import bind_socket
from engine.control.server import ControlServer


@dataclass
class WhipServer:
    """What has come.

    token     that publishers must show; empty: none
    answer    status that every offer is answered with instead of an answer; 0: none
    numbers   frame numbers read from the pictures
    """

    port: int = 0
    token: str = ""
    answer: int = 0
    numbers: list[int] = field(default_factory=list)
    posts: int = 0
    deleted: int = 0
    peers: dict[str, RTCPeerConnection] = field(default_factory=dict)
    loop: asyncio.AbstractEventLoop | None = None

    def drop(self) -> None:
        """Forget every publication without a word to who sends it."""
        assert self.loop is not None
        asyncio.run_coroutine_threadsafe(self._drop(), self.loop).result(10)

    async def _drop(self) -> None:
        for peer in self.peers.values():
            for transceiver in peer.getTransceivers():
                for protocol in transceiver.receiver.transport.transport._connection._protocols:
                    protocol.transport.abort()

    async def close(self) -> None:
        for peer in self.peers.values():
            await peer.close()

    async def publish(self, request: Request) -> Response:
        self.loop = asyncio.get_running_loop()
        self.posts += 1
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            return Response(status_code=401)
        if self.answer:
            return Response(status_code=self.answer)
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        name = str(len(self.peers))
        self.peers[name] = peer
        peer.on("track", lambda track: asyncio.ensure_future(self._watch(track)))
        offer = RTCSessionDescription((await request.body()).decode(), "offer")
        await peer.setRemoteDescription(offer)
        await peer.setLocalDescription(await peer.createAnswer())
        headers = {"Location": f"/session/{name}"}
        return Response(peer.localDescription.sdp, 201, headers, "application/sdp")

    async def _watch(self, track: Any) -> None:
        try:
            while True:
                picture = await track.recv()
                self.numbers.append(read_clock(picture.to_ndarray(format="gray"))[0])
        except MediaStreamError:
            return

    async def end(self, request: Request) -> Response:
        self.deleted += 1
        await self.peers.pop(request.path_params["name"]).close()
        return Response(status_code=200)


@contextmanager
def whip_server(token: str = "") -> Iterator[WhipServer]:
    """A server on a free port of 127.0.0.1; `/whip/NAME` takes publications, `/moved/NAME` sends there."""
    server = WhipServer(token=token)

    async def moved(request: Request) -> Response:
        return RedirectResponse(f"/whip/{request.path_params['name']}", 307)

    app = Starlette(
        routes=[
            Route("/whip/{name}", server.publish, methods=["POST"]),
            Route("/moved/{name}", moved, methods=["POST"]),
            Route("/session/{name}", server.end, methods=["DELETE"]),
        ]
    )
    listening = bind_socket("127.0.0.1", 0)
    server.port = listening.getsockname()[1]
    stop = threading.Event()
    serving = ControlServer(app, listening)
    thread = threading.Thread(target=serving.run, args=(lambda: not stop.is_set(),), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        if server.loop is not None:
            asyncio.run_coroutine_threadsafe(server.close(), server.loop).result(10)
        time.sleep(0.05)
        stop.set()
        thread.join(10)
