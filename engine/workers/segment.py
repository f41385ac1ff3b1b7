"""Segmentation worker: tracks in, the same with masks out, every record in order; SAM2 beside it, never in its way.

    records    each camera's tracks, with masks moved to their frame, published at once    (segment_camera)
    keyframes  the newest frame of the camera whose turn it is, in a lane of its own        (segment_lane)
    commands   modes, prompts and removals while it runs                                    (segment_commands)

Live nothing here waits for SAM2: its masks are taken in when they come. `--offline`: every so many frames are keyframes
and are waited for, so that two runs give the same. Who is segmented when is decided in `engine.segmentation`.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import cv2

from engine import topology
from engine.config import RunConfig
from engine.errors import ModelError
from engine.models.segmenter_folder import segmenter_stand_in
from engine.segmentation.budget import Budget, Demand
from engine.segmentation.events import Event, EventKind
from engine.segmentation.seats import Seats
from engine.workers.runtime import Context
from engine.workers.segment_camera import (
    Camera,
    advance,
    begin_keyframe,
    end_keyframe,
    open_camera,
    set_mode,
    told_of,
)
from engine.workers.segment_commands import Commands
from engine.workers.segment_lane import Outcome, SegmentLane

OFFLINE_LOOK_S = 0.05
"""Between two looks at a keyframe that is waited for, when nothing wakes the worker."""
_WORTH_A_LINE = {
    EventKind.EVICTED: "warning", EventKind.FROZEN: "warning", EventKind.LATE: "warning", EventKind.MODE: "info",
}  # fmt: skip
"""Events that the user is told of; the others are for developers, and counted."""


@dataclass
class Stage:
    """What the worker works with.

    wanted_at_start  a camera was to have masks by SAM2 from the start: without a segmenter the run ends
    segmented        whose keyframe is in the lane
    announced        the segmenter that was spoken of last
    degraded         what runs worse than asked for and has been said
    """

    context: Context
    cameras: dict[str, Camera]
    lane: SegmentLane
    budget: Budget
    commands: Commands
    wanted_at_start: bool
    seats: Seats
    segmented: Camera | None = None
    announced: str = ""
    degraded: set[str] = field(default_factory=set)


def run(context: Context) -> None:
    """Open every camera, have the segmenter loaded if a mode needs it, then: commands, keyframes, records."""
    cv2.setNumThreads(1)  # the lane is the parallelism; OpenCV's own threads would take cores from detection
    while context.config.segment.classes and context.labels is None and not context.stopping:
        context.wait(0.25)
    stage = open_stage(context)
    context.before_status = lambda: report(stage)
    context.on_config = lambda before, after: follow(stage, before, after)
    with closing(stage.lane):
        if stage.wanted_at_start:
            stage.lane.check()
            stage.lane.want()
        context.log("info", f"segmentation in its own lane, {stage.lane.priority}")
        context.work_through(lambda: step(stage))


def open_stage(context: Context) -> Stage:
    """Find every camera's pools, and put the policy before the lane."""
    config = context.config
    seats = Seats(config.segment.max_objects)
    cameras = {camera.name: open_camera(context, camera.name, seats) for camera in config.cameras}
    stand_in = segmenter_stand_in(require_model=config.infer.require_model)
    lane = SegmentLane(config.segment, context.wake.notify, context.clock, stand_in)
    lane.go_on_from(context.before.get("segmentation", {}))
    budget = Budget(None if config.offline else config.segment.latency_ms / 1e3)
    modes = {topology.segment_mode(config, name) for name in cameras}
    for camera in cameras.values() if context.incarnation else ():
        say_restored(context, camera)
    # A successor goes on without rather than ending a run that is under way.
    at_start = context.incarnation == 0 and any(topology.needs_segmenter(config, mode) for mode in modes)
    return Stage(context, cameras, lane, budget, Commands(context, cameras, lane), at_start, seats)


def follow(stage: Stage, before: RunConfig, after: RunConfig) -> None:
    """Cameras have come or gone, or are to be segmented in another mode."""
    tell_events(stage)
    now_s, names = now(stage), [camera.name for camera in after.cameras]
    for name in [name for name in stage.cameras if name not in names]:
        stage.cameras.pop(name).objects.leave(now_s)
        stage.budget.forget(name)
    for name in names:
        camera, mode = stage.cameras.get(name), topology.segment_mode(after, name)
        if camera is None:
            stage.cameras[name] = open_camera(stage.context, name, stage.seats)
        elif mode != topology.segment_mode(before, name):
            set_mode(camera, mode, now_s)


def say_restored(context: Context, camera: Camera) -> None:
    """A worker has died and this one takes over: what is lost with it is not hidden."""
    if camera.objects.mode != "off":
        camera.event_counts["restarted"] += 1
        ids = ", ".join(map(str, camera.objects.object_ids())) or "none"
        context.log(
            "warning",
            f"{camera.name}: memories went with the worker before; under their IDs begin again: {ids}",
        )


def step(stage: Stage) -> bool:
    """Everything that can be done now; whether that was anything."""
    stage.commands.handle()
    took_back = take_back(stage)
    want_segmenter(stage)
    if not stage.context.config.offline:
        hand_out(stage)
    cameras = stage.cameras.values()
    advanced = [advance(stage.context, camera, lambda due: keyframe_now(stage, due)) for camera in cameras]
    tell_events(stage)
    return took_back or any(advanced)


def want_segmenter(stage: Stage) -> None:
    """Have the segmenter loaded where a camera's mode needs it; end the run where it was to be there from the start."""
    config, lane = stage.context.config, stage.lane
    if lane.loaded:
        if stage.announced != lane.description:
            stage.announced = lane.description
            stage.context.log("info", lane.description)
            tell_model(stage)
            for choice in lane.choices():
                stage.context.log("info", f"{choice['what']} = {choice['chosen']}: {choice['reason']}")
        return
    if lane.problem and stage.wanted_at_start and not lane.ever:
        raise ModelError(lane.problem)
    if any(topology.needs_segmenter(config, camera.objects.mode) for camera in stage.cameras.values()):
        lane.want()


def tell_model(stage: Stage) -> None:
    """Say which segmenter was asked for, which one it is, and why."""
    found = stage.lane.resolved
    assert found is not None, "a segmenter is loaded"
    asked = stage.context.config.segment.model
    told = {"asked": asked, "used": found.name, "reason": found.reason, "degraded": found.degraded}
    stage.context.send("model", what="segmenter", told=told)


def hand_out(stage: Stage) -> bool:
    """Begin a keyframe of the camera whose turn it is, if the lane is free and anybody wants one."""
    if not stage.lane.ready:
        return False
    now_s = now(stage)
    demands = {name: camera.objects.demand(now_s) for name, camera in stage.cameras.items()}
    while (turn := stage.budget.next(list(demands.values()))) is not None:
        camera = stage.cameras[turn.camera]
        camera.now_s = max(camera.now_s, now_s)
        if begin(stage, camera):
            return True
        demands[turn.camera] = Demand(turn.camera)  # its frame is gone already: others may go first
    return False


def begin(stage: Stage, camera: Camera) -> bool:
    """Hand the camera's next job to the lane; False where there is none, or its frame is gone."""
    job = camera.objects.plan(camera.now_s, stage.budget.allowance())
    if job is None:
        return False
    frame = None
    if job.requests or job.automatic_points_xy is not None:
        frame = begin_keyframe(camera, job)
        if frame is None:
            camera.objects.cancel(job, camera.now_s)
            return False
    stage.lane.begin(job, frame)
    stage.segmented = camera
    return True


def take_back(stage: Stage) -> bool:
    """Take over the keyframe that the lane has finished, if there is one."""
    outcome = stage.lane.poll()
    if outcome is None:
        return False
    camera, stage.segmented = stage.segmented, None
    if camera is None or stage.cameras.get(camera.name) is not camera:  # it was removed meanwhile
        stage.seats.free_again(outcome.job.given_back() if outcome.result is None else ())
        return True
    if not stage.context.config.offline:
        camera.now_s = max(camera.now_s, now(stage))
    if outcome.result is not None:
        stage.budget.learn(outcome.job, outcome.result, camera.objects.demand(camera.now_s))
    end(stage, camera, outcome)
    return True


def end(stage: Stage, camera: Camera, outcome: Outcome) -> None:
    """Hand the masks of a keyframe to its camera, and say what went wrong."""
    if camera.keyframe is not None:
        end_keyframe(camera, outcome.result, stage.context.clock.now_ns())
    elif outcome.result is None:
        camera.objects.cancel(outcome.job, camera.now_s)
    if outcome.error:
        stage.context.log("error", f"{camera.name}: keyframe {outcome.job.frame_seq} failed: {outcome.error}")


def keyframe_now(stage: Stage, camera: Camera) -> None:
    """Offline: segment the frame that was shown last and wait for it. An order to stop ends the waiting."""
    context, lane = stage.context, stage.lane
    want_segmenter(stage)
    while not lane.ready and lane.loading and not context.stopping:
        context.wait(OFFLINE_LOOK_S)
        take_back(stage)
        want_segmenter(stage)
    if not lane.ready or not begin(stage, camera):
        return
    while not take_back(stage):
        if context.stopping:
            return
        context.wait(OFFLINE_LOOK_S)


def now(stage: Stage) -> float:
    """The clock, as the policy wants it."""
    return stage.context.clock.now_ns() / 1e9


def tell_events(stage: Stage) -> None:
    """Count what happened to objects, keep the newest of it, and say what the user should know."""
    for camera in stage.cameras.values():
        for event in camera.objects.events.drain():
            take_event(stage, camera, event)
    for event in stage.budget.events.drain():
        take_event(stage, stage.cameras[event.camera], event)


def take_event(stage: Stage, camera: Camera, event: Event) -> None:
    """One event."""
    camera.events.append(event)
    camera.event_counts[str(event.kind)] += 1
    level = _WORTH_A_LINE.get(event.kind, "debug")
    if event.kind is EventKind.LATE:
        stage.context.log(level, event.text)  # which begins with the camera
        return
    about = f" {event.object_id}" if event.object_id else ""
    stage.context.log(level, f"{camera.name}: {event.kind}{about}: {event.text}")


def report(stage: Stage) -> None:
    """Bring modes, objects, rates and what runs worse than asked for into the status."""
    tell_events(stage)
    lane = stage.lane
    degraded = lane.degraded()
    for about in degraded.keys() - stage.degraded:
        stage.context.log("warning", degraded[about])
    stage.degraded = set(degraded)
    told: dict[str, Any] = {
        "model": lane.description,
        "choices": lane.choices(),
        "lane_busy": lane.busy.share(),
        "keyframes": lane.keyframes,
        "rows": lane.rows,
        "rows_per_keyframe": lane.rows_per_keyframe(),
        "budget": stage.budget.to_dict(),
        "cameras": {name: told_of(camera, len(stage.cameras)) for name, camera in stage.cameras.items()},
    }
    stage.context.status.update(
        degraded=[*degraded.values(), *stage.budget.late()],
        lost={name: camera.lost for name, camera in stage.cameras.items()},
        segmentation=told,
    )
