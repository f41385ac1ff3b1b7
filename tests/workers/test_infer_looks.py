"""Embeddings in the record of their frame: at its end, within its room, never of a box that is not there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.tracking.demand import Need
from engine.types import Detections, Embeddings
from engine.workers.infer_looks import Look, most_rows, write_record
from tests.workers.house import detections_of, with_masks


def looked_at(count: int, rows: list[int], dims: int = 8) -> Detections:
    """So many boxes, some of them with an embedding that tells its row."""
    found = detections_of(*((10.0 * n, 0.0, 10.0 * n + 8, 20.0) for n in range(count)))
    vectors = np.zeros((len(rows), dims), np.float16)
    vectors[:, 0] = rows
    return replace(found, embeddings=Embeddings(np.array(rows, np.int32), vectors))


def test_both_are_read_back() -> None:
    slot = np.zeros(1024, np.uint8)
    written, looks = write_record(looked_at(5, [1, 4]), slot)
    assert looks is not None and written.count == 5
    again = Embeddings.view_at_end(len(looks), looks.dims, slot)
    assert again is not None and again.rows.tolist() == [1, 4] and again.vectors[:, 0].tolist() == [1, 4]
    assert Detections.view(5, slot).boxes_xyxy[4].tolist() == [40, 0, 48, 20]


def test_masks_give_way_to_embeddings() -> None:
    found = looked_at(5, [0, 4])
    slot = np.zeros(5 * Detections.BYTES_PER_OBJECT + Embeddings.nbytes(2, 8), np.uint8)
    written, looks = write_record(with_masks(found, 20), slot)
    assert (written.count, written.masks_lost) == (5, 5)
    assert looks is not None and looks.vectors[:, 0].tolist() == [0, 4]


@pytest.mark.parametrize("room", range(0, 400, 8))
def test_whatever_the_room_what_is_written_is_right(room: int) -> None:
    slot = np.full(room, 255, np.uint8)
    written, looks = write_record(looked_at(6, [0, 2, 5]), slot)
    assert written.count <= 6
    if looks is not None:
        assert looks.rows.max() < written.count
        again = Embeddings.view_at_end(len(looks), looks.dims, slot)
        assert again is not None and again.vectors[:, 0].tolist() == again.rows.tolist()
    boxes = Detections.view(written.count, slot).boxes_xyxy[:, 0]
    assert boxes.tolist() == [10.0 * n for n in range(written.count)]


def test_without_embeddings_nothing_is_different() -> None:
    slot = np.zeros(200, np.uint8)
    assert write_record(detections_of((0, 0, 8, 8)), slot)[1] is None
    none = Embeddings(np.empty(0, np.int32), np.empty((0, 8), np.float16))
    assert write_record(replace(detections_of((0, 0, 8, 8)), embeddings=none), slot)[1] is None


def test_as_many_rows_as_fit() -> None:
    room = Embeddings.nbytes(32, 2048)
    assert most_rows(room, 2048) == 32 and most_rows(room, 512) > 100 and most_rows(0, 512) == 0
    assert Embeddings.nbytes(most_rows(room, 3000), 3000) <= room


def test_rows_of_zeros_are_no_embeddings() -> None:
    look = Look(np.array([2, 7], np.int32), (Need.NEW, Need.REFRESH))
    assert look.settle(np.array([[0, 0], [0, 1]], np.float16)) == (Need.REFRESH,)
    assert look.done and look.embeddings is not None and look.embeddings.rows.tolist() == [7]
    nothing = Look(np.array([2], np.int32), (Need.NEW,))
    assert nothing.settle(np.zeros((1, 2), np.float16)) == () and nothing.done and nothing.embeddings is None
