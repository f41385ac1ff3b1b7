"""Ways between cameras."""

from __future__ import annotations

import numpy as np
import pytest

from engine.config.links import LinkConfig
from engine.identity.gates import Gates

YARD, HALL, ROOF = 0, 1, 2
CAMERAS = ("yard", "hall", "roof")
LINKS = (LinkConfig("yard", "hall", 2.0, 30.0), LinkConfig("hall", "roof", 5.0, None, one_way=True))


@pytest.mark.parametrize(
    ("source", "target", "elapsed_s", "is_open"),
    [
        (YARD, HALL, 1.9, False), (YARD, HALL, 2.0, True), (YARD, HALL, 30.0, True), (YARD, HALL, 30.1, False),
        (HALL, YARD, 2.0, True), (HALL, ROOF, 4.0, False), (HALL, ROOF, 1e6, True), (ROOF, HALL, 10.0, False),
        (YARD, ROOF, 10.0, False), (YARD, YARD, 0.0, True), (YARD, YARD, 1e6, True), (-1, YARD, 10.0, False),
    ],
)  # fmt: skip
def test_links(source: int, target: int, elapsed_s: float, is_open: bool) -> None:
    found = Gates(CAMERAS, LINKS).open(np.array([source], np.int32), target, np.array([elapsed_s]))
    assert found.tolist() == [is_open]


def test_without_links_everybody_may_be_anywhere_at_once() -> None:
    found = Gates(CAMERAS, ()).open(np.array([YARD, HALL, -1], np.int32), ROOF, np.zeros(3))
    assert found.all()
