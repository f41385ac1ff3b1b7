"""The process graph of every configuration that loading accepts: complete, and within what a pool can do."""

from __future__ import annotations

import itertools
import os
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine import topology
from engine.config import (
    CameraConfig,
    ControlConfig,
    DecodeConfig,
    InferConfig,
    OutputConfig,
    PoolConfig,
    RunConfig,
    SegmentConfig,
    StreamConfig,
    load_run_config,
)
from engine.config.ptz import PtzConfig
from engine.config.settings import MOST_FRAMES_HELD, SETTINGS
from engine.errors import ConfigError
from engine.topology import PoolSpec
from engine.types import nv12_geometry
from ipc.layout import MAX_SLOTS

CAMERAS = (CameraConfig("front", "test://"), CameraConfig("back", "test://"))


HEAD = PtzConfig("hikvision", "http://192.0.2.7", 60.0, guides=("front",))
STEERED = (CAMERAS[0], CameraConfig("back", "test://", ptz=HEAD))

CONFIGURATIONS = [
    RunConfig(
        "m3-cpu", cameras, offline=offline, output=OutputConfig(overlay=overlay),
        control=ControlConfig(enabled=control), segment=SegmentConfig(standby=segment),
    )
    for offline, overlay, control, segment in itertools.product((False, True), repeat=4)
    for cameras in (CAMERAS, STEERED)
]  # fmt: skip
"""Everything that changes who is there."""


def pools(config: RunConfig) -> list[PoolSpec]:
    return [
        pool
        for camera in config.cameras
        for pool in (
            topology.frame_pool(config, camera.name, 640, 480),
            *topology.result_pools(config, camera.name),
        )
    ]


@pytest.mark.parametrize("config", CONFIGURATIONS)
def test_every_worker_that_a_pool_names_is_started_once(config: RunConfig) -> None:
    names = [spec.name for spec in topology.workers(config)]
    assert len(names) == len(set(names))
    for pool in pools(config):
        assert {pool.producer, *pool.consumers} <= set(names), pool.name
        assert pool.producer not in pool.consumers


@pytest.mark.parametrize("config", CONFIGURATIONS)
def test_every_worker_has_a_row_of_its_own_and_leases_in_it(config: RunConfig) -> None:
    for pool in pools(config):
        rows = list(pool.consumers.values())
        assert len(rows) == len(set(rows))
        assert all(0 <= row < len(pool.layout.leases) for row in rows)


@pytest.mark.parametrize("config", CONFIGURATIONS)
def test_nobody_is_waited_for_live_and_offline_everybody_but_who_looks_on(config: RunConfig) -> None:
    for pool in pools(config):
        readers = {row for name, row in pool.consumers.items() if name not in ("control", "ptz")}
        assert set(pool.required) == (readers if config.offline else set())


def test_packets_go_to_those_who_show_them() -> None:
    """And nobody is waited for; where nobody can look there are none."""
    published = StreamConfig(publish=("rtmp://192.0.2.7/live/{camera}",))
    alone = ControlConfig(enabled=False)
    for config, readers in (
        (RunConfig("m3-cpu", CAMERAS), ["control"]),
        (RunConfig("m3-cpu", CAMERAS, stream=published), ["control", "publish:back"]),
        (RunConfig("m3-cpu", CAMERAS, stream=published, control=alone), ["publish:back"]),
    ):
        (pool,) = (pool for pool in pools(config) if pool.name == "packets:back")
        assert (pool.producer, list(pool.consumers)) == ("stream:back", readers)
        assert (sorted(pool.woken), pool.required) == (sorted(readers), ())
        assert pool.layout.slots >= 45, "less than a second and a half of packets"
    for config in (
        RunConfig("m3-cpu", CAMERAS, offline=True, stream=published),
        RunConfig("m3-cpu", CAMERAS, stream=StreamConfig(enabled=False, publish=published.publish)),
        RunConfig("m3-cpu", CAMERAS, control=alone),
    ):
        assert not [pool for pool in pools(config) if pool.name.startswith("packets:")]
        assert not [spec for spec in topology.workers(config) if spec.kind == "publish"]


def test_a_head_follows_what_its_camera_and_its_guides_see() -> None:
    config = RunConfig("m3-cpu", (*STEERED, CameraConfig("roof", "test://")))
    readers = {
        camera.name: [
            pool.name for pool in topology.result_pools(config, camera.name) if "ptz" in pool.consumers
        ]
        for camera in config.cameras
    }
    assert readers == {"front": ["tracks:front"], "back": ["tracks:back"], "roof": []}


@pytest.mark.parametrize("place", ["process", "inference"])
def test_where_a_head_points_goes_to_the_decoder_of_its_camera(place: str) -> None:
    """And nobody is woken for it, and nobody waits."""
    config = RunConfig("m3-cpu", STEERED, decode=DecodeConfig(place=place))
    (pool,) = (pool for pool in pools(config) if pool.producer == "ptz")
    assert (pool.name, pool.camera, list(pool.consumers)) == ("pose:back", "back", ["decode:back"])
    assert (pool.woken, pool.required) == ((), ())
    offline = RunConfig("m3-cpu", STEERED, offline=True)
    assert not [pool for pool in pools(offline) if pool.name.startswith("pose:")]


@pytest.mark.parametrize("config", CONFIGURATIONS)
def test_who_is_there_and_in_which_order(config: RunConfig) -> None:
    specs = topology.workers(config)
    drawn = config.output.overlay or (config.control.enabled and not config.offline)
    streams = [f"stream:{camera.name}" for camera in CAMERAS] if drawn else []
    assert [spec.name for spec in specs] == [
        *(["control"] if config.control.enabled else []),
        "results", *streams, *(["segment"] if config.segment.standby else []),
        *(["ptz"] if config.cameras[1].ptz and not config.offline else []), "track", "infer",
        "decode:front", "decode:back",
    ]  # fmt: skip
    assert {spec.name: spec.camera for spec in specs if spec.camera} == {
        f"{kind}:{camera.name}": camera.name
        for kind in (["stream", "decode"] if drawn else ["decode"])
        for camera in CAMERAS
    }


def test_cameras_are_hosted_by_inference_only_where_that_was_asked_for() -> None:
    """The host stands before its guests, because that is the order in which they are started."""
    for place, host in (("process", ""), ("inference", "infer")):
        specs = topology.workers(RunConfig("m3-cpu", CAMERAS, decode=DecodeConfig(place=place)))
        names = [spec.name for spec in specs]
        assert {spec.host for spec in specs if spec.kind == "decode"} == {host}
        assert {spec.host for spec in specs if spec.kind != "decode"} == {""}
        assert all(names.index(spec.host) < names.index(spec.name) for spec in specs if spec.host)


def test_workers_stop_from_the_sources_to_the_outputs() -> None:
    """Or what is in flight would not be written any more."""
    config = RunConfig("m3-cpu", CAMERAS, segment=SegmentConfig(mode="track"))
    stages = {spec.name: spec.stage for spec in topology.workers(config)}
    for pool in pools(config):
        assert all(stages[pool.producer] < stages[reader] for reader in pool.consumers)
    assert max(stages, key=lambda name: stages[name]) == "control"


@pytest.mark.parametrize(
    ("mode", "front", "standby", "wanted"),
    [
        ("off", "", False, False),
        ("off", "", True, True),
        ("off", "track", False, True),
        ("boxes", "", False, True),
        ("boxes", "off", False, True),
    ],
)
def test_there_is_a_stage_for_masks_where_any_camera_may_want_them(
    mode: str, front: str, standby: bool, wanted: bool
) -> None:
    cameras = (CameraConfig("front", "test://", segment=front), CameraConfig("back", "test://"))
    config = RunConfig("m3-cpu", cameras, segment=SegmentConfig(mode=mode, standby=standby))
    assert topology.has_segmentation(config) == wanted
    assert topology.segment_mode(config, "front") == (front or mode)
    assert ("segment" in {spec.name for spec in topology.workers(config)}) == wanted
    named = {pool.name: pool for pool in pools(config)}
    read = named[topology.pool_of_outputs(config, "back")]
    assert set(read.consumers) == {"results", "stream:back", "control"}, (
        "outputs read the last pool and no other"
    )
    assert set(named["tracks:back"].consumers) == ({"segment"} if wanted else set(read.consumers))
    assert ("segment" in named["frames:back"].consumers) == wanted


def test_segmentation_is_off_where_every_camera_is() -> None:
    cameras = (CameraConfig("front", "test://", segment="off"),)
    assert not topology.has_segmentation(RunConfig("m3-cpu", cameras, segment=SegmentConfig(mode="auto")))


def limits(key: str) -> tuple[int, int]:
    bounds = SETTINGS[key].bounds
    assert bounds is not None
    return int(bounds[0]), int(bounds[1])


EXTREMES = {key: limits(key) for key in ("infer.lanes", "infer.batch", "pool.history", "pool.result_history")}


@given(
    lanes=st.integers(*EXTREMES["infer.lanes"]),
    batch=st.integers(*EXTREMES["infer.batch"]),
    history=st.integers(*EXTREMES["pool.history"]),
    offline=st.booleans(),
    cameras=st.integers(1, 20),
    result_history=st.integers(*EXTREMES["pool.result_history"]),
    cores=st.integers(1, 512),
)
@example(lanes=0, batch=1, history=4, offline=False, cameras=1, result_history=24, cores=256)
@example(lanes=0, batch=56, history=0, offline=True, cameras=1, result_history=54, cores=2)
@example(lanes=56, batch=1, history=0, offline=False, cameras=3, result_history=2, cores=1)
@example(lanes=1, batch=1, history=55, offline=True, cameras=8, result_history=2, cores=1)
def test_what_loading_accepts_fits_into_pools(
    lanes: int, batch: int, history: int, offline: bool, cameras: int, result_history: int, cores: int
) -> None:
    flags: dict[str, object] = {
        "source": ["test://"] * cameras, "offline": offline, "infer.lanes": lanes, "infer.batch": batch,
        "pool.history": history, "pool.result_history": result_history, "segment.standby": True,
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as machine:
        machine.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)
        try:
            config = load_run_config("m3-cpu", None, flags, {}).config
        except ConfigError:
            frames_per_call = max(1, batch) if offline else 1
            assert max(1, lanes) * frames_per_call + history > MOST_FRAMES_HELD
            return
        for pool in pools(config):
            assert pool.layout.slots <= MAX_SLOTS
        in_flight = topology.frames_in_flight(config)
        room = MOST_FRAMES_HELD - history
        calls = (lanes or cores) + 1
        assert in_flight > min(calls, room), "a camera alone cannot keep every call busy"
        if offline:
            batch = batch or min(8, cameras)
            assert in_flight > min(batch, room), "not one whole batch"
            assert (in_flight - 1) * cameras >= min(calls * batch, room), "not all calls together"


def test_the_limits_are_no_tighter_than_a_pool() -> None:
    infer = InferConfig(lanes=1, batch=MOST_FRAMES_HELD)
    config = RunConfig(
        "m3-cpu",
        CAMERAS,
        offline=True,
        infer=infer,
        segment=SegmentConfig(standby=True),
        pool=PoolConfig(history=0, result_history=EXTREMES["pool.result_history"][1]),
    )
    slots = {pool.name: pool.layout.slots for pool in pools(config)}
    assert slots["frames:front"] == slots["tracks:front"] == slots["masks:front"] == MAX_SLOTS


def test_lanes_are_one_per_core_unless_said_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 5, 7}, raising=False)
    assert topology.lanes(RunConfig("m3-cpu", CAMERAS)) == 3
    assert topology.lanes(RunConfig("m3-cpu", CAMERAS, infer=InferConfig(lanes=2))) == 2


def test_memory_stays_sensible_whatever_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slot of 1080p is 3.1 MB, and there is one pool a camera."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    many = tuple(CameraConfig(f"c{number}", "test://") for number in range(8))
    assert topology.frames_in_flight(RunConfig("m3-cpu", many)) == 10
    assert topology.frames_in_flight(RunConfig("m3-cpu", many, infer=InferConfig(batch=32))) == 10
    assert topology.frames_in_flight(RunConfig("m3-cpu", many, offline=True)) == 10
    assert topology.frames_in_flight(RunConfig("m3-cpu", many[:1], offline=True)) == 10
    batches = InferConfig(lanes=1, batch=16)
    assert topology.frames_in_flight(RunConfig("g5-trt", many, offline=True, infer=batches)) == 17
    assert topology.frames_in_flight(RunConfig("g5-trt", many[:1], offline=True, infer=batches)) == 33


def test_a_pool_of_frames_has_room_for_its_picture_and_goes_on_counting() -> None:
    pool = topology.frame_pool(RunConfig("m3-cpu", CAMERAS), "back", 1920, 1080, generation=3, first_seq=77)
    assert (pool.name, pool.camera, pool.producer) == ("frames:back", "back", "decode:back")
    assert pool.layout.slot_bytes == nv12_geometry(1920, 1080)[2]
    assert (pool.layout.generation, pool.layout.first_seq) == (3, 77)


@pytest.mark.parametrize("offline", [False, True])
@pytest.mark.parametrize("segment", [False, True])
def test_a_program_reads_results_and_frames_in_rows_of_its_own(offline: bool, segment: bool) -> None:
    config = replace(
        RunConfig("m3-cpu", CAMERAS, offline=offline, segment=SegmentConfig(standby=segment)), api=True
    )
    assert RunConfig.from_json(config.to_json()) == config
    assert "api" in [spec.name for spec in topology.workers(config)]
    assert "api" not in [spec.name for spec in topology.workers(replace(config, api=False))]
    own = f"{'masks' if segment else 'tracks'}:back"
    read = {pool.name: pool for pool in pools(config) if "api" in pool.consumers and pool.camera == "back"}
    assert set(read) == {"frames:back", own} == set(topology.pools_of(config, "api")) & set(read)
    assert "api" in read[own].woken
    for pool in read.values():
        row = pool.consumers["api"]
        assert len(set(pool.consumers.values())) == len(pool.consumers) and row < len(pool.layout.leases)
        assert (row in pool.required) == offline
    assert read["frames:back"].layout.leases[topology.FRAMES_API] == topology.FRAMES_OF_PROGRAM
    # As much history as `engine.api_run` lets through, beside the most lanes.
    largest = replace(config, pool=PoolConfig(history=MOST_FRAMES_HELD - topology.FRAMES_OF_PROGRAM - 1))
    for pool in pools(replace(largest, infer=InferConfig(lanes=8))):
        assert pool.layout.slots <= MAX_SLOTS
