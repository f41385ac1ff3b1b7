"""The driver `hikvision` before simulated cameras: what it finds, sends, remembers and refuses."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
from ptz.drivers.isapi import IsapiDriver
from ptz.drivers.isapi_capabilities import RESERVED_PRESETS
from ptz.http import Request, Response
from ptz.simulator.accounts import Accounts, LoginSettings, User
from ptz.simulator.camera import CameraSettings, SimulatedCamera
from ptz.simulator.device import Device
from ptz.simulator.faults import Fault
from ptz.simulator.profiles import PROFILES
from ptz.simulator.server import serve
from ptz.simulator.transport import DeviceTransport
from ptz.types import Levels, Pose
from ptz.virtual_time import run_virtual

HEAD = "/ISAPI/PTZCtrl/channels/1"
ISAPI_PROFILES = [name for name, profile in PROFILES.items() if profile.offer.isapi]


class Watched(DeviceTransport):
    """The connection to a simulated camera; keeps what was sent."""

    def __init__(self, camera: SimulatedCamera, now: Callable[[], float]) -> None:
        super().__init__(camera, now)
        self.sent: list[Request] = []

    async def exchange(self, request: Request, timeout_s: float) -> Response:
        self.sent.append(request)
        return await super().exchange(request, timeout_s)


class World:
    """A simulated camera with its driver, on virtual time."""

    def __init__(
        self,
        profile: str = "hik-8425ix",
        rules: Iterable[str] = (),
        user: User | None = None,
        **about: object,
    ) -> None:
        self.now = asyncio.get_running_loop().time
        self.device = Device(PROFILES[profile], start_s=self.now())
        login = LoginSettings(digest=str(about.pop("digest", "qop")))
        self.user = user or User("admin", "Passw0rd!")
        namespace = str(about.pop("namespace", CameraSettings().namespace))
        self.camera = SimulatedCamera(
            self.device,
            Accounts([self.user], login),
            CameraSettings(rules=frozenset(rules), namespace=namespace),
        )
        self.transport = Watched(self.camera, self.now)
        options = DriverOptions("http://10.0.0.9", self.user.name, self.user.password, **about)  # type: ignore[arg-type]
        self.driver = IsapiDriver(options, self.now, self.transport)

    def fault(self, kind: str, path: str = "", value: float = 0.0, duration_s: float = 1e9) -> None:
        self.device.faults.add(Fault(kind, path=path, value=value, start_s=self.now(), duration_s=duration_s))

    @property
    def last(self) -> tuple[str, str, str]:
        """Method, path and body of what was sent last, the body without its declaration and root."""
        request = self.transport.sent[-1]
        body = re.sub(r"<\?xml.*?\?>\s*|<(PTZData|PTZAbsoluteEx|PTZPreset) [^>]*>|</(PTZData|PTZAbsoluteEx|PTZPreset)>",
                      "", request.body.decode())  # fmt: skip
        return request.method, request.path, body

    async def settled(self, seconds: float = 8.0) -> Pose:
        """The true pose after a while."""
        await asyncio.sleep(seconds)
        return self.device.true_pose(self.now())


Test = Callable[[World], Awaitable[None]]


def run(test: Test, profile: str = "hik-8425ix", rules: Iterable[str] = (), **about: object) -> None:
    async def inside() -> None:
        await test(World(profile, rules, **about))  # type: ignore[arg-type]

    run_virtual(inside())


def in_world(
    profile: str = "hik-8425ix", rules: Iterable[str] = (), **about: object
) -> Callable[[Test], Callable[[], None]]:
    """Run a test's coroutine before a camera of this kind."""

    def decorated(test: Test) -> Callable[[], None]:
        def wrapper() -> None:
            run(test, profile, rules, **about)

        wrapper.__name__, wrapper.__doc__ = test.__name__, test.__doc__
        return wrapper

    return decorated


def turned_deg(now: Pose, before: Pose) -> float:
    return (now.pan_deg - before.pan_deg + 180) % 360 - 180


# What it finds


@in_world()
async def test_an_8425ix(world: World) -> None:
    found = await world.driver.open()
    assert found.device == "DS-2DF8425IX-AELW V5.8.0" and found.device_type == "IPDome"
    assert found.continuous and found.self_expiring and found.absolute and found.status and not found.moving
    assert (found.pan_range_deg, found.tilt_range_deg, found.zoom_range) == (None, (-60, 50), (1, 25))
    assert found.most_deg_s == (210.8, 151.8) and found.moves == {"pan", "tilt", "zoom"}
    assert found.presets and found.home and found.most_presets == 300 and {33, 94} <= found.reserved_presets
    # Nothing was sent that could move anything.
    assert {request.method for request in world.transport.sent} == {"GET"}


@in_world("encoder-mh6171")
async def test_an_encoder_without_a_camera(world: World) -> None:
    found = await world.driver.open()
    assert found.device_type == "DVR" and not found.status and not found.absolute and found.continuous
    assert any("motion has to be proven" in choice for choice in found.choices)
    await world.driver.move(Levels(30), 0.5)
    with pytest.raises(PtzUnsupported, match="tells no position"):
        await world.driver.status()
    with pytest.raises(PtzUnsupported, match="no absolute moves"):
        await world.driver.absolute(0, 0, 1, None)


@in_world("onvif-generic")
async def test_a_camera_without_isapi(world: World) -> None:
    with pytest.raises(PtzUnsupported, match="try driver onvif"):
        await world.driver.open()


@in_world(channel=3)
async def test_a_channel_that_is_not_there_is_told(world: World) -> None:
    found = await world.driver.open()
    assert any("channel 3 is not among those with a head (1)" in choice for choice in found.choices)
    assert not found.status


@pytest.mark.parametrize("namespace", ["http://www.std-cgi.com/ver20/XMLSchema", "urn:something", ""])
def test_namespaces_of_answers(namespace: str) -> None:
    async def test(world: World) -> None:
        assert (await world.driver.open()).status
        await world.driver.move(Levels(10), 0.5)
        sent = world.transport.sent[-1].body.decode()
        known = "std-cgi" in namespace
        assert f'xmlns="{namespace if known else CameraSettings().namespace}"' in sent

    run(test, namespace=namespace, rules=["namespace_required"])


def test_it_has_two_names() -> None:
    for name in ("hikvision", "isapi"):
        driver = create_driver(name, DriverOptions("http://camera"), lambda: 0.0)
        assert isinstance(driver, IsapiDriver)


# What it sends


@in_world()
async def test_bodies(world: World) -> None:
    driver = world.driver
    await driver.open()
    await driver.move(Levels(40, -20, 5), 0.6)
    assert world.last == ("PUT", f"{HEAD}/momentary", "<pan>40</pan><tilt>-20</tilt><zoom>5</zoom>"
                          "<Momentary><duration>600</duration></Momentary>")  # fmt: skip
    assert (
        b'<PTZData version="2.0" xmlns="http://www.hikvision.com/ver20/XMLSchema">'
        in world.transport.sent[-1].body
    )
    await driver.stop()
    assert world.last == ("PUT", f"{HEAD}/continuous", "<pan>0</pan><tilt>0</tilt><zoom>0</zoom>")
    await driver.absolute(320.2, -18.2, 17.2, 40.0)
    assert world.last == ("PUT", f"{HEAD}/absoluteEx", "<elevation>18.20</elevation><azimuth>320.20</azimuth>"
                          "<absoluteZoom>17.20</absoluteZoom><horizontalSpeed>40.00</horizontalSpeed>"
                          "<verticalSpeed>40.00</verticalSpeed>")  # fmt: skip
    await driver.absolute(359.999, 0, 1, None)
    assert world.last[2].startswith("<elevation>0.00</elevation><azimuth>0.00</azimuth>")
    await driver.store_preset("7", "Gate")
    assert world.last == (
        "PUT",
        f"{HEAD}/presets/7",
        "<enabled>true</enabled><id>7</id><presetName>Gate</presetName>",
    )
    await driver.go_to_preset("7")
    assert world.last == ("PUT", f"{HEAD}/presets/7/goto", "")
    await driver.home()
    assert world.last == ("PUT", f"{HEAD}/homeposition/goto", "")


@in_world("hik-de2a404")
async def test_tenths_where_there_is_no_absolute_ex(world: World) -> None:
    await world.driver.open()
    await world.driver.absolute(320.2, -18.2, 3.0, 40.0)
    assert world.last == ("PUT", f"{HEAD}/absolute", "<AbsoluteHigh><elevation>182</elevation><azimuth>3202</azimuth>"
                          "<absoluteZoom>30</absoluteZoom></AbsoluteHigh>")  # fmt: skip
    pose = await world.settled(15)
    assert abs(turned_deg(pose, Pose(0, 320.2, 0))) < 0.3 and pose.tilt_deg == pytest.approx(-18.2, abs=0.3)


@pytest.mark.parametrize("profile", [name for name in ISAPI_PROFILES if name != "encoder-mh6171"])
def test_where_it_goes_is_where_it_says_it_is(profile: str) -> None:
    async def test(world: World) -> None:
        found = await world.driver.open()
        for pan, tilt, zoom in ((40.0, -25.0, 2.0), (200.0, -5.0, 1.0), (300.0, -60.0, 3.5)):
            await world.driver.absolute(pan, tilt, zoom, None)
            true = await world.settled(30)
            assert abs(turned_deg(true, Pose(0, pan, 0))) < 0.5 and true.tilt_deg == pytest.approx(
                tilt, abs=0.5
            )
            status = await world.driver.status()
            assert status.pose is not None and status.zoomed and status.moving is None
            assert abs(turned_deg(status.pose, true)) <= 0.3 and status.pose.tilt_deg == pytest.approx(
                true.tilt_deg, abs=0.3
            )
            assert (
                status.pose.zoom == pytest.approx(zoom, rel=0.05)
                and abs(status.pose.time_s - world.now()) < 1
            )
        assert found.zoom_range[1] > 1

    run(test, profile)


@in_world()
async def test_it_goes_no_further_than_the_head_can(world: World) -> None:
    await world.driver.open()
    await world.driver.absolute(-10, 80, 100, 1e6)
    assert world.last[2].startswith(
        "<elevation>-50.00</elevation><azimuth>350.00</azimuth><absoluteZoom>25.00<"
    )
    assert "<horizontalSpeed>210.80<" in world.last[2] and "<verticalSpeed>151.80<" in world.last[2]


@in_world("slow-cheap")
async def test_beyond_a_stop_is_the_nearer_stop(world: World) -> None:
    found = await world.driver.open()
    assert found.pan_range_deg == (0.0, 350.0)
    await world.driver.absolute(353, 0, 1, None)
    assert "<azimuth>3500</azimuth>" in world.last[2]
    await world.driver.absolute(358, 0, 1, None)
    assert "<azimuth>0</azimuth>" in world.last[2]


# Directions


@pytest.mark.parametrize("profile", [name for name in ISAPI_PROFILES if name != "encoder-mh6171"])
def test_right_up_and_tele(profile: str) -> None:
    async def test(world: World) -> None:
        await world.driver.open()
        await world.driver.absolute(100, -30, 1.5, None)
        before = await world.settled(20)
        await world.driver.move(Levels(40, 40, 40), 0.7)
        after = await world.settled(3)
        assert (
            turned_deg(after, before) > 0.5
            and after.tilt_deg > before.tilt_deg + 0.3
            and after.zoom > before.zoom
        )

    run(test, profile)


@settings(max_examples=20, deadline=None)
@given(st.tuples(*[st.sampled_from([1, -1])] * 4), st.floats(0, 359), st.floats(-50, 50), st.floats(1, 20))
def test_signs_that_are_set_turn_everything_round(
    signs: tuple[int, int, int, int], pan: float, tilt: float, zoom: float
) -> None:
    async def test(world: World) -> None:
        driver = world.driver
        await driver.open()
        await driver.absolute(pan, tilt, zoom, None)
        true = await world.settled(20)
        assert abs(turned_deg(true, Pose(0, signs[0] * pan % 360, 0))) < 0.5
        assert true.tilt_deg == pytest.approx(signs[1] * tilt, abs=0.5)
        status = await driver.status()
        # What was asked for is what is told, whatever the signs.
        assert status.pose is not None
        assert abs(turned_deg(status.pose, Pose(0, pan, 0))) < 0.5 and abs(status.pose.tilt_deg - tilt) < 0.5
        await driver.move(Levels(10, -7), 0.3)
        assert f"<pan>{signs[2] * 10}</pan><tilt>{signs[3] * -7}</tilt>" in world.last[2]

    run(
        test, position_pan_sign=signs[0], position_tilt_sign=signs[1], command_pan_sign=signs[2],
        command_tilt_sign=signs[3],
    )  # fmt: skip


@in_world()
async def test_signs_may_change_while_it_is_open(world: World) -> None:
    from dataclasses import replace

    await world.driver.open()
    world.driver.options = replace(world.driver.options, command_tilt_sign=-1, position_tilt_sign=-1)
    assert (await world.driver.open()).tilt_range_deg == (-50, 60)
    await world.driver.move(Levels(0, 10), 0.3)
    assert "<tilt>-10</tilt>" in world.last[2]


# What it learns


@in_world(rules=["no_mixed"])
async def test_zoom_apart_from_pan_and_tilt(world: World) -> None:
    driver = world.driver
    await driver.open()
    before = len(world.transport.sent)
    await driver.move(Levels(20, 0, 30), 0.6)
    assert len(world.transport.sent) - before == 3
    before = len(world.transport.sent)
    await driver.move(Levels(20, 0, 30), 0.6)
    assert len(world.transport.sent) - before == 2
    assert any("refuses both in one body" in choice for choice in driver.capabilities.choices)
    pose = await world.settled(2)
    assert pose.pan_deg > 0.5 and pose.zoom > 1
    # One of them alone still goes in one body, and so does a stop.
    before = len(world.transport.sent)
    await driver.move(Levels(20), 0.6)
    await driver.stop()
    assert len(world.transport.sent) - before == 2
    assert any("refuses both" in choice for choice in (await driver.open()).choices)


class Picky(Watched):
    """The same, of a camera that knows one namespace only."""

    namespace = "http://www.std-cgi.com/ver20/XMLSchema"

    async def exchange(self, request: Request, timeout_s: float) -> Response:
        response = await super().exchange(request, timeout_s)
        if request.body and self.namespace not in request.body.decode() and response.status == 200:
            return Response(400, (), b"<ResponseStatus><statusCode>6</statusCode></ResponseStatus>")
        return response


@in_world()
async def test_another_namespace_is_tried_once(world: World) -> None:
    picky = Picky(world.camera, world.now)
    driver = IsapiDriver(world.driver.options, world.now, picky)
    await driver.open()
    await driver.move(Levels(10, 0, 10), 0.5)
    before = len(picky.sent)
    await driver.move(Levels(10, 0, 10), 0.5)
    await driver.stop()
    assert len(picky.sent) - before == 2
    # It has found its spelling: what is refused from now on is refused.
    picky.namespace = "urn:another"
    before = len(picky.sent)
    with pytest.raises(PtzRefused):
        await driver.stop()
    assert len(picky.sent) - before == 1


@in_world("slow-cheap")
async def test_no_momentary_moves(world: World) -> None:
    world.fault("not_support", path="momentary")
    driver = world.driver
    await driver.open()
    await driver.move(Levels(50), 0.5)
    assert world.last[1] == f"{HEAD}/continuous" and not driver.capabilities.self_expiring
    assert "momentary" not in driver.stop_ways
    await driver.move(Levels(50), 0.5)
    assert not (await driver.open()).self_expiring


@in_world()
async def test_absolute_ex_that_goes_away(world: World) -> None:
    driver = world.driver
    await driver.open()
    world.fault("not_found", path="absoluteEx")
    await driver.absolute(10, -10, 2, 30)
    assert world.last[1] == f"{HEAD}/absolute"
    assert (await driver.status()).pose is not None and world.last[1] == f"{HEAD}/status"


@in_world()
async def test_a_moment_in_which_everything_is_refused_teaches_nothing(world: World) -> None:
    driver = world.driver
    await driver.open()
    world.fault("not_support", duration_s=5.0)
    for doing in (driver.move(Levels(5), 0.5), driver.absolute(1, 1, 1, None), driver.status()):
        with pytest.raises(PtzUnsupported):
            await doing
    await asyncio.sleep(6)
    await driver.move(Levels(5), 0.5)
    assert world.last[1] == f"{HEAD}/momentary" and driver.capabilities.self_expiring
    await driver.status()
    assert world.last[1] == f"{HEAD}/absoluteEx"


@in_world("hik-de2a404")
async def test_hundredths_in_status(world: World) -> None:
    driver = world.driver
    await driver.open()
    await driver.absolute(120, -30, 2, None)
    true = await world.settled(20)
    world.fault("report_hundredths")
    for _ in range(2):
        pose = (await driver.status()).pose
        assert pose is not None and abs(turned_deg(pose, true)) < 0.3
        assert pose.tilt_deg == pytest.approx(true.tilt_deg, abs=0.3)
    assert any("1/100 degree" in choice for choice in driver.capabilities.choices)


@in_world("hik-de2a404")
async def test_a_status_without_zoom(world: World) -> None:
    driver = world.driver
    await driver.open()
    await driver.absolute(10, -10, 3, None)
    await world.settled(15)
    assert (await driver.status()).zoomed
    world.fault("report_no_zoom")
    status = await driver.status()
    assert not status.zoomed and status.pose is not None and status.pose.zoom == pytest.approx(3.0, abs=0.1)


@in_world("hik-de2a404")
async def test_a_status_that_is_no_number(world: World) -> None:
    await world.driver.open()
    world.fault("report_nan")
    with pytest.raises(PtzProtocolError, match="is no number"):
        await world.driver.status()


# Stopping


@pytest.mark.parametrize("way", ["continuous", "momentary", "absolute"])
def test_every_way_of_stopping_stops(way: str) -> None:
    async def test(world: World) -> None:
        driver = world.driver
        await driver.open()
        assert driver.stop_ways == ("continuous", "momentary", "absolute")
        driver.use_stop_way(way)
        await driver.move(Levels(60), 10.0)
        await asyncio.sleep(1.0)
        assert world.device.velocity(world.now()).pan_deg_s > 10
        await driver.stop()
        await asyncio.sleep(2.0)
        assert abs(world.device.velocity(world.now()).pan_deg_s) < 0.01

    run(test)


@in_world("encoder-mh6171")
async def test_ways_of_stopping_that_are_not_there(world: World) -> None:
    await world.driver.open()
    with pytest.raises(PtzUnsupported, match="no way of stopping 'absolute'; there are: continuous"):
        world.driver.use_stop_way("absolute")


# Presets


@in_world()
async def test_presets_come_and_go(world: World) -> None:
    driver = world.driver
    await driver.open()
    await driver.absolute(50, -20, 2, None)
    await world.settled()
    assert await driver.store_preset("", "Gate & <door>") == "1"
    assert await driver.store_preset("12", "") == "12"
    found = await driver.presets()
    assert [(preset.preset, preset.name) for preset in found] == [("1", "Gate & <door>"), ("12", "Preset 12")]
    pose = found[0].pose
    assert (
        pose is not None
        and pose.pan_deg == pytest.approx(50, abs=0.3)
        and pose.tilt_deg == pytest.approx(-20, abs=0.3)
    )
    await driver.absolute(0, 0, 1, None)
    await world.settled()
    await driver.go_to_preset("1")
    assert (await world.settled()).pan_deg == pytest.approx(50, abs=0.5)
    await driver.remove_preset("1")
    assert [preset.preset for preset in await driver.presets()] == ["12"]
    await driver.home()
    assert abs(turned_deg(await world.settled(), Pose(0, 0, 0))) < 0.5


@pytest.mark.parametrize("preset", ["94", "33", "0", "301", "-1", "a", "1.5", "", "٣"])
def test_presets_that_are_refused(preset: str) -> None:
    async def test(world: World) -> None:
        driver = world.driver
        await driver.open()
        sent = len(world.transport.sent)
        for doing in (driver.go_to_preset, driver.remove_preset):
            with pytest.raises(PtzRefused, match=r"reserved|not a number"):
                await doing(preset)
        if preset:
            with pytest.raises(PtzRefused):
                await driver.store_preset(preset, "x")
        assert len(world.transport.sent) == sent

    run(test)


@in_world()
async def test_preset_names_that_are_too_long(world: World) -> None:
    await world.driver.open()
    with pytest.raises(PtzRefused, match="longer than 20"):
        await world.driver.store_preset("1", "x" * 21)
    with pytest.raises(PtzRefused, match="control characters"):
        await world.driver.store_preset("1", "x\0")


def test_reserved_numbers_where_a_camera_does_not_say() -> None:
    assert {33, 48, 50, 90, 92, 94, 110, 130, 132, 200} <= RESERVED_PRESETS and 49 not in RESERVED_PRESETS
    assert not {1, 32, 91, 111, 129, 133, 199, 201} & RESERVED_PRESETS


# What goes wrong

STRICT = ["namespace_required", "declaration_required", "order_required", "length_required", "content_type_required",
          "empty_body_refused", "namespace_ignored", "no_mixed"]  # fmt: skip


@pytest.mark.parametrize("digest", ["noqop", "qop", "dual"])
@pytest.mark.parametrize(
    "rules", [[], STRICT, ["chunked"], ["close_each"], ["challenge_spelling"], ["trailing_bytes"]]
)
def test_everything_works_with_strict_cameras(rules: list[str], digest: str) -> None:
    async def test(world: World) -> None:
        driver = world.driver
        await driver.open()
        await driver.move(Levels(30, -20, 20), 1.0)
        pose = await world.settled(3)
        assert pose.pan_deg > 1 and pose.tilt_deg < -0.5 and pose.zoom > 1.05
        await driver.stop()
        await driver.absolute(30, -10, 2, 50)
        await world.settled()
        assert await driver.store_preset("3", "here") == "3"
        await driver.go_to_preset("3")
        await driver.remove_preset("3")
        await driver.home()
        assert (await driver.status()).pose is not None
        assert world.camera.accounts.refused_since(0.0) == 0

    run(test, rules=rules, digest=digest)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("busy", PtzBusy), ("busy_no_body", PtzBusy), ("device_error", PtzBusy), ("status_in_200", PtzUnsupported),
        ("method_not_allowed", PtzUnsupported), ("not_support", PtzUnsupported), ("not_found", PtzUnsupported),
        ("insufficient_permission", PtzRefused), ("bad_request", PtzRefused), ("silent", PtzUnreachable),
        ("reset_before", PtzUnreachable), ("reset_after", PtzUnreachable), ("half_answer", PtzUnreachable),
        ("half_answer_close", PtzUnreachable), ("garbage", PtzProtocolError), ("html_page", PtzProtocolError),
        ("truncated_xml", PtzProtocolError), ("xml_bomb", PtzProtocolError), ("length_too_long", PtzUnreachable),
        ("length_too_short", PtzProtocolError), ("refused", PtzUnreachable),
        ("unauthorized", PtzUnauthorized),
    ],
)  # fmt: skip
def test_faults_are_told_apart_and_pass(kind: str, error: type[PtzError]) -> None:
    async def test(world: World) -> None:
        driver = world.driver
        await driver.open()
        world.fault(kind, duration_s=10.0)
        for doing in (
            driver.move(Levels(10), 0.5),
            driver.stop(),
            driver.status(),
            driver.absolute(1, 1, 1, None),
        ):
            with pytest.raises(PtzError) as caught:
                await doing
            assert isinstance(caught.value, error) or kind in ("unauthorized", "not_found", "not_support")
            text = str(caught.value)
            assert "Passw0rd" not in text and "\n" not in text and len(text) < 300
        await asyncio.sleep(11)
        if kind != "unauthorized":
            await driver.stop()
            assert (await driver.status()).pose is not None
        assert world.camera.accounts.credentialed_since(0.0) < 100

    run(test)


@pytest.mark.parametrize("kind", ["html_page", "truncated_xml", "xml_bomb", "garbage"])
def test_opening_before_a_camera_that_answers_nonsense(kind: str) -> None:
    async def test(world: World) -> None:
        world.fault(kind, duration_s=5.0)
        with pytest.raises((PtzProtocolError, PtzUnauthorized)):
            await world.driver.open()
        await asyncio.sleep(6)
        assert (await world.driver.open()).status

    run(test)


@in_world(user=User("guest", "Passw0rd!", role="viewer"))
async def test_an_account_that_may_only_look(world: World) -> None:
    await world.driver.open()
    with pytest.raises(PtzRefused, match="the right to control PTZ"):
        await world.driver.move(Levels(10), 0.5)


@in_world()
async def test_one_connection(world: World) -> None:
    await world.driver.open()
    await asyncio.gather(*(world.driver.status() for _ in range(5)))
    assert world.transport.connections == 1
    await world.driver.close()
    await world.driver.close()


def test_nothing_shows_the_password() -> None:
    options = DriverOptions("http://admin:Passw0rd!@camera", "admin", "Passw0rd!")
    driver = IsapiDriver(options, lambda: 0.0)
    assert "Passw0rd" not in repr(driver) + repr(options.__class__(url="x", password="Passw0rd!"))
    with pytest.raises(PtzError) as caught:
        asyncio.run(driver.status())
    assert "Passw0rd" not in str(caught.value)


def test_over_a_real_socket() -> None:
    async def inside() -> None:
        device = Device(PROFILES["hik-8425ix"])
        camera = SimulatedCamera(device, Accounts([User("admin", "Passw0rd!")], LoginSettings(digest="dual")))
        async with serve(camera) as served:
            driver = IsapiDriver(
                DriverOptions(served.url, "admin", "Passw0rd!"), asyncio.get_running_loop().time
            )
            assert (await driver.open()).status
            await driver.move(Levels(60), 0.3)
            await asyncio.sleep(0.6)
            pose = (await driver.status()).pose
            assert pose is not None and pose.pan_deg > 2
            await driver.stop()
            await driver.close()
        assert camera.accounts.refused_since(-1e9) == 0

    asyncio.run(inside())


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("chunked", None), ("close_each", None), ("trailing_bytes", None), ("half_open", PtzUnreachable),
        ("reset_before", PtzUnreachable), ("reset_after", PtzUnreachable), ("half_answer", PtzUnreachable),
        ("half_answer_close", PtzUnreachable), ("length_too_long", PtzUnreachable), ("silent", PtzUnreachable),
        ("length_too_short", PtzProtocolError), ("garbage", PtzProtocolError), ("refused", PtzUnreachable),
    ],
)  # fmt: skip
def test_faults_of_real_wires(kind: str, error: type[PtzError] | None) -> None:
    async def inside() -> None:
        device = Device(PROFILES["hik-8425ix"])
        camera = SimulatedCamera(device, Accounts([User("admin", "Passw0rd!")]))
        async with serve(camera) as served:
            options = DriverOptions(served.url, "admin", "Passw0rd!", timeout_s=0.2)
            driver = IsapiDriver(options, asyncio.get_running_loop().time)
            await driver.open()
            device.faults.add(Fault(kind, start_s=-1e9, value=1.0))
            for _ in range(3):
                try:
                    await driver.stop()
                except PtzError as failure:
                    assert error is not None and isinstance(failure, error), repr(failure)
                else:
                    assert error is None or kind == "half_open"
            device.faults.clear()
            await asyncio.sleep(0.1)
            await driver.stop()
            await driver.close()
        assert camera.accounts.refused_since(-1e9) == 0

    asyncio.run(inside())
