"""Embeddings and events at the end of a slot, states of tracks, rows put behind each other."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.types import (
    Detections,
    Embeddings,
    EventKind,
    Events,
    Masks,
    Tracks,
    TrackState,
)


def embeddings(rows: list[int], dims: int) -> Embeddings:
    values = np.arange(len(rows) * dims, dtype=np.float32).reshape(len(rows), dims) / 7
    return Embeddings(np.array(rows, np.int32), values.astype(np.float16))


def events(count: int) -> Events:
    numbers = np.arange(count, dtype=np.int64)
    small = numbers.astype(np.int32)
    return Events(
        numbers + 2**40, numbers + 2**41, -numbers, small % len(EventKind), small - 1, small * 3,
        numbers.astype(np.float32) / np.float32(3), np.stack((numbers, -numbers), axis=1).astype(np.float32),
    )  # fmt: skip


def detections(count: int) -> Detections:
    values = np.arange(count * 4, dtype=np.float32)
    return Detections(values.reshape(count, 4), values[:count], np.zeros(count, np.int32))


@given(count=st.integers(0, 40), dims=st.integers(1, 65), spare_words=st.integers(0, 9))
def test_embeddings_come_out_of_a_slot_as_they_went_in(count: int, dims: int, spare_words: int) -> None:
    looks = embeddings(list(range(0, 2 * count, 2)), dims)
    slot = np.full(Embeddings.nbytes(count, dims) + 8 * spare_words, 0xAA, np.uint8)
    looks.write_at_end(slot)
    assert (slot[: 8 * spare_words] == 0xAA).all(), "wrote before its place"
    found = Embeddings.view_at_end(count, dims, slot)
    if count == 0:
        assert found is None
        return
    assert found is not None and found.dims == dims and np.shares_memory(found.vectors, slot)
    np.testing.assert_array_equal(found.rows, looks.rows, strict=True)
    np.testing.assert_array_equal(found.vectors, looks.vectors, strict=True)


@given(count=st.integers(0, 30), spare_words=st.integers(0, 9))
def test_events_come_out_of_a_slot_as_they_went_in(count: int, spare_words: int) -> None:
    happened = events(count)
    slot = np.full(count * Events.BYTES_PER_EVENT + 8 * spare_words, 0xAA, np.uint8)
    happened.write_at_end(slot)
    assert (slot[: 8 * spare_words] == 0xAA).all(), "wrote before its place"
    found = Events.view_at_end(count, slot)
    for column in fields(Events):
        np.testing.assert_array_equal(
            getattr(found, column.name), getattr(happened, column.name), strict=True
        )
        assert count == 0 or np.shares_memory(getattr(found, column.name), slot)


def test_the_size_of_an_event_is_that_of_its_columns() -> None:
    happened = events(10)
    assert sum(getattr(happened, f.name).nbytes for f in fields(Events)) == 10 * Events.BYTES_PER_EVENT
    assert Events.BYTES_PER_EVENT % 8 == 0, "or columns of eight bytes would not be aligned"
    assert len(happened.first(3)) == 3 and len(Events.empty()) == 0


@given(chosen=st.lists(st.booleans(), min_size=6, max_size=6))
def test_embeddings_go_with_their_objects(chosen: list[bool]) -> None:
    looks = embeddings([0, 2, 5], 4)
    found = replace(detections(6), embeddings=looks)
    kept = np.array(chosen)
    taken = found.take(kept)
    assert taken.embeddings is not None
    dense, present = taken.embeddings.dense(len(taken))
    before, was_present = looks.dense(6)
    np.testing.assert_array_equal(dense, before[kept])
    np.testing.assert_array_equal(present, was_present[kept])
    assert (np.diff(taken.embeddings.rows) > 0).all()
    reordered = found.take(np.array([5, 1, 0]))
    assert reordered.embeddings is not None and reordered.embeddings.rows.tolist() == [0, 2]
    np.testing.assert_array_equal(reordered.embeddings.vectors, looks.vectors[[2, 0]])


def test_embeddings_of_other_shapes_or_types_are_refused() -> None:
    rows, vectors = np.zeros(2, np.int32), np.zeros((2, 4), np.float16)
    with pytest.raises(ValueError, match="rows must be int32"):
        Embeddings(rows.astype(np.int64), vectors)
    with pytest.raises(ValueError, match=r"vectors must be float16 \(2, d\)"):
        Embeddings(rows, vectors[:1])
    with pytest.raises(ValueError, match="vectors must be float16"):
        Embeddings(rows, vectors.astype(np.float32))
    with pytest.raises(ValueError, match="kinds must be int32"):
        replace(events(2), kinds=np.zeros(2, np.int64))


def test_tracks_of_detections_are_confirmed_where_they_have_an_id() -> None:
    tracks = Tracks.of(detections(3), np.array([7, 0, 9]))
    assert tracks.states.tolist() == [TrackState.CONFIRMED, TrackState.UNTRACKED, TrackState.CONFIRMED]
    assert tracks.gids.tolist() == [0, 0, 0]
    assert tracks.seen() is tracks, "nothing is copied where nobody coasts"


def test_coasting_objects_are_put_behind_and_left_out_again() -> None:
    masks = Masks.of_grids(np.zeros((2, 4), np.float32), [np.ones((2, 3), np.bool_)] * 2)
    seen = replace(Tracks.of(detections(2), np.array([1, 2])), masks=masks)
    coasting = replace(Tracks.of(detections(1), np.array([3])), states=np.array([3], np.int32))
    both = seen.followed_by(coasting)
    assert both.track_ids.tolist() == [1, 2, 3] and both.masks is not None
    assert both.masks.present().tolist() == [True, True, False]
    assert both.seen().track_ids.tolist() == [1, 2]
    slot = np.zeros(1000, np.uint8)
    written = both.write_into(slot)
    again = Tracks.view(written.count, slot, written.mask_bytes)
    assert again.states.tolist() == [2, 2, 3] and again.masks is not None
    assert again.masks.present().tolist() == [True, True, False]
