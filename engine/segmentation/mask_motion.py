"""Masks between keyframes: every frame carries them, moved along with what they cover.

A mask comes late: it belongs to frame k and is there at frame k + 20. So from `anchor` on, a map is kept for each
object of where its pixels are now and where they were at k; `place` looks the mask up through the map. A step of a
map is the change of the track's box first, then dense optical flow in a window around the object for what a box
cannot say: limbs, turning, a box that is wrong. The box of the frame bounds the mask where it did so at k.

Flow is for as many objects as a fixed number of pixels a frame allows; the others go with their boxes. Looks at the
Y plane and keeps a small grey copy of one frame. Does not know who wants masks, or from which model they come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.segmentation.mask_motion_flow import Flow, Grey, Map
from engine.segmentation.mask_motion_object import NO_GRID, MovedObject, PlacedMask, margins, padded
from engine.segmentation.mask_motion_window import F64, Axes, Window, clipped
from engine.types import F32, Bools, FrameFlag, FrameNv12, Masks, MaskSource, Tracks

SCENE_LONG_SIDE = 160
"""Cells of the window over the whole picture, for masks of things that no track stood for at their keyframe."""
STAY = 1.5
"""An object that had flow on the last frame counts for so many times its size, so that two do not take turns."""


@dataclass(frozen=True, slots=True)
class MotionLimits:
    """What moving may cost, and for how long it makes sense.

    flow_objects   objects a frame that optical flow is computed for, the largest first
    flow_pixels    pixels a frame that it is computed on, over all objects
    object_pixels  the same for one object
    anchors        keyframes under way at once; the oldest is given up for one more
    objects        objects known at once; the one not asked for the longest is given up for one more
    gap_s          time between frames from which on they have nothing to do with each other
    unasked_s      time after which an object whose mask nobody asked for is forgotten, and a keyframe whose masks did
                   not come is given up
    """

    flow_objects: int = 6
    flow_pixels: int = 28_000
    object_pixels: int = 16_000
    anchors: int = 2
    objects: int = 256
    gap_s: float = 1.5
    unasked_s: float = 5.0


@dataclass(frozen=True, slots=True)
class MotionStatistics:
    """Counts since the start.

    placed, unplaced  masks that came in, and those that were lost because their keyframe was not known any more
    by_flow, by_box   steps of objects that flow was computed for, and of those that went with their box only
    scenes            times that everything was forgotten: cut, gap, other picture size, discontinuity
    crowded           objects forgotten because there were too many
    """

    placed: int = 0
    unplaced: int = 0
    by_flow: int = 0
    by_box: int = 0
    scenes: int = 0
    crowded: int = 0


class MaskMover:
    """The masks of one camera, on the frame that was shown last. Not for two threads at once."""

    def __init__(self, limits: MotionLimits | None = None) -> None:
        self._limits = limits or MotionLimits()
        self._flow = Flow()
        self._objects: dict[int, MovedObject] = {}
        self._anchors: dict[int, float] = {}
        self._scenes: dict[int, Map] = {}
        self._boxes: dict[int, F64] = {}
        self._grey: Grey | None = None
        self._size_wh = (0, 0)
        self._time_s = 0.0
        self.statistics = MotionStatistics()

    def advance(self, frame: FrameNv12, time_s: float, tracks: Tracks) -> None:
        """Go on to this frame: call once for each, in order. Frames may be missing; `time_s` is that of the picture.

        Objects take part with their track IDs; rows with ID 0 do not. Everything is forgotten where the picture has
        nothing to do with the one before: after a cut, a gap, a change of size or a discontinuity of the stream.
        """
        now, before = Grey.of(frame.y), self._grey
        size_wh = (frame.meta.width, frame.meta.height)
        elapsed_s = time_s - self._time_s
        if before is not None and (
            size_wh != self._size_wh
            or FrameFlag.DISCONTINUITY in frame.meta.flags
            or not 0 <= elapsed_s <= self._limits.gap_s
            or now.shows_another_scene(before)
        ):
            self.forget()
            before = None
        self._size_wh, self._time_s, self._grey = size_wh, time_s, now
        self._boxes = _boxes_by_id(tracks)
        if before is not None:
            self._step(now, before, elapsed_s)

    def forget(self) -> None:
        """Forget all objects and keyframes."""
        self._objects.clear()
        self._anchors.clear()
        self._scenes.clear()
        self._count(scenes=1)

    def anchor(self, frame_seq: int) -> None:
        """The frame that was shown last is a keyframe: masks of it may be placed on this and on later frames."""
        self._anchors[frame_seq] = self._time_s
        self._scenes[frame_seq] = Map.affine(self._scene_window(), Axes.identity())
        for object_id, box_xyxy in self._boxes.items():
            if object_id not in self._objects and clipped(box_xyxy, self._size_wh) is not None:
                self._objects[object_id] = self._new(box_xyxy, box_xyxy)
        self._make_room()
        for known in self._objects.values():
            known.anchor(frame_seq)
        while len(self._anchors) > self._limits.anchors:
            self.release(next(iter(self._anchors)))

    def release(self, frame_seq: int) -> None:
        """No more masks of this keyframe will come: what was kept for those is given back."""
        self._anchors.pop(frame_seq, None)
        self._scenes.pop(frame_seq, None)
        for known in self._objects.values():
            known.release(frame_seq)
        self._objects = {key: known for key, known in self._objects.items() if known.mask or known.maps}

    def place(
        self,
        object_id: int,
        grid: Bools,
        rect_xyxy: F32,
        frame_seq: int,
        confidence: float,
        source: MaskSource,
    ) -> bool:
        """Take in a mask of a keyframe, as in `Masks`; it replaces the object's older one.

        grid bool (rows, columns), rect_xyxy float32 (4,). A grid without a set cell, or over nothing, says that the
        object was not seen there: its mask goes. False where the keyframe is not known (any more); nothing changes.
        """
        if frame_seq not in self._anchors:
            self._count(unplaced=1)
            return False
        self._count(placed=1)
        rect = np.asarray(rect_xyxy, np.float64)
        known = self._objects.get(object_id)
        if not grid.any() or not np.isfinite(rect).all() or (rect[2:] <= rect[:2]).any():
            if known is not None:
                known.mask = known.rendered = None
            return True
        if known is None or frame_seq not in known.maps:
            known = self._objects[object_id] = self._appeared(frame_seq, rect, known)
            self._make_room()
        box = known.boxes.get(frame_seq)
        mask = PlacedMask(
            grid.astype(np.float32), rect, frame_seq, self._anchors[frame_seq], confidence, source,
            None if box is None else margins(grid, rect, box),
        )  # fmt: skip
        known.put(mask, known.mask is not None and known.mask.frame_seq in self._anchors)
        known.asked_s = self._time_s
        return True

    def remove(self, object_id: int) -> None:
        """Forget an object; nothing happens where it is not known."""
        self._objects.pop(object_id, None)

    def rename(self, object_id: int, new_id: int) -> None:
        """An object goes on under another ID, and replaces what had that one."""
        if object_id in self._objects and object_id != new_id:
            self._objects[new_id] = self._objects.pop(object_id)

    def masks(self, object_ids: Sequence[int], boxes_xyxy: F32 | None = None) -> Masks:
        """The masks of these objects on the frame that was shown last, without cells where there is none.

        boxes_xyxy  float32 (n, 4): their boxes, where somebody knows better than the tracks; else NaN
        """
        count = len(object_ids)
        rects, ages = np.zeros((count, 4), np.float32), np.zeros(count, np.float32)
        confidences, sources = np.zeros(count, np.float32), np.zeros(count, np.int32)
        grids: list[Bools] = [NO_GRID] * count
        for row, object_id in enumerate(object_ids):
            known = self._objects.get(int(object_id))
            if known is None or known.mask is None or self._grey is None:
                continue
            box = known.box_xyxy
            if boxes_xyxy is not None and np.isfinite(boxes_xyxy[row]).all():
                box = boxes_xyxy[row].astype(np.float64)
            grids[row], rects[row] = known.shown(self._grey, self._time_s, box, self._size_wh)
            ages[row] = (self._time_s - known.mask.time_s) * 1e3
            confidences[row], sources[row] = known.mask.confidence, known.mask.source
            known.asked_s = self._time_s
        ages[[not grid.size for grid in grids]] = 0
        return Masks.of_grids(rects, grids, sources, confidences, ages)

    def _step(self, now: Grey, before: Grey, elapsed_s: float) -> None:
        for seq in [
            seq for seq, since_s in self._anchors.items() if self._time_s - since_s > self._limits.unasked_s
        ]:
            self.release(seq)
        self._objects = {key: known for key, known in self._objects.items() if self._wanted(known)}
        backs = {
            key: known.go_on(self._boxes.get(key), elapsed_s, self._size_wh)
            for key, known in self._objects.items()
        }
        windows = self._windows_for_flow()
        for key, known in self._objects.items():
            if key in windows:
                step = self._flow.step(windows[key], now, before, backs[key])
                known.step_by_flow(step, backs[key], elapsed_s)
            else:
                known.step_by_box(backs[key])
        self._count(by_flow=len(windows), by_box=len(self._objects) - len(windows))
        if self._scenes:
            step = self._flow.step(self._scene_window(), now, before, Axes.identity())
            self._scenes = {seq: each.carried(step, Axes.identity()) for seq, each in self._scenes.items()}

    def _wanted(self, known: MovedObject) -> bool:
        """Whether a mask is there that somebody asks for, or may still come."""
        if self._anchors.keys() & known.maps.keys():
            return True
        return known.mask is not None and self._time_s - known.asked_s <= self._limits.unasked_s

    def _windows_for_flow(self) -> dict[int, Window]:
        """The windows of the objects that flow is computed for; small ones leave to large ones what they can spare."""
        rects = {
            key: clipped(padded(known.extent_xyxy), self._size_wh) for key, known in self._objects.items()
        }
        inside = {key: rect for key, rect in rects.items() if rect is not None}
        areas = {key: float(np.prod(rect[2:] - rect[:2])) for key, rect in inside.items()}
        chosen = sorted(areas, key=lambda key: -areas[key] * (STAY if self._objects[key].by_flow else 1.0))
        chosen = sorted(chosen[: self._limits.flow_objects], key=lambda key: areas[key])
        left, windows = float(self._limits.flow_pixels), {}
        for turn, key in enumerate(chosen):
            cells = min(areas[key], left / (len(chosen) - turn), self._limits.object_pixels)
            left -= cells
            windows[key] = Window.over(inside[key], float(np.sqrt(cells / areas[key])))
        return windows

    def _new(self, extent_xyxy: F64, box_xyxy: F64 | None) -> MovedObject:
        rect = padded(extent_xyxy)
        area = max(1.0, float(np.prod(rect[2:] - rect[:2])))
        cells_per_px = min(1.0, float(np.sqrt(self._limits.object_pixels / area)))
        return MovedObject(extent_xyxy, box_xyxy, Window.over(rect, cells_per_px), self._time_s)

    def _appeared(self, frame_seq: int, rect: F64, known: MovedObject | None) -> MovedObject:
        """An object that was not known at its keyframe: it has moved as that part of the picture has."""
        scene = self._scenes[frame_seq]
        centre = (rect[:2] + rect[2:]) / 2
        extent = rect + np.tile(scene.now_of(centre) - centre, 2)
        found = self._new(extent, known.box_xyxy if known else None)
        if known is not None:
            found.velocity_xy = known.velocity_xy
        found.maps[frame_seq] = scene.resampled(found.window)
        for pending in self._anchors:
            if pending != frame_seq:
                found.maps[pending] = self._scenes[pending].resampled(found.window)
        return found

    def _scene_window(self) -> Window:
        rect = np.array([0.0, 0.0, *self._size_wh])
        return Window.over(rect, SCENE_LONG_SIDE / max(self._size_wh))

    def _make_room(self) -> None:
        while len(self._objects) > self._limits.objects:
            del self._objects[min(self._objects, key=lambda key: self._objects[key].asked_s)]
            self._count(crowded=1)

    def _count(self, **more: int) -> None:
        counts = {name: getattr(self.statistics, name) + count for name, count in more.items()}
        self.statistics = replace(self.statistics, **counts)


def _boxes_by_id(tracks: Tracks) -> dict[int, F64]:
    """Boxes of confirmed tracks that have a size."""
    boxes = tracks.boxes_xyxy.astype(np.float64)
    usable = (
        (tracks.track_ids > 0) & np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    )
    return {int(tracks.track_ids[row]): boxes[row] for row in np.flatnonzero(usable)}
