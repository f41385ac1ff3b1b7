"""What a keyframe costs, learnt from those that were run.

A keyframe is one picture to encode and rows of objects of three kinds. Nothing is known of models or devices: a row
costs what rows have cost lately, as a mean and a mean deviation, so that plans hold while other work shares the cores.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.segmentation.jobs import KeyframeJob, KeyframeResult, Memory

GAIN = 0.25
"""Weight of the newest measurement: the last eight or so count."""
CAUTION = 1.5
"""Mean deviations on top of the mean that plans allow for: two slow keyframes running then still fit."""
LARGEST_STEP = 4.0
"""One measurement is believed up to so many times the estimate: a machine that was asleep is no slow machine."""


@dataclass(frozen=True, slots=True)
class Load:
    """Rows of a keyframe.

    memory   objects that look into their memory (go on, look, refine)
    prompts  objects that begin from a prompt, or have no memory
    points   points of the automatic grid
    """

    memory: int = 0
    prompts: int = 0
    points: int = 0

    @classmethod
    def of(cls, job: KeyframeJob) -> Load:
        """The rows of a job."""
        prompts = sum(request.memory in (Memory.NONE, Memory.START) for request in job.requests)
        points = 0 if job.automatic_points_xy is None else len(job.automatic_points_xy)
        return cls(len(job.requests) - prompts, prompts, points)

    def __add__(self, other: Load) -> Load:
        return Load(self.memory + other.memory, self.prompts + other.prompts, self.points + other.points)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to segment, so that the picture need not be encoded."""
        return not (self.memory or self.prompts or self.points)


class Estimate:
    """Running mean and mean deviation of something measured in seconds; the first measurement is taken as it is."""

    def __init__(self, guess_s: float) -> None:
        self.mean_s = guess_s
        self.deviation_s = 0.0
        self.measured = False

    @property
    def careful_s(self) -> float:
        """What to plan with: most measurements are below."""
        return self.mean_s + CAUTION * self.deviation_s

    def learn(self, measured_s: float) -> None:
        """One more measurement."""
        if not self.measured:
            self.mean_s, self.measured = measured_s, True
            return
        measured_s = min(measured_s, LARGEST_STEP * self.mean_s + 1e-3)
        error_s = measured_s - self.mean_s
        self.mean_s += GAIN * error_s
        self.deviation_s += GAIN * (abs(error_s) - self.deviation_s)


@dataclass(frozen=True, slots=True)
class Costs:
    """Careful seconds for a row of each kind."""

    memory_s: float
    prompt_s: float
    point_s: float

    def of(self, load: Load) -> float:
        """Seconds for these rows."""
        return load.memory * self.memory_s + load.prompts * self.prompt_s + load.points * self.point_s


class CostModel:
    """Learns what the picture and the rows cost. The guesses are of EdgeTAM on two cores; they last one keyframe."""

    def __init__(self) -> None:
        self.encode = Estimate(0.08)
        self._memory = Estimate(0.15)
        self._prompt = Estimate(0.03)
        self._point = Estimate(0.02)

    def costs(self) -> Costs:
        """What to plan with."""
        return Costs(self._memory.careful_s, self._prompt.careful_s, self._point.careful_s)

    def expected_s(self, load: Load) -> float:
        """Mean time of a keyframe with these rows; 0 without any."""
        if load.empty:
            return 0.0
        return self.encode.mean_s + self._rows_s(load)

    def learn(self, load: Load, result: KeyframeResult) -> None:
        """Take over what a keyframe took. What its rows took beyond the estimate is put down to each kind in
        proportion to its share of that estimate."""
        if load.empty:
            return
        if result.encode_s > 0:
            self.encode.learn(result.encode_s)
        expected_s = self._rows_s(load)
        if result.objects_s <= 0 or expected_s <= 0:
            return
        ratio = result.objects_s / expected_s
        for count, estimate in self._kinds(load):
            if count:
                estimate.learn(self._share(estimate, count, expected_s, ratio))

    def _share(self, estimate: Estimate, count: int, expected_s: float, ratio: float) -> float:
        share = count * estimate.mean_s / expected_s
        # The smaller the share, the less the total says of this kind: a kind alone is measured, one row of ten hardly.
        return (
            float(estimate.mean_s * (1.0 + share * (ratio - 1.0))) if share < 1 else estimate.mean_s * ratio
        )

    def _rows_s(self, load: Load) -> float:
        return sum(count * estimate.mean_s for count, estimate in self._kinds(load))

    def _kinds(self, load: Load) -> tuple[tuple[int, Estimate], ...]:
        return (load.memory, self._memory), (load.prompts, self._prompt), (load.points, self._point)

    def to_dict(self) -> dict[str, float]:
        """Mean milliseconds, for /health."""
        return {
            "encode_ms": 1e3 * self.encode.mean_s, "memory_row_ms": 1e3 * self._memory.mean_s,
            "prompt_row_ms": 1e3 * self._prompt.mean_s, "point_ms": 1e3 * self._point.mean_s,
        }  # fmt: skip
