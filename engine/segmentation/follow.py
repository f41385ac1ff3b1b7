"""Tracks of one record to the objects of a camera: which track is which object, which are new, which have gone.

Knows the table and the tracks. Does not know requests or masks' answers (`answers`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from engine.segmentation.geometry import iou
from engine.segmentation.jobs import Memory
from engine.segmentation.table import NO_CLASS, HeldObject, ObjectTable, Origin
from engine.types import F32, Tracks

JOIN_IOU = 0.5
"""A track that starts on an object without one, overlapping its box by this much, is that object."""
JOIN_OTHER_CLASS_IOU = 0.7
"""The same where the detector calls it something else than before."""
GONE_S = 1.0
"""An object without a memory is forgotten so long after its track was last seen."""
MOST_DECLINED = 256


def follow(table: ObjectTable, tracks: Tracks, *, starts: frozenset[int] | None, seeds: bool) -> None:
    """Take over one record.

    starts  classes whose tracks become objects; None: all
    seeds   whether tracks become objects at all
    """
    rows = {int(track_id): row for row, track_id in enumerate(tracks.track_ids) if track_id > 0}
    for held in table.objects.values():
        held.track_id = 0
        held.records += 1
    table.present = frozenset(rows)
    table.identities.seen(rows)
    names = _bind_known(table, tracks, rows)
    _join(table, tracks, rows, names)
    if seeds:
        _start(table, tracks, rows, names, starts)
    _look_for_lost(table, tracks, rows)
    _forget_gone(table)


def _bind_known(table: ObjectTable, tracks: Tracks, rows: Mapping[int, int]) -> dict[int, int]:
    """Tracks that are objects already. Of two tracks with one name the one that the object had last keeps it."""
    names: dict[int, int] = {}
    taken: dict[int, int] = {}
    held_last = {held.last_track_id for held in table.objects.values()}
    for track_id in sorted(rows, key=lambda number: (number not in held_last, number)):
        object_id = table.identities.of(track_id)
        if object_id in taken:
            # The tracker has taken up a number again whose object goes on with another track.
            object_id = table.identities.own_id()
            table.identities.rename(track_id, object_id)
        names[track_id] = object_id
        taken[object_id] = track_id
        held = table.objects.get(object_id)
        if held is not None:
            see(table, held, tracks, rows[track_id])
    return names


def see(table: ObjectTable, held: HeldObject, tracks: Tracks, row: int) -> None:
    """The track of this row is the object, now."""
    held.track_id = held.last_track_id = int(tracks.track_ids[row])
    held.box_xyxy = tracks.boxes_xyxy[row].copy()
    held.velocity_xy = tracks.velocities_xy[row].copy()
    held.class_id = int(tracks.class_ids[row])
    held.seen_s = held.tracked_s = table.now_s
    table.find(held, f"track {held.track_id} has found it again")


def _join(table: ObjectTable, tracks: Tracks, rows: Mapping[int, int], names: dict[int, int]) -> None:
    """Tracks that start on an object without one."""
    free = [held for held in table.objects.values() if _free(held)]
    fresh = [track_id for track_id in rows if _joinable(table, track_id, names)]
    pairs = sorted(
        ((overlap, track_id, held) for held in free for track_id in fresh
         if (overlap := _joins(held, tracks, rows[track_id])) > 0),
        key=lambda pair: (-pair[0], pair[1], pair[2].object_id),
    )  # fmt: skip
    done: set[int] = set()
    for _, track_id, held in pairs:
        if track_id in done or held.tracked:
            continue
        done.add(track_id)
        own = table.objects.get(names[track_id])
        if own is not None:
            table.merge(held, own, f"is object {held.object_id}, which was there before")
        table.bind(held, track_id)
        names[track_id] = held.object_id
        see(table, held, tracks, rows[track_id])


def _free(held: HeldObject) -> bool:
    """Whether an object without a track is there for certain: its memory shows it, or it never needed a track."""
    if held.tracked or held.lost_since_s is not None:
        return False
    return held.origin is not Origin.TRACK or (held.remembers and held.sure)


def _joinable(table: ObjectTable, track_id: int, names: Mapping[int, int]) -> bool:
    """Whether a track may turn out to be an object that is there: it has no mask of its own and no other name."""
    held = table.objects.get(names[track_id])
    if held is None:
        return not table.identities.renamed(track_id)
    return held.masked_s is None and held.origin is Origin.TRACK and held.object_id not in table.asked


def _joins(held: HeldObject, tracks: Tracks, row: int) -> float:
    overlap = iou(held.box_xyxy, tracks.boxes_xyxy[row])
    same = held.class_id in (NO_CLASS, int(tracks.class_ids[row]))
    return overlap if overlap >= (JOIN_IOU if same else JOIN_OTHER_CLASS_IOU) else 0.0


def _start(
    table: ObjectTable,
    tracks: Tracks,
    rows: Mapping[int, int],
    names: Mapping[int, int],
    starts: Collection[int] | None,
) -> None:
    for track_id, row in rows.items():
        object_id, class_id = names[track_id], int(tracks.class_ids[row])
        chosen = starts is None or class_id in starts
        if chosen and object_id not in table.objects and object_id not in table.declined:
            held = HeldObject(
                object_id, Origin.TRACK, tracks.boxes_xyxy[row].copy(), table.now_s, table.now_s, class_id,
                track_id=track_id, last_track_id=track_id, tracked_s=table.now_s,
                velocity_xy=tracks.velocities_xy[row].copy(),
            )  # fmt: skip
            table.add(held)


def _look_for_lost(table: ObjectTable, tracks: Tracks, rows: Mapping[int, int]) -> None:
    """A new track may be an object that was lost: look for those of its class at once."""
    new = [row for track_id, row in rows.items() if track_id > table.newest_track]
    classes = {NO_CLASS, *(int(tracks.class_ids[row]) for row in new)}
    for held in table.objects.values() if new else ():
        if held.lost_since_s is not None and held.class_id in classes:
            held.look_at_s = table.now_s
    table.newest_track = max(table.newest_track, *rows, 0)


def _forget_gone(table: ObjectTable) -> None:
    """Objects without a track, a memory or a prompt are nothing any more."""
    for held in list(table.objects.values()):
        waits = held.remembers or held.pointed is not None or table.asked.get(held.object_id) is Memory.START
        waits = waits or held.origin is not Origin.TRACK
        if not held.tracked and not waits and table.now_s - held.seen_s > GONE_S:
            table.drop(held, "its track has ended")
    while len(table.declined) > MOST_DECLINED:
        del table.declined[next(iter(table.declined))]


def carry(table: ObjectTable, boxes_xyxy: Mapping[int, F32]) -> None:
    """Boxes of objects without a track, as their masks were moved to the newest frame."""
    for object_id, box_xyxy in boxes_xyxy.items():
        held = table.objects.get(object_id)
        if held is not None and not held.tracked and np.isfinite(box_xyxy).all():
            held.box_xyxy = box_xyxy.astype(np.float32)
