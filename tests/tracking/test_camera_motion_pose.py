"""Motion from poses: the same as what pictures of a camera with these poses show."""

from __future__ import annotations

import numpy as np
import pytest

from engine.tracking.camera_motion import CameraMotion, Warp
from engine.tracking.camera_motion_pose import is_usable, motion_between
from engine.tracking.camera_motion_warp import points_through
from engine.types import U8, PtzPose
from tests.tracking.moving_camera import AHEAD, NO_BOXES, error_px, frame_of, view, wall

SIZE = (768, 576)
WALL = wall()
BLACK = np.zeros((576, 768), np.uint8)


def step(motion: CameraMotion, before: tuple[U8, PtzPose | None], now: tuple[U8, PtzPose | None]) -> Warp:
    motion.estimate(frame_of(*before), NO_BOXES)
    return motion.estimate(frame_of(*now), NO_BOXES)


@pytest.mark.parametrize(
    ("now", "way_xy"),
    [
        (PtzPose(1, 0, 60), (-11.6, 0.0)),
        (PtzPose(359, 0, 60), (11.6, 0.0)),
        (PtzPose(0, 1, 60), (0.0, 11.6)),
        (PtzPose(0, 0, 60, 90), (0.0, 0.0)),
    ],
)
def test_which_way_the_middle_goes(now: PtzPose, way_xy: tuple[float, float]) -> None:
    """A camera that turns right moves its picture to the left; one that looks up moves it down."""
    matrix = motion_between(AHEAD, now, SIZE)
    assert matrix is not None
    middle = np.array([SIZE]) / 2
    assert points_through(matrix, middle) - middle == pytest.approx(np.array([way_xy]), abs=0.02)


def test_roll_turns_the_picture_clockwise() -> None:
    matrix = motion_between(AHEAD, PtzPose(0, 0, 60, 90), SIZE)
    assert matrix is not None
    top = np.array([[384.0, 188.0]])
    assert points_through(matrix, top) == pytest.approx(np.array([[484.0, 288.0]]))


def test_a_narrower_view_enlarges_from_the_middle() -> None:
    half_as_wide = 2 * np.degrees(np.arctan(np.tan(np.radians(30)) / 2))
    matrix = motion_between(AHEAD, PtzPose(0, 0, float(half_as_wide)), SIZE)
    assert matrix is not None
    assert points_through(matrix, np.array([[484.0, 338.0]])) == pytest.approx(np.array([[584.0, 388.0]]))


@pytest.mark.parametrize("tilt_deg", [-89.0, -45.0, 0.0, 30.0, 90.0])
def test_there_and_back_is_nothing(tilt_deg: float) -> None:
    one, other = PtzPose(355, tilt_deg, 60, 3), PtzPose(5, tilt_deg, 50, -2)
    there, back = motion_between(one, other, SIZE), motion_between(other, one, SIZE)
    assert there is not None and back is not None
    both = there @ back
    assert both / both[2, 2] == pytest.approx(np.eye(3), abs=1e-6)


def test_views_that_share_nothing() -> None:
    assert motion_between(AHEAD, PtzPose(90, 0, 60), SIZE) is None
    assert motion_between(AHEAD, PtzPose(180, 0, 60), SIZE) is None


@pytest.mark.parametrize(
    "now", [PtzPose(1, 0.5, 60), PtzPose(358, -1, 58, 1), PtzPose(0, 3, 60), PtzPose(4, 0, 63, -2)]
)
def test_pictures_say_the_same_as_poses(now: PtzPose) -> None:
    by_flow = step(
        CameraMotion("flow"), (view(WALL, AHEAD, SIZE, 3, 1), None), (view(WALL, now, SIZE, 3, 2), None)
    )
    by_pose = step(CameraMotion("pose"), (BLACK, AHEAD), (BLACK, now))
    assert by_pose.trusted and by_pose.reason == "pose" and by_flow.reason == "flow"
    assert error_px(by_pose.matrix, AHEAD, now, SIZE) < 1e-6
    assert error_px(by_flow.matrix, AHEAD, now, SIZE) <= 0.5


def test_pose_mode_says_nothing_without_a_pose() -> None:
    motion = CameraMotion("pose")
    assert step(motion, (BLACK, None), (BLACK, AHEAD)).reason == "no pose"
    assert motion.estimate(frame_of(BLACK, AHEAD), NO_BOXES).reason == "still"
    assert motion.estimate(frame_of(BLACK, None), NO_BOXES).reason == "no pose"
    assert motion.estimate(frame_of(BLACK, PtzPose(120, 0, 60)), NO_BOXES).reason == "no pose"
    warp = motion.estimate(frame_of(BLACK, PtzPose(300, 0, 60)), NO_BOXES)
    assert not warp.trusted and warp.reason == "far"
    assert motion.statistics.untrusted == {"first": 1, "no pose": 3, "far": 1}


def test_a_pose_that_trembles_is_no_motion_and_one_that_creeps_adds_up() -> None:
    motion = CameraMotion("pose")
    motion.estimate(frame_of(BLACK, AHEAD), NO_BOXES)
    for number in range(10):
        pose = PtzPose(0.02 * (number % 2), 0, 60)
        assert not motion.estimate(frame_of(BLACK, pose), NO_BOXES).moves
    place = np.array((384.0, 288.0, 1.0))
    for number in range(101):
        place = motion.estimate(frame_of(BLACK, PtzPose(0.01 * number, 0, 60)), NO_BOXES).matrix @ place
        place /= place[2]
    assert place[0] == pytest.approx(384 - 11.6, abs=0.7)


@pytest.mark.parametrize(
    "pose",
    [
        PtzPose(float("inf"), 0, 60), PtzPose(0, float("nan"), 60), PtzPose(0, 0, 0), PtzPose(0, 0, 180),
        PtzPose(0, 0, -5), None,
    ],
)  # fmt: skip
def test_poses_that_say_nothing(pose: PtzPose | None) -> None:
    assert not is_usable(pose)
    picture = view(WALL, AHEAD, SIZE)
    assert step(CameraMotion("auto"), (picture, pose), (picture, AHEAD)).reason == "still"


def test_the_pose_is_where_flow_begins() -> None:
    """A turn so far between two frames that flow alone does not find it."""
    now = PtzPose(14, 3, 60, 14)
    before, after = view(WALL, AHEAD, SIZE), view(WALL, now, SIZE)
    assert not step(CameraMotion("auto"), (before, None), (after, None)).trusted
    # Reported half a degree beside the truth.
    reported = PtzPose(14.5, 3.2, 60, 14)
    warp = step(CameraMotion("auto"), (before, AHEAD), (after, reported))
    assert warp.trusted and warp.reason == "flow"
    assert error_px(warp.matrix, AHEAD, now, SIZE) <= 1.5


def test_where_pictures_say_nothing_the_pose_does() -> None:
    now = PtzPose(2, 0, 60)
    motion = CameraMotion("auto")
    warp = step(motion, (BLACK, AHEAD), (BLACK, now))
    assert warp.trusted and warp.reason == "pose"
    assert error_px(warp.matrix, AHEAD, now, SIZE) < 1e-6
    assert motion.statistics.untrusted == {"first": 1} and motion.statistics.moved == 1


def test_pictures_are_believed_before_a_pose_that_comes_late() -> None:
    """The camera has turned, and has not said so yet."""
    now = PtzPose(1.5, 0, 60)
    warp = step(CameraMotion("auto"), (view(WALL, AHEAD, SIZE), AHEAD), (view(WALL, now, SIZE), AHEAD))
    assert warp.reason == "flow" and error_px(warp.matrix, AHEAD, now, SIZE) <= 0.5


def test_a_still_camera_whose_pose_trembles_gives_nothing() -> None:
    motion = CameraMotion("auto")
    for number in range(20):
        frame = frame_of(view(WALL, AHEAD, SIZE, 4, number), PtzPose(0.05 * (number % 3), 0, 60))
        assert not motion.estimate(frame, NO_BOXES).moves
