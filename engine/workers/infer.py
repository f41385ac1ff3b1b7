"""Inference worker: the frames of many cameras, batched, through the detector, in order out again.

    look       what has come                                     (infer_cameras.Camera)
    hand out   whose frames are run, together, and when          (engine.batching, infer_calls.Calls)
    embed      what some of the objects look like, if asked for  (infer_embeddings.EmbeddingStage)
    publish    results per camera in the order of the frames     (infer_cameras.Camera)

Live cameras: the newest frame wins, the ones passed over are counted. `--offline`: every frame. The policy is in
`engine.batching`; this worker brings it frames and time.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, dataclass, field

import cv2

from engine import topology
from engine.batching.batcher import Batcher, BatchOptions
from engine.batching.statistics import BatchStatistics
from engine.config import RunConfig
from engine.models.base import Choice, Detector, DetectorOptions
from engine.models.detector import create_detector
from engine.models.layout import inference_cores
from engine.workers.infer_calls import Calls
from engine.workers.infer_cameras import Camera, open_camera, target_fps
from engine.workers.infer_embeddings import EmbeddingStage, open_embeddings
from engine.workers.runtime import Context

LONGEST_WAIT_S = 0.25
"""Between two looks at everything when nothing wakes the worker."""


@dataclass
class Inference:
    """What the worker works with. `embeddings` is None in a run without re-identification.

    cores  how many inference takes: as decided when it started, for the cameras of then
    """

    context: Context
    detector: Detector
    cameras: dict[str, Camera]
    batcher: Batcher
    calls: Calls
    embeddings: EmbeddingStage | None = None
    statistics: BatchStatistics = field(default_factory=BatchStatistics)
    degraded: tuple[str, ...] = ()
    cores: Choice = field(default_factory=lambda: Choice("cores", "1", ""))


def run(context: Context) -> None:
    """Load the models, then: publish what is done, hand out what is due, wait."""
    cv2.setNumThreads(1)  # calls are the parallelism; OpenCV's own threads would fight with them
    detector = create_detector(context.params["model"], detector_options(context.config))
    announce(context, detector)
    embeddings = open_embeddings(context, detector, int(cores_choice(context.config).chosen))
    inference = open_inference(context, detector, embeddings)
    context.before_status = lambda: report(inference)
    context.on_config = lambda before, after: follow(inference, after)
    with ExitStack() as closed_at_the_end:
        for part in (detector, embeddings, inference.calls):
            if part is not None:
                closed_at_the_end.callback(part.close)
        while not context.stopping:
            published = publish(inference)
            handed_out, next_ns = hand_out(inference)
            if published or handed_out:
                context.tend()
            else:
                context.wait(seconds_until(next_ns, context.clock.now_ns()))
        while any(camera.pending for camera in inference.cameras.values()):
            if not publish(inference):
                context.wait(0.05)


def follow(inference: Inference, after: RunConfig) -> None:
    """Cameras have come, gone, or are wanted at another rate. What was in flight of those that are gone is nobody's."""
    names = [camera.name for camera in after.cameras]
    for name in [name for name in inference.cameras if name not in names]:
        del inference.cameras[name]
        inference.batcher.remove(name)
    for name in names:
        if name in inference.cameras:
            inference.cameras[name].queue.aim_at(target_fps(after, name))
            continue
        camera = open_camera(inference.context, name, inference.detector.new_state())
        camera.embeds, camera.restarted = inference.embeddings is not None, False
        inference.cameras[name] = camera
        inference.batcher.add(camera.queue)
    if inference.embeddings is not None:
        inference.embeddings.demands.follow(names)


def cores_choice(config: RunConfig) -> Choice:
    """How many cores inference takes, and why."""
    cores, reason = inference_cores(
        topology.usable_cores(), 0 if config.offline else max(1, len(config.cameras))
    )
    return Choice("cores", str(cores), reason)


def detector_options(config: RunConfig) -> DetectorOptions:
    """The part of the configuration that detectors understand, and the bounds of what they may measure."""
    infer = config.infer
    return DetectorOptions(
        confidence=infer.confidence,
        thresholds=infer.thresholds,
        nms_iou=infer.nms_iou,
        max_objects=infer.max_objects,
        classes=infer.classes,
        lanes=infer.lanes,
        threads=infer.threads,
        batch=infer.batch,
        most_lanes=int(cores_choice(config).chosen),
        most_batch=topology.most_batch(config),
        backends=infer.backends,
        labels=infer.labels,
        masks=topology.shows_masks(config),
    )


def announce(context: Context, detector: Detector) -> None:
    """Tell the supervisor what was loaded, which choices were made and what the classes are called."""
    context.log("info", detector.description)
    for choice in (cores_choice(context.config), *detector.choices):
        context.log("info", f"{choice.what} = {choice.chosen}: {choice.reason}")
    context.status["model"] = detector.description
    context.send("labels", labels=list(detector.labels))


def open_inference(
    context: Context, detector: Detector, embeddings: EmbeddingStage | None = None
) -> Inference:
    """Open every camera, put the policy before the detector, and re-identification behind it."""
    config = context.config
    cameras = {
        camera.name: open_camera(context, camera.name, detector.new_state()) for camera in config.cameras
    }
    for camera in cameras.values():
        camera.embeds = embeddings is not None
    options = BatchOptions(
        batch=detector.batch,
        collect=config.infer.collect,
        cap_ns=round(config.infer.collect_ms * 1e6),
        max_age_ns=round(config.infer.max_age_ms * 1e6),
        live=not config.offline,
    )
    batcher = Batcher([camera.queue for camera in cameras.values()], options)
    inference = Inference(
        context, detector, cameras, batcher, Calls(context, detector), embeddings, cores=cores_choice(config)
    )
    inference.statistics.go_on_from(context.before.get("inference", {}))
    return inference


def publish(inference: Inference) -> int:
    """Publish every camera's results that are ready; returns how many records that were."""
    if inference.embeddings is not None:
        inference.embeddings.advance(inference.cameras.values())
    return sum(camera.publish() for camera in inference.cameras.values())


def hand_out(inference: Inference) -> tuple[int, int | None]:
    """Begin as many calls as should begin now.

    Returns how many records were sent on their way, and when to come again if nothing happens before.
    """
    for camera in inference.cameras.values():
        camera.look()
    handed_out = 0
    while True:
        now_ns = inference.context.clock.now_ns()
        begins_ns = next_call_ns(inference, now_ns)
        if begins_ns is not None and begins_ns <= now_ns:
            handed_out += begin_call(inference, now_ns)
        handed_out += sum(camera.finish() for camera in inference.cameras.values())
        if begins_ns is None or begins_ns > now_ns:
            return handed_out, begins_ns


def next_call_ns(inference: Inference, now_ns: int) -> int | None:
    """When the next call should begin: when its batch should run and the detector has room for it."""
    runs_ns = inference.batcher.runs_at(now_ns)
    if runs_ns is None:
        return None
    frames = min(inference.batcher.queued(), inference.detector.batch)
    room_ns = inference.calls.begins_at(now_ns, frames)
    return None if room_ns is None else max(runs_ns, room_ns)


def begin_call(inference: Inference, now_ns: int) -> int:
    """Lease the frames of a batch and give them to the detector; returns how many."""
    picks = inference.batcher.take(now_ns)
    taken = [
        job_and_item for pick in picks if (job_and_item := inference.cameras[pick.queue.name].lease(pick))
    ]
    if not taken:
        return 0
    ahead = inference.calls.lanes_busy
    answer = inference.calls.begin([item for _, item in taken], now_ns)
    for position, (job, _) in enumerate(taken):
        job.answer, job.position = answer, position
    possible = min(inference.batcher.live_cameras(now_ns), inference.detector.batch)
    inference.statistics.count(len(taken), possible, ahead=ahead)
    return len(taken)


def report(inference: Inference) -> None:
    """Bring rates, batches and what runs worse than asked for into the status."""
    context, detector, batcher = inference.context, inference.detector, inference.batcher
    now_ns = context.clock.now_ns()
    embeddings = inference.embeddings
    degraded = detector.degraded + (embeddings.degraded if embeddings is not None else ())
    if degraded != inference.degraded:
        inference.degraded = degraded
        context.log("warning", "; ".join(degraded) or "as asked for again")
        announce(context, detector)
    if embeddings is not None:
        context.status["reid"] = embeddings.to_dict(inference.cameras)
    context.status.update(
        fps={camera.name: camera.rate.per_second() for camera in inference.cameras.values()},
        degraded=list(degraded),
        inference={
            "lanes": detector.lanes,
            "calls": detector.calls,
            "batch": detector.batch,
            "collect": context.config.infer.collect,
            "choices": [asdict(choice) for choice in (inference.cores, *detector.choices)],
            "window_ms": batcher.window_ns(now_ns) / 1e6,
            "live_cameras": batcher.live_cameras(now_ns),
            "queue_depth": batcher.queued(),
            "discarded_boxes": detector.discarded,
            **inference.statistics.to_dict(),
        },
    )


def seconds_until(then_ns: int | None, now_ns: int) -> float:
    """How long to wait for this time, at most `LONGEST_WAIT_S`."""
    if then_ns is None:
        return LONGEST_WAIT_S
    return min(LONGEST_WAIT_S, max(0.0, (then_ns - now_ns) / 1e9))
