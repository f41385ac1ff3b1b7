"""A detector and tracker that need no picture: truth, made as bad as real ones are."""

from __future__ import annotations

from ptz.simulator.truth import Truth
from ptz.types import Sightings

FIRST_FALSE_ID = 1_000_000
"""Track IDs of things that are not there begin here; people have their own ID."""


class Oracle:
    """Sightings from truth: boxes off by some percent, people missed, people that are not there.

    What it says depends on seed and time alone, not on what was asked before.

    noise             standard deviation of each edge, as a share of the box's width or height
    miss              chance that somebody is missed in a picture
    false             chance that a picture has somebody who is not there
    least_visibility  who shows less of their body is not seen
    least_height_px   nor is who is smaller
    identities        `gids` hold the person's ID; else they are 0
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        noise: float = 0.02,
        miss: float = 0.05,
        false: float = 0.005,
        least_visibility: float = 0.3,
        least_height_px: float = 16.0,
        identities: bool = True,
    ) -> None:
        self.seed = seed
        self.noise, self.miss, self.false = noise, miss, false
        self.least_visibility, self.least_height_px = least_visibility, least_height_px
        self.identities = identities

    def sightings(self, truth: Truth, time_s: float | None = None) -> Sightings:
        """What a detector would report; taken at `truth.time_s`, or at `time_s` of another clock."""
        raise NotImplementedError
