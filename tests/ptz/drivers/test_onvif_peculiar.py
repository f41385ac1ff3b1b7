"""Peculiar ONVIF cameras: the simulated one, with requests refused or answers changed on the way as real ones do."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable

import pytest

from engine.errors import PtzError, PtzRefused, PtzUnauthorized, PtzUnsupported
from ptz.drivers.base import DriverOptions
from ptz.drivers.onvif import OnvifDriver
from ptz.http import Request, Response, Transport
from ptz.simulator.accounts import Accounts, User
from ptz.simulator.camera import CameraSettings, SimulatedCamera
from ptz.simulator.device import Device
from ptz.simulator.onvif_envelope import SoapFault, answered, faulted
from ptz.simulator.profiles import PROFILES
from ptz.simulator.transport import DeviceTransport
from ptz.types import Levels
from ptz.virtual_time import run_virtual
from ptz.xml import Element, parse

NOT_IMPLEMENTED = faulted(SoapFault("ter:ActionNotSupported", reason="not implemented", receiver=True))
PREFIX = "http://www.onvif.org/ver10/tptz/"
START_S = 1_767_225_600.0


class Peculiar(Transport):
    """Stands between the driver and the camera.

    before  operation → answer instead of the camera's, or None to let the request through
    after   operation → (what to replace, by what) in the camera's answer
    asked   the operations and their bodies, in order; `sent` are whole requests
    spoils  chance by which answers are spoilt
    """

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.before: dict[str, Callable[[Element, bytes], Response | None]] = {}
        self.after: dict[str, list[tuple[str, str]]] = {}
        self.asked: list[tuple[str, Element]] = []
        self.sent: list[bytes] = []
        self.spoils: random.Random | None = None

    def last(self, operation: str) -> Element:
        return next(body for name, body in reversed(self.asked) if name == operation)

    async def exchange(self, request: Request, timeout_s: float) -> Response:
        body = parse(request.body, "driver").need("Body").children[0]
        self.asked.append((body.name, body))
        self.sent.append(request.body)
        instead = self.before.get(body.name)
        answer = instead(body, request.body) if instead else None
        if answer is not None:
            return answer
        response = await self._inner.exchange(request, timeout_s)
        text = response.body
        for old, new in self.after.get(body.name, []):
            assert response.status != 200 or old.encode() in text, (body.name, old)
            text = text.replace(old.encode(), new.encode())
        if self.spoils is not None:
            text = spoil(text, self.spoils)
        headers = tuple((key, value) for key, value in response.headers if key.lower() != "content-length")
        return Response(response.status, headers, text)

    async def close(self) -> None:
        await self._inner.close()


def spoil(body: bytes, chance: random.Random) -> bytes:
    """One of: bytes, a text, attributes or the name of an element are something else; half of the time nothing."""
    way = chance.random()
    if way < 0.1:
        return bytes(chance.randrange(256) if chance.random() < 0.01 else value for value in body)
    if way < 0.25:
        words = re.split(rb"(>[^<]+<)", body)
        number = chance.choice(range(1, len(words), 2) or [0])
        words[number] = chance.choice([b"><", b">NaN<", b">-1e400<", b">1e308<", b">0<", b">\xc3\xa9<"])
        return b"".join(words)
    if way < 0.4:
        values = [b'""', b'"NaN"', b'"1e300"', b'"-1"', b'"x"']
        return re.sub(
            rb'"[^":]*"', lambda found: chance.choice(values) if chance.random() < 0.1 else found[0], body
        )
    if way < 0.5:
        return body.replace(chance.choice(re.findall(rb"<(t[a-z]+:[A-Za-z]+)", body) or [b"<"]), b"other")
    return body


Scene = Callable[[OnvifDriver, Peculiar, Device], Awaitable[None]]


def run(
    scene: Scene,
    profile: str = "onvif-generic",
    login: str = "both",
    zoom: bool = True,
    url: str = "http://192.0.2.7",
) -> None:
    async def main() -> None:
        now = asyncio.get_running_loop().time
        kind = PROFILES[profile]
        device = Device(kind)
        camera = SimulatedCamera(
            device, Accounts([User("operator", "s3cret")]), CameraSettings(onvif_login=login)
        )
        peculiar = Peculiar(DeviceTransport(camera, now))
        options = DriverOptions(
            url, "operator", "s3cret", pan_range_deg=(0.0, 350.0), tilt_range_deg=(-90.0, 15.0),
            zoom_range=(1.0, kind.optics.most_zoom) if zoom else None,
        )  # fmt: skip
        driver = OnvifDriver(options, now, peculiar, utc=lambda: START_S + now())
        await scene(driver, peculiar, device)
        await driver.close()

    run_virtual(main(), limit_s=300.0)


def always(response: Response) -> Callable[[Element, bytes], Response | None]:
    return lambda _body, _request: response


async def turned(driver: OnvifDriver, device: Device) -> float:
    """Degrees that the head really turned to the right in a second at half speed; then it is stopped."""
    before = device.true_pose(driver.now()).pan_deg
    await driver.move(Levels(pan=50), 5.0)
    await asyncio.sleep(1.0)
    after = device.true_pose(driver.now()).pan_deg
    await driver.stop()
    await asyncio.sleep(2.0)
    return (after - before + 180) % 360 - 180


def test_an_old_camera_without_get_services() -> None:
    async def scene(driver: OnvifDriver, peculiar: Peculiar, device: Device) -> None:
        peculiar.before["GetServices"] = always(NOT_IMPLEMENTED)
        await driver.open()
        assert await turned(driver, device) > 10

    run(scene)


def test_a_camera_with_one_address_for_all_services() -> None:
    async def scene(driver: OnvifDriver, peculiar: Peculiar, device: Device) -> None:
        peculiar.after["GetServices"] = [
            ("/onvif/ptz_service", "/onvif/device_service"),
            ("/onvif/media_service", "/onvif/device_service"),
        ]
        told = await driver.open()
        assert told.status and told.home and not any("none" in choice for choice in told.choices)
        assert await turned(driver, device) > 10

    run(scene)


def test_a_camera_that_tells_next_to_nothing() -> None:
    async def scene(driver: OnvifDriver, peculiar: Peculiar, device: Device) -> None:
        for operation in (
            "GetSystemDateAndTime", "GetDeviceInformation", "GetConfigurationOptions", "GetNodes",
            "GetServiceCapabilities", "GetStatus",
        ):  # fmt: skip
            peculiar.before[operation] = always(NOT_IMPLEMENTED)
        told = await driver.open()
        assert told.continuous and not told.absolute and not told.status and not told.moving
        assert [choice.partition(":")[0] for choice in told.choices] == [
            "clock", "device", "spaces", "node", "spaces", "status", "profile", "turns",
        ]  # fmt: skip
        assert await turned(driver, device) > 10
        with pytest.raises(PtzUnsupported, match="neither position nor movement"):
            await driver.status()
        with pytest.raises(PtzUnsupported, match="no absolute moves"):
            await driver.absolute(0.0, 0.0, 1.0, None)

    run(scene)


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ({"GetServices": [("ver20/ptz/wsdl</", "ver20/none/wsdl</")], "GetCapabilities": [("tt:PTZ", "tt:IO")]},
         "offers no PTZ"),
        ({"GetProfiles": [("tt:PTZConfiguration", "tt:AudioConfiguration")]}, "has a PTZ configuration"),
    ],
)  # fmt: skip
def test_a_camera_without_a_head(after: dict[str, list[tuple[str, str]]], words: str) -> None:
    async def scene(driver: OnvifDriver, peculiar: Peculiar, device: Device) -> None:
        peculiar.after = after
        with pytest.raises(PtzUnsupported, match=words):
            await driver.open()

    run(scene)


def test_a_camera_that_tells_positions_and_takes_none() -> None:
    async def scene(driver: OnvifDriver, peculiar: Peculiar, device: Device) -> None:
        peculiar.after["GetConfigurationOptions"] = [
            ("AbsolutePanTiltPositionSpace", "Gone"), ("AbsoluteZoomPositionSpace", "Gone"),
        ]  # fmt: skip
        assert not (await driver.open()).absolute
        pose = (await driver.status()).pose
        true = device.true_pose(driver.now())
        assert pose is not None and pose.tilt_deg == pytest.approx(true.tilt_deg, abs=0.1)
        assert "absolute_here" not in driver.stop_ways

    run(scene)


def test_a_timeout_with_a_fraction_is_refused_without_saying_so() -> None:
    refusal = faulted(SoapFault("ter:InvalidArgVal", reason="argument"))

    async def scene(driver: OnvifDriver, peculiar: Peculiar, device: Device) -> None:
        peculiar.before["ContinuousMove"] = lambda body, _: (
            refusal if "." in body.text_of("Timeout", "") else None
        )
        await driver.open()
        await driver.move(Levels(pan=10), 0.6)
        assert peculiar.last("ContinuousMove").text_of("Timeout") == "PT1S"
        assert driver.capabilities.self_expiring
        assert await turned(driver, device) > 10

    run(scene)


def test_spaces_are_spelled_out_where_they_are_wanted() -> None:
    refusal = faulted(SoapFault("ter:InvalidArgVal", "ter:SpaceNotSupported"))

    async def scene(driver: OnvifDriver, peculiar: Peculiar, device: Device) -> None:
        peculiar.before["ContinuousMove"] = lambda _, request: None if b"space=" in request else refusal
        await driver.open()
        assert await turned(driver, device) > 10
        count = len(peculiar.asked)
        await driver.move(Levels(pan=10), 0.6)
        assert len(peculiar.asked) == count + 1

    run(scene)


def test_spaces_are_spelled_out_where_the_default_is_another() -> None:
    async def scene(driver: OnvifDriver, peculiar: Peculiar, device: Device) -> None:
        tag = "tt:DefaultContinuousPanTiltVelocitySpace>"
        peculiar.after["GetProfiles"] = [
            (
                f"{tag}{PREFIX}PanTiltSpaces/VelocityGenericSpace",
                f"{tag}{PREFIX}PanTiltSpaces/VelocitySpaceFOV",
            )
        ]
        await driver.open()
        await driver.move(Levels(pan=10), 0.6)
        space = peculiar.last("ContinuousMove").need("Velocity/PanTilt").attributes["space"]
        assert space == PREFIX + "PanTiltSpaces/VelocityGenericSpace"

    run(scene)


def test_a_turn_that_is_refused_in_every_form_is_not_tried_in_every_form_again() -> None:
    async def scene(driver: OnvifDriver, peculiar: Peculiar, device: Device) -> None:
        await driver.open()
        peculiar.before["ContinuousMove"] = always(faulted(SoapFault("ter:InvalidArgVal")))
        counts = []
        for _ in range(3):
            before = len(peculiar.asked)
            with pytest.raises(PtzRefused, match="ContinuousMove: refused: Sender/InvalidArgVal"):
                await driver.move(Levels(pan=10), 0.6)
            counts.append(len(peculiar.asked) - before)
        assert counts == [4, 1, 1]
        del peculiar.before["ContinuousMove"]
        assert await turned(driver, device) > 10
        assert driver.capabilities.self_expiring, "nothing was learned from refusals alone"

    run(scene)


def test_a_passing_refusal_does_not_change_what_works() -> None:
    async def scene(driver: OnvifDriver, peculiar: Peculiar, device: Device) -> None:
        await driver.open()
        await driver.move(Levels(pan=10), 0.6)
        refusals = [faulted(SoapFault("ter:InvalidArgVal"))]
        peculiar.before["ContinuousMove"] = lambda _body, _request: refusals.pop() if refusals else None
        with pytest.raises(PtzRefused):
            await driver.move(Levels(pan=10), 0.6)
        await driver.move(Levels(pan=10), 0.6)
        assert peculiar.last("ContinuousMove").text_of("Timeout") == "PT0.6S"

    run(scene)


@pytest.mark.parametrize("url", ["http://192.0.2.7", "https://192.0.2.7"])
def test_a_camera_that_wants_the_password_as_text(url: str) -> None:
    """Whoever sits between could ask for it: it is not sent in the clear unless somebody says so."""
    refusal = faulted(SoapFault("wsse:UnsupportedSecurityToken"))

    async def scene(driver: OnvifDriver, peculiar: Peculiar, device: Device) -> None:
        def refuse(_: Element, request: bytes) -> Response | None:
            return refusal if b"#PasswordDigest" in request else None

        for operation in ("GetProfiles", "ContinuousMove", "Stop", "GetStatus"):
            peculiar.before[operation] = refuse
        if url.startswith("http:"):
            with pytest.raises(PtzUnauthorized, match=r"only as text .* unless login = token_text is set"):
                await driver.open()
            assert not any(b"s3cret" in body for body in peculiar.sent)
            return
        told = await driver.open()
        assert any(choice.startswith("login: the password as text") for choice in told.choices)
        assert await turned(driver, device) > 10

    run(scene, login="token", url=url)


def test_focal_lengths_and_speeds_in_degrees() -> None:
    async def scene(driver: OnvifDriver, peculiar: Peculiar, device: Device) -> None:
        generic = (
            f"<tt:URI>{PREFIX}ZoomSpaces/PositionGenericSpace</tt:URI><tt:XRange><tt:Min>0</tt:Min><tt:Max>1"
        )
        lens = f"<tt:URI>{PREFIX}ZoomSpaces/PositionSpaceMillimeter</tt:URI><tt:XRange><tt:Min>5</tt:Min><tt:Max>100"
        speed = f"{PREFIX}PanTiltSpaces/GenericSpeedSpace</tt:URI><tt:XRange><tt:Min>0</tt:Min><tt:Max>1<"
        degrees = f"{PREFIX}PanTiltSpaces/SpeedSpaceDegrees</tt:URI><tt:XRange><tt:Min>0</tt:Min><tt:Max>90<"
        peculiar.after["GetConfigurationOptions"] = [(generic, lens), (speed, degrees)]
        peculiar.before["AbsoluteMove"] = always(answered("tptz", "AbsoluteMove"))
        assert (await driver.open()).zoom_range == (1.0, 20.0)
        await driver.absolute(175.0, 0.0, 4.0, 120.0)
        sent = peculiar.last("AbsoluteMove")
        assert sent.need("Position/Zoom").attributes == {
            "x": "20", "space": PREFIX + "ZoomSpaces/PositionSpaceMillimeter",
        }  # fmt: skip
        assert sent.need("Speed/PanTilt").float_attribute("x") == 90.0, "no faster than it can"
        peculiar.after["GetStatus"] = [
            (f'space="{PREFIX}ZoomSpaces/PositionGenericSpace"', f'space="{PREFIX}ZoomSpaces/PositionSpaceMillimeter"'),
            ('<tt:Zoom x="0"', '<tt:Zoom x="50"'),
        ]  # fmt: skip
        status = await driver.status()
        assert status.pose is not None and status.zoomed and status.pose.zoom == pytest.approx(10.0)

    run(scene, zoom=False)


def test_reserved_presets_of_hikvision_are_not_touched() -> None:
    async def scene(driver: OnvifDriver, peculiar: Peculiar, device: Device) -> None:
        assert 94 in (await driver.open()).reserved_presets
        count = len(peculiar.asked)
        for call in (driver.go_to_preset("94"), driver.store_preset("94", "x"), driver.remove_preset("094")):
            with pytest.raises(PtzRefused, match="does something else on this camera"):
                await call
        assert len(peculiar.asked) == count

    run(scene, "hik-8425ix")


@pytest.mark.parametrize("profile", ["onvif-fov", "onvif-generic", "onvif-reolink"])
def test_any_answer_is_read_or_refused(profile: str) -> None:
    """Whatever comes back: an error of heads in one line, or none."""
    outcomes: list[str] = []

    async def tried(call: Awaitable[object]) -> None:
        try:
            await call
        except PtzError as error:
            assert "\n" not in str(error) and len(str(error)) < 500
            outcomes.append(type(error).__name__)
        else:
            outcomes.append("")

    for seed in range(25):

        async def scene(driver: OnvifDriver, peculiar: Peculiar, device: Device, seed: int = seed) -> None:
            peculiar.spoils = random.Random(seed)
            await tried(driver.open())
            for call in (
                driver.status(), driver.move(Levels(10, 20, 30), 0.5), driver.stop(), driver.presets(),
                driver.absolute(10.0, -10.0, 2.0, 50.0), driver.relative_fov(0.1, 0.1, 2.0),
                driver.store_preset("", "x"), driver.go_to_preset("1"), driver.home(),
            ):  # fmt: skip
                await tried(call)

        run(scene, profile)
    assert outcomes.count("") > 50 and outcomes.count("PtzProtocolError") > 5
