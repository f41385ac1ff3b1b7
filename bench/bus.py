"""Message brokers: how much goes through, and what one that is frozen, killed or away for an hour costs the rest.

    python -m bench.bus

A real engine with a test picture sends to a real mosquitto, which is left alone, frozen (SIGSTOP) and killed in turn;
rate and latency of the results are read from the lines that the engine writes meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from itertools import pairwise
from pathlib import Path

from engine.bus.base import BusOptions, Message, bus_class
from engine.bus.outbox import Outbox
from engine.bus.topics import EVENTS, RESULTS, Topic
from engine.config.bus import BusConfig, bus_address
from tests.peers.brokers import BROKERS, Broker, Mosquitto, find
from tests.peers.fixtures import free_port

EVENT = b'{"schema":"camring.event/1","camera":"gate","kind":"crossed"' + b" " * 140 + b"}"
RECORD = b'{"schema":"camring.frame/1"' + b" " * 2000 + b"}"
PREFIX = ("camring",)


def throughput(broker: Broker, seconds: float) -> tuple[float, float]:
    """(events a second, each confirmed; milliseconds for a batch of 32, median)."""

    async def body() -> tuple[float, float]:
        address = bus_address(broker.url())
        bus = bus_class(address.scheme)(address, BusOptions("bench"))
        await bus.connect()
        batch = [Message(Topic(PREFIX, EVENTS, "gate"), EVENT, lasting=True)] * 32
        times: list[float] = []
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            start = time.perf_counter()
            await bus.publish_all(batch)
            times.append(time.perf_counter() - start)
        await bus.close()
        return len(times) * len(batch) / (time.perf_counter() - began), statistics.median(times) * 1e3

    return asyncio.run(body())


def hour_away(cameras: int) -> tuple[float, int, float]:
    """(MiB that wait after an hour, messages dropped, µs of a `put`): 25 records and an event a second and camera."""
    settings = BusConfig()
    outbox = Outbox(settings.queue_events, settings.queue_results)
    tracemalloc.start()
    puts, spent_ns = 0, 0
    for _ in range(3600):
        # Payloads of their own, as every record is.
        messages = [
            Message(Topic(PREFIX, RESULTS, str(camera)), bytes(bytearray(RECORD)))
            for camera in range(cameras)
            for _ in range(25)
        ] + [
            Message(Topic(PREFIX, EVENTS, str(camera)), bytes(bytearray(EVENT)), lasting=True)
            for camera in range(cameras)
        ]
        start = time.perf_counter_ns()
        for message in messages:
            outbox.put(message)
        spent_ns += time.perf_counter_ns() - start
        puts += len(messages)
        del messages
    current, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return current / 2**20, sum(outbox.dropped.values()), spent_ns / puts / 1e3


def run_beside(phase_s: float) -> list[tuple[str, float, float, float]]:
    """(phase, results a second, latency p50 and p95 in ms) of an engine whose broker is frozen, then killed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker = Mosquitto(folder)
        broker.start()
        command = [
            sys.executable, "-m", "engine.cli", "--source", "gate=test://", "--model", "motion", "--no-overlay",
            "--out", str(folder / "out"), "--port", str(free_port()), "--bus", broker.url(),
        ]  # fmt: skip
        engine = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        lines = folder / "out" / "gate.jsonl"
        try:
            deadline = time.monotonic() + 60
            while not lines.exists() or lines.stat().st_size < 50_000:
                if time.monotonic() > deadline or engine.poll() is not None:
                    raise SystemExit("the engine gives no results")
                time.sleep(0.2)
            bounds = [("connected", time.time())]
            for phase, action in (
                ("frozen", broker.freeze), ("killed", broker.kill), ("back", broker.start), ("", lambda: None),
            ):  # fmt: skip
                time.sleep(phase_s)
                action()
                bounds.append((phase, time.time()))
        finally:
            engine.terminate()
            engine.wait(20)
            broker.kill()
        records = [json.loads(line) for line in lines.read_text().splitlines()]
    found = []
    for (phase, since), (_, until) in pairwise(bounds):
        latencies = [each["latency_ms"]["total"] for each in records if since <= each["time"] < until]
        cuts = statistics.quantiles(latencies, n=20)
        found.append((phase, len(latencies) / (until - since), statistics.median(latencies), cuts[18]))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=12.0, help="length of each phase of the run")
    args = parser.parse_args()
    print("| broker | confirmed events/s | 32 events, median |\n|---|---|---|")
    for scheme, kind in sorted(BROKERS.items()):
        if find(kind.program) is None:
            print(f"| {scheme} | {kind.program} is not installed | |")
            continue
        with tempfile.TemporaryDirectory() as folder:
            broker = kind(Path(folder))
            broker.start()
            rate, batch_ms = throughput(broker, 2.0)
            broker.kill()
        print(f"| {kind.program} | {rate:,.0f} | {batch_ms:.1f} ms |")
    mebibytes, dropped, put_us = hour_away(4)
    print(
        f"\nA broker away for an hour, 4 cameras of 25 records and an event a second: {mebibytes:.1f} MiB wait, "
        f"{dropped} messages dropped and counted, {put_us:.1f} µs each.\n"
    )
    if find(Mosquitto.program) is not None:
        print("| mosquitto is | results/s | latency p50 | p95 |\n|---|---|---|---|")
        for phase, rate, p50_ms, p95_ms in run_beside(args.seconds):
            print(f"| {phase} | {rate:.1f} | {p50_ms:.1f} ms | {p95_ms:.1f} ms |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
