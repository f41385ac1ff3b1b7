"""One object whose mask is moved: where it is, its maps to keyframes, and the mask as it came.

Knows neither the other objects nor how much time there is for flow.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from engine.segmentation.mask_motion_flow import Grey, Map, Step
from engine.segmentation.mask_motion_window import F64, Axes, Window, between_boxes, clipped, cut_out
from engine.types import F32, Bools, MaskSource

PAD_SHARE = 0.1
PAD_PX = 4.0
"""What a window has more than its object on each side: a share of the object, and pixels."""
NO_GRID = np.zeros((0, 0), np.bool_)


@dataclass(frozen=True, slots=True)
class PlacedMask:
    """A mask as it came: shares float32 (rows, columns) over a rectangle of its keyframe.

    margins  how far it reached over its object's box: left, top, right, bottom in sizes of the box, not below 0; None
             where there was no box
    """

    shares: F32
    rect_xyxy: F64
    frame_seq: int
    time_s: float
    confidence: float
    source: MaskSource
    margins: F64 | None

    def bounds(self, box_xyxy: F64) -> F64 | None:
        """What the mask cannot reach over now that its object has this box; None where nothing is known of that."""
        if self.margins is None:
            return None
        size = np.tile(box_xyxy[2:] - box_xyxy[:2], 2)
        return box_xyxy + self.margins * size * (-1, -1, 1, 1)


@dataclass(slots=True)
class MovedObject:
    """What is known of one object.

    extent_xyxy  where it is on this frame: its box, or its mask
    box_xyxy     its track's box on this frame, None where it has none
    window       that of the last step by flow; the maps are of this window on that frame
    maps         by the number of the keyframe that they lead to
    lag          from this frame to that of the window
    boxes        its track's boxes on the keyframes
    velocity_xy  of what is in the middle of the window, in pixels per second
    asked_s      when its mask was asked for last
    by_flow      whether the last step was by flow
    rendered     the mask on the frame of the window and its rectangle there; None before anybody asks
    """

    extent_xyxy: F64
    box_xyxy: F64 | None
    window: Window
    asked_s: float
    mask: PlacedMask | None = None
    maps: dict[int, Map] = field(default_factory=dict)
    lag: Axes = field(default_factory=Axes.identity)
    boxes: dict[int, F64 | None] = field(default_factory=dict)
    velocity_xy: F64 = field(default_factory=lambda: np.zeros(2))
    by_flow: bool = False
    rendered: tuple[Bools, F64] | None = None

    def anchor(self, frame_seq: int) -> None:
        """This frame is a keyframe."""
        self.maps[frame_seq] = Map.affine(self.window, self.lag.inverse())
        self.boxes[frame_seq] = self.box_xyxy

    def release(self, frame_seq: int) -> None:
        """Nothing more will come for this keyframe; the map of the mask that is there is kept."""
        self.boxes.pop(frame_seq, None)
        if self.mask is None or self.mask.frame_seq != frame_seq:
            self.maps.pop(frame_seq, None)

    def put(self, mask: PlacedMask, still_anchored: bool) -> None:
        """A new mask instead of the old one, whose map goes unless its keyframe is still under way."""
        if self.mask is not None and self.mask.frame_seq != mask.frame_seq and not still_anchored:
            self.maps.pop(self.mask.frame_seq, None)
        self.mask, self.rendered = mask, None

    def go_on(self, box_xyxy: F64 | None, elapsed_s: float, size_wh: tuple[int, int]) -> Axes:
        """Move to the next frame without looking at it. Returns the way back from there as it can be guessed."""
        back = Axes(np.ones(2), -self.velocity_xy * elapsed_s)
        if box_xyxy is not None and self.box_xyxy is not None:
            back = between_boxes(box_xyxy, self.box_xyxy, size_wh) or back
        self.extent_xyxy = back.inverse().rect(self.extent_xyxy)
        self.box_xyxy = box_xyxy
        if box_xyxy is not None:
            bounds = self.mask.bounds(box_xyxy) if self.mask else box_xyxy
            self.extent_xyxy = box_xyxy if bounds is None else bounds
        return back

    def step_by_box(self, back: Axes) -> None:
        """The object went as guessed."""
        self.lag = self.lag.after(back)
        self.by_flow = False

    def step_by_flow(self, step: Step, back: Axes, elapsed_s: float) -> None:
        """The object went as the pixels say. `back` is the guess that the flow began with."""
        if self.mask is not None and self.box_xyxy is None:
            moved = self.maps[self.mask.frame_seq].carried(step, self.lag)
            step = step.led_by(moved.shares(self.mask.shares, self.mask.rect_xyxy), back)
        self.maps = {seq: each.carried(step, self.lag) for seq, each in self.maps.items()}
        self.window, self.lag, self.rendered, self.by_flow = step.window, Axes.identity(), None, True
        if elapsed_s > 0:
            self.velocity_xy = step.middle_xy() / elapsed_s

    def shown(
        self, now: Grey, time_s: float, box_xyxy: F64 | None, size_wh: tuple[int, int]
    ) -> tuple[Bools, F64]:
        """The mask on this frame: (grid, rectangle); no cells where there is none, or nothing of it in the picture."""
        if self.mask is None:
            return NO_GRID, np.zeros(4)
        grid, rect = self._rendered(self.mask, now, time_s)
        if not grid.size:
            return grid, rect
        window = Window(self.lag.inverse().rect(rect), grid.shape[1], grid.shape[0])
        if self.box_xyxy is None:
            self.extent_xyxy = window.rect_xyxy
        bounds = None if box_xyxy is None else self.mask.bounds(box_xyxy)
        keep = clipped(window.rect_xyxy if bounds is None else bounds, size_wh)
        return (NO_GRID, np.zeros(4)) if keep is None else cut_out(grid, window, keep)

    def _rendered(self, mask: PlacedMask, now: Grey, time_s: float) -> tuple[Bools, F64]:
        if self.rendered is None:
            # The outline of a mask of this very frame is the segmenter's to say.
            guide = now if self.by_flow and mask.time_s < time_s else None
            inside = self.maps[mask.frame_seq].look_up(mask.shares, mask.rect_xyxy, guide)
            self.rendered = cut_out(inside, self.window, None)
        return self.rendered


def padded(rect_xyxy: F64) -> F64:
    """The rectangle of the window for an object that is in this one."""
    pad = (rect_xyxy[2:] - rect_xyxy[:2]) * PAD_SHARE + PAD_PX
    return np.concatenate((rect_xyxy[:2] - pad, rect_xyxy[2:] + pad))


def margins(grid: Bools, rect_xyxy: F64, box_xyxy: F64) -> F64:
    """`PlacedMask.margins` of a grid with set cells over a rectangle."""
    _, tight = cut_out(grid, Window(rect_xyxy, grid.shape[1], grid.shape[0]), None)
    size = np.maximum(box_xyxy[2:] - box_xyxy[:2], 1.0)
    over = np.concatenate(((box_xyxy[:2] - tight[:2]) / size, (tight[2:] - box_xyxy[2:]) / size))
    return np.asarray(np.maximum(over, 0.0), np.float64)
