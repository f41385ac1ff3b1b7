"""What somebody asks of a camera: another mode, a prompt, an object away, an object protected.

Every function raises `PromptError`, with one line that says what to do, before it changes anything.
"""

from __future__ import annotations

import numpy as np

from engine.errors import PromptError
from engine.segmentation.events import EventKind
from engine.segmentation.follow import see
from engine.segmentation.identities import FIRST_OWN_ID
from engine.segmentation.modes import Mode, keep_for
from engine.segmentation.pointing import box_of, check_prompt, clipped, hit, joined
from engine.segmentation.published import renamed
from engine.segmentation.scene import Record, Scene
from engine.segmentation.table import HeldObject, Origin
from engine.types import Prompt


def set_mode(scene: Scene, mode: str, now_s: float) -> None:
    """See `CameraObjects.set_mode`."""
    if mode not in [str(known) for known in Mode]:
        raise PromptError(f"mode {mode!r} is not known; use one of: {', '.join(Mode)}")
    wanted = Mode(mode)
    if scene.rules.detector_masks and wanted.remembers:
        raise PromptError(
            f"mode {mode!r} needs a segmenter, and segment.model is `detector`; use `boxes` or `off`"
        )
    if wanted is scene.mode:
        return
    scene.at(now_s)
    scene.table.note(EventKind.MODE, 0, f"{scene.mode} → {wanted}")
    scene.mode = wanted
    keep_for(scene.table, wanted)


def prompt(scene: Scene, given: Prompt, object_id: int | None, frame_seq: int | None, now_s: float) -> int:
    """See `CameraObjects.prompt`."""
    _takes_prompts(scene)
    record = scene.record(frame_seq)
    table = scene.table
    assert scene.size_wh is not None
    if object_id is not None and object_id not in scene.known():
        raise scene.unknown(object_id)
    check_prompt(given, scene.size_wh, refines=object_id in table.objects)
    given = clipped(given, scene.size_wh)
    target = object_id if object_id is not None else _target(scene, given, record)
    held = table.objects.get(target)
    if held is not None and held.pointed is not None:
        given = joined(held.pointed.prompt, given)
    if not table.could_seat(target):
        raise PromptError(
            f"all {table.capacity()} places for objects with a memory are protected (segment.max_objects); "
            "remove one first"
        )
    scene.at(now_s)
    held = table.objects.get(target) or _new(scene, target, given, record)
    row = np.flatnonzero(record.object_ids == target)
    held.point(given, record.boxes_xyxy[row[0]] if len(row) else None)
    held.origin, held.protected, held.failures, held.frozen_until_s = Origin.PROMPT, True, 0, 0.0
    table.declined.pop(held.object_id, None)
    table.seat(held, insist=True)
    table.announce(held, "pointed at")
    table.update_seats()
    return held.object_id


def remove(scene: Scene, object_id: int, now_s: float) -> None:
    """See `CameraObjects.remove`."""
    if object_id not in scene.known():
        raise scene.unknown(object_id)
    scene.at(now_s)
    held = scene.table.objects.get(object_id)
    scene.table.declined[object_id] = None
    if held is not None:
        held.announced = True
        scene.table.drop(held, "removed on request")


def protect(scene: Scene, object_id: int, now_s: float, *, protected: bool) -> None:
    """See `CameraObjects.protect`."""
    if scene.mode is Mode.OFF:
        raise PromptError(f"segmentation of {scene.camera} is off; switch it to `track` or `prompt` first")
    if object_id not in scene.known():
        raise scene.unknown(object_id)
    scene.at(now_s)
    held = scene.table.objects.get(object_id)
    if held is None and protected:
        held = _new(scene, object_id, None, scene.records[-1])
    if held is not None:
        held.protected = protected
        scene.table.declined.pop(object_id, None)
    scene.table.update_seats()


def _takes_prompts(scene: Scene) -> None:
    if scene.mode.remembers:
        return
    state = (
        "segmentation is off"
        if scene.mode is Mode.OFF
        else "mode `boxes` remembers nothing, so it takes no prompts"
    )
    if scene.rules.detector_masks:
        raise PromptError(f"{scene.camera}: {state}, and segment.model `detector` has no mode that does")
    raise PromptError(f"{scene.camera}: {state}; switch it to `prompt` or `track` first")


def _target(scene: Scene, given: Prompt, record: Record) -> int:
    """The known object that is meant, 0 for a new one. A number that was a track's means that track, although it may
    be hidden now; an object of ours that has gone is gone."""
    target = hit(given, record.object_ids, record.boxes_xyxy)
    return 0 if target >= FIRST_OWN_ID and target not in scene.known() else target


def _new(scene: Scene, object_id: int, given: Prompt | None, record: Record) -> HeldObject:
    """An object from what is pointed at; with an ID, from the record's row of that ID."""
    table = scene.table
    row = np.flatnonzero(record.object_ids == object_id)
    if object_id and len(row):
        box_xyxy = record.boxes_xyxy[row[0]].copy()
    else:
        assert given is not None
        box_xyxy = box_of(given)
    origin = Origin.PROMPT if given is not None else Origin.TRACK
    held = HeldObject(object_id or table.identities.own_id(), origin, box_xyxy, table.now_s, table.now_s)
    held.last_track_id = object_id if object_id < FIRST_OWN_ID else 0
    if scene.latest is not None and object_id:
        tracks = scene.latest[0]
        rows = np.flatnonzero((renamed(table, tracks) == object_id) & (tracks.track_ids > 0))
        if len(rows):
            see(table, held, tracks, int(rows[0]))
    return table.add(held)
