"""Destinations that fail: how soon each is live again, and whether the others notice.

    python -m bench.publish_faults [--rounds 20]

720p at 25 pictures/s goes to a real RTMP server (nginx), a real RTSP server (GStreamer) and a folder, each through a
delivery as in the engine. Servers are killed and started again, frozen, refuse a password, never answer; the folder's
disk is full. Needs what the tests of publishing need; without it, it says so and ends.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from bench.machine import markdown_table
from engine.clock import SystemClock
from engine.publish.base import Destination, Sink, create_sink
from engine.publish.delivery import Delivery
from engine.publish.retry import DeliveryState
from engine.types.packet import Packet
from tests.peers.fixtures import missing_gstreamer
from tests.peers.media_servers import MediaServer, RtmpServer, RtspRecorder, missing_nginx
from tests.publish.conftest import encode

FPS = 25.0
KEYFRAME_INTERVAL_S = 0.5
DOWN_S = 0.5
"""How long a killed server is away."""
UP_S = 1.2
"""How long it is up before it is killed again: long enough to count as a connection that was good."""


class TimedSink(Sink):
    """A sink that remembers when each packet had been sent."""

    def __init__(self, destination: Destination, sent_s: list[float]) -> None:
        super().__init__(destination)
        self._sink = create_sink(destination)
        self._sent_s = sent_s

    def open(self, first: Packet) -> None:
        self._sink.open(first)

    def write(self, packet: Packet) -> None:
        self._sink.write(packet)
        self._sent_s.append(time.monotonic())

    def close(self) -> None:
        self._sink.close()

    def interrupt(self) -> None:
        self._sink.interrupt()


@dataclass
class Target:
    """One destination, and when its packets were sent."""

    delivery: Delivery
    sent_s: list[float] = field(default_factory=list)

    @classmethod
    def at(cls, url: str) -> Target:
        sent_s: list[float] = []
        delivery = Delivery(
            Destination(url, "camera"), SystemClock(), make_sink=lambda each: TimedSink(each, sent_s)
        )
        return cls(delivery, sent_s)

    def gaps_ms(self, from_s: float, to_s: float) -> list[float]:
        """Times between packets sent in this span."""
        times = [each for each in self.sent_s if from_s <= each <= to_s]
        return [1000 * float(gap) for gap in np.diff(times)]


class Camera:
    """Packets for ever, as a stream worker sends them; a key frame where a delivery needs one."""

    def __init__(self, targets: list[Target]) -> None:
        self.targets = targets
        self._packets = encode(100, FPS, size=(1280, 720))
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Camera:
        for target in self.targets:
            target.delivery.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        for target in self.targets:
            target.delivery.stop()
        for target in self.targets:
            target.delivery.join()

    def _run(self) -> None:
        number, place, due_s, keyframe_due_s = 0, 0, time.monotonic(), 0.0
        while not self._stopping.wait(max(0.0, due_s - time.monotonic())):
            wanted = any(target.delivery.needs_keyframe for target in self.targets)
            if wanted and due_s >= keyframe_due_s:
                place, keyframe_due_s = 0, due_s + KEYFRAME_INTERVAL_S
            packet = self._packets[place % len(self._packets)]
            number, place, due_s = number + 1, place + 1, due_s + 1 / FPS
            meta = replace(
                packet.meta, number=number, captured_ns=time.monotonic_ns(), wall_ns=time.time_ns()
            )
            for target in self.targets:
                target.delivery.offer(replace(packet, meta=meta))


def wait_for(condition: Callable[[], bool], what: str, patience_s: float = 60.0) -> float:
    """Seconds until it is true."""
    began_s = time.monotonic()
    while not condition():
        if time.monotonic() - began_s > patience_s:
            raise SystemExit(f"not within {patience_s:g} s: {what}")
        time.sleep(0.005)
    return time.monotonic() - began_s


def sends_again(target: Target) -> float:
    """Seconds until five more packets have been sent on a live connection."""
    sent = len(target.sent_s)
    return wait_for(
        lambda: target.delivery.state is DeliveryState.LIVE and len(target.sent_s) >= sent + 5,
        f"{target.delivery.destination.label} is live again",
    )


def killed(server: MediaServer, target: Target, rounds: int) -> list[float]:
    """Seconds from a server that listens again to video that flows again, each round."""
    found = []
    for _ in range(rounds):
        server.kill()
        wait_for(lambda: target.delivery.state is not DeliveryState.LIVE, "the loss is noticed")
        time.sleep(DOWN_S)
        server.start()
        found.append(sends_again(target))
        time.sleep(UP_S)
    return found


def given_up(server: MediaServer, target: Target) -> list[float]:
    """Seconds until a frozen server is given up."""
    server.freeze()
    return [wait_for(lambda: target.delivery.state is not DeliveryState.LIVE, "it is given up")]


def started_again(server: MediaServer, target: Target) -> list[float]:
    """Seconds from the restart of a frozen server to video."""
    server.kill()
    server.start()
    return [sends_again(target)]


@contextmanager
def no_room() -> Iterator[None]:
    """No file may grow beyond one KiB: what a full disk says, without being root."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def disk_full(target: Target, rounds: int) -> list[float]:
    """Seconds from room on the disk to files that are written again."""
    found = []
    for _ in range(rounds):
        with no_room():
            wait_for(lambda: target.delivery.state is DeliveryState.DISK_FULL, "the disk is full")
        found.append(sends_again(target))
    return found


@dataclass
class Case:
    """What was done to one destination, how soon it was well again, and what the others saw of it."""

    name: str
    rounds: int
    recovery_s: list[float]
    others_ms: list[float]

    def row(self) -> tuple[object, ...]:
        recovery = (
            f"{np.median(self.recovery_s):.2f} / {max(self.recovery_s):.2f}" if self.recovery_s else "–"
        )
        others = f"{np.median(self.others_ms):.1f} / {np.percentile(self.others_ms, 99):.1f}"
        return self.name, self.rounds, recovery, others


def run_cases(folder: Path, rounds: int) -> list[Case]:
    for name in ("nginx", "gstreamer", "locked"):
        (folder / name).mkdir()
    rtmp = RtmpServer(folder / "nginx")
    rtsp = RtspRecorder(folder / "gstreamer")
    locked = RtspRecorder(folder / "locked", "--user", "me", "--password", "right")
    silent = socket.create_server(("127.0.0.1", 0))
    servers = (rtmp, rtsp, locked)
    for server in servers:
        server.start()
    to_rtmp, to_rtsp, to_folder = (
        Target.at(rtmp.url()), Target.at(rtsp.url()), Target.at(f"hls:{folder}/hls"),
    )  # fmt: skip
    refused = Target.at(locked.url(login="me:wrong@"))
    unanswered = Target.at(f"rtmp://127.0.0.1:{silent.getsockname()[1]}/live/x")
    cases = []

    def case(name: str, count: int, targets: list[Target], work: Callable[[], list[float]]) -> None:
        began_s = time.monotonic()
        recovery_s = work()
        ended_s = time.monotonic()
        gaps = [gap for target in targets for gap in target.gaps_ms(began_s, ended_s)]
        cases.append(Case(name, count, recovery_s, gaps))
        print(f"{name}: done in {ended_s - began_s:.0f} s", file=sys.stderr)

    def calm() -> list[float]:
        time.sleep(8)
        return []

    well = [to_rtmp, to_rtsp, to_folder]
    try:
        with Camera(well):
            for target in well:
                sends_again(target)
            case("nothing fails", 1, well, calm)
            case("RTMP server killed", rounds, [to_rtsp, to_folder], lambda: killed(rtmp, to_rtmp, rounds))
            case("RTSP server killed", rounds, [to_rtmp, to_folder], lambda: killed(rtsp, to_rtsp, rounds))
            case("RTMP server frozen: given up", 1, [to_rtsp, to_folder], lambda: given_up(rtmp, to_rtmp))
            case("… and started again", 1, [to_rtsp, to_folder], lambda: started_again(rtmp, to_rtmp))
            case("RTSP server frozen: given up", 1, [to_rtmp, to_folder], lambda: given_up(rtsp, to_rtsp))
            case("… and started again", 1, [to_rtmp, to_folder], lambda: started_again(rtsp, to_rtsp))
        with Camera(again := [Target.at(target.delivery.destination.url) for target in well]):
            for target in again:
                sends_again(target)
            case("disk full", 3, again[:2], lambda: disk_full(again[2], 3))
        with Camera([to_last := Target.at(rtmp.url("last")), refused, unanswered]):
            sends_again(to_last)
            case("wrong password, and a server that never answers", 1, [to_last], calm)
            assert refused.delivery.state is DeliveryState.REFUSED
            assert not unanswered.delivery.connections
    finally:
        for server in servers:
            server.kill()
        silent.close()
    return cases


def sentence(cases: list[Case]) -> str:
    """The figures that the goal asks for."""
    by_name = {case.name: case for case in cases}
    told = []
    for name in ("RTMP server killed", "RTSP server killed", "disk full"):
        case = by_name[name]
        told.append(
            f"{name} {case.rounds} ×: well again after {np.median(case.recovery_s):.2f} s "
            f"(most {max(case.recovery_s):.2f})"
        )
    calm, worst = by_name["nothing fails"], max(cases, key=lambda case: np.percentile(case.others_ms, 99))
    return (
        f"{'; '.join(told)}; the others' pictures come {np.percentile(worst.others_ms, 99):.0f} ms apart at p99, "
        f"{np.percentile(calm.others_ms, 99):.0f} where nothing fails"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if reason := missing_nginx() or missing_gstreamer():
        print(f"cannot be run here: {reason}")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ENGINE_LOGINS"] = str(Path(folder) / "logins")
        cases = run_cases(Path(folder), args.rounds)
    print(
        f"Three destinations, 1280 × 720 at {FPS:g} pictures/s; a killed server is away for {DOWN_S:g} s.\n"
        "Time: from the moment that the server listens, or the disk has room, to the fifth picture sent; of a frozen\n"
        "server, until it is given up. Others: times between two pictures at the destinations that did not fail.\n"
    )
    print(
        markdown_table(
            ("what fails", "times", "time, median / most (s)", "others, median / p99 (ms)"),
            [case.row() for case in cases],
        )
    )
    if args.json:
        figures = {"command": "python -m bench.publish_faults", "reach": {"faults": sentence(cases)}}
        args.json.write_text(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
