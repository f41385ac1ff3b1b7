"""From sightings to decisions for one camera's head. Pure: times are arguments, nothing is read or sent.

It knows where people are (in world angles, by the pose at the time of each picture), whom the policy wants to show, how
large, what to do when they are lost, and how far the head may turn. The law (`ptz.laws`) turns an aim into a speed. It
does not know pictures, cameras or protocols.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ptz.settings import FollowSettings
from ptz.types import Decision, FollowState, Pose, Sightings, Velocity

if TYPE_CHECKING:
    from ptz.laws.base import Law
    from ptz.lens import Lens
    from ptz.pose_log import Plant, PoseLog


class Follower:
    """Follows with one head. One instance per camera; not thread-safe.

    Call `observe` for every picture's result (also an empty one), `reported`, `commanded` and `went_to` for what the
    head says and was told, and `decide` at up to 10 Hz.
    """

    log: PoseLog
    """Where the head pointed and will point; shared with what calibrates."""

    def __init__(self, settings: FollowSettings, lens: Lens, plant: Plant, law: Law) -> None: ...

    @property
    def settings(self) -> FollowSettings:
        """As they are now. Assigning changes them while it runs; targets and poses are kept."""
        raise NotImplementedError

    @property
    def state(self) -> FollowState:
        """What it does, as of the newest decision."""
        raise NotImplementedError

    def observe(self, sightings: Sightings, now_s: float | None = None) -> None:
        """The objects of one picture. `now_s` = when the result arrived (None: found out by the next `decide`).

        Late, doubled and older pictures are dropped and counted; boxes that are none are dropped and counted.
        """

    def reported(self, pose: Pose) -> None:
        """What the camera said of its head; `pose.time_s` is when it was asked or, where known, when it was there."""

    def commanded(self, time_s: float, velocity: Velocity) -> None:
        """A turn was sent to the camera at that time."""

    def went_to(self, time_s: float, pose: Pose) -> None:
        """An absolute move was sent to the camera at that time."""

    def decide(self, now_s: float) -> Decision:
        """What the head shall do now."""
        raise NotImplementedError

    def explain(self) -> str:
        """Why it does what it does, one line for people."""
        raise NotImplementedError

    def set_policy(self, name: str, **options: object) -> None:
        """Change whom it follows; `options` are fields of that policy's settings. Raises `PtzRefused`."""

    def select(
        self,
        track_id: int | None = None,
        gid: int | None = None,
        point: tuple[float, float] | None = None,
        box_xyxy: tuple[float, float, float, float] | None = None,
        time_s: float | None = None,
    ) -> int:
        """Follow this one (policy `selected`): by track, by identity, or by a clicked pixel or drawn box.

        A point or box is one of the newest picture, or of the picture at `time_s`. Returns the target's key. Raises
        `PtzRefused` where nobody is there.
        """
        raise NotImplementedError

    def operator(self, now_s: float) -> None:
        """An operator has just commanded the head: hands off until `manual.resume_s` later."""

    def resume(self) -> None:
        """Take the head back from the operator at once."""

    def told(self) -> dict[str, object]:
        """For `/health` and the dashboard: state, why, policy, target, counts of what was dropped and why."""
        raise NotImplementedError
