"""Where a PTZ camera must look to see what another camera shows at a place: learned from what both have seen.

For points on a common ground plane the directions from one place and the pixels (or directions) of another are related
by a 3 x 3 matrix. It is fitted robustly to pairs that come in while both cameras run.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MappedDirection:
    """Where to look, and how far that can be trusted: `sigma_deg` expected error, `trust` from 0 (a guess) to 1."""

    pan_deg: float
    tilt_deg: float
    sigma_deg: float
    trust: float


class Mapping:
    """From pixels of a fixed camera, or directions of a PTZ camera, to directions of another PTZ camera."""

    def __init__(self, width: int = 0, height: int = 0) -> None:
        """`width`, `height` of the fixed camera's picture; 0 = the input is a direction in degrees."""

    def learn(self, place: tuple[float, float], pan_deg: float, tilt_deg: float, time_s: float = 0.0) -> None:
        """The same feet were seen at `place` (pixel, or azimuth and elevation) and in this direction."""

    def direction(self, place: tuple[float, float]) -> MappedDirection | None:
        """Where to look for what stands at `place`; None while nothing is known or it is above the horizon."""
        raise NotImplementedError

    @property
    def trust(self) -> float:
        """How good the fit is, 0..1."""
        raise NotImplementedError

    def explain(self) -> str:
        """One line for people: pairs, how many fit, error."""
        raise NotImplementedError

    def to_json(self) -> dict[str, object]:
        """Plain values for `json.dump`."""
        raise NotImplementedError

    @staticmethod
    def from_json(data: object) -> Mapping:
        """What `to_json` gave. Raises `PtzRefused` for anything else."""
        raise NotImplementedError
