"""Inference worker: the newest frame of every due camera, batched, through the detector, in order out again.

A detector offers `lanes` calls that may run side by side and `batch` frames per call. The main thread leases
frames, hands batches to free lanes and publishes their results per camera in the order of the frames; lanes
only compute. Live cameras: the newest frame wins and the ones passed over are counted. `--offline`: every frame.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from queue import SimpleQueue

import cv2

from engine import topology
from engine.config import InferConfig
from engine.metrics import RateMeter
from engine.models.base import BatchItem, Detector, DetectorOptions
from engine.models.detector import create_detector
from engine.types import Detections, FrameFlag, FrameMeta, FrameNv12, ResultMeta
from engine.workers.feed import Feed, Writer
from engine.workers.runtime import Context
from ipc.pool import Lease


@dataclass
class Job:
    """One frame on its way through the detector. `position` is its place in the batch's answer."""

    lease: Lease
    meta: ResultMeta
    future: Future[list[Detections]] | None = None
    position: int = 0

    def finished(self) -> bool:
        """True when the lane has answered; the end of a stream has nothing to wait for."""
        return self.future is None or self.future.done()

    def detections(self) -> Detections:
        """The answer. Raises what the lane raised."""
        return Detections.empty() if self.future is None else self.future.result()[self.position]


@dataclass
class Camera:
    """One camera's place in the inference process.

    most_pending  frames this camera may have leased at a time
    last_seq      newest frame leased so far
    pending       frames in the detector, oldest first
    """

    name: str
    feed: Feed
    writer: Writer
    rate: RateMeter
    state: object | None
    most_pending: int
    last_seq: int = 0
    superseded: int = 0
    lost_at_restart: int = 0
    restarted: bool = False
    pending: deque[Job] = field(default_factory=deque)

    def resume(self) -> None:
        """Go on behind the last result that a killed predecessor has published."""
        newest = self.writer.newest_meta()
        if newest is None:
            return
        last = ResultMeta.unpack(newest)
        self.last_seq = last.frame_seq
        self.superseded, self.lost_at_restart = last.dropped_superseded, last.dropped_restart

    def lease(self, *, offline: bool) -> Lease | None:
        """The next frame to work on, with what was passed over counted under its reason."""
        lease = self.feed.lease_next(self.last_seq) if offline else self.feed.lease_newest(self.last_seq)
        if lease is None:
            return None
        if self.restarted:
            self.lost_at_restart += lease.gap
        else:
            self.superseded += lease.gap
        self.restarted = False
        self.last_seq = lease.seq
        return lease


def run(context: Context) -> None:
    """Load the detector, then: publish what is done, hand out what is due, wait."""
    cv2.setNumThreads(1)  # lanes are the parallelism; OpenCV's own threads would fight with them
    detector = create_detector(context.params["model"], detector_options(context.config.infer))
    announce(context, detector)
    offline = context.config.offline
    cameras = [open_camera(context, detector, camera.name) for camera in context.config.cameras]

    def report() -> None:
        context.status["fps"] = {camera.name: camera.rate.per_second() for camera in cameras}

    context.before_status = report
    with closing(Lanes(context, detector)) as lanes:
        while not context.stopping:
            published = sum(publish_finished(context, camera) for camera in cameras)
            handed_out = hand_out(context, lanes, cameras, offline=offline)
            if not published and not handed_out:
                context.wait(0.25)
            else:
                context.tend()
        while any(camera.pending for camera in cameras):
            if not sum(publish_finished(context, camera) for camera in cameras):
                context.wait(0.05)


def detector_options(config: InferConfig) -> DetectorOptions:
    """The part of the configuration that detectors understand."""
    return DetectorOptions(
        confidence=config.confidence,
        nms_iou=config.nms_iou,
        max_objects=config.max_objects,
        classes=config.classes,
        lanes=config.lanes,
        threads=config.threads,
        batch=config.batch,
        backends=config.backends,
        thresholds=config.thresholds,
        labels=config.labels,
    )


def announce(context: Context, detector: Detector) -> None:
    """Tell the supervisor what was loaded, which choices were made and what the classes are called."""
    context.log("info", detector.description)
    for choice in detector.choices:
        context.log("info", f"{choice.what} = {choice.chosen}: {choice.reason}")
    context.status.update(
        model=detector.description,
        choices=[asdict(choice) for choice in detector.choices],
        lanes=detector.lanes,
        batch=detector.batch,
    )
    context.send("labels", labels=list(detector.labels))


def open_camera(context: Context, detector: Detector, name: str) -> Camera:
    """Find the camera's pools and the place to go on."""
    camera = Camera(
        name=name,
        feed=context.feeds.setdefault(f"frames:{name}", Feed()),
        writer=context.writers[f"detections:{name}"],
        rate=RateMeter(context.clock),
        state=detector.new_state(),
        most_pending=topology.frames_in_flight(context.config),
        restarted=context.incarnation > 0,
    )
    camera.resume()
    return camera


class Lanes:
    """The detector's parallel calls: knows whether more can be taken, and wakes the main thread when one is done.

    Offline one more batch than there are lanes is taken, so that a lane that is done goes on at once instead of
    waiting for the main thread; live, that batch would only grow old.
    """

    def __init__(self, context: Context, detector: Detector) -> None:
        self.detector = detector
        self._context = context
        self._free = SimpleQueue[int]()
        for lane in range(detector.lanes):
            self._free.put(lane)
        self._executor = ThreadPoolExecutor(detector.lanes, "lane")
        self._room = detector.lanes + context.config.offline
        self._taken: set[Future[list[Detections]]] = set()

    def available(self) -> bool:
        """True while another batch can be taken."""
        self._taken = {future for future in self._taken if not future.done()}
        return len(self._taken) < self._room

    def submit(self, jobs: list[Job], batch: list[BatchItem]) -> None:
        """Run a batch on the next free lane; each job gets the shared answer and its position in it."""
        future = self._executor.submit(self._infer, batch)
        self._taken.add(future)
        for position, job in enumerate(jobs):
            job.future, job.position = future, position
        future.add_done_callback(lambda _: self._context.wake.notify())

    def close(self) -> None:
        """End the lanes once they have finished what they took."""
        self._executor.shutdown()

    def _infer(self, batch: list[BatchItem]) -> list[Detections]:
        lane = self._free.get()
        try:
            return self.detector.infer(batch, lane)
        finally:
            self._free.put(lane)
            batch.clear()


def hand_out(context: Context, lanes: Lanes, cameras: list[Camera], *, offline: bool) -> int:
    """Give the lanes as many batches of due frames as they take; `cameras` is kept in the order of service."""
    handed_out = 0
    while lanes.available():
        jobs, batch = gather(context, lanes.detector, cameras, offline=offline)
        if batch:
            lanes.submit([job for job in jobs if not job.meta.flags & FrameFlag.END_OF_STREAM], batch)
        if not jobs:
            break
        handed_out += len(jobs)
    return handed_out


def gather(
    context: Context, detector: Detector, cameras: list[Camera], *, offline: bool
) -> tuple[list[Job], list[BatchItem]]:
    """Lease due frames until the batch is full or nobody has any."""
    jobs: list[Job] = []
    batch: list[BatchItem] = []
    while len(batch) < detector.batch and (due := lease_due(cameras, offline=offline)):
        camera, lease = due
        frame_meta = FrameMeta.unpack(lease.meta)
        meta = ResultMeta.of_frame(lease.seq, frame_meta)
        trace = replace(meta.trace, batched_ns=context.clock.now_ns())
        meta = replace(
            meta, trace=trace, dropped_superseded=camera.superseded, dropped_restart=camera.lost_at_restart
        )
        job = Job(lease, meta)
        jobs.append(job)
        camera.pending.append(job)
        if not meta.flags & FrameFlag.END_OF_STREAM:
            batch.append(BatchItem(FrameNv12.view(frame_meta, lease.array()), camera.state))
    return jobs, batch


def lease_due(cameras: list[Camera], *, offline: bool) -> tuple[Camera, Lease] | None:
    """A frame of the least recently served camera that has one; the camera goes to the end of the list."""
    for position, camera in enumerate(cameras):
        if len(camera.pending) < camera.most_pending and (lease := camera.lease(offline=offline)):
            cameras.append(cameras.pop(position))
            return camera, lease
    return None


def publish_finished(context: Context, camera: Camera) -> int:
    """Publish the camera's results that are ready, in order; stops where the reader must catch up."""
    published = 0
    while camera.pending and camera.pending[0].finished():
        slot = camera.writer.producer.begin()
        if slot is None:
            break
        job = camera.pending.popleft()
        detections = job.detections()
        trace = replace(job.meta.trace, inferred_ns=context.clock.now_ns())
        written = detections.write_into(slot.array())
        replace(job.meta, **asdict(written), trace=trace).pack_into(slot.meta)
        camera.writer.producer.publish(slot)
        camera.writer.notify()
        job.lease.release()
        camera.feed.acknowledge(job.meta.frame_seq)
        published += 1
        if not job.meta.flags & FrameFlag.END_OF_STREAM:
            camera.rate.tick()
    return published
