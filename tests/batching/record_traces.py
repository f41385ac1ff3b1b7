"""Records how frames really arrive, for the tests of the batching policy: `recorded/*.csv`.

    python -m tests.batching.record_traces [--seconds 12]

    file       a clip made here, 25 frames/s, paced like a camera
    rtsp       a camera over RTSP (GStreamer's server on the loopback), 25 frames/s
    bursty     the same at 15 frames/s through a network that holds everything back for half a second every two, as
               consumer cameras do around a key frame

Each line is a frame: when it came from the source, when it could be used after decoding, and its presentation time, in
microseconds since the first.
"""

from __future__ import annotations

import argparse
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from engine.clock import SystemClock
from engine.sources.base import SourceOptions, create_source
from engine.workers.decode import Pacer
from tests.batching.traces import FOLDER
from tests.peers.fixtures import RtspServer
from tests.peers.proxy import CountingProxy
from tests.sources.clips import slot_planes, write_clip

PAUSE_S, EVERY_S = 0.5, 2.0


class PausingProxy(CountingProxy):
    """Holds everything back while `flows` is not set."""

    flows = threading.Event()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket, seen: bytearray) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                PausingProxy.flows.wait()
                sink.sendall(data)


def record(url: str, seconds: float) -> list[tuple[int, int, int]]:
    """(captured, available, presentation time) of each frame in ns, read as the decode worker reads."""
    clock, pacer, frames = SystemClock(), Pacer(), []
    with closing(create_source(SourceOptions(url, loop=True))) as source:
        source.open()
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s and (picture := source.grab()) is not None:
            captured_ns = picture.captured_ns
            if not source.live:
                captured_ns = pacer.due_ns(picture, clock.now_ns(), source.fps)
                clock.sleep(max(0.0, (captured_ns - clock.now_ns()) / 1e9))
            _, y, uv = slot_planes(picture.width, picture.height)
            source.read_into(y, uv)
            frames.append((captured_ns, clock.now_ns(), picture.pts_ns))
    return frames


def write(name: str, frames: list[tuple[int, int, int]]) -> None:
    """One trace, from the first capture on."""
    captured_ns, _, pts_ns = frames[0]
    lines = [
        f"{(captured - captured_ns) // 1000},{(available - captured_ns) // 1000},{(pts - pts_ns) // 1000}"
        for captured, available, pts in frames
    ]
    (FOLDER / f"{name}.csv").write_text("\n".join(["captured_us,available_us,pts_us", *lines]) + "\n")


@contextmanager
def rtsp_camera(fps: int) -> Iterator[RtspServer]:
    """GStreamer's server."""
    server = RtspServer("--fps", str(fps), "--width", "640", "--height", "360")
    server.start()
    try:
        yield server
    finally:
        server.kill()


def pause_now_and_then() -> None:
    """Let the network flow, with a pause every two seconds, for ever."""
    while True:
        PausingProxy.flows.set()
        time.sleep(EVERY_S - PAUSE_S)
        PausingProxy.flows.clear()
        time.sleep(PAUSE_S)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=12.0)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder, "clip.mp4")
        write_clip(clip, frames=75)
        write("file", record(str(clip), seconds))
    with rtsp_camera(25) as server:
        write("rtsp", record(server.url(), seconds))
    with rtsp_camera(15) as server, closing(PausingProxy(server.port)) as proxy:
        threading.Thread(target=pause_now_and_then, daemon=True).start()
        write("bursty", record(f"rtsp://127.0.0.1:{proxy.port}/live", seconds))


if __name__ == "__main__":
    main()
