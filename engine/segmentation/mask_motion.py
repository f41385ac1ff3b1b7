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
from dataclasses import dataclass, field, replace

import numpy as np

from engine.segmentation.mask_motion_flow import Flow, Grey, Map
from engine.segmentation.mask_motion_window import F64, Axes, Window, between_boxes, clipped, cut_out
from engine.types import F32, Bools, FrameFlag, FrameNv12, Masks, MaskSource, Tracks

PAD_SHARE = 0.1
PAD_PX = 4.0
"""What a window has more than its object on each side: a share of the object, and pixels."""
SCENE_LONG_SIDE = 160
"""Cells of the window over the whole picture, for masks of things that no track stood for at their keyframe."""


@dataclass(frozen=True, slots=True)
class MotionLimits:
    """What moving may cost, and for how long it makes sense.

    flow_objects       objects a frame that optical flow is computed for, the largest first
    flow_pixels        pixels a frame that it is computed on, over all objects
    object_pixels      the same for one object
    anchors            keyframes under way at once; the oldest is given up for one more
    objects            objects known at once; one that nobody has asked for the longest is given up for one more
    gap_s              time between frames from which on they have nothing to do with each other
    """

    flow_objects: int = 8
    flow_pixels: int = 48_000
    object_pixels: int = 24_000
    anchors: int = 2
    objects: int = 256
    gap_s: float = 1.5


@dataclass(frozen=True, slots=True)
class MotionStatistics:
    """Counts since the start.

    placed, unplaced  masks that came in; those of them whose keyframe was not known any more
    by_flow, by_box   steps of objects that flow was computed for, and of those that went with their box only
    scenes            times that everything was forgotten: cut, gap, other picture size, discontinuity
    """

    placed: int = 0
    unplaced: int = 0
    by_flow: int = 0
    by_box: int = 0
    scenes: int = 0


@dataclass(frozen=True, slots=True)
class _Mask:
    """A mask as it came. `margins` is how far it reached over the box, left, top, right, bottom, in box sizes."""

    values: F32
    rect_xyxy: F64
    frame_seq: int
    time_s: float
    confidence: float
    source: MaskSource
    margins: F64 | None


@dataclass(slots=True)
class _Object:
    """What is known of one object.

    extent_xyxy  where it is now, box or mask
    box_xyxy     its track's box on this frame, None where it has none
    window       of the last frame with a flow step, whose maps these are
    maps         by keyframe
    lag          from this frame to that of the window
    boxes        the track's boxes on keyframes
    rendered     the mask in the window's frame, and its rectangle there; None before anybody asks
    """

    extent_xyxy: F64
    box_xyxy: F64 | None
    window: Window
    maps: dict[int, Map] = field(default_factory=dict)
    lag: Axes = field(default_factory=Axes.identity)
    boxes: dict[int, F64 | None] = field(default_factory=dict)
    mask: _Mask | None = None
    rendered: tuple[Bools, F64] | None = None
    velocity_xy: F64 = field(default_factory=lambda: np.zeros(2))
    asked_s: float = 0.0
    by_flow: bool = False


class MaskMover:
    """The masks of one camera, on the frame that was shown last. Not for two threads at once."""

    def __init__(self, limits: MotionLimits | None = None) -> None:
        self._limits = limits or MotionLimits()
        self._flow = Flow()
        self._objects: dict[int, _Object] = {}
        self._anchors: dict[int, float] = {}
        self._scenes: dict[int, Map] = {}
        self._boxes: dict[int, F64] = {}
        self._grey: Grey | None = None
        self._size_wh = (0, 0)
        self._time_s = 0.0
        self.statistics = MotionStatistics()

    def advance(self, frame: FrameNv12, time_s: float, tracks: Tracks) -> None:
        """Go on to this frame: call once for each, in order. Frames may be missing; `time_s` is that of the picture.

        Everything is forgotten where the picture has nothing to do with the one before: after a cut, a gap, a change
        of size or a discontinuity of the stream. Objects take part with their track IDs; rows with ID 0 do not.
        """
        now, before = Grey.of(frame.y), self._grey
        size_wh = (frame.meta.width, frame.meta.height)
        elapsed_s = time_s - self._time_s
        if before is not None and (
            size_wh != self._size_wh
            or frame.meta.flags & FrameFlag.DISCONTINUITY
            or not 0 <= elapsed_s <= self._limits.gap_s
            or now.shows_another_scene(before)
        ):
            self.forget()
            before = None
        self._size_wh, self._time_s = size_wh, time_s
        if before is not None:
            self._step(now, before, elapsed_s, _boxes_by_id(tracks))
        self._boxes = _boxes_by_id(tracks)
        self._grey = now

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
            if object_id not in self._objects and len(self._objects) < self._limits.objects:
                self._objects[object_id] = self._new(box_xyxy, box_xyxy)
        for known in self._objects.values():
            known.maps[frame_seq] = Map.affine(known.window, known.lag.inverse())
            known.boxes[frame_seq] = known.box_xyxy
        while len(self._anchors) > self._limits.anchors:
            self.release(next(iter(self._anchors)))

    def release(self, frame_seq: int) -> None:
        """No more masks of this keyframe will come: what was kept for those is given back."""
        self._anchors.pop(frame_seq, None)
        self._scenes.pop(frame_seq, None)
        for object_id, known in list(self._objects.items()):
            known.boxes.pop(frame_seq, None)
            if known.mask is None or known.mask.frame_seq != frame_seq:
                known.maps.pop(frame_seq, None)
            if known.mask is None and not known.maps:
                del self._objects[object_id]

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

        grid bool (rows, columns), rect_xyxy float32 (4,). A grid without a set cell says that the object was not
        seen there: its mask goes. False where the keyframe is not known (any more): nothing changes then.
        """
        if frame_seq not in self._anchors:
            self._count(unplaced=1)
            return False
        self._count(placed=1)
        rect = np.asarray(rect_xyxy, np.float64)
        if not grid.any() or (rect[2:] - rect[:2]).min() <= 0:
            self._drop_mask(object_id)
            return True
        known = self._objects.get(object_id)
        if known is None or frame_seq not in known.maps:
            known = self._objects[object_id] = self._appeared(frame_seq, rect, known)
        box = known.boxes.get(frame_seq)
        if known.mask is not None and known.mask.frame_seq not in self._anchors:
            known.maps.pop(known.mask.frame_seq, None)
        known.mask = _Mask(
            grid.astype(np.float32), rect, frame_seq, self._anchors[frame_seq], confidence, source,
            None if box is None else _margins(grid, rect, box),
        )  # fmt: skip
        known.rendered = None
        known.asked_s = self._time_s
        return True

    def remove(self, object_id: int) -> None:
        """Forget an object; nothing happens where it is not known."""
        self._objects.pop(object_id, None)

    def rename(self, object_id: int, new_id: int) -> None:
        """An object goes on under another ID, and replaces what had that one."""
        if object_id in self._objects:
            self._objects[new_id] = self._objects.pop(object_id)

    def masks(self, object_ids: Sequence[int], boxes_xyxy: F32 | None = None) -> Masks:
        """The masks of these objects on the frame that was shown last, without cells where there is none.

        boxes_xyxy  float32 (n, 4): boxes of objects that no track stands for, where known; else NaN
        """
        count = len(object_ids)
        rects, ages = np.zeros((count, 4), np.float32), np.zeros(count, np.float32)
        confidences, sources = np.zeros(count, np.float32), np.zeros(count, np.int32)
        grids: list[Bools] = [np.zeros((0, 0), np.bool_)] * count
        for row, object_id in enumerate(object_ids):
            known = self._objects.get(int(object_id))
            if known is None or known.mask is None:
                continue
            box = known.box_xyxy
            if box is None and boxes_xyxy is not None and np.isfinite(boxes_xyxy[row]).all():
                box = boxes_xyxy[row].astype(np.float64)
            grids[row], rects[row] = self._shown(known, known.mask, box)
            ages[row] = max(0.0, (self._time_s - known.mask.time_s) * 1e3)
            confidences[row], sources[row] = known.mask.confidence, known.mask.source
            known.asked_s = self._time_s
        return Masks.of_grids(rects, grids, sources, confidences, ages)

    def _step(self, now: Grey, before: Grey, elapsed_s: float, boxes: dict[int, F64]) -> None:
        guesses: dict[int, Axes] = {}
        for object_id, known in self._objects.items():
            box = boxes.get(object_id)
            guesses[object_id] = self._guess(known, box, elapsed_s)
            known.extent_xyxy = _extent(known, box, guesses[object_id])
            known.box_xyxy = box
        chosen = self._for_flow()
        for object_id, known in self._objects.items():
            guess = guesses[object_id]
            if object_id in chosen:
                self._step_by_flow(known, chosen[object_id], now, before, guess, elapsed_s)
            else:
                known.lag = known.lag.after(guess)
            known.by_flow = object_id in chosen
        self._count(by_flow=len(chosen), by_box=len(self._objects) - len(chosen))
        if self._scenes:
            step = self._flow.step(self._scene_window(), now, before, Axes.identity())
            self._scenes = {seq: each.carried(step, Axes.identity()) for seq, each in self._scenes.items()}
        self._forget_the_gone()

    def _guess(self, known: _Object, box: F64 | None, elapsed_s: float) -> Axes:
        """From this frame to the one before, without looking at pixels."""
        if box is not None and known.box_xyxy is not None:
            moved = between_boxes(box, known.box_xyxy, self._size_wh)
            if moved is not None:
                return moved
        return Axes(np.ones(2), -known.velocity_xy * elapsed_s)

    def _for_flow(self) -> dict[int, Window]:
        """The windows of the objects that flow is computed for."""
        inside = {}
        for object_id, known in self._objects.items():
            rect = clipped(_padded(known.extent_xyxy), self._size_wh)
            if rect is not None:
                inside[object_id] = rect
        areas = {key: float(np.prod(rect[2:] - rect[:2])) for key, rect in inside.items()}
        # One that had flow keeps it against one a little larger, so that they do not take turns.
        weight = {key: area * (1.5 if self._objects[key].by_flow else 1.0) for key, area in areas.items()}
        chosen = sorted(areas, key=lambda key: -weight[key])[: self._limits.flow_objects]
        left = float(self._limits.flow_pixels)
        windows = {}
        for turn, key in enumerate(sorted(chosen, key=lambda key: areas[key])):
            share = min(left / (len(chosen) - turn), self._limits.object_pixels)
            cells = min(areas[key], share)
            left -= cells
            windows[key] = Window.over(inside[key], float(np.sqrt(cells / areas[key])))
        return windows

    def _step_by_flow(
        self, known: _Object, window: Window, now: Grey, before: Grey, guess: Axes, elapsed_s: float
    ) -> None:
        step = self._flow.step(window, now, before, guess)
        known.maps = {seq: each.carried(step, known.lag) for seq, each in known.maps.items()}
        known.window, known.lag, known.rendered = window, Axes.identity(), None
        if elapsed_s > 0:
            rows, columns = (
                slice(window.height // 4, -window.height // 4),
                slice(window.width // 4, -window.width // 4),
            )
            x, y = window.centres()
            away = [(x - step.x)[rows, columns].mean(), (y - step.y)[rows, columns].mean()]
            known.velocity_xy = np.array(away, np.float64) / elapsed_s

    def _shown(self, known: _Object, mask: _Mask, box: F64 | None) -> tuple[Bools, F64]:
        """The mask on this frame: (grid, rectangle)."""
        if known.rendered is None:
            moved = mask.time_s < self._time_s and known.by_flow
            inside = known.maps[mask.frame_seq].look_up(
                mask.values, mask.rect_xyxy, self._grey if moved else None
            )
            known.rendered = cut_out(inside, known.window, None)
            if known.rendered[0].size and known.box_xyxy is None:
                known.extent_xyxy = known.lag.inverse().rect(known.rendered[1])
        grid, rect = known.rendered
        if not grid.size:
            return grid, rect
        window = Window(known.lag.inverse().rect(rect), grid.shape[1], grid.shape[0])
        keep = clipped(
            window.rect_xyxy if box is None else _bounds(mask, box, window.rect_xyxy), self._size_wh
        )
        if keep is None:
            return np.zeros((0, 0), np.bool_), np.zeros(4)
        return cut_out(grid, window, keep)

    def _new(self, extent_xyxy: F64, box_xyxy: F64 | None) -> _Object:
        window = Window.over(_padded(extent_xyxy), _cells_per_px(extent_xyxy, self._limits.object_pixels))
        return _Object(extent_xyxy, box_xyxy, window, asked_s=self._time_s)

    def _appeared(self, frame_seq: int, rect: F64, known: _Object | None) -> _Object:
        """An object that was not known at its keyframe: it has moved as that part of the picture has."""
        scene = self._scenes[frame_seq]
        centre = (rect[:2] + rect[2:]) / 2
        extent = rect + np.tile(scene.now_of(centre) - centre, 2)
        found = self._new(extent, None)
        if known is not None:
            found.box_xyxy, found.velocity_xy = known.box_xyxy, known.velocity_xy
        found.maps[frame_seq] = scene.resampled(found.window)
        return found

    def _drop_mask(self, object_id: int) -> None:
        if known := self._objects.get(object_id):
            known.mask = known.rendered = None

    def _scene_window(self) -> Window:
        rect = np.array([0.0, 0.0, *self._size_wh])
        return Window.over(rect, SCENE_LONG_SIDE / max(self._size_wh))

    def _forget_the_gone(self) -> None:
        """Objects without a mask that none will come for, and the excess over what is kept."""
        for object_id, known in list(self._objects.items()):
            if known.mask is None and not any(seq in self._anchors for seq in known.maps):
                del self._objects[object_id]
        while len(self._objects) > self._limits.objects:
            del self._objects[min(self._objects, key=lambda key: self._objects[key].asked_s)]

    def _count(self, **more: int) -> None:
        self.statistics = replace(
            self.statistics, **{name: getattr(self.statistics, name) + count for name, count in more.items()}
        )


def _boxes_by_id(tracks: Tracks) -> dict[int, F64]:
    boxes = tracks.boxes_xyxy.astype(np.float64)
    return {int(each): boxes[row] for row, each in enumerate(tracks.track_ids.tolist()) if each > 0}


def _cells_per_px(rect: F64, pixels: int) -> float:
    return min(1.0, float(np.sqrt(pixels / max(1.0, float(np.prod(rect[2:] - rect[:2]))))))


def _padded(rect: F64) -> F64:
    pad = (rect[2:] - rect[:2]) * PAD_SHARE + PAD_PX
    return np.concatenate((rect[:2] - pad, rect[2:] + pad))


def _extent(known: _Object, box: F64 | None, guess: Axes) -> F64:
    """Where the object is now: its box, with what of the mask reached over it."""
    moved = guess.inverse().rect(known.extent_xyxy)
    if box is None:
        return moved
    return box if known.mask is None or known.mask.margins is None else _bounds(known.mask, box, moved)


def _margins(grid: Bools, rect: F64, box: F64) -> F64:
    """How far a mask reaches over a box on each side, in sizes of the box; not below 0."""
    _, tight = cut_out(grid, Window(rect, grid.shape[1], grid.shape[0]), None)
    size = np.maximum(box[2:] - box[:2], 1.0)
    return np.maximum(np.concatenate(((box[:2] - tight[:2]) / size, (tight[2:] - box[2:]) / size)), 0.0)


def _bounds(mask: _Mask, box: F64, otherwise: F64) -> F64:
    """What a mask cannot reach over, given the box of its object now."""
    if mask.margins is None:
        return otherwise
    size = np.tile(box[2:] - box[:2], 2)
    return box + mask.margins * size * (-1, -1, 1, 1)
