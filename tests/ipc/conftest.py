"""Pools of both kinds: as Linux has them, and as other systems have them (which Linux can run too)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ipc.pool import PoolLayout, PoolMemory
from ipc.segment_shm import create_shm_segment
from tests.ipc.pools import OpenPool, OpenPoolOf


@pytest.fixture(params=["memfd", "shm"])
def open_pool(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[OpenPoolOf]:
    """Makes pools: on memfds that are their own locks, or on unlinked shm objects with a lock file."""
    lock_path: str | None = None
    if request.param == "shm":
        monkeypatch.setattr("ipc.pool.create_segment", create_shm_segment)
        lock_path = str(tmp_path / "pool.lock")
        Path(lock_path).touch()
    opened: list[OpenPool] = []

    def open_one(layout: PoolLayout) -> OpenPool:
        opened.append(OpenPool(PoolMemory("test", layout, lock_path)))
        return opened[-1]

    yield open_one
    for pool in opened:
        pool.close()
