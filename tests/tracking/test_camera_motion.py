"""Camera motion: known motions are found, what is not the background does not count, and nonsense is not answered."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from engine.tracking.camera_motion import MODES, CameraMotion, Warp
from engine.types import U8, FrameFlag, PtzPose
from tests.tracking.moving_camera import AHEAD, NO_BOXES, error_px, flagged, frame_of, view, wall

SIZE = (768, 576)
WALL = wall()


def step(
    motion: CameraMotion, before: U8, now: U8, boxes_before: object = NO_BOXES, boxes_now: object = NO_BOXES
) -> Warp:
    """The motion between two pictures."""
    motion.estimate(frame_of(before), np.asarray(boxes_before, np.float64))
    return motion.estimate(frame_of(now), np.asarray(boxes_now, np.float64))


def is_nothing(warp: Warp) -> bool:
    return not warp.moves and not warp.trusted


@pytest.mark.parametrize(
    "now",
    [
        PtzPose(0.8, 0, 60),
        PtzPose(357.1, 0, 60),
        PtzPose(0, 2.0, 60),
        PtzPose(1.0, -1.0, 60, 1.5),
        PtzPose(0, 0, 57),
        PtzPose(0, 0, 64),
        PtzPose(0, 0, 60, -4),
        PtzPose(5.0, 1, 59, 1),
        PtzPose(0.1, 0.05, 60),
    ],
)
@pytest.mark.parametrize("size_wh", [(768, 576), (1280, 720), (643, 481)])
def test_known_motions_are_found(now: PtzPose, size_wh: tuple[int, int]) -> None:
    before, after = view(WALL, AHEAD, size_wh, 3, 1), view(WALL, now, size_wh, 3, 2)
    warp = step(CameraMotion("flow"), before, after)
    assert warp.trusted and warp.reason == "flow" and warp.matrix[2, 2] == 1
    assert error_px(warp.matrix, AHEAD, now, size_wh) <= 0.5


def test_a_camera_is_followed_from_frame_to_frame() -> None:
    """To and fro at 20 °/s and 25 frames a second, with corners carried on and looked for anew."""
    motion, before = CameraMotion("flow"), None
    for number in range(40):
        pose = PtzPose(12 * np.sin(number / 15), 2 * np.sin(number / 9), 60 + np.sin(number / 5))
        warp = motion.estimate(frame_of(view(WALL, pose, SIZE, 3, number)), NO_BOXES)
        if before is not None:
            assert error_px(warp.matrix, before, pose, SIZE) <= 0.5
        before = pose
    assert motion.statistics.moved == 39 and motion.statistics.untrusted == {"first": 1}


def test_rows_may_be_any_number_of_bytes_apart() -> None:
    now = PtzPose(1, 0, 60)
    motions = [CameraMotion("flow"), CameraMotion("flow")]
    for pose in (AHEAD, now):
        picture = view(WALL, pose, SIZE)
        tight, wide = (
            motion.estimate(frame_of(picture, padding=padding), NO_BOXES)
            for motion, padding in zip(motions, (0, 250), strict=True)
        )
        assert np.array_equal(tight.matrix, wide.matrix)


def test_nothing_of_a_frame_is_kept_but_a_copy() -> None:
    """The slot is written again as soon as the tracker has returned."""
    motion, other = CameraMotion("flow"), CameraMotion("flow")
    for number in range(4):
        picture = view(WALL, PtzPose(number * 0.5, 0, 60), (320, 240))
        frame = frame_of(picture)
        found = motion.estimate(frame, NO_BOXES)
        frame.y[:] = 0
        assert np.array_equal(found.matrix, other.estimate(frame_of(picture), NO_BOXES).matrix)
    assert other.statistics.moved == 3


def with_patch(picture: U8, patch: U8, left: int, top: int) -> U8:
    out = picture.copy()
    out[top : top + patch.shape[0], left : left + patch.shape[1]] = patch
    return out


@pytest.mark.parametrize("masked", [True, False])
def test_a_foreground_over_two_fifths_of_the_picture_does_not_win(masked: bool) -> None:
    """Three quarters of the width, half of the height: it goes another way than the background."""
    now = PtzPose(0.8, 0, 60)
    patch = wall(1800, seed=9)[200:496, 100:700]
    before = with_patch(view(WALL, AHEAD, SIZE), patch, 80, 150)
    after = with_patch(view(WALL, now, SIZE), patch, 92, 155)
    boxes = [[[80, 150, 680, 446]], [[92, 155, 692, 451]]] if masked else [NO_BOXES, NO_BOXES]
    warp = step(CameraMotion("flow"), before, after, *boxes)
    assert warp.trusted
    assert error_px(warp.matrix, AHEAD, now, SIZE) <= 0.5


def test_masks_let_a_fifth_of_the_picture_tell() -> None:
    now = PtzPose(0.8, 0, 60)
    patch = wall(1800, seed=9)[100:676, 100:700]
    before = with_patch(view(WALL, AHEAD, SIZE), patch[:, :580], 90, 0)
    after = with_patch(view(WALL, now, SIZE), patch[:, :580], 102, 0)
    boxes = [[90, 0, 670, 576]], [[102, 0, 682, 576]]
    masked = step(CameraMotion("flow"), before, after, *boxes)
    assert masked.trusted and error_px(masked.matrix, AHEAD, now, SIZE) <= 0.6
    fooled = step(CameraMotion("flow"), before, after)
    assert error_px(fooled.matrix, AHEAD, now, SIZE) > 5


@pytest.mark.parametrize(("right", "bottom"), [(480, 400), (330, 300)])
def test_a_thing_that_is_seen_through_a_cut_is_not_the_scene(right: int, bottom: int) -> None:
    """Nothing of the background is found again, and what nobody has put a box around goes on over a part of it."""
    patch = wall(1800, seed=9)[200 : 200 + bottom - 80, 100 : 100 + right - 80]
    before = with_patch(PICTURE, patch, 80, 80)
    for way in (0, 14):
        warp = step(CameraMotion("flow"), before, with_patch(OTHER, patch, 80 + way, 80))
        assert is_nothing(warp), warp.reason


def test_what_is_written_over_the_picture_does_not_hold_it() -> None:
    """A clock and a name, as cameras burn them in."""
    now = PtzPose(0.8, 0.3, 60)
    pictures = []
    for pose in (AHEAD, now):
        picture = view(WALL, pose, SIZE)
        for text, place in (("2026-11-22 10:00:00", (10, 30)), ("CAMERA 1", (560, 560))):
            cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 1, 0, 5)
            cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 1, 255, 2)
        pictures.append(picture)
    warp = step(CameraMotion("flow"), *pictures)
    assert warp.trusted and error_px(warp.matrix, AHEAD, now, SIZE) <= 0.5


@pytest.mark.parametrize("mode", ["flow", "ecc"])
def test_a_still_camera_gives_exactly_nothing(mode: str) -> None:
    motion = CameraMotion(mode)
    for number in range(40):
        warp = motion.estimate(frame_of(view(WALL, AHEAD, SIZE, 6, number)), NO_BOXES)
        assert np.array_equal(warp.matrix, np.eye(3)) and not warp.moves
        assert warp.trusted == (number > 0) and warp.reason == ("still" if number else "first")
    assert motion.statistics.moved == 0


def test_a_still_camera_before_something_that_moves_gives_nothing() -> None:
    """Half of the picture drifts and nobody has put a box around it."""
    motion, ground = CameraMotion("flow"), view(WALL, AHEAD, SIZE)
    waves = wall(1800, seed=9)[:290]
    for number in range(10):
        picture = with_patch(ground, waves[:, 3 * number : 3 * number + 768], 0, 286)
        assert not motion.estimate(frame_of(picture), NO_BOXES).moves


def test_what_creeps_adds_up() -> None:
    """A tenth of a pixel a frame is below what counts as motion; a camera that goes on like this is followed."""
    motion, pose, place = CameraMotion("flow"), AHEAD, np.array((384.0, 288.0, 1.0))
    for number in range(60):
        pose = PtzPose(number * 0.0086, 0, 60)
        place = motion.estimate(frame_of(view(WALL, pose, SIZE, 2, number)), NO_BOXES).matrix @ place
        place /= place[2]
    focal_px = 384 / np.tan(np.radians(30))
    assert abs(place[0] - (384 - focal_px * np.tan(np.radians(pose.pan_deg)))) < 1.0
    assert motion.statistics.moved < 30


def test_a_large_step_is_found_by_overlap() -> None:
    """A third of the picture at once, as after missing frames: further than flow looks."""
    now = PtzPose(18.0, 0, 60)
    warp = step(CameraMotion("flow"), view(WALL, AHEAD, SIZE), view(WALL, now, SIZE))
    assert warp.trusted and error_px(warp.matrix, AHEAD, now, SIZE) <= 1.0


BLACK = np.zeros((576, 768), np.uint8)
GREY = np.full((576, 768), 128, np.uint8)
NOISE = np.random.default_rng(3).normal(12, 2, (576, 768)).clip(0, 255).astype(np.uint8)
PICTURE = view(WALL, AHEAD, SIZE)
OTHER = view(wall(1800, seed=5), AHEAD, SIZE)
FOG = np.asarray(cv2.GaussianBlur(PICTURE, (0, 0), 60), np.uint8)


@pytest.mark.parametrize("mode", ["flow", "ecc", "auto"])
@pytest.mark.parametrize(
    ("before", "now"),
    [
        (BLACK, BLACK),
        (GREY, GREY),
        (NOISE, np.roll(NOISE, 7, axis=1)[::-1]),
        (PICTURE, BLACK),
        (BLACK, PICTURE),
        (PICTURE, OTHER),
        (PICTURE, PICTURE[::-1]),
        (PICTURE, 255 - OTHER),
    ],
    ids=["black", "grey", "noise", "goes dark", "light on", "cut", "upside down", "cut to a negative"],
)
def test_nothing_is_said_of_pictures_that_say_nothing(mode: str, before: U8, now: U8) -> None:
    motion = CameraMotion(mode)
    warp = step(motion, before, now)
    assert is_nothing(warp), warp.reason
    assert sum(motion.statistics.untrusted.values()) == 2


def test_it_goes_on_after_a_cut() -> None:
    motion = CameraMotion("flow")
    step(motion, PICTURE, OTHER)
    now = PtzPose(0.5, 0, 60)
    warp = motion.estimate(frame_of(view(wall(1800, seed=5), now, SIZE)), NO_BOXES)
    assert warp.trusted and error_px(warp.matrix, AHEAD, now, SIZE) <= 0.5


def test_a_blurred_picture_in_between_does_no_harm() -> None:
    motion, now = CameraMotion("flow"), PtzPose(1.0, 0, 60)
    assert not step(motion, PICTURE, FOG).moves
    motion.estimate(frame_of(PICTURE), NO_BOXES)
    warp = motion.estimate(frame_of(view(WALL, now, SIZE)), NO_BOXES)
    assert warp.trusted and error_px(warp.matrix, AHEAD, now, SIZE) <= 0.5


def test_everything_is_covered_by_boxes() -> None:
    motion, whole = CameraMotion("flow"), [[-10, -10, 800, 600]]
    assert is_nothing(step(motion, PICTURE, PICTURE, whole, whole))
    assert motion.statistics.untrusted == {"first": 1, "covered": 1}
    # And from then on it is not.
    assert is_nothing(motion.estimate(frame_of(PICTURE), NO_BOXES))
    assert motion.estimate(frame_of(PICTURE), NO_BOXES).reason == "still"


@pytest.mark.parametrize("mode", ["flow", "ecc"])
def test_boxes_that_are_no_boxes_do_no_harm(mode: str) -> None:
    nan, inf = float("nan"), float("inf")
    odd = [
        [nan, 0, 10, 10], [10, 10, 5, 5], [0, 0, 0, 0], [-inf, 5, 3, 7], [-1e9, -1e9, -1e8, -1e8],
        [700, 500, 1e9, inf], [5, 5, inf, 6],
    ]  # fmt: skip
    now = PtzPose(0.8, 0, 60)
    warp = step(CameraMotion(mode), PICTURE, view(WALL, now, SIZE), odd, odd)
    assert warp.trusted and error_px(warp.matrix, AHEAD, now, SIZE) <= (0.5 if mode == "flow" else 5)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "size_wh", [(1, 1), (2, 3), (16, 16), (31, 200), (5, 1500), (1500, 5), (40, 33), (65, 1)]
)
def test_tiny_pictures(mode: str, size_wh: tuple[int, int]) -> None:
    motion = CameraMotion(mode)
    for seed in range(3):
        width, height = size_wh
        picture = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
        warp = motion.estimate(frame_of(picture), NO_BOXES)
        assert np.isfinite(warp.matrix).all() and not warp.moves


def test_another_size_begins_anew() -> None:
    motion = CameraMotion("flow")
    motion.estimate(frame_of(PICTURE), NO_BOXES)
    smaller = view(WALL, AHEAD, (640, 480))
    warp = motion.estimate(frame_of(smaller), NO_BOXES)
    assert is_nothing(warp) and warp.reason == "size"
    assert motion.estimate(frame_of(smaller), NO_BOXES).reason == "still"


def test_nothing_is_concluded_over_a_discontinuity() -> None:
    motion, now = CameraMotion("flow"), view(WALL, PtzPose(1, 0, 60), SIZE)
    motion.estimate(frame_of(PICTURE), NO_BOXES)
    warp = motion.estimate(flagged(frame_of(now), FrameFlag.DISCONTINUITY), NO_BOXES)
    assert is_nothing(warp) and warp.reason == "discontinuity"
    assert motion.estimate(frame_of(now), NO_BOXES).reason == "still"


def test_corners_in_one_place_do_not_tell_of_the_whole_picture() -> None:
    """All texture is in a corner an eighth as wide as the picture."""
    before, after = GREY.copy(), GREY.copy()
    before[10:80, 10:106] = PICTURE[10:80, 10:106]
    after[14:84, 16:112] = PICTURE[10:80, 10:106]
    warp = step(CameraMotion("flow"), before, after)
    assert is_nothing(warp) and warp.reason in ("texture", "one place", "lost")


def test_the_same_pictures_always_give_the_same() -> None:
    """Whatever other cameras of this process do meanwhile, and however OpenCV's random numbers stand."""
    poses = [PtzPose(0.6 * number, 0.1 * number, 60) for number in range(8)]
    pictures = [view(WALL, pose, SIZE, 3, number) for number, pose in enumerate(poses)]
    alone = CameraMotion("flow")
    expected = [alone.estimate(frame_of(picture), NO_BOXES).matrix for picture in pictures]
    motion, other = CameraMotion("flow"), CameraMotion("flow")
    for number, (picture, matrix) in enumerate(zip(pictures, expected, strict=True)):
        cv2.setRNGSeed(number)
        other.estimate(frame_of(pictures[-1 - number]), NO_BOXES)
        assert motion.estimate(frame_of(picture), NO_BOXES).matrix.tobytes() == matrix.tobytes()


def test_ecc_finds_small_steps() -> None:
    now = PtzPose(0.5, 0.2, 59.5)
    warp = step(CameraMotion("ecc"), PICTURE, view(WALL, now, SIZE, 3))
    assert warp.trusted and warp.reason == "ecc"
    assert error_px(warp.matrix, AHEAD, now, SIZE) <= 2.0


def test_off_looks_at_nothing() -> None:
    warp = step(CameraMotion("off"), PICTURE, OTHER)
    assert warp.trusted and not warp.moves and warp.reason == "off"


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="must be one of auto, flow, ecc, pose, off, not 'gmc'"):
        CameraMotion("gmc")
