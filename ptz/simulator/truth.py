"""What a perfect observer would say of a picture: where everybody is, and how much of them is to be seen."""

from __future__ import annotations

from dataclasses import dataclass

from ptz.simulator.world import CameraMount, World
from ptz.types import F32, F64, I64, Bools, View


@dataclass(frozen=True, slots=True)
class Truth:
    """All people that are there, in the picture or not, as parallel arrays.

    ids                 int64 (n,)
    in_front            bool (n,): False = behind the lens; boxes are zeros then
    full_boxes_xyxy     float32 (n, 4): the whole body in pixels, as if nothing hid it and the picture had no edge
    visible_boxes_xyxy  float32 (n, 4): what is to be seen of it in the picture; zeros where nothing is
    visibility          float32 (n,): share of the body that is in the picture and not hidden, 0..1
    fully_in_frame      bool (n,): the full box is inside the picture
    pan_deg, tilt_deg   (n,): direction from the camera to the middle of the body, whether in the picture or not
    distance_m          (n,): to the middle of the body
    """

    time_s: float
    view: View
    ids: I64
    in_front: Bools
    full_boxes_xyxy: F32
    visible_boxes_xyxy: F32
    visibility: F32
    fully_in_frame: Bools
    pan_deg: F64
    tilt_deg: F64
    distance_m: F64

    def __len__(self) -> int:
        return len(self.ids)


def truth(world: World, camera: CameraMount, view: View, time_s: float) -> Truth:
    """What is to be seen from `camera` through `view`, `time_s` after the scene's start."""
    raise NotImplementedError
