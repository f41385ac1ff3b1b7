"""The simulated head: what commands do to it, what it says of itself, and its faults."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from engine.errors import PtzRefused
from ptz.simulator.device import Device
from ptz.simulator.faults import Fault, Faults
from ptz.simulator.profiles import PROFILES, DeviceProfile
from ptz.types import Levels, Pose

EXACT = replace(
    PROFILES["hik-8425ix"], command_delay_s=0.06, command_jitter_s=0.0, settle_deg=0.0, backlash_deg=0.0
)
"""Without chance and play."""


def device(profile: DeviceProfile = EXACT, *faults: Fault, seed: int = 0) -> Device:
    return Device(profile, seed=seed, faults=Faults(faults))


def told(one: Device, now_s: float) -> Pose:
    """The pose that it reports."""
    pose = one.report(now_s).pose
    assert pose is not None
    return pose


def test_a_step_begins_after_the_delay_and_is_the_analytic_one() -> None:
    one = device()
    one.turn(Levels(pan=50), 1.0)
    assert one.true_pose(1.059).pan_deg == 0.0
    # Level 50 of 80 °/s: 40 °/s, reached 0.3 s after the motors were told (0.1 up, 0.1 at 200 °/s², 0.1 down).
    assert one.velocity(1.36).pan_deg_s == pytest.approx(40.0, rel=0.01)
    assert one.true_pose(3.36).pan_deg == pytest.approx(40.0 * 0.15 + 80.0, rel=0.01)


def test_a_momentary_move_stops_at_its_time() -> None:
    one = device()
    one.turn(Levels(pan=50), 0.0, expires_s=0.6)
    assert one.velocity(0.66).pan_deg_s == pytest.approx(40.0)
    assert one.velocity(0.67).pan_deg_s < 40.0
    assert one.velocity(1.2).is_zero


def test_a_renewed_move_goes_on_and_its_last_end_counts() -> None:
    one = device()
    for step in range(10):
        one.turn(Levels(pan=50), 0.3 * step, expires_s=0.6)
    assert one.velocity(3.3).pan_deg_s == pytest.approx(40.0)
    assert one.velocity(3.9).is_zero


def test_the_expiry_of_one_axis_leaves_the_other_alone() -> None:
    one = device()
    one.turn(Levels(pan=50), 0.0, expires_s=1.0, zoom=False)
    one.turn(Levels(zoom=50), 0.5, expires_s=2.0, pan_tilt=False)
    assert one.velocity(0.9).pan_deg_s > 0
    late = one.velocity(2.0)
    assert late.pan_deg_s == 0.0 and late.zoom_octaves_s > 0
    assert one.velocity(3.0).is_zero


def test_the_way_of_a_stop_is_that_of_braking() -> None:
    one = device(replace(EXACT, pan=replace(EXACT.pan, most_jerk=1e7)))
    one.turn(Levels(pan=100), 0.0)
    before = one.true_pose(2.06).pan_deg
    one.stop(2.0)
    assert one.true_pose(4.0).pan_deg - before == pytest.approx(80.0**2 / (2 * 200.0), rel=0.05)


def test_dead_band_least_speed_and_curves() -> None:
    one = device()
    one.turn(Levels(pan=2), 0.0)
    assert one.velocity(2.0).is_zero
    cheap = Device(PROFILES["slow-cheap"])
    cheap.turn(Levels(pan=8), 0.0)
    assert cheap.velocity(2.0).pan_deg_s == pytest.approx(2.0)
    assert replace(EXACT, curve="quadratic").level_share(-50) == pytest.approx(-0.25)
    shares = [replace(EXACT, curve="ultraview", dead_band=0).level_share(level) for level in range(101)]
    assert shares == sorted(shares) and shares[0] == 0.0 and shares[100] == 1.0
    assert shares[50] * 70 == pytest.approx(19.0, abs=1.0)


def test_pan_is_slower_when_zoomed_and_follows_the_zoom_while_that_moves() -> None:
    one = device()
    one.go_to(None, None, 8.0, None, 0.0)
    one.turn(Levels(pan=100), 5.0, zoom=False)
    assert one.velocity(8.0).pan_deg_s == pytest.approx(80.0 / 8**0.8, rel=0.001)
    one.turn(Levels(zoom=-100), 8.0, pan_tilt=False)
    assert one.velocity(14.0).pan_deg_s == pytest.approx(80.0, rel=0.001)


def test_the_short_way_round_and_never_across_a_stop() -> None:
    endless = device()
    endless.go_to(10.0, None, None, None, 0.0)
    endless.go_to(350.0, None, None, None, 5.0)
    assert endless.velocity(5.2).pan_deg_s < 0
    stopped = Device(replace(PROFILES["onvif-generic"], settle_deg=0.0, backlash_deg=0.0))
    stopped.go_to(10.0, None, None, None, 0.0)
    stopped.go_to(340.0, None, None, None, 5.0)
    assert stopped.velocity(5.5).pan_deg_s > 0
    assert stopped.true_pose(15.0).pan_deg == pytest.approx(340.0)
    stopped.go_to(353.0, None, None, None, 15.0)
    assert stopped.true_pose(20.0).pan_deg == pytest.approx(350.0)


def test_what_is_beyond_a_stop_is_clamped_or_refused() -> None:
    one = device()
    one.go_to(0.0, 80.0, 100.0, None, 0.0)
    assert one.true_pose(10.0).tilt_deg == 50.0
    assert one.true_pose(10.0).zoom == pytest.approx(25.0)
    with pytest.raises(PtzRefused, match="tilt"):
        device(EXACT, Fault("limit_error")).go_to(0.0, 80.0, 1.0, None, 0.0)
    with pytest.raises(PtzRefused):
        one.go_to(math.nan, 0.0, 1.0, None, 11.0)


def test_reports_come_in_steps_late_and_refreshed() -> None:
    one = device(replace(EXACT, reporting=replace(EXACT.reporting, refresh_s=0.3, lag_s=0.05)))
    one.turn(Levels(pan=50), 0.0)
    poses = [told(one, 1.0 + 0.02 * step).pan_deg for step in range(16)]
    assert len(set(poses)) == 2
    assert told(one, 1.21).pan_deg == pytest.approx(one.true_pose(1.15).pan_deg, abs=0.05)
    assert all(round(pose * 10) == pytest.approx(pose * 10) for pose in poses)
    fine = one.report(1.21, fine=True).pose
    assert fine is not None and fine.pan_deg == pytest.approx(one.true_pose(1.15).pan_deg, abs=0.005)


def test_the_same_seed_gives_the_same_run_however_often_it_is_asked() -> None:
    def run(seed: int, questions: int) -> tuple[str, Pose]:
        one = Device(PROFILES["hik-8425ix"], seed=seed)
        for step in range(200):
            one.turn(Levels(int(60 * math.sin(step / 9)), 20, int(40 * math.sin(step / 30))), 0.1 * step, 0.5)
            for part in range(questions):
                one.report(0.1 * step + 0.1 * part / questions)
        pose = one.true_pose(20.0)
        return one.log_hash(), pose

    assert run(3, 0) == run(3, 7)
    assert run(3, 0)[0] != run(4, 0)[0]


def test_a_profile_that_does_not_move_accepts_everything() -> None:
    one = Device(PROFILES["encoder-mh6171"])
    one.turn(Levels(100, 100, 100), 0.0)
    one.go_to(100.0, 20.0, 2.0, None, 1.0)
    assert one.true_pose(5.0) == Pose(5.0, 0.0, 0.0, 1.0)
    assert one.commands == 2
    assert one.report(5.0).pose is None


@pytest.mark.parametrize("axis", ["pan", "tilt", "zoom"])
def test_a_dead_axis(axis: str) -> None:
    one = device(EXACT, Fault(f"dead_{axis}"))
    one.turn(Levels(50, 50, 50), 0.0)
    velocity = one.velocity(0.5)
    speeds = {"pan": velocity.pan_deg_s, "tilt": velocity.tilt_deg_s, "zoom": velocity.zoom_octaves_s}
    assert speeds.pop(axis) == 0.0
    assert all(speeds.values())


def test_dead_from_a_time_on_or_when_zoomed() -> None:
    one = device(EXACT, Fault("dead", start_s=10.0, duration_s=5.0))
    one.turn(Levels(pan=50), 11.0)
    assert one.velocity(12.0).is_zero
    one.turn(Levels(pan=50), 16.0)
    assert not one.velocity(17.0).is_zero
    zoomed = device(EXACT, Fault("dead_zoomed", value=2.0))
    zoomed.go_to(None, None, 4.0, None, 0.0)
    zoomed.turn(Levels(pan=50), 5.0)
    assert zoomed.velocity(6.0).is_zero


def test_stops_get_lost_come_late_and_ends_are_ignored() -> None:
    lost = device(EXACT, Fault("stop_lost", duration_s=5.0))
    lost.turn(Levels(pan=50), 0.0)
    lost.stop(1.0)
    lost.turn(Levels(), 2.0)
    assert not lost.velocity(4.0).is_zero
    lost.stop(6.0)
    assert lost.velocity(7.0).is_zero
    late = device(EXACT, Fault("stop_late", value=2.0))
    late.turn(Levels(pan=50), 0.0)
    late.stop(1.0)
    assert not late.velocity(2.9).is_zero
    assert late.velocity(3.6).is_zero
    deaf = device(EXACT, Fault("expiry_ignored"))
    deaf.turn(Levels(pan=50), 0.0, expires_s=0.5)
    assert not deaf.velocity(60.0).is_zero


def test_wrong_reports() -> None:
    def after_a_turn(kind: str, value: float = 0.0, start_s: float = 0.0) -> Device:
        one = device(EXACT, Fault(kind, start_s=start_s, value=value))
        one.turn(Levels(pan=25), 0.0, expires_s=3.0)
        return one

    truth = after_a_turn("").true_pose(10.0).pan_deg
    assert told(after_a_turn("report_frozen", start_s=1.0), 10.0).pan_deg < 25.0
    assert told(after_a_turn("report_offset", 15.0), 10.0).pan_deg == pytest.approx(truth + 15.0, abs=0.1)
    assert told(after_a_turn("report_drift"), 10.0).pan_deg == pytest.approx(truth + 0.2, abs=0.1)
    noisy = after_a_turn("report_noise", 2.0)
    assert len({told(noisy, 10.0 + step).pan_deg for step in range(10)}) > 5
    assert told(after_a_turn("report_hundredths"), 10.0).pan_deg == pytest.approx(truth * 10, abs=1.0)
    assert math.isnan(told(after_a_turn("report_nan"), 10.0).pan_deg)
    assert not after_a_turn("report_no_zoom").report(10.0).zoomed
    wrapped = device(EXACT, Fault("report_wrap"))
    assert {told(wrapped, step * 0.1).pan_deg for step in range(40)} == {0.0, 359.9}


def test_the_move_state() -> None:
    profile = replace(EXACT, reporting=replace(EXACT.reporting, moving=True))
    one = device(profile)
    assert one.moving(0.0) is False
    one.turn(Levels(pan=50), 0.0, expires_s=1.0)
    assert one.moving(0.5) is True
    assert one.moving(3.0) is False
    assert device(profile, Fault("moving_stuck")).moving(1.0) is True
    assert device(profile, Fault("moving_none")).moving(1.0) is None
    assert device().moving(1.0) is None


def test_somebody_else_at_the_head() -> None:
    one = device(EXACT, Fault("foreign", start_s=2.0, duration_s=1.0, value=50.0))
    assert one.velocity(1.9).is_zero
    assert one.velocity(2.8).pan_deg_s == pytest.approx(40.0)
    assert one.velocity(4.0).is_zero
    fights = device(EXACT, Fault("autotrack", start_s=1.0, duration_s=4.0))
    assert len({round(fights.velocity(1.0 + step * 0.5).pan_deg_s, 3) for step in range(8)}) > 4


def test_it_parks_when_idle_and_when_the_fault_says_so() -> None:
    one = device(replace(EXACT, park_s=5.0))
    one.go_to(90.0, 0.0, 1.0, None, 0.0)
    assert one.true_pose(4.0).pan_deg == pytest.approx(90.0)
    assert one.true_pose(9.0).pan_deg == pytest.approx(0.0, abs=1e-6)
    sent_home = device(EXACT, Fault("park", start_s=5.0))
    sent_home.go_to(90.0, 0.0, 1.0, None, 0.0)
    assert sent_home.true_pose(9.0).pan_deg == pytest.approx(0.0, abs=1e-6)


def test_a_reboot() -> None:
    one = device(EXACT, Fault("reboot", start_s=5.0, value=20.0))
    one.turn(Levels(pan=20), 0.0)
    assert not one.down(4.9)
    assert one.down(6.0) and one.velocity(6.0).is_zero
    one.turn(Levels(pan=50), 10.0)
    assert one.velocity(11.0).is_zero
    assert not one.down(25.2)
    assert not one.velocity(25.5).is_zero
    assert one.true_pose(40.0).pan_deg % 360.0 == pytest.approx(0.0, abs=1e-6)
    assert one.uptime_s(30.0) == pytest.approx(5.0, abs=0.1)
    assert one.boots == 1


def test_its_clock_jumps() -> None:
    one = device(EXACT, Fault("clock_jump", start_s=5.0, value=-3600.0))
    assert one.clock_s(4.0) == 4.0
    assert one.clock_s(6.0) == -3594.0


def test_presets_home_and_reserved_numbers() -> None:
    one = device()
    one.go_to(120.0, 10.0, 2.0, None, 0.0)
    one.store_preset("5", "door", 4.0)
    one.go_to_preset("34", 4.0)
    assert one.true_pose(9.0).pan_deg == pytest.approx(0.0, abs=1e-6)
    one.go_to_preset("5", 9.0)
    assert one.true_pose(14.0).pan_deg == pytest.approx(120.0)
    one.store_home(14.0)
    one.go_to(0.0, 0.0, 1.0, None, 14.0)
    one.go_home(18.0)
    assert one.true_pose(22.0).pan_deg == pytest.approx(120.0)
    with pytest.raises(PtzRefused):
        one.store_preset("94", "reboot", 22.0)
    with pytest.raises(PtzRefused):
        one.go_to_preset("6", 22.0)
    one.go_to_preset("94", 23.0)
    assert one.down(24.0)
    one.remove_preset("5")
    with pytest.raises(PtzRefused):
        one.remove_preset("5")


def test_e_flip_turns_the_head_round_at_the_nadir() -> None:
    one = device(replace(EXACT, eflip=True, tilt=replace(EXACT.tilt, low=-90.0)))
    one.turn(Levels(tilt=-80), 0.0)
    assert one.true_pose(1.0).tilt_deg < -30.0
    after = one.true_pose(5.0)
    assert after.pan_deg == pytest.approx(180.0, abs=0.1)
    assert after.tilt_deg > -60.0


def test_the_picture_is_blurred_after_zooming() -> None:
    one = Device(PROFILES["hik-2sf8c442"])
    assert one.blur(0.0) == 0.0
    one.turn(Levels(zoom=100), 1.0, expires_s=1.0)
    assert one.blur(1.5) == 1.0
    assert 0.0 < one.blur(2.5) < 1.0
    assert one.blur(4.0) == 0.0


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_every_profile_goes_where_it_is_sent(name: str) -> None:
    profile = PROFILES[name]
    one = Device(profile, seed=5)
    one.go_to(80.0, -20.0, 3.0, None, 0.0)
    pose = one.true_pose(20.0)
    if profile.moves:
        allowed = 2 * profile.settle_deg + profile.backlash_deg
        assert pose.pan_deg == pytest.approx(80.0, abs=allowed)
        assert pose.tilt_deg == pytest.approx(-20.0, abs=allowed)
        assert pose.zoom == pytest.approx(3.0)
    widest, narrowest = profile.optics.hfov_deg(1.0), profile.optics.hfov_deg(profile.optics.most_zoom)
    assert widest == pytest.approx(profile.optics.hfov_wide_deg)
    assert 0.5 < narrowest < widest


def test_the_past_is_kept_for_the_pictures() -> None:
    one = device()
    one.turn(Levels(pan=50), 0.0)
    was = one.true_pose(1.0)
    one.turn(Levels(pan=-50), 3.0)
    one.advance(10.0)
    assert one.true_pose(1.0) == was
