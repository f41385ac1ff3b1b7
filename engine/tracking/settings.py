"""What a tracker may be told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """Score and overlap limits are those of the ByteTrack and BoT-SORT papers where they have them.

    low_score           boxes below this are not looked at
    high_score          boxes from here on may continue any track; below, only one seen in the frame before
    start_score         boxes from here on may start a track
    match_similarity    least overlap × score to continue a confirmed track
    confirm_similarity  least overlap × score to confirm a tentative one
    low_overlap         least overlap of a box below `high_score` with the track that it continues
    class_overlap       least overlap of a track with a box of another class; a box that overlaps a tracked
                        object by this much starts no track of its own
    duplicate_overlap   boxes that overlap by more are one object, whatever their classes
    gate                largest squared Mahalanobis distance (4 degrees of freedom) at which a box continues a
                        track that it does not overlap: 95 of 100 true boxes are nearer
    lost_gate           the same for tracks that were lost: 80 of 100, since strangers come near as well
    lost_s, lost_frames see `patience_s`
    coast_s             how long a track that is not seen stays in the result, where it is expected; 0 = not at all
    camera_motion       how the camera's own motion is found: `auto`, `flow`, `ecc`, `pose` or `off`; `auto` is what the
                        tracker's paper does: `botsort` follows the camera, `bytetrack` and `sort` do not
    appearance          whether embeddings are used where detections carry them
    most_detections     per frame, best scores first; the others are shown with ID 0
    most_tracks         the ones seen last are kept
    """

    low_score: float = 0.1
    high_score: float = 0.6
    start_score: float = 0.6
    match_similarity: float = 0.2
    confirm_similarity: float = 0.3
    low_overlap: float = 0.5
    class_overlap: float = 0.7
    duplicate_overlap: float = 0.8
    gate: float = 9.488
    lost_gate: float = 5.989
    lost_s: float = 2.0
    lost_frames: int = 5
    coast_s: float = 0.0
    camera_motion: str = "auto"
    appearance: bool = True
    most_detections: int = 500
    most_tracks: int = 1000

    def patience_s(self, interval_s: float) -> float:
        """How long a track may be lost: `lost_s`, or `lost_frames` ordinary frames where these are longer."""
        return max(self.lost_s, self.lost_frames * interval_s)
