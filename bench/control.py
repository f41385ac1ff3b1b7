"""The control API under load: 200 WebSocket clients of which one is stuck, and /health and /metrics beside inference.

Clients: a server process publishes the records of a camera with 20 objects; another process has the clients at `/ws`,
and measures from a record's being made to its being there. One of them subscribes like all others and never reads.
Load: `engine-run` on four looped clips, every core busy with inference; both paths are asked ten times a second.

    python -m bench.control [--clients 200] [--fps 25] [--seconds 20]
"""

from __future__ import annotations

import asyncio
import json
import math
import multiprocessing
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from bench.data import FOUR_CLIPS, data_folder
from bench.machine import argument_parser, heading, markdown_table, write_json
from engine.control.app import create_app
from engine.control.commands import Commands
from engine.control.listen import bind_socket
from engine.control.server import ControlServer
from engine.control.stream import StreamLimits, Streams

OBJECTS = 20
STUCK_TIMEOUT_S = 10.0
WARM_UP_S = 2.0
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
MARK = re.compile(rb'"sent_ns":(\d+)')


def record(frame: int) -> bytes:
    """A frame record of 20 objects with outlines, as long as the engine's, and when it was made."""
    thing = {
        "id": 12, "label": "person", "confidence": 0.871, "box": [412.5, 211.1, 498.8, 402.0], "state": "tracked",
        "mask": {"polygon": [[[412 + k, 211 + 3 * k] for k in range(24)]]},
    }  # fmt: skip
    body = {"schema": "camring.frame/1", "sent_ns": time.monotonic_ns(), "camera": "gate", "frame": frame}
    return json.dumps({**body, "objects": [thing] * OBJECTS}, separators=(",", ":")).encode()


def status() -> Any:
    """As little of a status as the streams need."""
    return {"status": "ok", "cameras": {"gate": {}}}


def serve(listening: socket.socket, fps: float, seconds: float, told: Any) -> None:
    """The server's process; tells at the end what was counted."""
    streams, end, fixed = Streams(StreamLimits(send_timeout_s=STUCK_TIMEOUT_S)), threading.Event(), status()

    def publish() -> None:
        due, frame = time.monotonic(), 0
        until = due + seconds
        while time.monotonic() < until:
            due += 1 / fps
            time.sleep(max(0.0, due - time.monotonic()))
            streams.publish("gate", record(frame), [])
            frame += 1
        time.sleep(0.5)
        cpu_s = time.process_time()
        told.send({**streams.statistics()["ws"], "cpu_s": cpu_s, "frames": frame})
        end.set()

    app = create_app(lambda: fixed, Commands(lambda message: None, "0"), streams)
    threading.Thread(target=publish).start()
    ControlServer(app, listening).run(lambda: not end.is_set())


@dataclass
class Heard:
    """What the clients have got: when each record came after it was handed over, and when."""

    delays_ms: list[float] = field(default_factory=list)
    at_s: list[float] = field(default_factory=list)
    ended_s: float | None = None
    reason: str = ""


async def open_client(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A WebSocket that has subscribed. As plain as can be, so that the clients do not become the bottleneck."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    lines = (
        "GET /ws HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {KEY}", "", "",
    )  # fmt: skip
    writer.write("\r\n".join(lines).encode())
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 101 " not in head:
        raise SystemExit(f"refused: {head.decode()}")
    wish = b'{"subscribe":["results"]}'
    writer.write(bytes([0x81, 0x80 | len(wish), 0, 0, 0, 0]) + wish)
    await writer.drain()
    return reader, writer


async def next_message(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """(opcode, payload) of the next frame."""
    first, second = await reader.readexactly(2)
    length = second & 0x7F
    if length >= 126:
        length = int.from_bytes(await reader.readexactly(2 if length == 126 else 8), "big")
    return first & 0x0F, await reader.readexactly(length)


async def listen(port: int, heard: Heard) -> None:
    """Read everything until the server ends."""
    reader, writer = await open_client(port)
    try:
        while True:
            _, payload = await next_message(reader)
            if match := MARK.search(payload[:120]):
                now_ns = time.monotonic_ns()
                heard.delays_ms.append((now_ns - int(match[1])) / 1e6)
                heard.at_s.append(now_ns / 1e9)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def be_stuck(port: int, seconds: float, heard: Heard) -> None:
    """Read nothing for long, then all there is, up to the reason in the close frame."""
    reader, writer = await open_client(port)
    transport: Any = writer.transport
    transport.pause_reading()
    await asyncio.sleep(seconds)
    transport.resume_reading()
    try:
        while True:
            opcode, payload = await next_message(reader)
            if opcode == 8:
                heard.reason = f"{int.from_bytes(payload[:2], 'big')} {payload[2:].decode()}"
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def all_clients(port: int, clients: int, seconds: float, stuck: bool) -> tuple[Heard, Heard]:
    """Everybody at once; what the good ones have got, and the stuck one."""
    good, bad = Heard(), Heard()
    tasks = [listen(port, good) for _ in range(clients - stuck)]
    if stuck:
        tasks.append(be_stuck(port, seconds, bad))
    await asyncio.gather(*tasks)
    return good, bad


def run_clients(clients: int, fps: float, seconds: float, stuck: bool) -> dict[str, Any]:
    """One run; its figures."""
    listening = bind_socket("127.0.0.1", 0)
    port = listening.getsockname()[1]
    theirs, ours = multiprocessing.Pipe()
    method = multiprocessing.get_context("fork")
    server = method.Process(target=serve, args=(listening, fps, seconds, ours))
    server.start()
    listening.close()
    begun_s = time.monotonic()
    good, bad = asyncio.run(all_clients(port, clients, seconds - 4.0, stuck))
    told = theirs.recv()
    server.join()
    warm = np.array(good.at_s) > begun_s + WARM_UP_S
    p50, p99, most = np.percentile(np.array(good.delays_ms)[warm], (50, 99, 100)).tolist()
    return {
        "stuck": int(stuck), "p50_ms": p50, "p99_ms": p99, "max_ms": most, "messages": len(good.delays_ms),
        "expected": told["frames"] * (clients - stuck), "lost": told["lost"], "dropped": told["dropped"],
        "reason": bad.reason, "cpu_s": told["cpu_s"],
    }  # fmt: skip


def ask_under_load(data: Path, seconds: float) -> dict[str, Any]:
    """`/health` and `/metrics` of an engine whose inference has every core."""
    model = data / "weights" / "yolox_nano_416_f32.onnx"
    clips = [str(data / "clips" / f"{name}.mp4") for name in FOUR_CLIPS]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as out:
        command = [
            str(Path(sys.executable).parent / "engine-run"), "--profile", "m3-cpu", "--model", str(model), "--loop",
            "--no-overlay", "--out", out, "--port", str(port),
            *(argument for clip in clips for argument in ("--source", clip)),
        ]  # fmt: skip
        engine = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            return ask(port, seconds)
        finally:
            engine.terminate()
            engine.wait(20)


def ask(port: int, seconds: float) -> dict[str, Any]:
    """Both paths ten times a second once everything runs; milliseconds, and what was busy meanwhile."""
    spans: dict[str, list[float]] = {"/health": [], "/metrics": []}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
        wait_until_busy(client)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for path, found in spans.items():
                start = time.monotonic()
                client.get(path).raise_for_status()
                found.append((time.monotonic() - start) * 1e3)
            time.sleep(0.1)
        health = client.get("/health").json()
    rates = [camera["fps_inferred"] for camera in health["cameras"].values()]
    percentiles = {
        path: dict(zip(("p50", "p99", "max"), np.percentile(found, (50, 99, 100)).tolist(), strict=True))
        for path, found in spans.items()
    }
    return {"paths": percentiles, "asked": len(spans["/health"]), "inferred_fps": math.fsum(rates)}


def wait_until_busy(client: httpx.Client) -> None:
    """Until every camera's pictures go through the model."""
    until = time.monotonic() + 90
    while time.monotonic() < until:
        try:
            cameras = client.get("/health").json()["cameras"].values()
        except httpx.TransportError:
            cameras = ()
        if cameras and all(camera["fps_inferred"] > 0 for camera in cameras):
            time.sleep(2.0)
            return
        time.sleep(0.5)
    raise SystemExit("the engine did not come up within 90 s")


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--fps", type=float, default=25.0, help="records a second of the one camera")
    parser.add_argument("--seconds", type=float, default=24.0, help="of each of the three runs")
    args = parser.parse_args()
    print(heading())
    size = len(record(0))
    runs = [run_clients(args.clients, args.fps, args.seconds, stuck) for stuck in (False, True)]
    print(
        f"{args.clients} WebSocket clients at /ws, {args.fps:g} records of {size} bytes a second to each.\n"
    )
    rows: list[tuple[object, ...]] = [
        (
            "one stuck" if run["stuck"] else "all well", f"{run['p50_ms']:.1f}", f"{run['p99_ms']:.1f}",
            f"{run['max_ms']:.1f}", f"{run['messages']} of {run['expected']}", f"{run['lost']}", f"{run['dropped']}",
            run["reason"] or "–", f"{run['cpu_s'] / args.seconds:.2f}",
        )
        for run in runs
    ]  # fmt: skip
    titles = ("clients", "p50 ms", "p99 ms", "most ms", "messages that came", "told as lost", "cut off",
              "close frame", "server's cores")  # fmt: skip
    print(markdown_table(titles, rows))
    load = ask_under_load(data_folder(), args.seconds)
    print(
        f"\nAn engine on four clips, {load['inferred_fps']:.0f} frames/s through yolox_nano, asked "
        f"{load['asked']} times:\n"
    )
    rows = [
        (path, *(f"{found[key]:.1f}" for key in ("p50", "p99", "max")))
        for path, found in load["paths"].items()
    ]
    print(markdown_table(("path", "p50 ms", "p99 ms", "most ms"), rows))
    well, stuck = runs
    end = stuck["reason"] or "not let go"
    paths = load["paths"]
    told = {
        "clients": f"p99 {stuck['p99_ms']:.1f} ms ({well['p99_ms']:.1f} ms without it); {end}",
        "load": ", ".join(f"{path} {found['p99']:.1f} ms" for path, found in paths.items()),
    }
    write_json(args.json, runs=runs, load=load, reach=told)


if __name__ == "__main__":
    main()
