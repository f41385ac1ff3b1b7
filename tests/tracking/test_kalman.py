"""The vectorised filter against the textbook's dense one, and its behaviour in time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.tracking.camera_motion_warp import Warp
from engine.tracking.kalman import (
    COVARIANCE,
    F64,
    PAPER_FPS,
    POSITION,
    VARIANCE,
    VELOCITY,
    VELOCITY_VARIANCE,
    BoxModel,
    CentreAspect,
    CentreSize,
    KalmanFilter,
)

MODELS = [CentreSize(), CentreAspect()]
BOXES = np.array([[100.0, 50.0, 140.0, 170.0], [600.0, 300.0, 900.0, 420.0], [5.0, 5.0, 6.0, 9.0]])


class DenseFilter:
    """One track, 8×8 matrices, as in the papers; process noise integrated over the step."""

    def __init__(self, model: BoxModel, state: F64) -> None:
        self.model = model
        self.mean = np.concatenate((state[POSITION], state[VELOCITY]))
        self.covariance = np.diag(np.concatenate((state[VARIANCE], state[VELOCITY_VARIANCE])))
        self.covariance[:4, 4:] = self.covariance[4:, :4] = np.diag(state[COVARIANCE])

    def _scales(self) -> F64:
        scales: F64 = self.model.scales(self.mean[None, :4])[0]
        return scales

    def predict(self, dt_s: float) -> None:
        position_walk = (self._scales() * self.model.position) ** 2 * PAPER_FPS
        velocity_walk = (self._scales() * self.model.velocity * PAPER_FPS) ** 2 * PAPER_FPS
        transition = np.eye(8)
        transition[:4, 4:] = dt_s * np.eye(4)
        noise = np.zeros((8, 8))
        noise[:4, :4] = np.diag(position_walk * dt_s + velocity_walk * dt_s**3 / 3)
        noise[:4, 4:] = noise[4:, :4] = np.diag(velocity_walk * dt_s**2 / 2)
        noise[4:, 4:] = np.diag(velocity_walk * dt_s)
        self.mean = transition @ self.mean
        self.covariance = transition @ self.covariance @ transition.T + noise

    def correct(self, box_xyxy: F64) -> None:
        observe = np.eye(4, 8)
        noise = np.diag((self._scales() * self.model.measurement) ** 2)
        total = observe @ self.covariance @ observe.T + noise
        gain = self.covariance @ observe.T @ np.linalg.inv(total)
        residual = self.model.coordinates(box_xyxy[None])[0] - observe @ self.mean
        self.mean = self.mean + gain @ residual
        self.covariance = self.covariance - gain @ total @ gain.T


@pytest.mark.parametrize("model", MODELS)
def test_blocks_equal_the_dense_filter(model: BoxModel) -> None:
    rng = np.random.default_rng(3)
    kalman = KalmanFilter(model)
    states = kalman.initiate(BOXES)
    dense = [DenseFilter(model, state) for state in states]
    for dt_s in (1 / 30, 1 / 30, 0.5, 1 / 120, 1.0, 1 / 30):
        boxes = BOXES + rng.normal(0, 2, BOXES.shape) * (1, 1, 1.5, 1.5)
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        kalman.predict(states, dt_s)
        kalman.correct(states, np.array([0, 2]), boxes[[0, 2]])
        for i, one in enumerate(dense):
            one.predict(dt_s)
            if i != 1:
                one.correct(boxes[i])
            np.testing.assert_allclose(states[i, POSITION], one.mean[:4], rtol=1e-9)
            np.testing.assert_allclose(states[i, VELOCITY], one.mean[4:], rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(states[i, VARIANCE], np.diag(one.covariance)[:4], rtol=1e-9)
            np.testing.assert_allclose(states[i, COVARIANCE], np.diag(one.covariance[:4, 4:]), rtol=1e-9)
            np.testing.assert_allclose(states[i, VELOCITY_VARIANCE], np.diag(one.covariance)[4:], rtol=1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_squared_distances_equal_the_dense_filter(model: BoxModel) -> None:
    kalman = KalmanFilter(model)
    states = kalman.initiate(BOXES)
    kalman.predict(states, 0.2)
    others = BOXES[[1, 0]] + 7
    distances = kalman.squared_distances(states, others)
    for i, state in enumerate(states):
        one = DenseFilter(model, state)
        total = one.covariance[:4, :4] + np.diag((one._scales() * model.measurement) ** 2)
        for j, residual in enumerate(model.coordinates(others) - one.mean[:4]):
            assert distances[i, j] == pytest.approx(residual @ np.linalg.inv(total) @ residual)


@pytest.mark.parametrize("model", MODELS)
def test_boxes_survive_the_coordinates(model: BoxModel) -> None:
    np.testing.assert_allclose(model.boxes_xyxy(model.coordinates(BOXES)), BOXES)


@pytest.mark.parametrize("fps", [1, 7, 30, 120])
def test_speed_is_per_second_at_any_frame_rate(fps: int) -> None:
    kalman = KalmanFilter(CentreSize())
    states = kalman.initiate(BOXES[:1])
    for k in range(1, 4 * max(fps, 5)):
        kalman.predict(states, 1 / fps)
        kalman.correct(states, np.array([0]), BOXES[:1] + np.array((60, -20, 60, -20)) * k / fps)
    np.testing.assert_allclose(states[0, VELOCITY, :2], (60, -20), rtol=0.05)


def test_one_long_step_is_many_short_ones() -> None:
    """Exact where the noise's scale does not change on the way: the box keeps its size."""
    kalman = KalmanFilter(CentreSize())
    long, short = kalman.initiate(BOXES), kalman.initiate(BOXES)
    long[:, VELOCITY, :2] = short[:, VELOCITY, :2] = (30, 5)
    kalman.predict(long, 0.4)
    for _ in range(8):
        kalman.predict(short, 0.05)
    np.testing.assert_allclose(long, short, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_rescale_equals_tracking_the_larger_picture(model: BoxModel) -> None:
    kalman = KalmanFilter(model)
    states = kalman.initiate(BOXES)
    kalman.predict(states, 0.1)
    kalman.rescale(states, 2.0, 2.0)
    doubled = kalman.initiate(BOXES * 2)
    kalman.predict(doubled, 0.1)
    np.testing.assert_allclose(states[:2], doubled[:2], rtol=1e-9)


def test_forget_motion_keeps_the_place() -> None:
    kalman = KalmanFilter(CentreSize())
    states = kalman.initiate(BOXES)
    states[:, VELOCITY] = 100
    kalman.forget_motion(states)
    np.testing.assert_array_equal(states, kalman.initiate(BOXES))


def moving_states(kalman: KalmanFilter) -> F64:
    states = kalman.initiate(BOXES)
    kalman.predict(states, 0.1)
    kalman.correct(states, np.arange(len(BOXES)), BOXES + 7)
    states[:, VELOCITY, :2] = (30, -20)
    return states


@pytest.mark.parametrize("model", MODELS)
def test_a_shift_of_the_picture_moves_places_and_nothing_else(model: BoxModel) -> None:
    kalman = KalmanFilter(model)
    states = moving_states(kalman)
    before = states.copy()
    matrix = np.array(((1.0, 0, -90), (0, 1, 14), (0, 0, 1)))
    assert kalman.warp(states, Warp(matrix, True, "flow"))
    before[:, POSITION, :2] += (-90, 14)
    np.testing.assert_allclose(states, before, rtol=1e-12)


@pytest.mark.parametrize("model", MODELS)
def test_a_zoom_is_a_rescaling_about_the_middle(model: BoxModel) -> None:
    """Whatever the order: everything in the picture becomes larger, speeds and doubts as well."""
    kalman = KalmanFilter(model)
    zoomed, scaled = moving_states(kalman), moving_states(kalman)
    kalman.rescale(scaled, 1.5, 1.5)
    scaled[:, POSITION, :2] += (-100, -60)
    matrix = np.array(((1.5, 0, -100), (0, 1.5, -60), (0, 0, 1)))
    assert kalman.warp(zoomed, Warp(matrix, True, "flow"))
    np.testing.assert_allclose(zoomed, scaled, rtol=1e-9)


def test_a_roll_turns_speeds_and_what_is_doubtful_about_them() -> None:
    kalman = KalmanFilter(CentreSize())
    states = moving_states(kalman)
    before = states.copy()
    matrix = np.array(((0.0, -1, 500), (1, 0, 0), (0, 0, 1)))
    assert kalman.warp(states, Warp(matrix, True, "flow"))
    np.testing.assert_allclose(states[:, VELOCITY, :2], [(20, 30)] * 3, atol=1e-9)
    np.testing.assert_allclose(states[:, VARIANCE, :2], before[:, VARIANCE, 1::-1], rtol=1e-9)
    np.testing.assert_allclose(states[:, POSITION, 2:], before[:, POSITION, 2:], rtol=1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_a_warped_filter_is_the_dense_one_with_the_matrix_of_botsort(model: BoxModel) -> None:
    """Position and speed of the centre, mean and covariance, times the turn, without what couples x and y."""
    kalman = KalmanFilter(model)
    states = moving_states(kalman)
    turn = np.array(((1.02, -0.03), (0.03, 1.02)))
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = turn, (8, -5)
    dense = states[0].copy()
    assert kalman.warp(states, Warp(matrix, True, "flow"))
    np.testing.assert_allclose(states[0, POSITION, :2], turn @ dense[POSITION, :2] + (8, -5), rtol=1e-9)
    np.testing.assert_allclose(states[0, VELOCITY, :2], turn @ dense[VELOCITY, :2], rtol=1e-9)
    for row in (VARIANCE, COVARIANCE, VELOCITY_VARIANCE):
        expected = np.diag(turn @ np.diag(dense[row, :2]) @ turn.T)
        np.testing.assert_allclose(states[0, row, :2], expected, rtol=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0, -1.0, 1e9, 1e300])
def test_a_warp_that_cannot_be_true_changes_nothing(bad: float) -> None:
    kalman = KalmanFilter(CentreSize())
    states = moving_states(kalman)
    before = states.copy()
    matrix = np.eye(3)
    matrix[0, 0] = bad
    assert not kalman.warp(states, Warp(matrix, True, "flow"))
    np.testing.assert_array_equal(states, before)
    assert kalman.warp(states[:0], Warp(np.eye(3), True, "flow"))


@settings(max_examples=50, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.floats(1e-3, 20), st.floats(-500, 500), st.booleans()), min_size=1, max_size=30
    ),
    model=st.sampled_from(MODELS),
)
def test_variances_stay_positive(steps: list[tuple[float, float, bool]], model: BoxModel) -> None:
    kalman = KalmanFilter(model)
    states = kalman.initiate(BOXES)
    for dt_s, shift, seen in steps:
        kalman.predict(states, dt_s)
        if seen:
            kalman.correct(states, np.arange(len(BOXES)), BOXES + shift)
        boxes = model.boxes_xyxy(states[:, POSITION])
        assert np.isfinite(states).all()
        assert (states[:, VARIANCE] > 0).all()
        assert (states[:, VELOCITY_VARIANCE] > 0).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
