"""What one more viewer, or one more place that the video goes to, costs: CPU time against that of the first one.

    python -m bench.viewers [--seconds S] [--viewers N] [--json FILE]

One process is the server: a camera of 1280 × 720 at 30 frames/s, one encoder with the settings of live video, the hub
and the HTTP side as in a run. Its CPU time is read in windows: with nobody, with the first viewer (who makes the
encoder run), with N, each while nothing else changes; the encoder's own thread counts for the first one only, since it
does the same for all. Viewers are WHEP clients on aiortc in another process; they decrypt what comes and throw it
away. Sinks run in the server's process: folders on disk, and servers where they are installed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from bench.live_camera import LiveCameras
from bench.machine import argument_parser, heading, markdown_table, write_json
from engine.clock import SystemClock
from engine.control.app import create_app
from engine.control.listen import bind_socket
from engine.control.server import ControlServer
from engine.control.status import EngineStatus
from engine.control.video_routes import LiveVideo
from engine.publish.base import Destination
from engine.publish.delivery import Delivery
from engine.types.packet import Packet

SIZE, FPS = (1280, 720), 30.0
ALLOWED = 0.05
SETTLE_S = 3.0


@dataclass(frozen=True)
class Cpu:
    """CPU time for a second of video, ms: of the thread that encodes, and of all others."""

    encoding_ms: float
    others_ms: float


@dataclass(frozen=True)
class Row:
    """One kind of viewer or sink.

    base, first, everybody  with none, with one, with all of them
    """

    kind: str
    count: int
    base: Cpu
    first: Cpu
    everybody: Cpu
    note: str = ""
    valid: bool = True

    @property
    def first_costs_ms(self) -> float:
        """What the first one costs: the encoder, and itself."""
        return self.first.encoding_ms + self.first.others_ms - self.base.encoding_ms - self.base.others_ms

    @property
    def further_costs_ms(self) -> float:
        """What each further one costs. The encoder does the same for all of them, and its time is not of one mind."""
        return (self.everybody.others_ms - self.first.others_ms) / (self.count - 1)

    @property
    def share(self) -> float:
        """A further one against the first."""
        return self.further_costs_ms / self.first_costs_ms


class Server:
    """The server's process, told what to do by lines of JSON."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.viewers", "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        self.port: int = self.ask({})["port"]

    def ask(self, what: dict[str, Any]) -> dict[str, Any]:
        """Have it do something; its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def cpu(self, seconds: float) -> Cpu:
        """CPU time of its process: the medians of five windows."""
        encoding: list[float] = []
        others: list[float] = []
        for _ in range(5):
            before = self.ask({})
            time.sleep(seconds / 5)
            after = self.ask({})
            # By frame, because a machine that is busy may not keep up with the camera.
            ms = 1000 * FPS / max(1, after["frames"] - before["frames"])
            encoding.append((after["encoding_s"] - before["encoding_s"]) * ms)
            others.append((after["cpu_s"] - before["cpu_s"]) * ms - encoding[-1])
        return Cpu(statistics.median(encoding), statistics.median(others))

    def stop(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(20)


def serve() -> None:
    """The server's side: lines of JSON from stdin, answers to stdout."""
    live = LiveCameras()
    video = LiveVideo(live.hub, lambda: list(live.cameras))
    live.add("gate", size=SIZE, fps=FPS)
    listening = bind_socket("127.0.0.1", 0)
    port = listening.getsockname()[1]
    stop = threading.Event()

    def no_status() -> EngineStatus:
        raise RuntimeError("nobody asks for the status here")

    app = create_app(no_status, live.commands, more=video.operations())
    thread = threading.Thread(
        target=ControlServer(app, listening).run, args=(lambda: not (stop.is_set() and video.end()),)
    )
    thread.start()
    deliveries: list[Delivery] = []
    published = live.hub.publish

    def publish(camera: str, packet: Packet) -> None:
        published(camera, packet)
        for each in tuple(deliveries):
            each.offer(packet)

    live.hub.publish = publish  # type: ignore[method-assign]  # as the publish worker, which reads the same packets
    wanted = {"renditions": ["overlay"], "ttl_s": 3600.0}
    for line in sys.stdin:
        message = json.loads(line)
        if "publish" in message:
            live.cameras["gate"].ask("stream-want", wanted)
            live.cameras["gate"].ask("stream-keyframe", {"rendition": "overlay"})
            delivery = Delivery(Destination.of(message["publish"], "gate"), SystemClock())
            deliveries.append(delivery)
            delivery.start()
        if message.get("end"):
            for each in deliveries:
                each.stop()
                each.join()
            deliveries.clear()
            live.cameras["gate"].ask("stream-want", {**wanted, "ttl_s": 0.0})
        answer = {
            "port": port, "cpu_s": time.process_time(), "encoding_s": live.cameras["gate"].encoding_cpu_s,
            "frames": live.cameras["gate"].frames,
            "video": video.statistics(),
            "deliveries": [{"state": each.state.value, "packets": each.packets, "reason": each.reason}
                           for each in deliveries],
        }  # fmt: skip
        print(json.dumps(answer), flush=True)
    stop.set()
    thread.join(10)
    live.stop()


class Watchers:
    """WHEP clients in a process of their own."""

    def __init__(self, url: str, frames: bool) -> None:
        command = [sys.executable, "-m", "bench.viewers", "--watch", url, *(["--frames"] if frames else [])]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def watch(self, count: int) -> int:
        """Have so many watch in all; RTP packets that have come so far."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def stop(self) -> None:
        """End them."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(20)


async def watch(url: str, frames: bool) -> None:
    """The clients' side: a number a line from stdin is how many are to watch."""
    from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

    peers: list[Any] = []
    received = 0

    async def count(packet: object, arrival_time_ms: int) -> None:
        nonlocal received
        received += 1

    async def begin() -> None:
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        receiver = peer.addTransceiver("video", direction="recvonly").receiver
        receiver._handle_rtp_packet = count  # type: ignore[method-assign]  # decrypted and counted, not decoded
        if frames:
            peer.createDataChannel("frames", ordered=False, maxRetransmits=0)
        await peer.setLocalDescription(await peer.createOffer())
        async with httpx.AsyncClient() as client:
            answer = await client.post(
                url,
                content=peer.localDescription.sdp,
                headers={"Content-Type": "application/sdp"},
                timeout=30,
            )
        answer.raise_for_status()
        await peer.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
        peers.append(peer)

    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        while len(peers) < int(line):
            await begin()
        print(received, flush=True)
    for peer in peers:
        await peer.close()


def watched(count: int, seconds: float, frames: bool) -> Row:
    """Viewers over WHEP."""
    server = Server()
    watchers = Watchers(f"http://127.0.0.1:{server.port}/whep/gate?view=overlay", frames)
    try:
        watchers.watch(1)  # what is loaded once belongs to nobody
        time.sleep(SETTLE_S)
        first = server.cpu(seconds)
        watchers.watch(count)
        time.sleep(SETTLE_S)
        packets, begun_s = watchers.watch(count), time.monotonic()
        everybody = server.cpu(seconds)
        rate = (watchers.watch(count) - packets) / (time.monotonic() - begun_s) / count
        watchers.stop()
        time.sleep(SETTLE_S + 5.0)  # until nothing is wanted any more
        base = server.cpu(seconds)
    finally:
        server.stop()
    name = "WHEP viewer with the `frames` channel" if frames else "WHEP viewer"
    return Row(name, count, base, first, everybody, f"{rate:.0f} RTP packets/s each")


def published(kind: str, urls: list[str], seconds: float) -> Row:
    """Sinks of one kind."""
    server = Server()
    try:
        base = server.cpu(seconds)
        server.ask({"publish": urls[0]})
        time.sleep(SETTLE_S)
        first = server.cpu(seconds)
        for url in urls[1:]:
            server.ask({"publish": url})
        time.sleep(SETTLE_S)
        everybody = server.cpu(seconds)
        states = server.ask({})["deliveries"]
        server.ask({"end": True})
    finally:
        server.stop()
    wrong = [each for each in states if each["state"] != "live" or not each["packets"]]
    note = f"{len(wrong)} not live: {wrong[0]}" if wrong else "all live"
    return Row(kind, len(urls), base, first, everybody, note, valid=not wrong)


def sinks(count: int, seconds: float) -> list[Row]:
    """Places that video is published to: folders and, where it is installed, nginx."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [published("HLS folder", [f"hls:{folder}/hls{number}" for number in range(count)], seconds)]
        with nginx(folder) as port:
            if port is not None:
                urls = [f"rtmp://127.0.0.1:{port}/live/gate{number}" for number in range(count)]
                rows.append(published("RTMP to nginx", urls, seconds))
    return rows


@contextmanager
def nginx(folder: Path) -> Iterator[int | None]:
    """nginx with its RTMP module; its port, None where it is not installed."""
    module = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")
    if not module.exists() or shutil.which("nginx") is None:
        yield None
        return
    port = bind_socket("127.0.0.1", 0)
    number = port.getsockname()[1]
    port.close()
    (folder / "nginx.conf").write_text(
        f"load_module {module};\ndaemon off; master_process off; pid {folder}/nginx.pid;\n"
        f"error_log {folder}/error.log; events {{}}\n"
        f"rtmp {{ server {{ listen 127.0.0.1:{number}; application live {{ live on; }} }} }}\n"
    )
    process = subprocess.Popen(["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")])
    time.sleep(1.0)
    try:
        yield number
    finally:
        process.terminate()
        process.wait(10)


def report(rows: list[Row]) -> str:
    """The table."""
    return markdown_table(
        ("what", "how many", "none", "the first costs", "each further one", "of the first", ""),
        [
            (
                row.kind, str(row.count), f"{row.base.encoding_ms + row.base.others_ms:.1f} ms/s",
                f"{row.first_costs_ms:.1f} ms/s",
                f"{row.further_costs_ms:.2f} ms/s", f"{100 * row.share:.1f} %", row.note,
            )
            for row in rows
        ],
    )  # fmt: skip


def verdict(rows: list[Row]) -> str:
    """The goal's line."""
    worst = max(rows, key=lambda row: row.share)
    each = ", ".join(f"{row.kind} {100 * row.share:.1f} %" if row.valid else row.note for row in rows)
    reached = worst.share <= ALLOWED and all(row.valid for row in rows)
    return f"{'reached' if reached else 'missed'}: {each}"


def main() -> None:
    """Measure all kinds, print the table."""
    parser = argument_parser(__doc__)
    parser.add_argument("--only", choices=("whep", "sinks"), help="viewers or sinks only")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of a window")
    parser.add_argument("--viewers", type=int, default=10, help="how many of each kind in the end")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--watch", help=argparse.SUPPRESS)
    parser.add_argument("--frames", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        return serve()
    if args.watch:
        return asyncio.run(watch(args.watch, args.frames))
    rows = []
    if args.only != "sinks":
        rows += [watched(args.viewers, args.seconds, frames) for frames in (False, True)]
    if args.only != "whep":
        rows += sinks(args.viewers, args.seconds)
    print(f"{heading()}\n{report(rows)}\n\n{verdict(rows)}")
    write_json(
        args.json, rows=[asdict(row) | {"share": row.share} for row in rows], reach={"viewers": verdict(rows)}
    )
    return None


if __name__ == "__main__":
    main()
