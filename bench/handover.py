"""From publish to "the consumer holds the frame", between two processes, beside what one would use instead.

A frame lies where its transport sends it from (for the pool and iceoryx2: in shared memory already). The clock
starts just before it is sent, so that a transport's own copies count. It is read twice: when the consumer holds
what it received (a lease, a sample, a message), and when it has the pixels as a numpy array. Every transport has
a consumer process of its own. They take turns, one frame each, and the next one starts when the last has been
received and a pause has passed, so nobody works through a backlog and the processor is idle before each frame,
as it is between camera frames.

    python -m bench.handover [--samples 400] [--pause-ms 10] [--json FILE]
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import multiprocessing
import os
import statistics
import struct
import tempfile
import time
import timeit
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import DupFd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.machine import argument_parser, heading, markdown_table, write_json
from ipc.notify import Notifier
from ipc.pool import Consumer, PoolLayout, PoolMemory, Producer, Slot

SIZES = {"1080p": 1920 * 1080 * 3 // 2, "4K": 3840 * 2160 * 3 // 2}
WARM_UP = 20
TIMEOUT_S = 10.0
REPORT = struct.Struct("<qq")
SPAWN = multiprocessing.get_context("spawn")

Frame = NDArray[np.uint8]


@dataclass(frozen=True)
class Figures:
    """Microseconds from sending until the frame is held, and until it is an array."""

    size: str
    transport: str
    held_p50_us: float
    held_p99_us: float
    array_p50_us: float
    array_p99_us: float
    array_max_us: float
    samples: int


class Transport(ABC):
    """The sending end of one transport, and its consumer process, which reports the latency of each frame."""

    name: str

    def start(self, consume: Callable[..., None], frames: int, *arguments: object) -> None:
        self._reports, child_end = SPAWN.Pipe(duplex=False)
        self._process = SPAWN.Process(target=consume, args=(child_end, frames, *arguments), daemon=True)
        self._process.start()
        child_end.close()
        self.received()

    @abstractmethod
    def fill(self, value: int) -> None:
        """Write a frame where it will be sent from; what a decoder does, not part of the figure."""

    @abstractmethod
    def send(self) -> None:
        """Stamp the frame with the time and send it."""

    def received(self) -> tuple[float, float]:
        """Wait until the consumer has the frame; microseconds until it was held, and was an array."""
        if not self._reports.poll(TIMEOUT_S):
            raise RuntimeError(f"{self.name}: the consumer has received nothing for {TIMEOUT_S:.0f} s")
        held_ns, array_ns = REPORT.unpack(self._reports.recv_bytes())
        return held_ns / 1e3, array_ns / 1e3

    def close(self) -> None:
        """Wait for the consumer, which ends after its last frame."""
        self._process.join(TIMEOUT_S)
        if self._process.is_alive():
            self._process.kill()


def ready(reports: Connection) -> None:
    reports.send_bytes(REPORT.pack(0, 0))


def report(reports: Connection, held_ns: int, frame: Frame) -> None:
    """Note the time, check the frame in four places and send its latencies back."""
    array_ns = time.monotonic_ns()
    places = frame[[8, len(frame) // 3, len(frame) // 2, -1]]
    if places.min() != places.max():
        raise RuntimeError(f"torn frame: {places}")
    sent_ns = clock_of(frame)[0]
    reports.send_bytes(REPORT.pack(held_ns - sent_ns, array_ns - sent_ns))


def clock_of(frame: Frame) -> memoryview:
    """The first eight bytes as a 64-bit number, where the time of sending goes."""
    return frame[:8].data.cast("q")


class PoolTransport(Transport):
    """The slot pool: `publish` and `notify`, `wait` and `lease_newest`."""

    name = "slot pool"

    def __init__(self, frame_bytes: int, frames: int) -> None:
        layout = PoolLayout(leases=(1,), slot_bytes=frame_bytes)
        self._memory = PoolMemory("handover", layout)
        self._wake = Notifier.create()
        self._producer = Producer(layout, self._memory.control_fd, self._memory.data_fd)
        descriptors = (self._memory.control_fd, self._memory.data_fd, *self._wake.descriptors)
        self.start(consume_pool, frames, layout, [DupFd(fd) for fd in descriptors])

    def fill(self, value: int) -> None:
        slot = self._producer.begin()
        assert slot is not None
        self._slot: Slot = slot
        frame = slot.array()
        frame[:] = value
        self._clock = clock_of(frame)

    def send(self) -> None:
        self._clock[0] = time.monotonic_ns()
        self._producer.publish(self._slot)
        self._wake.notify()

    def close(self) -> None:
        super().close()
        self._wake.close()
        self._memory.close()


def consume_pool(reports: Connection, frames: int, layout: PoolLayout, handles: list[Any]) -> None:
    control_fd, data_fd, *wake_fds = (handle.detach() for handle in handles)
    consumer = Consumer(layout, control_fd, data_fd, row=0)
    wake = Notifier(tuple(wake_fds))
    ready(reports)
    last = 0
    while last < frames:
        wake.wait(1.0)
        lease = consumer.lease_newest(last)
        if lease is not None:
            held_ns = time.monotonic_ns()
            report(reports, held_ns, lease.array())
            last = lease.seq
            lease.release()


class QueueTransport(Transport):
    """`multiprocessing.Queue`. The frame is copied first: its thread pickles after `put` has returned."""

    name = "multiprocessing.Queue"

    def __init__(self, frame_bytes: int, frames: int) -> None:
        self._frame = np.zeros(frame_bytes, np.uint8)
        self._clock = clock_of(self._frame)
        self._queue: Any = SPAWN.Queue()
        self.start(consume_queue, frames, self._queue)

    def fill(self, value: int) -> None:
        self._frame[:] = value

    def send(self) -> None:
        self._clock[0] = time.monotonic_ns()
        self._queue.put(self._frame.copy())


def consume_queue(reports: Connection, frames: int, queue: Any) -> None:
    ready(reports)
    for _ in range(frames):
        frame = queue.get()
        report(reports, time.monotonic_ns(), frame)


class ZmqTransport(Transport):
    """pyzmq over ipc, push to pull, as its guide shows it."""

    name = "pyzmq ipc"
    copy = True

    def __init__(self, frame_bytes: int, frames: int) -> None:
        import zmq

        self._frame = np.zeros(frame_bytes, np.uint8)
        self._clock = clock_of(self._frame)
        self._folder = tempfile.TemporaryDirectory()
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUSH)
        address = f"ipc://{self._folder.name}/frames"
        self._socket.bind(address)
        self.start(consume_zmq, frames, address, self.copy)

    def fill(self, value: int) -> None:
        self._frame[:] = value

    def send(self) -> None:
        self._clock[0] = time.monotonic_ns()
        self._socket.send(self._frame.data, 0, self.copy)

    def close(self) -> None:
        super().close()
        self._socket.close(linger=0)
        self._context.term()
        self._folder.cleanup()


class ZmqNoCopyTransport(ZmqTransport):
    """The same with `copy=False` at both ends: the kernel's copies remain."""

    name = "pyzmq ipc, copy=False"
    copy = False


def consume_zmq(reports: Connection, frames: int, address: str, copy: bool) -> None:
    import zmq

    with zmq.Context() as context, context.socket(zmq.PULL) as socket:
        socket.connect(address)
        ready(reports)
        for _ in range(frames):
            message = socket.recv(copy=copy)
            held_ns = time.monotonic_ns()
            pixels = message if isinstance(message, bytes) else message.buffer
            report(reports, held_ns, np.frombuffer(pixels, np.uint8))


class Iceoryx2Transport(Transport):
    """iceoryx2 publish-subscribe with a loaned sample and an event to wake the subscriber."""

    name = "iceoryx2 zero copy"

    def __init__(self, frame_bytes: int, frames: int) -> None:
        self._frame_bytes = frame_bytes
        service = f"camring/handover/{os.getpid()}/{frame_bytes}"
        self._node, pixels, event = open_iceoryx2(service)
        self._publisher = pixels.publisher_builder().initial_max_slice_len(frame_bytes).create()
        self._notifier = event.notifier_builder().create()
        self.start(consume_iceoryx2, frames, service)

    def fill(self, value: int) -> None:
        self._sample = self._publisher.loan_slice_uninit(self._frame_bytes)
        frame = np.frombuffer(self._sample.payload().as_memory_view(), np.uint8)
        frame[:] = value
        self._clock = clock_of(frame)

    def send(self) -> None:
        self._clock[0] = time.monotonic_ns()
        self._sample.assume_init().send()
        self._notifier.notify()


def consume_iceoryx2(reports: Connection, frames: int, service: str) -> None:
    import iceoryx2

    node, pixels, event = open_iceoryx2(service)
    subscriber, listener = pixels.subscriber_builder().create(), event.listener_builder().create()
    second = iceoryx2.Duration.from_secs(1)
    ready(reports)
    received = 0
    while received < frames:
        listener.timed_wait(second)
        while (sample := subscriber.receive()) is not None:
            held_ns = time.monotonic_ns()
            report(reports, held_ns, np.frombuffer(sample.payload().as_memory_view(), np.uint8))
            received += 1
            sample.delete()
    del node


def open_iceoryx2(service: str) -> tuple[Any, Any, Any]:
    """Node, pixel service and event service; both sides must ask for the same qualities."""
    import iceoryx2

    iceoryx2.set_log_level_from_env_or(iceoryx2.LogLevel.Error)
    node = iceoryx2.NodeBuilder.new().create(iceoryx2.ServiceType.Ipc)
    pixels = (
        node.service_builder(iceoryx2.ServiceName.new(f"{service}/pixels"))
        .publish_subscribe(iceoryx2.Slice[ctypes.c_uint8])
        .subscriber_max_buffer_size(2)
        .subscriber_max_borrowed_samples(3)
        .enable_safe_overflow(True)
        .open_or_create()
    )
    event = node.service_builder(iceoryx2.ServiceName.new(f"{service}/event")).event().open_or_create()
    return node, pixels, event


PEERS: dict[str, tuple[Callable[[int, int], Transport], ...]] = {
    "zmq": (ZmqTransport, ZmqNoCopyTransport),
    "iceoryx2": (Iceoryx2Transport,),
}
DISTRIBUTIONS = {"zmq": "pyzmq", "iceoryx2": "iceoryx2"}


def measure(size: str, samples: int, pause_s: float) -> list[Figures]:
    """All transports in turn, one frame each, `samples` times."""
    peers = (make for name, makers in PEERS.items() if is_installed(name) for make in makers)
    makers: list[Callable[[int, int], Transport]] = [PoolTransport, QueueTransport, *peers]
    frames = WARM_UP + samples
    transports = [make(SIZES[size], frames) for make in makers]
    latencies_us: list[list[tuple[float, float]]] = [[] for _ in transports]
    for number in range(frames):
        for transport, latency_us in zip(transports, latencies_us, strict=True):
            transport.fill(number & 255)
            time.sleep(pause_s)
            transport.send()
            latency_us.append(transport.received())
    for transport in transports:
        transport.close()
    return [
        summarise(size, transport.name, latency_us[WARM_UP:])
        for transport, latency_us in zip(transports, latencies_us, strict=True)
    ]


def is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def summarise(size: str, transport: str, latency_us: list[tuple[float, float]]) -> Figures:
    held_us, array_us = zip(*latency_us, strict=True)
    held = statistics.quantiles(held_us, n=100, method="inclusive")
    array = statistics.quantiles(array_us, n=100, method="inclusive")
    return Figures(
        size, transport, held[49], held[98], array[49], array[98], max(array_us), samples=len(latency_us)
    )


def operation_costs_us() -> tuple[float, float]:
    """Microseconds of begin + publish and of lease + release, uncontended and with a warm cache."""
    layout = PoolLayout(leases=(2, 2, 1, 1), slot_bytes=SIZES["1080p"])
    memory = PoolMemory("operations", layout)
    producer = Producer(layout, memory.control_fd, memory.data_fd)
    consumer = Consumer(layout, memory.control_fd, memory.data_fd, row=0)

    def write() -> None:
        slot = producer.begin()
        assert slot is not None
        producer.publish(slot)

    def read() -> None:
        lease = consumer.lease_newest(after=0)
        assert lease is not None
        lease.release()

    costs = [min(timeit.repeat(step, number=2000, repeat=5)) / 2000 * 1e6 for step in (write, read)]
    memory.close()
    return costs[0], costs[1]


def print_table(figures: list[Figures]) -> None:
    """One row for each transport and size; ratios to the pool within the same run."""
    ours = {row.size: row for row in figures if row.transport == PoolTransport.name}
    rows: list[tuple[object, ...]] = [
        (
            row.size,
            row.transport,
            f"{row.held_p50_us:,.0f}",
            f"{row.held_p99_us:,.0f}",
            f"{row.held_p50_us / ours[row.size].held_p50_us:.2f}",
            f"{row.array_p50_us:,.0f}",
            f"{row.array_p99_us:,.0f}",
            f"{row.array_p50_us / ours[row.size].array_p50_us:.2f}",
        )
        for row in figures
    ]
    held, array = ("held p50 µs", "p99 µs", "ratio"), ("array p50 µs", "p99 µs", "ratio")
    print(markdown_table(("NV12 frame", "transport", *held, *array), rows))


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--samples", type=int, default=400, help="frames for each transport and size")
    parser.add_argument("--pause-ms", type=float, default=10.0, help="idle time before each frame")
    args = parser.parse_args()
    load_before = os.getloadavg()[0]
    figures = [row for size in SIZES for row in measure(size, args.samples, args.pause_ms / 1e3)]
    print(heading())
    versions = {name: importlib.metadata.version(DISTRIBUTIONS[name]) for name in PEERS if is_installed(name)}
    for name in PEERS:
        if name not in versions:
            print(f"not measured: {DISTRIBUTIONS[name]} is missing; pip install 'camring[bench]'")
    peers = ", ".join(f"{DISTRIBUTIONS[name]} {version}" for name, version in versions.items())
    load_after = os.getloadavg()[0]
    print(f"peers: {peers or 'none'}; load average {load_before:.1f} before, {load_after:.1f} after")
    print(f"{args.samples} frames each, in turn, {args.pause_ms:g} ms idle before each\n")
    print_table(figures)
    write_us, read_us = operation_costs_us()
    print(f"\nin a loop: begin + publish {write_us:.1f} µs, lease_newest + release {read_us:.1f} µs")
    write_json(args.json, peers=versions, figures=[asdict(row) for row in figures])


if __name__ == "__main__":
    main()
