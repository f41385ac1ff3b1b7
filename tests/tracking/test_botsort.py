"""How well the default tracker, and ByteTrack beside it, keep identities on real and on made-up scenes.

Floors, not goals: a few hundredths below what docs/tracking.md reports, as one switched pair moves IDF1 by .03.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.tracking import Sequence, load_mot, score
from engine.tracking.base import create_tracker


@pytest.mark.data
@pytest.mark.parametrize("name", ["botsort", "bytetrack"])
@pytest.mark.parametrize(
    ("folder", "det_name", "fps", "idf1", "mota"),
    [("PETS09-S2L1-a", "det_yolov8n640.txt", 7, 0.77, 0.78), ("TUD-Campus", "det.txt", 25, 0.66, 0.6)],
)
def test_real_people(
    data_dir: Path, name: str, folder: str, det_name: str, fps: float, idf1: float, mota: float
) -> None:
    result = score(create_tracker(name), name, load_mot(data_dir / "mot" / folder, det_name, fps))
    assert result.idf1 >= idf1, result
    assert result.mota >= mota, result


@pytest.mark.data
def test_people_from_a_moving_camera(data_dir: Path) -> None:
    result = score(create_tracker("botsort"), "botsort", load_mot(data_dir / "mot" / "MOT16-13", "", 25))
    assert result.idf1 >= 0.70, result
    assert result.mota >= 0.85, result


@pytest.mark.parametrize(
    ("people", "fps", "seconds", "idf1"),
    [(8, 60, 12, 0.9), (12, 25, 20, 0.75), (12, 4, 60, 0.7), (8, 1, 60, 0.45)],
)
def test_made_up_streets(people: int, fps: float, seconds: float, idf1: float) -> None:
    sequence = Sequence.of_street(people, fps, seconds, seed=people)
    result = score(create_tracker("botsort"), "botsort", sequence)
    assert result.idf1 >= idf1, result


@pytest.mark.parametrize(("people", "fps", "seconds", "gain"), [(12, 25, 20, 0.05), (12, 4, 60, 0.05)])
def test_looks_help(people: int, fps: float, seconds: float, gain: float) -> None:
    """Also where only some boxes were looked at."""
    sequence = Sequence.of_street(people, fps, seconds, seed=people)
    plain = score(create_tracker("botsort"), "botsort", sequence)
    for looked_at in (sequence.looked_at(), sequence.looked_at_on_demand()):
        result = score(create_tracker("botsort"), "botsort", looked_at)
        assert result.idf1 >= plain.idf1 + gain, (result, plain)
