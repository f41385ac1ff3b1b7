"""Re-identification between detections and records, in a thread of its own.

    ask      which boxes of each frame are looked at               (infer_demand)
    begin    the crops of all frames that wait, together           (engine.models.reid)
    collect  the vectors, to the frames that they belong to

Detection goes on meanwhile, and a frame that wants nothing waits for nobody but the frames before it. Offline each
frame has a call of its own: on some devices a vector's last bits depend on what else is in the call, and that depends
on what was ready first. Where the network fails for good the run goes on without it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engine import topology
from engine.errors import BackendError
from engine.metrics import LatencyHistogram
from engine.models.base import Choice, Detector
from engine.models.reid_crops import Crops
from engine.tracking.base import create_tracker
from engine.tracking.demand import DemandSettings, Need
from engine.types import F16
from engine.workers.infer_cameras import Camera
from engine.workers.infer_demand import CameraDemand, Demands, Order
from engine.workers.infer_looks import NOTHING, most_rows
from engine.workers.runtime import Context

LONGEST_CALL_S = 0.1
"""Live: what is ready while a call is under way waits for its end."""
_RECENT_CALLS = 100


class Network(Protocol):
    """What the stage wants of `engine.models.reid.Embedder`, its only implementation that looks at pixels."""

    dims: int
    description: str
    choices: tuple[Choice, ...]

    @property
    def degraded(self) -> tuple[str, ...]:
        """What runs worse than it was asked for."""
        ...

    def embed(self, crops: list[Crops]) -> list[F16]:
        """float16 (k, dims) for each entry, unit vectors or zeros. Raises `BackendError` where nothing runs it."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


@dataclass(frozen=True, slots=True)
class _Call:
    """A call of the network under way: whose crops are in it; vectors of each, and the seconds that it took."""

    orders: tuple[Order, ...]
    answer: Future[tuple[list[F16], float]]


class EmbeddingStage:
    """See the module. Belongs to the main thread; its own thread sees the network and crops alone.

    problem  why there are no embeddings any more, "" while there are
    calls    of the network so far
    """

    def __init__(self, context: Context, network: Network, class_ids: Iterable[int]) -> None:
        config = context.config
        tracker = create_tracker(config.track.tracker).settings
        settings = DemandSettings.of(tracker, class_ids, config.reid.refresh_frames)
        room = most_rows(topology.embedding_room_bytes(config), network.dims)
        self.demands = Demands(config, settings, room)
        self.network = network
        self.problem = ""
        self.calls = 0
        self._context = context
        self._live = not config.offline
        self._waiting: list[Order] = []
        self._under_way: deque[_Call] = deque()
        self._executor = ThreadPoolExecutor(1, "reid-calls")
        self._recent: deque[tuple[int, float]] = deque(maxlen=_RECENT_CALLS)
        self._held = LatencyHistogram()
        self._go_on_from(context.before.get("reid", {}))

    @property
    def degraded(self) -> tuple[str, ...]:
        """What runs worse than it was asked for, in words."""
        return (self.problem,) if self.problem else self.network.degraded

    @property
    def queue(self) -> int:
        """Frames that wait for the network or are in it."""
        return len(self._waiting) + sum(len(call.orders) for call in self._under_way)

    def advance(self, cameras: Iterable[Camera]) -> None:
        """Take over what has been computed, ask about frames whose detections are there, begin what may begin."""
        self._collect()
        if self.problem:
            pass_over(cameras)
            return
        self._waiting += self.demands.ask(cameras, self._context.clock.now_ns())
        self._begin()

    def close(self) -> None:
        """End the thread once it has finished what it took, and let go of the network."""
        self._executor.shutdown()
        self.network.close()

    def to_dict(self, cameras: Mapping[str, Camera]) -> dict[str, Any]:
        """What is told of it, plain data."""
        crop_s = self._crop_s()
        return {
            "model": self.network.description,
            "dims": self.network.dims,
            "choices": [asdict(choice) for choice in self.network.choices],
            "degraded": list(self.degraded),
            "queue": self.queue,
            "calls": self.calls,
            "ms_per_crop": None if crop_s is None else 1e3 * crop_s,
            "held": self._held.to_dict(),
            "cameras": {name: counts_of(own, cameras[name]) for name, own in self.demands.cameras.items()},
        }

    def _begin(self) -> None:
        """Live one call at a time, with what waits longest; offline one a frame, queueing for the thread."""
        while self._waiting and not (self._live and self._under_way):
            count = self._frames_at_once() if self._live else 1
            orders, self._waiting = self._waiting[:count], self._waiting[count:]
            answer = self._executor.submit(self._embed, [crops_of(order) for order in orders])
            self._under_way.append(_Call(tuple(orders), answer))
            answer.add_done_callback(lambda _: self._context.wake.notify())

    def _frames_at_once(self) -> int:
        """How many of the frames that wait go into the next call: all, if that does not take too long; at least one."""
        crops = np.cumsum([len(order.look.rows) for order in self._waiting])
        expected_s = crops * (self._crop_s() or 0.0)
        return max(1, int(np.searchsorted(expected_s, LONGEST_CALL_S, side="right")))

    def _crop_s(self) -> float | None:
        """What a crop took lately; None while nothing is known."""
        crops = sum(count for count, _ in self._recent)
        return sum(took_s for _, took_s in self._recent) / crops if crops else None

    def _embed(self, crops: list[Crops]) -> tuple[list[F16], float]:
        """In the thread."""
        began_ns = self._context.clock.now_ns()
        try:
            vectors = self.network.embed(crops)
            return vectors, (self._context.clock.now_ns() - began_ns) / 1e9
        finally:
            crops.clear()  # or the thread would keep views of frames that are given back

    def _collect(self) -> None:
        while self._under_way and self._under_way[0].answer.done():
            call = self._under_way.popleft()
            try:
                vectors, took_s = call.answer.result()
            except BackendError as error:
                self._give_up(str(error), call)
                continue
            self.calls += 1
            self._recent.append((sum(map(len, vectors)), took_s))
            for order, found in zip(call.orders, vectors, strict=True):
                self._settle(order, found)

    def _settle(self, order: Order, vectors: F16) -> None:
        met = order.look.settle(vectors)
        for need in met:
            order.camera.embedded[need] += 1
        order.camera.left_out["unusable"] += len(order.look.rows) - len(met)
        self._held.add((self._context.clock.now_ns() - order.look.asked_ns) / 1e6)

    def _give_up(self, reason: str, call: _Call) -> None:
        self.problem = f"re-identification has failed, identity goes by place and motion alone: {reason}"
        for order in (*call.orders, *self._waiting):
            order.camera.left_out["failed"] += len(order.look.rows)
            order.look.done = True
        self._waiting.clear()

    def _go_on_from(self, before: dict[str, Any]) -> None:
        """Count on from what a predecessor has told."""
        self.calls = int(before.get("calls", 0))
        if "held" in before:
            self._held = LatencyHistogram.from_dict(before["held"])
        for name, told in before.get("cameras", {}).items():
            if (own := self.demands.cameras.get(name)) is not None:
                own.boxes = int(told["boxes"])
                own.embedded.update({need: int(told["embedded"][need.name.lower()]) for need in Need})
                own.left_out.update({reason: int(told["left_out"][reason]) for reason in own.left_out})


def pass_over(cameras: Iterable[Camera]) -> None:
    """Nothing is looked at any more."""
    for camera in cameras:
        while (job := camera.next_unasked()) is not None:
            job.look = NOTHING


def crops_of(order: Order) -> Crops:
    """The boxes to embed, and the frame that they are in."""
    assert order.job.frame is not None, "a frame is kept until it has been looked at"
    return Crops(order.job.frame, order.found.boxes_xyxy[order.look.rows])


def counts_of(own: CameraDemand, camera: Camera) -> dict[str, Any]:
    """One camera's counts. What found no room is known to who writes the records."""
    left_out = {**own.left_out, "room": own.left_out["room"] + camera.looks_without_room}
    embedded = {need.name.lower(): count for need, count in own.embedded.items()}
    return {"boxes": own.boxes, "embedded": embedded, "left_out": left_out}


def open_embeddings(context: Context, detector: Detector, cores: int) -> EmbeddingStage | None:
    """Load the network that the run asks for, None where it asks for none.

    Raises a `ModelError` where it cannot be had.
    """
    config = context.config
    reid = config.reid
    if not reid.enabled:
        return None
    from engine.models.reid import Embedder, EmbedderOptions

    options = EmbedderOptions(reid.backends or config.infer.backends, reid.threads, cores)
    network = Embedder.load(Path(context.params["reid"]), options)
    class_ids = [number for number, label in enumerate(detector.labels) if label in reid.classes]
    stage = EmbeddingStage(context, network, class_ids)
    context.log("info", f"re-identification: {network.description}")
    for choice in network.choices:
        context.log("info", f"re-identification: {choice.what} = {choice.chosen}: {choice.reason}")
    if not class_ids:
        stage.problem = (
            f"nothing is embedded: the detector knows none of reid.classes ({', '.join(reid.classes)}); "
            f"its labels: {', '.join(detector.labels[:20])}"
        )
    return stage
