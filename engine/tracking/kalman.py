"""Constant-velocity Kalman filter for boxes, over all tracks at once and aware of time.

Knows how boxes move and how sure we are of it. Does not know detections' scores, identities or which box
belongs to which track.

Transition, process noise and measurement noise of the SORT family never couple one box coordinate with
another, so the usual 8×8 covariance is four 2×2 blocks and zeros. Only the blocks are kept. The result is
that of the dense filter, without matrix products or inverses.

A state is float64 (n, 5, 4): for each track the rows `POSITION`, `VELOCITY` (per second), `VARIANCE`,
`COVARIANCE` (of position with velocity) and `VELOCITY_VARIANCE`, over the four coordinates of a `BoxModel`.

The noise weights are those of DeepSORT (arXiv:1703.07402), ByteTrack (arXiv:2110.06864) and BoT-SORT
(arXiv:2206.14651), which state them per frame of about 30 a second. Here they are random walks per second:
equal to the papers at 30 frames a second, and right for dropped frames, 1 and 120 frames a second as well.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from engine.tracking.camera_motion_warp import Warp

F64 = NDArray[np.float64]
Rows = NDArray[np.intp]

POSITION, VELOCITY, VARIANCE, COVARIANCE, VELOCITY_VARIANCE = range(5)
SIZE = slice(2, 4)
"""The coordinates that say how large a box is, in every box model."""

PAPER_FPS = 30.0
POSITION_WEIGHT = 1 / 20
VELOCITY_WEIGHT = 1 / 160
SMALLEST_BOX_PX = 1.0
LARGEST_PLACE_PX = 1e7
LARGEST_STRETCH = 10.0
"""From one frame to the next; what claims more than that is no motion of a camera."""


class BoxModel(ABC):
    """Which four numbers describe a box, and how noisy they are.

    position, velocity, measurement   (4,) standard deviations per frame at 30 fps, as shares of `scales`
    """

    position: F64
    velocity: F64
    measurement: F64

    @abstractmethod
    def coordinates(self, boxes_xyxy: F64) -> F64:
        """(n, 4) coordinates of boxes (n, 4) in pixels."""

    @abstractmethod
    def boxes_xyxy(self, coordinates: F64) -> F64:
        """(n, 4) boxes in pixels; at least `SMALLEST_BOX_PX` wide and high."""

    @abstractmethod
    def scales(self, coordinates: F64) -> F64:
        """(n, 4) what the noise of each coordinate is proportional to."""

    @abstractmethod
    def factors(self, factors_xy: F64) -> F64:
        """(n, 4) what each coordinate is multiplied by when the picture around it is, (n, 2)."""


class CentreSize(BoxModel):
    """Centre x, centre y, width, height: BoT-SORT's state."""

    position = np.full(4, POSITION_WEIGHT)
    velocity = np.full(4, VELOCITY_WEIGHT)
    measurement = np.full(4, POSITION_WEIGHT)

    def coordinates(self, boxes_xyxy: F64) -> F64:
        out = np.empty_like(boxes_xyxy)
        low, high = boxes_xyxy[:, :2], boxes_xyxy[:, 2:]
        np.add(low, high, out=out[:, :2])
        out[:, :2] *= 0.5
        np.subtract(high, low, out=out[:, 2:])
        return out

    def boxes_xyxy(self, coordinates: F64) -> F64:
        out = np.empty_like(coordinates)
        half = np.maximum(coordinates[:, 2:], SMALLEST_BOX_PX) * 0.5
        np.subtract(coordinates[:, :2], half, out=out[:, :2])
        np.add(coordinates[:, :2], half, out=out[:, 2:])
        return out

    def scales(self, coordinates: F64) -> F64:
        size = np.maximum(coordinates[:, 2:], SMALLEST_BOX_PX)
        return np.concatenate((size, size), axis=1)

    def factors(self, factors_xy: F64) -> F64:
        return np.concatenate((factors_xy, factors_xy), axis=1)


class CentreAspect(BoxModel):
    """Centre x, centre y, width / height, height: ByteTrack's state."""

    position = np.array((POSITION_WEIGHT, POSITION_WEIGHT, 1e-2, POSITION_WEIGHT))
    velocity = np.array((VELOCITY_WEIGHT, VELOCITY_WEIGHT, 1e-5, VELOCITY_WEIGHT))
    measurement = np.array((POSITION_WEIGHT, POSITION_WEIGHT, 1e-1, POSITION_WEIGHT))

    def coordinates(self, boxes_xyxy: F64) -> F64:
        size = np.maximum(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], SMALLEST_BOX_PX)
        centre = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) * 0.5
        return np.column_stack((centre, size[:, 0] / size[:, 1], size[:, 1]))

    def boxes_xyxy(self, coordinates: F64) -> F64:
        height = np.maximum(coordinates[:, 3], SMALLEST_BOX_PX)
        width = np.maximum(coordinates[:, 2] * height, SMALLEST_BOX_PX)
        half = np.column_stack((width, height)) * 0.5
        return np.concatenate((coordinates[:, :2] - half, coordinates[:, :2] + half), axis=1)

    def scales(self, coordinates: F64) -> F64:
        out = np.repeat(np.maximum(coordinates[:, 3:], SMALLEST_BOX_PX), 4, axis=1)
        out[:, 2] = 1.0
        return out

    def factors(self, factors_xy: F64) -> F64:
        return np.column_stack((factors_xy, factors_xy[:, 0] / factors_xy[:, 1], factors_xy[:, 1]))


class KalmanFilter:
    """Predict and correct states of one `BoxModel`. Holds no tracks itself."""

    def __init__(self, model: BoxModel) -> None:
        self.model = model
        self._position_walk = model.position**2 * PAPER_FPS
        self._velocity_walk = (model.velocity * PAPER_FPS) ** 2 * PAPER_FPS
        self._first_variance = (2 * model.position) ** 2
        self._first_velocity_variance = (10 * model.velocity * PAPER_FPS) ** 2
        self._measurement = model.measurement**2

    def initiate(self, boxes_xyxy: F64) -> F64:
        """States (n, 5, 4) of boxes (n, 4) that were seen once: at rest, with a wide guess of the speed."""
        state = np.zeros((len(boxes_xyxy), 5, 4))
        state[:, POSITION] = self.model.coordinates(boxes_xyxy)
        self.forget_motion(state)
        return state

    def forget_motion(self, state: F64) -> None:
        """In place: how things move is no longer known; where they were still is, roughly."""
        squares = self.model.scales(state[:, POSITION]) ** 2
        state[:, VELOCITY] = 0
        state[:, VARIANCE] = np.maximum(state[:, VARIANCE], squares * self._first_variance)
        state[:, COVARIANCE] = 0
        state[:, VELOCITY_VARIANCE] = squares * self._first_velocity_variance

    def predict(self, state: F64, dt_s: float) -> None:
        """Move the states `dt_s` seconds on, in place."""
        position, velocity = state[:, POSITION], state[:, VELOCITY]
        variance, covariance, velocity_variance = (
            state[:, VARIANCE],
            state[:, COVARIANCE],
            state[:, VELOCITY_VARIANCE],
        )
        squares = self.model.scales(position)
        squares *= squares
        walk = squares * (self._velocity_walk * dt_s)
        position += velocity * dt_s
        variance += covariance * (2 * dt_s) + velocity_variance * dt_s**2
        variance += squares * (self._position_walk * dt_s) + walk * (dt_s**2 / 3)
        covariance += velocity_variance * dt_s + walk * (dt_s / 2)
        velocity_variance += walk

    def correct(self, state: F64, rows: Rows, boxes_xyxy: F64) -> None:
        """Bring the states of `rows` (k,), each named once, in line with their boxes (k, 4), in place."""
        picked = state[rows]
        variance, covariance = picked[:, VARIANCE], picked[:, COVARIANCE]
        squares = self.model.scales(picked[:, POSITION])
        squares *= squares
        total = variance + squares * self._measurement
        gain = picked[:, VARIANCE : COVARIANCE + 1] / total[:, None]
        residual = self.model.coordinates(boxes_xyxy) - picked[:, POSITION]
        picked[:, POSITION : VELOCITY + 1] += gain * residual[:, None]
        picked[:, VELOCITY_VARIANCE] -= gain[:, 1] * covariance
        picked[:, VARIANCE : COVARIANCE + 1] *= (1 - gain[:, 0])[:, None]
        state[rows] = picked

    def squared_distances(self, state: F64, boxes_xyxy: F64) -> F64:
        """(n, m) squared Mahalanobis distances of boxes (m, 4) from the measurements that states expect."""
        position = state[:, POSITION]
        total = state[:, VARIANCE] + self.model.scales(position) ** 2 * self._measurement
        residual = self.model.coordinates(boxes_xyxy) - position[:, None]
        residual *= residual
        residual /= total[:, None]
        distances: F64 = residual.sum(axis=2)
        return distances

    def rescale(self, state: F64, factor_x: float, factor_y: float) -> None:
        """In place: the picture, and everything in it, became this much wider and higher."""
        factors = self.model.factors(np.array(((factor_x, factor_y),)))
        state[:, POSITION : VELOCITY + 1] *= factors[:, None]
        state[:, VARIANCE:] *= factors[:, None] ** 2

    def warp(self, state: F64, warp: Warp) -> bool:
        """In place: the camera has moved, and every place in the picture with it, as in BoT-SORT.

        Centres go where the picture around them went; speeds, which stay relative to the scene, and their
        uncertainty turn and stretch with it. What turning couples, x with y, is left out of the covariance. False
        where the warp is of no use because it is not finite, mirrors, or throws a track out of all bounds: then
        nothing is changed.
        """
        if not len(state) or not np.isfinite(warp.matrix).all():
            return not len(state)
        moved, turned = warp.around(state[:, POSITION, :2])
        stretched = np.hypot(turned[:, 0], turned[:, 1])
        bounded = (np.abs(moved) < LARGEST_PLACE_PX).all() and (
            (stretched > 1 / LARGEST_STRETCH) & (stretched < LARGEST_STRETCH)
        ).all()
        if not bounded or (np.linalg.det(turned) <= 0).any():
            return False
        factors = self.model.factors(stretched)[:, 2:]
        state[:, POSITION, :2] = moved
        state[:, VELOCITY, :2] = np.einsum("nij,nj->ni", turned, state[:, VELOCITY, :2])
        state[:, VARIANCE:, :2] = np.einsum("nij,nkj->nki", turned**2, state[:, VARIANCE:, :2])
        state[:, POSITION : VELOCITY + 1, 2:] *= factors[:, None]
        state[:, VARIANCE:, 2:] *= factors[:, None] ** 2
        return True
