"""Laws in a closed loop: the predictive one reaches its figures and beats the others; names and options."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from engine.errors import PtzRefused
from ptz.laws.base import Aim, create_law, law_names
from ptz.pose_log import Plant, PoseLog
from ptz.types import GoTo, Pose, Stay, Turn, Velocity
from tests.ptz.control_loop import Loop, step, sway, to_and_fro

WALK = to_and_fro(1.4, 12.0, 8.0)
RUN = to_and_fro(6.0, 15.0, 8.0)
SEEDS = (1, 2, 3)
BASELINES = ("p", "pid", "ema", "stop_and_go")

AIM = Aim(
    time_s=10.0, measured_pan_deg=0.0, measured_tilt_deg=-10.0, offset_x=0.0, offset_y=0.0, pan_deg=0.0,
    tilt_deg=-10.0, pan_deg_s=0.0, tilt_deg_s=0.0, pan_sigma_deg_s=1.0, tilt_sigma_deg_s=1.0, zoom=1.0, hfov_deg=40.0,
)  # fmt: skip


def standing(pan_deg: float = 0.0, tilt_deg: float = -10.0, **plant: float) -> PoseLog:
    return PoseLog(replace(Plant(), **plant), Pose(0.0, pan_deg, tilt_deg))  # type: ignore[arg-type]  # any of its fields


@pytest.fixture(scope="module")
def walks() -> dict[str, list[Loop]]:
    return {
        law: [Loop(WALK, law, seed=seed).run(25.0) for seed in SEEDS] for law in ("predictive", *BASELINES)
    }


def test_a_walk(walks: dict[str, list[Loop]]) -> None:
    for loop in walks["predictive"]:
        assert loop.rms() <= 0.05
        assert loop.in_frame() == 1.0
        assert loop.commands_s() <= 2.0


@pytest.mark.parametrize("law", BASELINES)
def test_better_than_what_is_common(law: str, walks: dict[str, list[Loop]]) -> None:
    ours, theirs = walks["predictive"], walks[law]
    assert np.mean([loop.rms() for loop in ours]) < 0.6 * np.mean([loop.rms() for loop in theirs])
    if law != "stop_and_go":
        assert np.mean([loop.commands_s() for loop in ours]) < np.mean([loop.commands_s() for loop in theirs])


@pytest.mark.parametrize(("video_s", "least"), [(0.33, 0.97), (0.58, 0.85)])
def test_a_run_with_turns_in_no_time_at_the_widest_view(video_s: float, least: float) -> None:
    runs = [Loop(RUN, hfov_deg=59.0, video_s=video_s, seed=seed).run(25.0) for seed in SEEDS]
    assert np.mean([run.in_frame() for run in runs]) >= least


@pytest.mark.parametrize("seed", SEEDS)
def test_a_step(seed: int) -> None:
    loop = Loop(step, seed=seed).run(11.0)
    after = loop.errors(6.0)
    assert max(0.0, -after.min()) * 40.0 / 12.0 <= 0.05  # over: to the left of the middle
    late = np.nonzero(np.abs(after) > 0.05)[0]
    assert (late[-1] + 1) / 15 <= 1.4


@pytest.mark.parametrize("seed", SEEDS)
def test_swaying_moves_nothing(seed: int) -> None:
    loop = Loop(sway, seed=seed).run(30.0)
    assert loop.commands_s() <= 0.5
    assert loop.reversals() == 0


@pytest.mark.parametrize("law", ["p", "pid", "ema"])
def test_laws_on_pixels_follow_at_all(law: str) -> None:
    loop = Loop(step, law).run(14.0)
    assert abs(loop.errors(11.0)).max() < 0.08


def test_stop_and_go_stands_while_it_looks() -> None:
    loop = Loop(WALK, "stop_and_go").run(20.0)
    assert any(isinstance(sent, GoTo) for _, sent in loop.commands)
    moves = [at for at, _ in loop.commands]
    assert min(np.diff(moves)) > 0.5
    assert np.mean(np.abs(loop.panned) < 0.01) > 0.3


def test_the_zoom_goes_where_it_is_wanted_and_stays() -> None:
    loop = Loop(lambda time_s: (0.0, 12.0), wanted_zoom=3.0).run(12.0)
    assert loop.log.at(16.0).zoom == pytest.approx(3.0, rel=0.06)
    assert sum(at > 6.0 for at, _ in loop.commands) <= 2


def test_the_nadir_is_crossed_without_a_spin_or_a_flip() -> None:
    """Under the camera and out on the other side: 3 m below it, at 1.4 m/s."""
    log = PoseLog(Plant(), Pose(0.0, 0.0, -60.0))
    law, now_s = create_law(), 0.0
    fastest, lowest = 0.0, 0.0
    while now_s < 6.0:
        y = 2.0 - 1.4 * now_s + 1e-6
        pan, tilt = (0.0 if y > 0 else 180.0), -math.degrees(math.atan2(3.0, abs(y)))
        aim = replace(AIM, time_s=now_s, pan_deg=pan, tilt_deg=tilt, hfov_deg=59.0)
        decided = law.decide(aim, log, now_s)
        assert isinstance(decided, Turn)
        log.commanded(now_s, decided.velocity)
        now_s += 0.1
        pose = log.at(now_s)
        lowest = min(lowest, pose.tilt_deg)
        if pose.tilt_deg < -75:
            fastest = max(fastest, abs(log.velocity_at(now_s + 0.1).pan_deg_s))
    assert fastest <= 41.0
    assert -90.0 <= lowest < -80.0
    assert abs(log.at(now_s).pan_deg - 180.0) < 10.0


def test_across_north_the_short_way() -> None:
    decided = create_law().decide(replace(AIM, pan_deg=5.0), standing(350.0), 10.2)
    assert isinstance(decided, Turn)
    assert decided.velocity.pan_deg_s > 0


def test_a_stop_is_not_crossed() -> None:
    log = PoseLog(Plant(pan_range_deg=(0.0, 350.0)), Pose(0.0, 345.0, -10.0))
    decided = create_law().decide(replace(AIM, pan_deg=10.0), log, 10.2)
    assert isinstance(decided, Turn)
    assert decided.velocity.pan_deg_s < 0


def test_an_old_velocity_is_not_trusted() -> None:
    aim = replace(AIM, pan_deg_s=20.0)
    law = create_law()
    fresh = law.decide(aim, standing(0.0), 10.3)
    law.reset()
    old = law.decide(replace(aim, pan_deg_s=0.0), standing(0.0), 15.0)
    assert isinstance(fresh, Turn)
    assert fresh.velocity.pan_deg_s > 10
    assert old == Turn(Velocity())


def test_stop_and_go_waits_for_the_head_to_stand_and_then_looks() -> None:
    law, log = create_law("stop_and_go"), standing(0.0)

    def look(time_s: float, pan_deg: float) -> object:
        aim = replace(AIM, time_s=time_s, measured_pan_deg=pan_deg, pan_deg=99.0, pan_deg_s=99.0)
        return law.decide(aim, log, time_s + 0.3)

    assert [look(10.0 + step / 10, 15.0) for step in range(2)] == [Stay(), Stay()]
    assert look(10.25, 15.0) == GoTo(pytest.approx(15.0), -10.0, 1.0)  # type: ignore[arg-type]  # pytest's word for nearly
    log.went_to(10.6, GoTo(15.0, -10.0, 1.0))
    assert look(10.5, 22.0) == Stay()
    assert look(11.0, 22.0) == Stay()
    decided = [look(11.7 + step / 10, 30.0 + step) for step in range(4)]
    assert decided[0] == Stay()
    moves = [one for one in decided if isinstance(one, GoTo)]
    assert len(moves) == 1
    assert moves[0].pan_deg > 36.0  # 10 °/s for longer than the picture's age


def test_names_and_options() -> None:
    assert set(law_names()) >= {"predictive", *BASELINES}
    assert create_law("p", {"gain": 0.7}).options.gain == 0.7
    with pytest.raises(PtzRefused, match="did you mean 'predictive'"):
        create_law("predictiv")
    with pytest.raises(PtzRefused, match="no option 'gian'"):
        create_law("p", {"gian": 1.0})
    with pytest.raises(PtzRefused, match="finite"):
        create_law("p", {"gain": math.nan})
