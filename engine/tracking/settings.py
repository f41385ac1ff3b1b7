"""What a tracker may be told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

FILTERED, DETECTED = "filtered", "detected"
COLOUR, MODEL, OFF = "colour", "model", "off"


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """Score and overlap limits are those of the ByteTrack and BoT-SORT papers where they have them.

    Overlaps of tracks with boxes are those of boxes enlarged by `reach`.

    low_score           boxes below this are not looked at
    high_score          boxes from here on may continue any track by nearness; below, only by `low_overlap`
    start_score         boxes from here on may start a track
    confirm_score       a tentative track is confirmed when it has been seen again and the scores of its sightings
                        sum up to this: twice, where the detector is sure, and three times where it is not
    reach               share of its width and height by which a box grows on each side before tracks and boxes are
                        compared, so that what moved on a little too far still overlaps
    reach_per_s         the most of that for each second between frames: what has moved too far in a 25th of a second is
                        another thing, in a quarter of one it need not be
    match_similarity    least overlap × score to continue a confirmed track
    confirm_similarity  least overlap × score to confirm a tentative one
    low_overlap         least overlap of a box below `high_score` with the track that it continues
    appearance          what tells people apart beside their place: `model` = embeddings where detections carry them;
                        `colour` = these too, and colours of clothes as long as no detection has carried one; `off`
    colour_score        boxes below this are not looked at for their colours: half hidden, they show others'
    appearance_weight   what full likeness adds to an overlap, above what half of it would; no likeness takes as much
                        away. See `engine.tracking.appearance` for the scale
    recall_likeness     least likeness at which a lost track is found by its looks alone, near to where it may be
    class_overlap       least overlap of a track with a box of another class; a box that overlaps a tracked
                        object by this much starts no track of its own
    duplicate_overlap   boxes that overlap by more are one object, whatever their classes
    gate                largest squared Mahalanobis distance (4 degrees of freedom) at which a box continues a
                        track that it does not overlap: 95 of 100 true boxes are nearer
    lost_gate           the same for tracks that were lost: 80 of 100, since strangers come near as well
    lost_s, lost_frames, lost_lives   see `patience_s`
    recall_s            how long a track is kept of which it is known what it looks like, from its last sighting on:
                        beyond `lost_s` it is found again by its looks alone; 0 = not at all
    boxes               which boxes confirmed tracks have in the result: `filtered` = the filter's, which average over
                        what the detector said of late; `detected` = the detector's
    filtered_overlap    least overlap of the filter's box with the detector's for it to be taken; below, what the filter
                        says of a box that jumped is a guess
    coast_s             how long a track that is not seen stays in the result, where it is expected; 0 = not at all
    camera_motion       how the camera's own motion is found: `auto`, `flow`, `ecc`, `pose` or `off`; `auto` is what the
                        tracker's paper does: `botsort` follows the camera, `bytetrack` and `sort` do not
    most_detections     per frame, best scores first; the others are shown with ID 0
    most_tracks         the ones seen last are kept
    """

    low_score: float = 0.1
    high_score: float = 0.6
    start_score: float = 0.6
    confirm_score: float = 1.5
    reach: float = 0.15
    reach_per_s: float = 0.6
    match_similarity: float = 0.2
    confirm_similarity: float = 0.3
    low_overlap: float = 0.5
    appearance: str = MODEL
    colour_score: float = 0.3
    appearance_weight: float = 0.8
    recall_likeness: float = 0.9
    class_overlap: float = 0.7
    duplicate_overlap: float = 0.8
    gate: float = 9.488
    lost_gate: float = 5.989
    lost_s: float = 2.0
    lost_frames: int = 5
    lost_lives: float = 2.0
    recall_s: float = 0.0
    boxes: str = "filtered"
    filtered_overlap: float = 0.8
    coast_s: float = 0.0
    camera_motion: str = "auto"
    most_detections: int = 500
    most_tracks: int = 1000

    def patience_s(self, interval_s: float, lives_s: F64) -> F64:
        """How long tracks that lived for `lives_s` (n,), first sighting to last, may be lost.

        `lost_s`, but not more than `lost_lives` times as long as they lived, since what was seen for a moment was
        often nobody; and `lost_frames` ordinary frame intervals, give or take a half, where these are longer.
        """
        wanted_s = np.minimum(self.lost_s, self.lost_lives * (lives_s + interval_s))
        patience: F64 = np.maximum(wanted_s, (self.lost_frames + 0.5) * interval_s)
        return patience
