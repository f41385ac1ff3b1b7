"""Walkers with known identities, seen by an imperfect detector: input for tracker tests and benchmarks.

People walk on a ground plane in front of a fixed camera, stop, turn, cross and pass behind pillars; who is
covered by nearer ones gets a low score or none. No pictures are drawn; what people look like to a re-identification
network is made up as well, with the cosines of OSNet x0.25. Everything follows from the seed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.tracking.association import iou_matrix
from engine.types import Detections, Embeddings

F64 = NDArray[np.float64]

WIDTH, HEIGHT = 1280, 720
HORIZON_Y = 180.0
STEP_S = 1 / 60
PERSON_M = 1.75


@dataclass(frozen=True, slots=True)
class SceneFrame:
    """One moment: who is where, and what the detector said.

    truth_ids     (k,) identities of the people in the picture
    truth_xyxy    float64 (k, 4)
    """

    time_s: float
    truth_ids: NDArray[np.int64]
    truth_xyxy: F64
    detections: Detections


def covered_shares(boxes_xyxy: F64, pillars_xyxy: F64) -> F64:
    """(n,) largest share of each box that one nearer thing hides; nearer is what stands lower."""
    occluders = np.concatenate((boxes_xyxy, pillars_xyxy))
    size = np.minimum(boxes_xyxy[:, None, 2:], occluders[:, 2:])
    size = np.maximum(size - np.maximum(boxes_xyxy[:, None, :2], occluders[:, :2]), 0)
    area = np.prod(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], axis=1)
    nearer = occluders[:, 3] > boxes_xyxy[:, None, 3]
    shares: F64 = (np.prod(size, axis=2) * nearer / area[:, None]).max(axis=1, initial=0.0)
    return shares


def detect(boxes_xyxy: F64, covered: F64, rng: np.random.Generator, noise: float = 0.03) -> Detections:
    """What a detector with jitter, misses, covered people and a few false boxes reports."""
    size = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
    scores = 0.88 - 0.8 * covered**1.5 - np.maximum(0, 60 - size[:, 1]) / 100
    scores += rng.normal(0, 0.08, len(scores))
    scores *= np.where(rng.random(len(scores)) < 0.05, rng.random(len(scores)), 1)
    jitter = rng.normal(0, noise, boxes_xyxy.shape) * np.tile(size, 2) * (1 + 2 * covered[:, None])
    false_count = rng.poisson(0.3)
    corner = rng.uniform((0, 0), (WIDTH, HEIGHT), (false_count, 2))
    false_height = rng.uniform(40, 250, (false_count, 1))
    false_xyxy = np.concatenate((corner, corner + false_height * (0.4, 1)), axis=1)
    scores = np.clip(np.concatenate((scores, 0.1 + 0.9 * rng.beta(2, 5, false_count))), 0, 0.97)
    boxes = np.concatenate((boxes_xyxy + jitter, false_xyxy))
    seen = scores >= 0.1
    class_ids = np.zeros(int(seen.sum()), np.int32)
    return Detections(boxes[seen].astype(np.float32), scores[seen].astype(np.float32), class_ids)


class Walkers:
    """People who come in at a side, walk, hesitate, turn and leave."""

    def __init__(self, people: int, rng: np.random.Generator) -> None:
        self.rng = rng
        self.ids = np.arange(1, people + 1)
        self.ground_xy = np.column_stack(
            (rng.uniform(0, WIDTH, people), rng.uniform(330, HEIGHT - 10, people))
        )
        self.heading = rng.uniform(0, 2 * np.pi, people)
        self.speed_m_s = np.abs(rng.normal(1.3, 0.35, people))
        self.build = rng.uniform(0.85, 1.1, people)
        self.pause_s = np.zeros(people)

    def boxes_xyxy(self) -> F64:
        """(n, 4) where they are in the picture."""
        height = 0.42 * (self.ground_xy[:, 1] - HORIZON_Y) * self.build
        x, y = self.ground_xy.T
        return np.column_stack((x - 0.19 * height, y - height, x + 0.19 * height, y))

    def step(self, seconds: float) -> None:
        """Let everybody walk on; who left is replaced by a new person at a side."""
        rng, people = self.rng, len(self.ids)
        self.heading += rng.normal(0, 0.5 * np.sqrt(seconds), people)
        self.pause_s = np.maximum(0, self.pause_s - seconds)
        stops = rng.random(people) < 0.04 * seconds
        self.pause_s[stops] = rng.exponential(3, int(stops.sum()))
        pixels_per_m = 0.42 * (self.ground_xy[:, 1] - HORIZON_Y) / PERSON_M
        travel = np.where(self.pause_s > 0, 0, self.speed_m_s * pixels_per_m * seconds)
        self.ground_xy += travel[:, None] * np.column_stack(
            (np.cos(self.heading), 0.4 * np.sin(self.heading))
        )
        outside = (self.ground_xy[:, 1] < 325) | (self.ground_xy[:, 1] > HEIGHT - 5)
        self.heading[outside] *= -1
        self.ground_xy[:, 1] = np.clip(self.ground_xy[:, 1], 325, HEIGHT - 5)
        gone = (self.ground_xy[:, 0] < -40) | (self.ground_xy[:, 0] > WIDTH + 40)
        for i in np.flatnonzero(gone):
            left = rng.random() < 0.5
            self.ids[i] = self.ids.max() + 1
            self.ground_xy[i] = (-30 if left else WIDTH + 30, rng.uniform(330, HEIGHT - 10))
            self.heading[i] = rng.normal(0 if left else np.pi, 0.4)


def street(people: int, fps: float, seconds: float, pillars: int = 2, seed: int = 0) -> list[SceneFrame]:
    """A street scene, seen `fps` times a second."""
    rng = np.random.default_rng(seed)
    walkers = Walkers(people, rng)
    pillar_x = rng.uniform(150, WIDTH - 150, pillars)
    pillar_feet = rng.uniform(500, 640, pillars)
    pillars_xyxy = np.column_stack((pillar_x - 45, np.zeros(pillars), pillar_x + 45, pillar_feet)).reshape(
        -1, 4
    )
    frames: list[SceneFrame] = []
    steps = max(1, round(1 / (fps * STEP_S)))
    for k in range(round(seconds * fps)):
        for _ in range(steps):
            walkers.step(1 / fps / steps)
        boxes = walkers.boxes_xyxy()
        visible = (boxes[:, 2] > 0) & (boxes[:, 0] < WIDTH)
        boxes = np.clip(boxes[visible], 0, (WIDTH, HEIGHT, WIDTH, HEIGHT))
        covered = covered_shares(boxes, pillars_xyxy)
        frames.append(SceneFrame(k / fps, walkers.ids[visible].copy(), boxes, detect(boxes, covered, rng)))
    return frames


COMMON_SHARE, COMMON_SPREAD = 0.61, 0.12
"""How much of what they look like people have in common, and by how much that differs: cosines of 0.46 ± 0.09."""
OWN_SHARE = 0.754
"""Mean cosine of two looks at the same person. The rest is view, which changes slowly, and noise."""
VIEW_KEPT = 0.95
LEAST_OVERLAP = 0.3


class Looks:
    """Vectors of made-up people: some of each is common to all, some is their own, some is view and noise."""

    def __init__(self, seed: int, dims: int) -> None:
        self._seed = seed
        self._dims = dims
        self._rng = np.random.default_rng(seed)
        self._common = self._direction(self._rng)
        self._people: dict[int, F64] = {}
        self._views: dict[int, F64] = {}

    def _direction(self, rng: np.random.Generator) -> F64:
        vector = rng.normal(size=self._dims)
        return np.asarray(vector / np.linalg.norm(vector))

    def person(self, number: int) -> F64:
        """What somebody really looks like, (dims,) of length 1."""
        if number not in self._people:
            rng = np.random.default_rng((self._seed, number))
            own = self._direction(rng)
            common = np.clip(COMMON_SHARE + rng.normal(0, COMMON_SPREAD), 0.2, 0.95)
            mixed = np.sqrt(common) * self._common + np.sqrt(1 - common) * own
            self._people[number] = mixed / np.linalg.norm(mixed)
        return self._people[number]

    def sight(self, number: int, look: F64) -> F64:
        """What the network says of a `look` at this person in this frame; 0 for nobody in particular."""
        fresh = self._direction(self._rng)
        view = VIEW_KEPT * self._views.get(number, fresh) + np.sqrt(1 - VIEW_KEPT**2) * fresh
        self._views[number] = view
        noise = np.sqrt(0.5) * view + np.sqrt(0.5) * self._direction(self._rng)
        seen = np.sqrt(OWN_SHARE) * look / np.linalg.norm(look) + np.sqrt(1 - OWN_SHARE) * noise
        return np.asarray(seen / np.linalg.norm(seen))

    def of_box(self, box_xyxy: F64, frame: SceneFrame, covered: F64) -> F64:
        """The vector of a detection: of whom it shows, mixed with those who stand before them."""
        truth = frame.truth_xyxy
        overlap = iou_matrix(box_xyxy[None], truth)[0]
        if not len(truth) or overlap.max() < LEAST_OVERLAP:
            return self.sight(0, self._common)
        shown = int(overlap.argmax())
        size = np.minimum(box_xyxy[2:], truth[:, 2:]) - np.maximum(box_xyxy[:2], truth[:, :2])
        shares = np.prod(np.maximum(size, 0), axis=1) / np.prod(box_xyxy[2:] - box_xyxy[:2])
        look = self.person(int(frame.truth_ids[shown])) * max(0.05, 1 - covered[shown])
        for other in np.flatnonzero((truth[:, 3] > truth[shown, 3]) & (shares > 0)):
            look = look + shares[other] * self.person(int(frame.truth_ids[other]))
        return self.sight(int(frame.truth_ids[shown]), look)


def with_looks(frames: Iterable[SceneFrame], seed: int = 0, dims: int = 64) -> list[SceneFrame]:
    """The same frames, every detection with an embedding of whom it shows."""
    looks, out = Looks(seed, dims), []
    for frame in frames:
        found = frame.detections
        if not len(found):
            out.append(frame)
            continue
        covered = covered_shares(frame.truth_xyxy, np.empty((0, 4)))
        vectors = [looks.of_box(box, frame, covered) for box in found.boxes_xyxy.astype(np.float64)]
        rows = np.arange(len(found), dtype=np.int32)
        embeddings = Embeddings(rows, np.stack(vectors).astype(np.float16))
        out.append(replace(frame, detections=replace(found, embeddings=embeddings)))
    return out
