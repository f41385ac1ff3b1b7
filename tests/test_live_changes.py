"""Plans of changes: for any two configurations, applying the plan to what the one needs gives what the other needs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import topology
from engine.config import CameraConfig, ControlConfig, DecodeConfig, OutputConfig, RunConfig, SegmentConfig
from engine.config.links import LinkConfig
from engine.config.ptz import PtzConfig
from engine.config.regions import Line, Zone
from engine.config.stream import StreamConfig
from engine.errors import ConfigError
from engine.live_changes import ChangePlan, begins_anew, check_stages, plan_change, settled

NAMES = ("front", "back", "yard", "a:b")
ZONE = Zone("way in", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0)))
LINE = Line("gate", ((0.0, 0.5), (1.0, 0.5)))


def head(guides: tuple[str, ...] = (), port: int = 80) -> PtzConfig:
    return PtzConfig("hikvision", f"http://192.0.2.7:{port}", 60.0, guides=guides)


@st.composite
def cameras(draw: st.DrawFn) -> tuple[CameraConfig, ...]:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    found = []
    for name in names:
        others = [other for other in names if other != name]
        guides = tuple(draw(st.lists(st.sampled_from(others), unique=True, max_size=1))) if others else ()
        found.append(
            CameraConfig(
                name,
                draw(st.sampled_from(("test://", "rtsp://camera/1"))),
                loop=draw(st.booleans()),
                infer_fps=draw(st.sampled_from((0.0, 5.0))),
                zones=draw(st.sampled_from(((), (ZONE,)))),
                lines=draw(st.sampled_from(((), (LINE,)))),
                ptz=draw(st.sampled_from((None, head(guides), head(guides, port=81)))),
            )
        )
    return tuple(found)


RUNS = st.builds(
    RunConfig,
    st.just("m3-cpu"),
    cameras(),
    output=st.builds(OutputConfig, overlay=st.booleans()),
    control=st.builds(ControlConfig, enabled=st.booleans()),
    segment=st.builds(SegmentConfig, standby=st.booleans()),
    decode=st.builds(DecodeConfig, place=st.sampled_from(("process", "inference"))),
    stream=st.builds(StreamConfig, enabled=st.booleans(), publish=st.sampled_from(((), ("hls:out",)))),
).map(settled)


def pools(config: RunConfig) -> dict[str, topology.PoolSpec]:
    return {
        spec.name: spec for camera in config.cameras for spec in topology.result_pools(config, camera.name)
    }


def workers(config: RunConfig) -> dict[str, topology.WorkerSpec]:
    return {spec.name: spec for spec in topology.workers(config)}


def applied(plan: ChangePlan, before: RunConfig) -> tuple[set[str], dict[str, topology.PoolSpec]]:
    """The workers and pools of a run after the plan."""
    there = set(workers(before)) - set(plan.stops) | {spec.name for spec in plan.starts}
    kept = {name: spec for name, spec in pools(before).items() if name not in plan.dropped}
    return there, kept | {spec.name: spec for spec in (*plan.made, *plan.rewired)}


@given(RUNS, cameras())
def test_a_plan_leads_from_any_run_to_any_other(before: RunConfig, cameras: tuple[CameraConfig, ...]) -> None:
    after = settled(replace(before, cameras=cameras))
    plan = plan_change(before, after)
    there, kept = applied(plan, before)
    assert there == set(workers(after)) and kept == pools(after)
    assert not set(plan.stops) & {spec.name for spec in plan.starts}
    assert not set(plan.dropped) & {spec.name for spec in plan.made}


@given(RUNS, cameras())
def test_nobody_starts_before_those_who_read_from_him(
    before: RunConfig, cameras: tuple[CameraConfig, ...]
) -> None:
    after = settled(replace(before, cameras=cameras))
    plan = plan_change(before, after)
    order = [spec.name for spec in plan.starts]
    assert order == [name for name in workers(after) if name in order]
    stages = [workers(before)[name].stage for name in plan.stops]
    assert stages == sorted(stages)


@given(RUNS, cameras())
def test_cameras_that_stay_as_they_are_are_left_alone(
    before: RunConfig, cameras: tuple[CameraConfig, ...]
) -> None:
    after = settled(replace(before, cameras=cameras))
    plan = plan_change(before, after)
    same = {camera.name for camera in before.cameras if camera in cameras}
    touched = {spec.camera for spec in plan.starts if spec.camera}
    touched |= {workers(before)[name].camera for name in (*plan.stops, *plan.restarts)} - {""}
    touched |= {spec.camera for spec in plan.made} | {pools(before)[name].camera for name in plan.dropped}
    touched |= {workers(after)[name].camera for name in plan.told} - {""}
    assert not same & touched and not same & plan.concerned
    assert all(
        pools(before)[spec.name].layout == spec.layout and pools(before)[spec.name].producer == spec.producer
        for spec in plan.rewired
    ), "memory stays"


@given(RUNS)
def test_nothing_to_do(config: RunConfig) -> None:
    assert plan_change(config, config) == ChangePlan()


@given(RUNS, cameras())
def test_everybody_who_goes_on_and_serves_all_cameras_is_told(
    before: RunConfig, cameras: tuple[CameraConfig, ...]
) -> None:
    after = settled(replace(before, cameras=cameras))
    plan = plan_change(before, after)
    shared = {
        spec.name for spec in workers(after).values() if not spec.camera and spec.name in workers(before)
    }
    if before.cameras != after.cameras:
        assert shared <= set(plan.told)
    assert not [name for name in plan.told if name.startswith("decode:")]


@given(RUNS, cameras())
def test_a_worker_holds_what_the_configuration_gives_it(
    before: RunConfig, cameras: tuple[CameraConfig, ...]
) -> None:
    """`pools_of` tells what a worker lets go of: it agrees with the pools themselves."""
    config = settled(replace(before, cameras=cameras))
    for worker in workers(config):
        specs = [*pools(config).values()]
        specs += [topology.frame_pool(config, camera.name, 64, 48) for camera in config.cameras]
        assert topology.pools_of(config, worker) == {
            spec.name for spec in specs if worker == spec.producer or worker in spec.consumers
        }


CONFIG = RunConfig("m3-cpu", (CameraConfig("front", "test://"), CameraConfig("back", "test://")))


def changed(**settings: object) -> RunConfig:
    front, back = CONFIG.cameras
    return replace(CONFIG, cameras=(replace(front, **settings), back))  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize(
    "settings", [{"source": "rtsp://camera/1"}, {"loop": True}, {"rtsp_transport": "udp"}, {"poses": "file"}]
)
def test_what_only_the_decoder_reads_restarts_that_alone(settings: dict[str, object]) -> None:
    plan = plan_change(CONFIG, changed(**settings))
    assert plan.restarts == ("decode:front",)
    assert (plan.starts, plan.stops, plan.made, plan.dropped, plan.rewired) == ((), (), (), (), ())


@pytest.mark.parametrize("settings", [{"infer_fps": 5.0}, {"zones": (ZONE,)}, {"lines": (LINE,)}])
def test_what_can_be_taken_over_restarts_nobody(settings: dict[str, object]) -> None:
    plan = plan_change(CONFIG, changed(**settings))
    assert plan == ChangePlan(changed=("front",), told=plan.told)
    assert "stream:front" in plan.told and "stream:back" not in plan.told


def test_a_first_head_brings_its_process_and_the_last_one_takes_it_away() -> None:
    after = changed(ptz=head(("back",)))
    plan = plan_change(CONFIG, after)
    assert [spec.name for spec in plan.starts] == ["ptz"] and plan.restarts == ("decode:front",)
    assert [spec.name for spec in plan.rewired] == ["tracks:front", "tracks:back"]
    assert [spec.name for spec in plan.made] == ["pose:front"]
    back = plan_change(after, CONFIG)
    assert back.stops == ("ptz",) and back.dropped == ("pose:front",)


def test_other_settings_of_a_head_concern_that_alone() -> None:
    plan = plan_change(changed(ptz=head()), changed(ptz=head(port=81)))
    assert plan.restarts == () and plan.starts == () and plan.stops == () and "ptz" in plan.told


def test_links_alone_are_told() -> None:
    after = replace(CONFIG, links=(LinkConfig("front", "back"),))
    assert "track" in plan_change(CONFIG, after).told


def test_a_stage_that_is_there_stays_and_one_that_is_not_cannot_come() -> None:
    masks = settled(changed(segment="track"))
    alone = replace(masks, cameras=masks.cameras[1:])
    assert topology.has_segmentation(alone) and "segment" not in plan_change(masks, alone).stops
    check_stages(masks, alone)
    with pytest.raises(ConfigError, match="--segment"):
        check_stages(settled(CONFIG), changed(segment="track"))


def test_a_file_begins_anew_where_it_is_another_or_is_to_begin_again() -> None:
    front = CONFIG.cameras[0]
    assert begins_anew(front, replace(front, source="other.mp4")) and begins_anew(
        front, replace(front, loop=True)
    )
    assert not begins_anew(front, replace(front, infer_fps=3.0))
