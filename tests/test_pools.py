"""Pools as the supervisor owns them: announced to whom they concern, freed after deaths, given back in time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine import topology
from engine.config import CameraConfig, OutputConfig, RunConfig
from engine.pools import LivePool, Pools
from engine.run_directory import RunDirectory
from engine.workers.feed import layout_from_json
from ipc.notify import Notifier
from ipc.pool import Consumer, Producer
from ipc.segment import SegmentError

CONFIG = RunConfig(
    "m3-cpu",
    (CameraConfig("a", "test://"), CameraConfig("b", "test://")),
    output=OutputConfig(overlay=False),
)


@pytest.fixture
def wakes() -> Iterator[dict[str, Notifier]]:
    wakes = {spec.name: Notifier.create() for spec in topology.workers(CONFIG)}
    yield wakes
    for wake in wakes.values():
        wake.close()


@pytest.fixture
def pools(wakes: dict[str, Notifier]) -> Iterator[Pools]:
    pools = Pools(wakes, None)
    yield pools
    pools.close()


def create(pools: Pools, camera: str = "a", generation: int = 1, *, offline: bool = False) -> LivePool:
    config = RunConfig(CONFIG.profile, CONFIG.cameras, output=CONFIG.output, offline=offline)
    before = pools.newest(f"frames:{camera}")
    first_seq = before.memory.newest_seq() + 1 if before else 1
    return pools.create(topology.frame_pool(config, camera, 64, 48, generation, first_seq))


def producer(live: LivePool) -> Producer:
    return Producer(live.memory.layout, live.memory.control_fd, live.memory.data_fd)


def consumer(live: LivePool, worker: str) -> Consumer:
    memory = live.memory
    return Consumer(memory.layout, memory.control_fd, memory.data_fd, live.spec.consumers[worker])


def publish(live: LivePool) -> int:
    with (writer := producer(live)).write():
        pass
    return writer.newest_seq()


def leased(live: LivePool) -> tuple[int, ...]:
    return live.memory.statistics().leased


def test_the_newest_generation_is_the_one_in_use(pools: Pools) -> None:
    assert pools.newest("frames:a") is None
    first = create(pools)
    assert pools.newest("frames:a") is first
    second = create(pools, generation=2)
    assert pools.newest("frames:a") is second and pools.newest("frames:b") is None


def test_two_generations_are_kept_and_older_ones_given_back(pools: Pools) -> None:
    generations = [create(pools, generation=number) for number in (1, 2, 3)]
    assert list(pools.of_worker("infer")) == generations[1:]
    assert [live.memory.control_fd >= 0 for live in generations] == [False, True, True]


def test_a_worker_is_concerned_by_what_it_reads_and_writes(pools: Pools) -> None:
    frames_a, frames_b = create(pools, "a"), create(pools, "b")
    results = [pools.create(spec) for spec in topology.result_pools(CONFIG, "a")]
    assert list(pools.of_worker("decode:a")) == [frames_a]
    assert list(pools.of_worker("infer")) == [frames_a, frames_b, results[0]]
    assert list(pools.of_worker("results")) == [results[1]]
    assert list(pools.of_worker("control")) == results[1:], "results, and packets for those who look"


def test_an_announcement_to_the_writer_names_whom_to_wake(pools: Pools, wakes: dict[str, Notifier]) -> None:
    live = create(pools)
    message, descriptors = pools.announcement(live, "decode:a")
    assert (message["type"], message["name"], message["role"]) == ("pool", "frames:a", "producer")
    assert layout_from_json(message["layout"]) == live.memory.layout
    assert live.spec.woken == ("infer",), "the tracker looks frames up by number"
    assert descriptors == [live.memory.control_fd, live.memory.data_fd, *wakes["infer"].descriptors]


def test_an_announcement_to_a_reader_names_its_row_and_the_writer(
    pools: Pools, wakes: dict[str, Notifier]
) -> None:
    live = create(pools)
    message, descriptors = pools.announcement(live, "infer")
    assert (message["role"], message["row"]) == ("consumer", topology.FRAMES_INFER)
    assert descriptors[2:] == list(wakes["decode:a"].descriptors)


def test_a_dead_reader_lets_go_of_its_leases_and_of_nobody_elses(pools: Pools) -> None:
    generations = [create(pools), create(pools, generation=2)]
    for live in generations:
        publish(live)
        for worker in ("infer", "track"):
            assert consumer(live, worker).lease_newest(0) is not None
    infer, track = topology.FRAMES_INFER, topology.FRAMES_TRACK
    assert [(leased(live)[infer], leased(live)[track]) for live in generations] == [(1, 1), (1, 1)]
    pools.reap("infer")
    assert [(leased(live)[infer], leased(live)[track]) for live in generations] == [(0, 1), (0, 1)]


def test_a_dead_writer_lets_go_of_the_slot_it_was_writing(pools: Pools) -> None:
    live, other = create(pools, "a"), create(pools, "b")
    assert producer(live).begin() is not None and producer(other).begin() is not None
    pools.reap("decode:a")
    assert publish(live) == 1
    with pytest.raises(Exception, match="while a slot is being written"):
        producer(other).begin()


def test_offline_the_rows_of_all_readers_are_required(pools: Pools) -> None:
    live = create(pools, offline=True)
    writer = producer(live)
    while (slot := writer.begin()) is not None:
        writer.publish(slot)
    for worker in live.spec.consumers:
        assert writer.begin() is None
        consumer(live, worker).acknowledge(1)
    assert writer.begin() is not None


def test_memory_that_is_not_there_is_an_error_and_changes_nothing(pools: Pools) -> None:
    live = create(pools)
    before = len(os.listdir("/dev/fd"))
    with pytest.raises(SegmentError, match="MiB needed"):
        pools.create(topology.frame_pool(CONFIG, "a", 10**6, 10**6, generation=2))
    assert pools.newest("frames:a") is live
    assert len(os.listdir("/dev/fd")) == before


def test_pools_with_lock_files_have_one_each(wakes: dict[str, Notifier], tmp_path: Path) -> None:
    """As on systems whose shared memory cannot be locked."""
    directory = RunDirectory(tmp_path)
    pools = Pools(wakes, directory)
    live, other = create(pools, "a"), create(pools, "b")
    message, _ = pools.announcement(live, "infer")
    assert Path(message["lock_path"]).parent == directory.path
    assert message["lock_path"] == live.memory.lock_path != other.memory.lock_path
    assert publish(live) == 1
    pools.close()
    directory.remove()


def test_nothing_is_left_after_the_run(wakes: dict[str, Notifier]) -> None:
    before = len(os.listdir("/dev/fd"))
    pools = Pools(wakes, None)
    for generation in (1, 2, 3):
        live = create(pools, generation=generation)
    assert len(os.listdir("/dev/fd")) > before
    pools.close()
    del live
    assert pools.newest("frames:a") is None
    assert len(os.listdir("/dev/fd")) == before


def test_a_pool_that_is_dropped_lives_on_for_those_who_still_read_it(pools: Pools) -> None:
    live = create(pools)
    publish(live)
    reader = consumer(live, "infer")
    before = len(os.listdir("/dev/fd"))
    pools.drop("frames:a")
    assert pools.newest("frames:a") is None and list(pools.of_worker("infer")) == []
    assert len(os.listdir("/dev/fd")) < before
    lease = reader.lease_newest(0)
    assert lease is not None
    lease.release()
    pools.drop("frames:a")  # a second time does no harm
    assert create(pools).memory.newest_seq() == 0, "one that is made anew begins anew"


def test_other_readers_of_a_pool_that_stays(pools: Pools, wakes: dict[str, Notifier]) -> None:
    (_, before, *_) = topology.result_pools(CONFIG, "a")
    live = pools.create(before)
    publish(live)
    wakes["ptz"] = Notifier.create()
    after = replace(
        before, consumers={**before.consumers, "ptz": topology.TRACKS_PTZ}, woken=(*before.woken, "ptz")
    )
    pools.rewire(after)
    (rewired,) = pools.of_worker("ptz")
    assert rewired.memory is live.memory and rewired.memory.newest_seq() == 1
    assert pools.wakes_after("tracks:a")[-len(wakes["ptz"].descriptors) :] == list(wakes["ptz"].descriptors)
    assert [each.spec.name for each in pools.of_camera("a")] == ["tracks:a"]
