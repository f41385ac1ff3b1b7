"""Houses: runs without processes, closed after the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from engine.config import RunConfig
from tests.workers.house import House


@pytest.fixture
def open_house() -> Iterator[Callable[[RunConfig], House]]:
    """Makes the pools and wake-ups of a run."""
    houses: list[House] = []

    def open_one(config: RunConfig) -> House:
        houses.append(House(config))
        return houses[-1]

    yield open_one
    for house in houses:
        house.close()
