"""The ONVIF driver with the simulated camera, in virtual time: what it makes the head do, and what faults do to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from engine.errors import (
    PtzBusy,
    PtzError,
    PtzProtocolError,
    PtzRefused,
    PtzUnauthorized,
    PtzUnreachable,
    PtzUnsupported,
)
from ptz.drivers.base import DriverOptions, create_driver
from ptz.drivers.onvif import OnvifDriver
from ptz.simulator.accounts import Accounts, User
from ptz.simulator.camera import CameraSettings, SimulatedCamera
from ptz.simulator.device import Device
from ptz.simulator.faults import Fault
from ptz.simulator.profiles import PROFILES
from ptz.simulator.transport import DeviceTransport
from ptz.types import Capabilities, Levels
from ptz.virtual_time import run_virtual

URL = "http://192.0.2.7"
PROFILE_NAMES = ("onvif-fov", "onvif-generic", "onvif-reolink")


@dataclass
class Bench:
    """A simulated camera and a driver that is connected to it."""

    device: Device
    accounts: Accounts
    camera: SimulatedCamera
    driver: OnvifDriver

    @property
    def now(self) -> float:
        return self.driver.now()

    def fault(self, kind: str, duration_s: float = 1e12, path: str = "", value: float = 0.0) -> None:
        """From now on."""
        self.device.faults.add(Fault(kind, self.now, duration_s, path=path, value=value))

    async def true_turn(self, seconds: float) -> tuple[float, float, float]:
        """How far the head really turns meanwhile: pan and tilt in degrees, zoom as a ratio."""
        before = self.device.true_pose(self.now)
        await asyncio.sleep(seconds)
        after = self.device.true_pose(self.now)
        pan = (after.pan_deg - before.pan_deg + 180) % 360 - 180
        return pan, after.tilt_deg - before.tilt_deg, after.zoom / before.zoom

    async def stands(self) -> bool:
        """It comes to rest, and stays there."""
        await asyncio.sleep(1.5)
        pan, tilt, zoom = await self.true_turn(1.0)
        return abs(pan) < 0.01 and abs(tilt) < 0.01 and abs(zoom - 1) < 0.001


Scene = Callable[[Bench], Awaitable[None]]


def run(
    scene: Scene,
    profile: str = "onvif-fov",
    camera: CameraSettings | None = None,
    password: str = "s3cret",
    user: str = "operator",
    known: bool = True,
    **options: object,
) -> None:
    """Play a scene. `known` = the options say what generic positions mean."""

    async def main() -> None:
        kind = PROFILES[profile]
        device = Device(kind)
        accounts = Accounts([User("operator", "s3cret")])
        simulated = SimulatedCamera(device, accounts, camera or CameraSettings())
        now = asyncio.get_running_loop().time
        meaning = {
            "pan_range_deg": kind.pan_range_deg,
            "tilt_range_deg": kind.tilt_range_deg,
            "zoom_range": (1.0, kind.optics.most_zoom),
        }
        told = DriverOptions(URL, user, password, **(meaning if known else {}) | options)  # type: ignore[arg-type]
        driver = OnvifDriver(told, now, DeviceTransport(simulated, now), utc=lambda: 1_767_225_600 + now())
        await scene(Bench(device, accounts, simulated, driver))
        await driver.close()

    run_virtual(main(), limit_s=600.0)


@pytest.mark.parametrize("login", ["both", "digest", "token"])
@pytest.mark.parametrize("profile", PROFILE_NAMES)
def test_it_turns_stops_and_tells(profile: str, login: str) -> None:
    async def scene(bench: Bench) -> None:
        told = await bench.driver.open()
        assert told.continuous and told.absolute and told.status and told.home
        assert told.relative_fov == (profile == "onvif-fov")
        await bench.driver.move(Levels(pan=30, tilt=20, zoom=50), 5.0)
        pan, tilt, zoom = await bench.true_turn(0.8)
        assert pan > 2 and tilt > 1 and zoom > 1.05
        await bench.driver.stop()
        assert await bench.stands()
        await bench.driver.move(Levels(pan=-30), 5.0)
        pan, tilt, zoom = await bench.true_turn(0.8)
        assert pan < -2 and abs(tilt) < 0.5 and abs(zoom - 1) < 0.01, "one axis alone, on every camera"
        await bench.driver.stop()
        assert await bench.stands()
        pose, true = (await bench.driver.status()).pose, bench.device.true_pose(bench.now)
        assert pose is not None
        assert pose.pan_deg == pytest.approx(true.pan_deg, abs=0.15)
        assert pose.tilt_deg == pytest.approx(true.tilt_deg, abs=0.15)
        assert pose.zoom == pytest.approx(true.zoom, abs=0.1)
        assert bench.accounts.refused_since(0.0) == 0

    run(scene, profile, CameraSettings(onvif_login=login))


@pytest.mark.parametrize("spread", ["ratio", "log", "linear"])
@pytest.mark.parametrize("profile", PROFILE_NAMES)
def test_it_goes_to_places(profile: str, spread: str) -> None:
    async def scene(bench: Bench) -> None:
        told = await bench.driver.open()
        assert told.pan_range_deg == PROFILES[profile].pan_range_deg
        assert told.tilt_range_deg == pytest.approx(PROFILES[profile].tilt_range_deg)
        assert told.zoom_range == pytest.approx((1.0, PROFILES[profile].optics.most_zoom))
        for place in ((200.0, -30.0, 3.0), (10.0, 5.0, 1.0), (345.0, -80.0, 4.5)):
            await bench.driver.absolute(*place, None)
            await asyncio.sleep(8.0)
            true = bench.device.true_pose(bench.now)
            assert (true.pan_deg, true.tilt_deg) == pytest.approx(place[:2], abs=0.4)
            assert true.zoom == pytest.approx(place[2], rel=0.03)
        with pytest.raises(PtzRefused, match=r"elevation 60\.0° is outside"):
            await bench.driver.absolute(0.0, 60.0, 1.0, None)

    run(scene, profile, CameraSettings(zoom_scale=spread), zoom_scale=spread)


def test_positions_without_a_meaning() -> None:
    async def scene(bench: Bench) -> None:
        told = await bench.driver.open()
        assert any("set pan_range_deg and tilt_range_deg" in choice for choice in told.choices)
        assert any("set zoom_range" in choice for choice in told.choices)
        status = await bench.driver.status()
        assert status.pose is not None and not status.zoomed and status.pose.zoom == 1.0

    run(scene, "onvif-generic", known=False)


@pytest.mark.parametrize("fault", ["", "fov_range_100", "fov_range_zero"])
def test_a_place_in_the_picture_is_centred(fault: str) -> None:
    """(0.5, -0.25) of a picture 60° wide, by the pinhole: 16.1° to the right and 4.5° down or a little more."""

    async def scene(bench: Bench) -> None:
        if fault:
            bench.fault(fault)
        assert (await bench.driver.open()).relative_fov
        await bench.driver.absolute(90.0, 0.0, 1.0, None)
        await asyncio.sleep(5.0)
        await bench.driver.relative_fov(0.5, -0.25, 1.0)
        pan, tilt, _ = await bench.true_turn(4.0)
        assert 15 < pan < 17 and -5.5 < tilt < -4

    run(scene)


def test_a_place_in_the_picture_is_centred_and_zoomed_to() -> None:
    async def scene(bench: Bench) -> None:
        await bench.driver.open()
        await bench.driver.absolute(90.0, 0.0, 2.0, None)
        await asyncio.sleep(5.0)
        await bench.driver.status()
        assert await bench.driver.presets() == []
        await bench.driver.relative_fov(0.25, 0.0, 3.0)
        pan, _, zoom = await bench.true_turn(6.0)
        assert 3 < pan < 6 and zoom == pytest.approx(3.0, rel=0.05)

    run(scene)


def test_a_camera_that_ignores_a_move_along_one_axis() -> None:
    async def scene(bench: Bench) -> None:
        await bench.driver.open()
        assert bench.driver.move_ways[0] == "both_axes", "its maker is known for it"
        bench.driver.use_move_way("velocity")
        await bench.driver.move(Levels(pan=50), 5.0)
        assert (await bench.true_turn(1.0))[0] == pytest.approx(0, abs=0.01)
        bench.driver.use_move_way("both_axes")
        await bench.driver.move(Levels(pan=50), 5.0)
        assert (await bench.true_turn(1.0))[0] > 5
        await bench.driver.move(Levels(zoom=60), 5.0)
        await asyncio.sleep(1.0)
        pan, _, zoom = await bench.true_turn(0.5)
        assert abs(pan) < 0.01 and zoom > 1.05, "pan has ended where the zoom alone goes on"
        with pytest.raises(PtzUnsupported):
            bench.driver.use_move_way("sideways")

    run(scene, "onvif-reolink")


def test_a_turn_ends_by_itself() -> None:
    async def scene(bench: Bench) -> None:
        assert (await bench.driver.open()).self_expiring
        await bench.driver.move(Levels(pan=50), 0.5)
        assert (await bench.true_turn(0.4))[0] > 1
        assert await bench.stands()

    run(scene)


def test_a_timeout_that_is_rejected_is_left_out() -> None:
    async def scene(bench: Bench) -> None:
        bench.fault("timeout_rejected")
        assert (await bench.driver.open()).self_expiring
        await bench.driver.move(Levels(pan=50), 0.5)
        assert (await bench.true_turn(1.0))[0] > 5
        told: Capabilities = bench.driver.capabilities
        assert not told.self_expiring and any("no Timeout" in choice for choice in told.choices)
        before = bench.camera.requests
        await bench.driver.move(Levels(pan=40), 0.5)
        assert bench.camera.requests == before + 1, "it is not tried again"

    run(scene)


def test_a_camera_whose_greatest_timeout_is_zero_gets_none() -> None:
    async def scene(bench: Bench) -> None:
        bench.fault("timeout_range_zero")
        assert not (await bench.driver.open()).self_expiring

    run(scene)


@pytest.mark.parametrize("profile", PROFILE_NAMES)
def test_every_way_of_stopping_stops(profile: str) -> None:
    async def scene(bench: Bench) -> None:
        await bench.driver.open()
        ways = bench.driver.stop_ways
        assert ways[:3] == ("stop", "zero_with_spaces", "zero") and ways[-1] == "absolute_here"
        for way in ways:
            bench.driver.use_stop_way(way)
            await bench.driver.move(Levels(pan=40, tilt=-20), 60.0)
            assert (await bench.true_turn(1.0))[0] > 3, way
            await bench.driver.stop()
            assert await bench.stands(), way
        with pytest.raises(PtzUnsupported):
            bench.driver.use_stop_way("brake")

    run(scene, profile)


@pytest.mark.parametrize(
    ("faults", "way"),
    [
        ((), "stop"),
        (("addressing_rejected",), "stop"),
        (("stop_rejected",), "zero_with_spaces"),
        (("stop_rejected", "zero_rejected"), "relative_zero"),
    ],
)
def test_a_stop_that_is_refused_is_followed_by_the_next_way(faults: tuple[str, ...], way: str) -> None:
    async def scene(bench: Bench) -> None:
        for fault in faults:
            bench.fault(fault)
        await bench.driver.open()
        for _ in range(2):
            await bench.driver.move(Levels(pan=40), 60.0)
            assert (await bench.true_turn(1.0))[0] > 3
            before = bench.camera.requests
            await bench.driver.stop()
            used = bench.camera.requests - before
            assert await bench.stands()
        assert used == 1, "what works is used at once the next time"
        learned = [choice for choice in bench.driver.capabilities.choices if choice.startswith("stop: ")]
        assert bool(learned) == (way != "stop") and all(f"stop: {way}," in choice for choice in learned)

    run(scene)


def test_a_stop_that_is_refused_in_every_way_is_an_error() -> None:
    async def scene(bench: Bench) -> None:
        await bench.driver.open()
        for operation in ("Stop", "ContinuousMove", "RelativeMove", "AbsoluteMove"):
            bench.fault("bad_request", path=operation)
        with pytest.raises(PtzRefused, match="ONVIF Stop: refused"):
            await bench.driver.stop()

    run(scene)


@pytest.mark.parametrize(
    ("fault", "moving"),
    [
        ("", True),
        ("move_status_absent", None),
        ("move_status_unknown", None),
        ("move_status_text", True),
        ("move_status_bool", True),
        ("moving_none", None),
    ],
)
def test_whether_it_moves(fault: str, moving: bool | None) -> None:
    async def scene(bench: Bench) -> None:
        if fault:
            bench.fault(fault)
        await bench.driver.open()
        await bench.driver.move(Levels(pan=40), 60.0)
        await asyncio.sleep(1.0)
        assert (await bench.driver.status()).moving is moving
        await bench.driver.stop()
        await asyncio.sleep(3.0)
        assert (await bench.driver.status()).moving is (None if moving is None else False)

    run(scene)


def test_a_status_that_blocks_costs_the_time_out_and_no_more() -> None:
    async def scene(bench: Bench) -> None:
        await bench.driver.open()
        bench.fault("status_blocks", duration_s=5.0)
        before = bench.now
        with pytest.raises(PtzUnreachable):
            await bench.driver.status()
        assert bench.now - before == pytest.approx(1.5, abs=0.1)
        await asyncio.sleep(5.0)
        assert (await bench.driver.status()).pose is not None

    run(scene, timeout_s=1.5)


def test_a_status_that_blocks_from_the_beginning_does_not_keep_it_from_opening() -> None:
    async def scene(bench: Bench) -> None:
        bench.fault("status_blocks")
        told = await bench.driver.open()
        assert told.status and any("no answer in time" in choice for choice in told.choices)

    run(scene)


def test_reports_that_lack_something() -> None:
    async def scene(bench: Bench) -> None:
        await bench.driver.open()
        bench.fault("report_no_zoom", duration_s=1.0)
        status = await bench.driver.status()
        assert status.pose is not None and not status.zoomed
        await asyncio.sleep(2.0)
        bench.fault("report_nan")
        with pytest.raises(PtzProtocolError, match="is no number"):
            await bench.driver.status()

    run(scene)


@pytest.mark.parametrize(
    ("fault", "moves"), [("node_zoom_only", {"zoom"}), ("node_pan_tilt_only", {"pan", "tilt"})]
)
def test_heads_with_fewer_axes(fault: str, moves: set[str]) -> None:
    async def scene(bench: Bench) -> None:
        bench.fault(fault)
        assert (await bench.driver.open()).moves == moves
        await bench.driver.move(Levels(pan=40, tilt=20, zoom=60), 60.0)
        pan, _, zoom = await bench.true_turn(1.0)
        assert (abs(pan) > 3) == ("pan" in moves) and (zoom > 1.05) == ("zoom" in moves)
        for way in ("stop", "zero_with_spaces", "zero"):
            bench.driver.use_stop_way(way)
            await bench.driver.stop()
        assert await bench.stands()

    run(scene, "onvif-generic")


def test_presets_and_home() -> None:
    async def scene(bench: Bench) -> None:
        driver = bench.driver
        await driver.open()
        await driver.absolute(120.0, -20.0, 2.0, None)
        await asyncio.sleep(5.0)
        token = await driver.store_preset("", "gate & <yard>")
        stored = next(preset for preset in await driver.presets() if preset.preset == token)
        assert stored.name == "gate & <yard>" and stored.pose is not None
        assert stored.pose.pan_deg == pytest.approx(120.0, abs=0.4)
        assert await driver.store_preset("7", "seven") == "7"
        await driver.home()
        await asyncio.sleep(8.0)
        await driver.go_to_preset(token)
        await asyncio.sleep(8.0)
        assert bench.device.true_pose(bench.now).pan_deg == pytest.approx(120.0, abs=0.4)
        await driver.remove_preset(token)
        assert token not in {preset.preset for preset in await driver.presets()}
        with pytest.raises(PtzRefused, match="NoToken"):
            await driver.go_to_preset(token)
        await driver.move(Levels(pan=40), 60.0)
        await asyncio.sleep(1.0)
        with pytest.raises(PtzBusy, match="MovingPTZ"):
            await driver.store_preset("8", "")

    run(scene)


FAULTS_OF_THE_WIRE = {
    "html_page": PtzProtocolError,
    "xml_bomb": PtzProtocolError,
    "truncated_xml": PtzProtocolError,
    "wrong_charset": PtzProtocolError,
    "garbage": PtzProtocolError,
    "half_answer": PtzUnreachable,
    "half_answer_close": PtzUnreachable,
    "length_too_long": PtzUnreachable,
    "length_too_short": PtzError,
    "reset_before": PtzUnreachable,
    "reset_after": PtzUnreachable,
    "silent": PtzUnreachable,
    "refused": PtzUnreachable,
    "busy": PtzBusy,
    "busy_no_body": PtzBusy,
    "slow": PtzUnreachable,
    "not_found": PtzUnsupported,
    "bad_request": PtzRefused,
    "device_error": PtzRefused,
    "lockout": PtzError,
    "reboot": PtzUnreachable,
}


@pytest.mark.parametrize("fault", FAULTS_OF_THE_WIRE)
@pytest.mark.parametrize("login", ["digest", "token"])
def test_faults_of_the_wire_are_errors_and_pass(fault: str, login: str) -> None:
    async def scene(bench: Bench) -> None:
        await bench.driver.open()
        bench.fault(fault, duration_s=1.2, value={"slow": 9.0, "reboot": 3.0}.get(fault, 0.0))
        await asyncio.sleep(0.2)
        with pytest.raises(FAULTS_OF_THE_WIRE[fault]) as error:
            await bench.driver.status()
        assert "\n" not in str(error.value) and "s3cret" not in str(error.value)
        if fault == "lockout":
            return
        await asyncio.sleep(15.0)
        assert (await bench.driver.status()).pose is not None

    run(scene, camera=CameraSettings(onvif_login=login))


@pytest.mark.parametrize(
    "fault",
    ["chunked", "close_each", "stale_nonce", "nonce_uses", "no_qop", "dual_challenge", "challenge_spelling"],
)
def test_habits_that_are_no_faults(fault: str) -> None:
    async def scene(bench: Bench) -> None:
        bench.fault(fault, value=2.0)
        await bench.driver.open()
        for _ in range(5):
            assert (await bench.driver.status()).pose is not None
        assert bench.accounts.refused_since(0.0) == 0

    run(scene)


@pytest.mark.parametrize("login", ["both", "digest", "token"])
def test_a_wrong_password_is_tried_once_or_twice(login: str) -> None:
    async def scene(bench: Bench) -> None:
        with pytest.raises(PtzUnauthorized, match="password") as refused:
            await bench.driver.open()
        assert "wrong" not in str(refused.value)
        assert bench.accounts.credentialed == 1, "the camera's clock is right: nothing else is worth trying"
        for _ in range(5):
            with pytest.raises(PtzError):
                await bench.driver.open()
            await asyncio.sleep(10.0)
        assert 1 <= bench.accounts.credentialed <= 2

    run(scene, camera=CameraSettings(onvif_login=login), password="wrong")


def test_a_login_that_is_wanted_and_not_set() -> None:
    async def scene(bench: Bench) -> None:
        with pytest.raises(PtzUnauthorized):
            await bench.driver.open()
        assert bench.accounts.credentialed == 0

    for way in ("digest", "token"):
        run(scene, camera=CameraSettings(onvif_login=way), user="")


def test_a_token_is_of_the_cameras_clock_also_after_that_has_jumped() -> None:
    async def scene(bench: Bench) -> None:
        told = await bench.driver.open()
        assert any("clock: the camera's" in choice for choice in told.choices)
        bench.fault("clock_jump", value=7200.0)
        assert (await bench.driver.status()).pose is not None
        refused = [attempt for attempt in bench.accounts.attempts if attempt.login != "ok"]
        assert len(refused) == 1, "once, then with the camera's new time"

    run(scene, camera=CameraSettings(onvif_login="token", epoch_s=1_000_000_000.0))


def test_a_camera_behind_a_router_names_an_address_that_is_not_used() -> None:
    async def scene(bench: Bench) -> None:
        await bench.driver.open()
        assert {entry.path.split()[0] for entry in bench.camera.log} > {"/onvif/ptz_service"}

    run(scene, camera=CameraSettings(xaddr="10.9.9.9:81"))


def test_signs_are_kept_in_the_driver() -> None:
    async def scene(bench: Bench) -> None:
        await bench.driver.open()
        await bench.driver.move(Levels(pan=40, tilt=20), 60.0)
        pan, tilt, _ = await bench.true_turn(1.0)
        assert pan < -3 and tilt < -1

    run(scene, command_pan_sign=-1, command_tilt_sign=-1)


def test_what_is_not_there_is_told_in_one_line() -> None:
    async def closed(bench: Bench) -> None:
        for call in (bench.driver.status(), bench.driver.move(Levels(pan=1), 1.0), bench.driver.stop()):
            with pytest.raises(PtzUnreachable, match="not opened yet"):
                await call

    async def absent(bench: Bench) -> None:
        with pytest.raises(PtzRefused, match="channel 9: the camera has 2 profiles"):
            await bench.driver.open()

    async def generic(bench: Bench) -> None:
        await bench.driver.open()
        with pytest.raises(PtzUnsupported, match="relative to the picture"):
            await bench.driver.relative_fov(0.0, 0.0, 1.0)

    run(closed)
    run(absent, channel=9)
    run(generic, "onvif-generic")
    with pytest.raises(PtzRefused, match="login must be one of auto, digest, token, token_text"):
        create_driver("onvif", DriverOptions(URL, login="basic"), lambda: 0.0)
