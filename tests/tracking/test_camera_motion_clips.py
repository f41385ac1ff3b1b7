"""Camera motion on real clips: a still camera, cuts between scenes, and a camera that pans over people."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.camera_motion import tracked
from bench.camera_motion_scenes import frame_of, pets, pictures_of, seen_through, ways
from engine.tracking.base import create_tracker
from engine.tracking.camera_motion import CameraMotion
from engine.tracking.settings import TrackerSettings
from tests.tracking.moving_camera import NO_BOXES

pytestmark = pytest.mark.data


def test_a_still_camera_changes_nothing_at_all(data_dir: Path) -> None:
    """Compressed pictures, and people whom no box hides: the tracker's answers are the same to the byte."""
    trackers = [
        create_tracker("botsort", settings=TrackerSettings(camera_motion=mode)) for mode in ("off", "flow")
    ]
    motion = CameraMotion("flow")
    for still in pets(data_dir, 150):
        frame = frame_of(still.picture)
        assert not motion.estimate(frame, NO_BOXES).moves
        off, flow = (tracker.update(still.detections, still.time_s, frame) for tracker in trackers)
        assert off.track_ids.tobytes() == flow.track_ids.tobytes()
        assert off.velocities_xy.tobytes() == flow.velocities_xy.tobytes()
    assert motion.statistics.untrusted == {"first": 1}


def test_cuts_between_scenes_are_not_motion(data_dir: Path) -> None:
    names = ("et_01_dog", "et_08_driving", "et_12_hideandseek")
    shots = [pictures_of(data_dir / "clips" / f"{name}.mp4", 12)[::4] for name in names]
    motion = CameraMotion("flow")
    for number in range(3):
        for shot in shots:
            warp = motion.estimate(frame_of(shot[number]), NO_BOXES)
            assert not warp.trusted and not warp.moves, warp.reason


def test_light_that_changes_is_not_motion(data_dir: Path) -> None:
    """Half as bright within a second, and then bright again at once, as with a lamp or an exposure that adapts."""
    pictures = pictures_of(data_dir / "clips" / "et_01_dog.mp4", 40)
    motion = CameraMotion("flow")
    for number, picture in enumerate(pictures):
        lit = np.asarray(
            cv2.convertScaleAbs(picture, alpha=max(0.5, 0.97**number) if number < 35 else 0.8), np.uint8
        )
        assert not motion.estimate(frame_of(lit), NO_BOXES).moves
    assert motion.statistics.untrusted == {"first": 1}


def test_a_pan_costs_a_third_of_the_switches_at_most(data_dir: Path) -> None:
    """20 °/s over the people of PETS, who are 30 pixels wide and go by 24 a frame."""
    stills = pets(data_dir, 120)
    moments = list(seen_through(stills, ways((768, 576), (512, 384))["pan, half width"], (512, 384)))
    off, on = tracked(moments, "off"), tracked(moments, "flow")
    assert off[0] > 60 and on[0] <= off[0] / 3
    assert on[1] > 2 * off[1]
    assert on[2] == 0
