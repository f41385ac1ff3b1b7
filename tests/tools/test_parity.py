"""What counts as the same, and what does not."""

from __future__ import annotations

import numpy as np
import pytest

from engine.models.heads.base import Graph, Tensor
from engine.types import F32
from kernels.letterbox import Fit, Letterbox, fit_letterbox
from tools.parity import FLOAT32, Parity, head_of

PLACE: Letterbox = fit_letterbox((64, 64), (64, 64), Fit.CENTRED)
CELLS = 8 * 8 + 4 * 4 + 2 * 2


def anchors(score: float = 0.9, x: float = 20.0) -> F32:
    """One sure box of class 3 in the output of an Ultralytics graph with five classes."""
    output = np.full((1, 9, CELLS), 0.01, np.float32)
    output[0, :4, 7] = (x, 30, 16, 16)
    output[0, 4 + 3, 7] = score
    return output


def end_to_end(*rows: tuple[float, ...]) -> F32:
    output = np.zeros((1, 300, 6), np.float32)
    output[0, : len(rows)] = rows
    return output


def parity_of(output: F32, sorted_rows: bool = False) -> Parity:
    tensors = (Tensor("images", "float32", (1, 3, 64, 64)),), (Tensor("output0", "float32", output.shape),)
    names = "{0: 'a', 1: 'b', 2: 'c', 3: 'd', 4: 'e'}"
    metadata = {"names": names, "stride": "32", "task": "detect", "author": "Ultralytics"}
    graph = Graph(
        *tensors, (output.shape,), (64, 64), metadata | ({"end2end": "True"} if sorted_rows else {})
    )
    parity = Parity(graph, sorted_rows)
    parity.read_by(head_of(graph, "here"))
    return parity


def complaints(wanted: F32, found: F32, sorted_rows: bool = False) -> list[str]:
    parity = parity_of(wanted, sorted_rows)
    parity.add([wanted], [found], PLACE, FLOAT32)
    return parity.complaints(FLOAT32)


def test_the_same_is_the_same() -> None:
    assert complaints(anchors(), anchors()) == []
    parity = parity_of(anchors())
    parity.add([anchors()], [anchors()], PLACE, FLOAT32)
    assert (parity.boxes.wanted, parity.boxes.matched) == (1, 1)
    assert parity.rows() == [("output0", f"1 × 9 × {CELLS}", "0", "0", "30")]
    assert parity.record()["pictures"] == 1


def test_a_moved_box_a_changed_score_and_a_lost_box_are_told_apart() -> None:
    assert ["differs by 0.1" in line for line in complaints(anchors(), anchors(x=23))] == [True, False]
    alone = "100.0% of the boxes have no partner, allowed 0.5%"
    assert complaints(anchors(), anchors(score=0.88)) == [alone]
    lost = complaints(anchors(), anchors(score=0.1))
    assert alone in lost


def test_a_box_too_many_counts_like_one_that_is_missing() -> None:
    assert complaints(anchors(score=0.1), anchors()) == complaints(anchors(), anchors(score=0.1))


def test_a_score_on_the_edge_may_fall_on_either_side() -> None:
    assert complaints(anchors(score=0.2501), anchors(score=0.2499)) == []


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_a_number_that_is_none_is_a_difference(number: float) -> None:
    broken = anchors()
    broken[0, 5, 50] = number
    assert any("output0 differs" in line for line in complaints(anchors(), broken))


def test_rows_that_change_places_are_no_difference() -> None:
    a, b = (5, 5, 25, 25, 0.8, 1), (30, 30, 60, 60, 0.8000001, 2)
    assert complaints(end_to_end(a, b), end_to_end(b, a), sorted_rows=True) == []
    assert complaints(end_to_end(a, b), end_to_end(a), sorted_rows=True) != []


def test_nothing_compared_is_no_success() -> None:
    parity = parity_of(anchors())
    assert "nothing could be compared" in parity.complaints(FLOAT32)[0]
