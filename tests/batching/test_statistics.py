"""What the batches were like."""

from __future__ import annotations

from engine.batching.statistics import RECENT_BATCHES, BatchStatistics


def test_before_the_first_batch_there_is_no_mean() -> None:
    told = BatchStatistics().to_dict()
    assert (told["batches"], told["batch_frames"], told["occupancy"]) == (0, None, None)


def test_means_are_of_recent_batches_and_counts_of_all() -> None:
    statistics = BatchStatistics()
    for _ in range(50):
        statistics.count(1, 8, ahead=False)
    for _ in range(RECENT_BATCHES):
        statistics.count(6, 8, ahead=True)
    assert statistics.to_dict() == {
        "batches": 50 + RECENT_BATCHES, "frames": 50 + 6 * RECENT_BATCHES, "ahead": RECENT_BATCHES,
        "batch_frames": 6.0, "occupancy": 0.75,
    }  # fmt: skip


def test_more_than_what_was_possible_is_all_of_it() -> None:
    """A camera that has just stopped being live may have had a frame waiting."""
    statistics = BatchStatistics()
    statistics.count(3, 2, ahead=False)
    assert statistics.to_dict()["occupancy"] == 1.0


def test_a_successor_counts_on() -> None:
    statistics = BatchStatistics()
    statistics.go_on_from({"batches": 5, "frames": 20, "ahead": 2, "batch_frames": 4.0})
    statistics.count(1, 1, ahead=False)
    told = statistics.to_dict()
    assert (told["batches"], told["frames"], told["ahead"], told["batch_frames"]) == (6, 21, 2, 1.0)
