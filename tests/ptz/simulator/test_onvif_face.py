"""The ONVIF face: operations, spaces, logins and faults, asked in SOAP."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime

import pytest

from ptz.http import Request
from ptz.simulator import onvif_spaces
from ptz.simulator.camera import CameraSettings
from ptz.simulator.faults import Fault
from ptz.simulator.onvif_envelope import SoapFault, seconds_of
from ptz.simulator.onvif_spaces import PAN_TILT_FOV, PAN_TILT_GENERIC, PAN_TILT_SPHERICAL, Spaces, Variation
from ptz.simulator.profiles import PROFILES
from ptz.xml import Element, parse
from tests.ptz.simulator.visitor import ADMIN, Visitor, camera, envelope

PROFILE = "<ProfileToken>Profile_1</ProfileToken>"
SECEXT = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
PASSWORD_DIGEST = (
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest"
)


def visit(profile: str = "onvif-fov", *faults: Fault, **settings: object) -> Visitor:
    return Visitor(camera(profile, *faults, settings=CameraSettings(**settings)))  # type: ignore[arg-type]


def velocity(x: float | None = None, y: float = 0.0, zoom: float | None = None) -> str:
    pan_tilt = "" if x is None else f'<tt:PanTilt x="{x}" y="{y}"/>'
    zooming = "" if zoom is None else f'<tt:Zoom x="{zoom}"/>'
    return f"{PROFILE}<Velocity>{pan_tilt}{zooming}</Velocity>"


def fault_words(answer: Element) -> list[str]:
    assert answer.name == "Fault", answer
    return [element.text for element in answer.need("Code").walk() if element.name == "Value"][1:]


def token(password: str, created: str, nonce: bytes = b"0123456789abcdef") -> str:
    digest = base64.b64encode(hashlib.sha1(nonce + created.encode() + password.encode()).digest()).decode()
    return (
        f'<s:Security xmlns:s="{SECEXT}"><s:UsernameToken><s:Username>{ADMIN.name}</s:Username>'
        f'<s:Password Type="{PASSWORD_DIGEST}">{digest}</s:Password>'
        f"<s:Nonce>{base64.b64encode(nonce).decode()}</s:Nonce><s:Created>{created}</s:Created>"
        "</s:UsernameToken></s:Security>"
    )


def send(visitor: Visitor, operation: str, content: str = "", header: str = "") -> tuple[int, Element]:
    """Without any login but what is in the header."""
    body = envelope(operation, content, header=header)
    answer = visitor.camera.handle(
        Request("POST", "/onvif/ptz_service", (), body), visitor.now_s, "h:1"
    ).response
    return answer.status, parse(answer.body, operation).need("Body").children[0]


def test_the_clock_is_told_to_everybody() -> None:
    host = camera("onvif-fov")
    body = envelope("GetSystemDateAndTime", service="device")
    answer = host.handle(Request("POST", "/onvif/device_service", (), body), 90.0)
    assert answer.response.status == 200
    told = parse(answer.response.body, "clock").first("UTCDateTime")
    assert told is not None
    assert (told.int_of("Time/Minute"), told.int_of("Time/Second"), told.int_of("Date/Year")) == (1, 30, 2026)
    assert host.accounts.credentialed == 0


def test_the_device_and_its_services() -> None:
    visitor = visit("onvif-reolink")
    info = visitor.soap("GetDeviceInformation", service="device")
    assert (info.text_of("Manufacturer"), info.text_of("Model")) == ("Reolink", "RLC-823A")
    services = visitor.soap("GetServices", "<IncludeCapability>true</IncludeCapability>", service="device")
    assert [service.text_of("XAddr") for service in services.all("Service")] == [
        f"http://192.0.2.10/onvif/{name}_service" for name in ("device", "media", "ptz")
    ]
    capabilities = visitor.soap("GetCapabilities", service="device").need("Capabilities")
    assert [child.name for child in capabilities] == ["Device", "Media", "PTZ"], "the order of the schema"
    assert len(visitor.soap("GetScopes", service="device").all("Scopes")) == 4


def test_a_device_behind_nat_tells_another_address() -> None:
    capabilities = visit(xaddr="10.1.2.3:8000").soap("GetCapabilities", service="device")
    assert capabilities.text_of("Capabilities/PTZ/XAddr") == "http://10.1.2.3:8000/onvif/ptz_service"


def test_profiles_and_their_pictures() -> None:
    visitor = visit()
    profiles = visitor.soap("GetProfiles", service="media").all("Profiles")
    assert [profile.attributes["token"] for profile in profiles] == ["Profile_1", "Profile_2"]
    names = ["Name", "VideoSourceConfiguration", "VideoEncoderConfiguration", "PTZConfiguration"]
    assert [child.name for child in profiles[0]] == names, "the order of the schema"
    snapshot = visitor.soap("GetSnapshotUri", PROFILE, service="media").text_of("MediaUri/Uri")
    still = visitor.ask("GET", snapshot.removeprefix("http://192.0.2.10")).response
    assert still.body.startswith(b"\xff\xd8")
    assert (
        visitor.soap("GetStreamUri", PROFILE, service="media").text_of("MediaUri/Uri").startswith("rtsp://")
    )


def test_spaces_of_the_profiles_in_the_order_of_the_schema() -> None:
    node = visit().soap("GetNodes").need("PTZNode")
    spaces = node.need("SupportedPTZSpaces")
    names = [space.name for space in spaces]
    assert names == sorted(names, key=onvif_spaces.ORDER.index)
    uris = [space.text_of("URI") for space in spaces]
    assert {PAN_TILT_FOV, PAN_TILT_SPHERICAL} <= set(uris)
    generic = visit("onvif-generic").soap(
        "GetConfigurationOptions", "<ConfigurationToken>x</ConfigurationToken>"
    )
    uris = [space.text_of("URI") for space in generic.need("PTZConfigurationOptions/Spaces")]
    assert PAN_TILT_FOV not in uris
    assert PAN_TILT_GENERIC in uris


def test_turning_leaves_the_axes_alone_that_are_not_mentioned() -> None:
    visitor = visit()
    device = visitor.camera.device
    assert visitor.soap("ContinuousMove", velocity(0.5)).name == "ContinuousMoveResponse"
    visitor.now_s = 1.0
    visitor.soap("ContinuousMove", velocity(zoom=0.5))
    assert device.velocity(2.0).pan_deg_s > 10
    assert device.velocity(2.0).zoom_octaves_s > 0.1
    visitor.now_s = 2.0
    visitor.soap("ContinuousMove", velocity(-0.5))
    assert device.velocity(3.0).pan_deg_s < -10
    assert device.velocity(3.0).zoom_octaves_s > 0.1
    visitor.now_s = 3.0
    visitor.soap("Stop", f"{PROFILE}<PanTilt>true</PanTilt><Zoom>false</Zoom>")
    assert device.velocity(3.8).pan_deg_s == 0
    assert device.velocity(3.8).zoom_octaves_s > 0.1
    visitor.now_s = 3.8
    visitor.soap("Stop", PROFILE)
    assert device.velocity(5.0).is_zero


def test_a_timeout_ends_a_turn_and_without_one_the_default_does() -> None:
    for timeout, ends_s in (("<Timeout>PT0.5S</Timeout>", 0.5), ("", 10.0)):
        visitor = visit()
        visitor.soap("ContinuousMove", velocity(-0.3, 0.2) + timeout)
        assert not visitor.camera.device.velocity(ends_s - 0.1).is_zero
        assert visitor.camera.device.velocity(ends_s + 1.0).is_zero
    reolink = visit("onvif-reolink")
    reolink.soap("ContinuousMove", velocity(0.5, 0.5) + "<Timeout>PT0.5S</Timeout>")
    assert not reolink.camera.device.velocity(3.0).is_zero, "a camera that ignores time-outs"


def test_a_move_along_one_axis_is_ignored_by_some() -> None:
    visitor = visit("onvif-reolink")
    assert visitor.soap("ContinuousMove", velocity(0.5, 0.0)).name == "ContinuousMoveResponse"
    assert visitor.camera.device.velocity(1.0).is_zero
    visitor.now_s = 1.0
    visitor.soap("ContinuousMove", velocity(0.5, 0.001))
    assert visitor.camera.device.velocity(2.0).pan_deg_s > 0


def test_absolute_moves_in_degrees_and_in_parts_of_the_range() -> None:
    visitor = visit()
    place = '<Position><tt:PanTilt x="-90" y="-30"/><tt:Zoom x="0.5"/></Position>'
    visitor.soap("AbsoluteMove", PROFILE + place)
    pose = visitor.camera.device.true_pose(8.0)
    assert (pose.pan_deg, pose.tilt_deg) == pytest.approx((270, -30), abs=0.3)
    assert pose.zoom == pytest.approx(10.5, rel=0.01)
    visitor = visit("onvif-generic", zoom_scale="log")
    visitor.soap("AbsoluteMove", PROFILE + place.replace("-90", "0").replace("-30", "1"))
    pose = visitor.camera.device.true_pose(8.0)
    assert (pose.pan_deg, pose.tilt_deg) == pytest.approx((175, 15), abs=0.3)
    assert pose.zoom == pytest.approx(20**0.5, rel=0.01)


def test_speed_limits_an_absolute_move() -> None:
    visitor = visit()
    speed = '<Speed><tt:PanTilt x="0.05" y="0.05"/></Speed>'
    visitor.soap("AbsoluteMove", f'{PROFILE}<Position><tt:PanTilt x="170" y="0"/></Position>{speed}')
    assert visitor.camera.device.velocity(2.0).pan_deg_s == pytest.approx(10, abs=0.1)


def test_relative_moves_in_the_picture() -> None:
    visitor = visit()
    space = f'space="{PAN_TILT_FOV}"'
    visitor.soap("RelativeMove", f'{PROFILE}<Translation><tt:PanTilt x="1" y="0" {space}/></Translation>')
    assert visitor.camera.device.true_pose(5.0).pan_deg == pytest.approx(30, abs=0.3), "half of 60°"
    assert visitor.camera.device.true_pose(5.0).zoom == 1.0


def test_relative_moves_in_parts_of_the_range_end_at_the_stop() -> None:
    visitor = visit("onvif-generic")
    visitor.soap(
        "RelativeMove", f'{PROFILE}<Translation><tt:PanTilt x="0.1" y="1"/><tt:Zoom x="0.5"/></Translation>'
    )
    pose = visitor.camera.device.true_pose(8.0)
    assert (pose.pan_deg, pose.tilt_deg) == pytest.approx((35, 15), abs=0.3)
    assert pose.zoom == pytest.approx(10.5, rel=0.01)


@pytest.mark.parametrize(
    ("operation", "content", "words"),
    [
        ("GetStatus", "<ProfileToken>none</ProfileToken>", ["ter:InvalidArgVal", "ter:NoProfile"]),
        ("AbsoluteMove", f'{PROFILE}<Position><tt:PanTilt x="181" y="0"/></Position>',
         ["ter:InvalidArgVal", "ter:InvalidPosition"]),
        ("AbsoluteMove", f'{PROFILE}<Position><tt:PanTilt x="0" y="0" space="urn:x"/></Position>',
         ["ter:InvalidArgVal", "ter:SpaceNotSupported"]),
        ("AbsoluteMove", f'{PROFILE}<Position><tt:Zoom x="1.5"/></Position>',
         ["ter:InvalidArgVal", "ter:InvalidPosition"]),
        ("AbsoluteMove", f'{PROFILE}<Position><tt:PanTilt x="0" y="0"/></Position>'
         '<Speed><tt:PanTilt x="2" y="2"/></Speed>',
         ["ter:InvalidArgVal", "ter:InvalidSpeed"]),
        ("ContinuousMove", velocity(1.5), ["ter:InvalidArgVal", "ter:InvalidVelocity"]),
        ("ContinuousMove", velocity(float("nan")), ["ter:InvalidArgVal"]),
        ("ContinuousMove", PROFILE, ["ter:InvalidArgVal"]),
        ("ContinuousMove", velocity(0.1) + "<Timeout>soon</Timeout>", ["ter:InvalidArgVal", "ter:TimeoutNotSupported"]),
        ("ContinuousMove", velocity(0.1) + "<Timeout>PT9000S</Timeout>",
         ["ter:InvalidArgVal", "ter:TimeoutNotSupported"]),
        ("RelativeMove", f'{PROFILE}<Translation><tt:PanTilt x="2" y="0"/></Translation>',
         ["ter:InvalidArgVal", "ter:InvalidTranslation"]),
        ("GotoPreset", f"{PROFILE}<PresetToken>9</PresetToken>", ["ter:InvalidArgVal", "ter:NoToken"]),
        ("RemovePreset", f"{PROFILE}<PresetToken>9</PresetToken>", ["ter:InvalidArgVal", "ter:NoToken"]),
        ("GetNode", "<NodeToken>9</NodeToken>", ["ter:InvalidArgVal", "ter:NoEntity"]),
        ("CreatePresetTour", PROFILE, ["ter:ActionNotSupported"]),
    ],
)  # fmt: skip
def test_faults_have_the_words_of_the_specification(operation: str, content: str, words: list[str]) -> None:
    visitor = visit()
    assert fault_words(visitor.soap(operation, content)) == words
    assert visitor.camera.device.commands == 0


def test_presets_and_home() -> None:
    visitor = visit()
    first = visitor.soap("SetPreset", f"{PROFILE}<PresetName>gate</PresetName>").text_of("PresetToken")
    visitor.soap("ContinuousMove", velocity(1.0, 0.1))
    visitor.now_s = 2.0
    assert fault_words(visitor.soap("SetPreset", PROFILE)) == ["ter:Action", "ter:MovingPTZ"]
    visitor.soap("GotoPreset", f"{PROFILE}<PresetToken>{first}</PresetToken>")
    visitor.now_s = 6.0
    assert visitor.camera.device.true_pose(6.0).tilt_deg == pytest.approx(0, abs=0.3)
    listed = visitor.soap("GetPresets", PROFILE).all("Preset")
    assert [(preset.attributes["token"], preset.text_of("Name")) for preset in listed] == [(first, "gate")]
    assert listed[0].need("PTZPosition/PanTilt").attributes["space"] == PAN_TILT_SPHERICAL
    visitor.soap("RemovePreset", f"{PROFILE}<PresetToken>{first}</PresetToken>")
    assert visitor.soap("GetPresets", PROFILE).children == []
    visitor.soap("AbsoluteMove", f'{PROFILE}<Position><tt:PanTilt x="40" y="0"/></Position>')
    visitor.now_s = 10.0
    assert visitor.soap("SetHomePosition", PROFILE).name == "SetHomePositionResponse"
    visitor.soap("AbsoluteMove", f'{PROFILE}<Position><tt:PanTilt x="0" y="0"/></Position>')
    visitor.now_s = 14.0
    visitor.soap("GotoHomePosition", PROFILE)
    assert visitor.camera.device.true_pose(20.0).pan_deg == pytest.approx(40, abs=0.4)


def test_hikvision_reserves_presets_over_onvif_too() -> None:
    visitor = visit("hik-8425ix")
    set_94 = f"{PROFILE}<PresetToken>94</PresetToken>"
    assert visitor.soap("SetPreset", set_94).name == "Fault"
    visitor.soap("GotoPreset", set_94)
    assert not visitor.camera.reachable(1.0)


def test_status_says_where_and_whether_it_moves() -> None:
    visitor = visit()
    status = visitor.soap("GetStatus", PROFILE).need("PTZStatus")
    assert [child.name for child in status] == ["Position", "MoveStatus", "UtcTime"], (
        "the order of the schema"
    )
    assert status.text_of("MoveStatus/PanTilt") == "IDLE"
    visitor.soap("ContinuousMove", velocity(0.5, 0.1))
    visitor.now_s = 1.0
    status = visitor.soap("GetStatus", PROFILE).need("PTZStatus")
    assert status.text_of("MoveStatus/PanTilt") == "MOVING"
    assert status.need("Position/PanTilt").float_attribute("x") > 5
    silent = visit("onvif-generic").soap("GetStatus", PROFILE).need("PTZStatus")
    assert silent.find("MoveStatus") is None


@pytest.mark.parametrize(
    ("kind", "told"),
    [("move_status_absent", None), ("move_status_unknown", "UNKNOWN"), ("move_status_bool", "false"),
     ("moving_stuck", "MOVING"), ("moving_none", None)],
)  # fmt: skip
def test_move_status_as_the_field_has_it(kind: str, told: str | None) -> None:
    status = visit("onvif-fov", Fault(kind)).soap("GetStatus", PROFILE).need("PTZStatus")
    assert (status.text_of("MoveStatus/PanTilt") if told else status.find("MoveStatus")) == told


def test_move_status_as_a_plain_text() -> None:
    status = visit("onvif-fov", Fault("move_status_text")).soap("GetStatus", PROFILE).need("PTZStatus")
    assert status.text_of("MoveStatus") == "IDLE"
    assert status.need("MoveStatus").children == []


def test_positions_without_zoom_and_without_numbers() -> None:
    status = visit("onvif-fov", Fault("report_no_zoom")).soap("GetStatus", PROFILE).need("PTZStatus/Position")
    assert status.find("Zoom") is None
    status = visit("onvif-fov", Fault("report_nan")).soap("GetStatus", PROFILE).need("PTZStatus/Position")
    assert status.need("PanTilt").attributes["x"] == "NaN"


@pytest.mark.parametrize(
    ("kind", "operation", "content", "words"),
    [
        ("stop_rejected", "Stop", PROFILE, ["ter:InvalidArgVal"]),
        ("zero_rejected", "ContinuousMove", velocity(0.0, 0.0, 0.0), ["ter:InvalidArgVal", "ter:InvalidVelocity"]),
        ("timeout_rejected", "ContinuousMove", velocity(0.1) + "<Timeout>PT1S</Timeout>",
         ["ter:InvalidArgVal", "ter:TimeoutNotSupported"]),
        ("node_zoom_only", "ContinuousMove", velocity(0.1), ["ter:InvalidArgVal", "ter:SpaceNotSupported"]),
        ("node_pan_tilt_only", "ContinuousMove", velocity(zoom=0.1), ["ter:InvalidArgVal", "ter:SpaceNotSupported"]),
        ("not_support", "Stop", PROFILE, ["ter:NotAuthorized"]),
        ("not_found", "Stop", PROFILE, ["ter:ActionNotSupported"]),
        ("bad_request", "Stop", PROFILE, ["ter:InvalidArgVal"]),
        ("busy", "Stop", PROFILE, ["ter:Action", "ter:Busy"]),
    ],
)  # fmt: skip
def test_what_some_cameras_refuse(kind: str, operation: str, content: str, words: list[str]) -> None:
    path = "" if kind.startswith("node") else operation
    visitor = visit("onvif-fov", Fault(kind, path=path))
    assert fault_words(visitor.soap(operation, content)) == words
    assert (
        visit("onvif-fov", Fault(kind, path="SetHomePosition")).soap(operation, content).name
        == f"{operation}Response"
    )


@pytest.mark.parametrize(("kind", "stop"), [("stop_ignored", ("Stop", PROFILE)),
                                            ("zero_ignored", ("ContinuousMove", velocity(0.0, 0.0, 0.0)))])  # fmt: skip
def test_stops_that_are_accepted_and_ignored(kind: str, stop: tuple[str, str]) -> None:
    visitor = visit("onvif-fov", Fault(kind))
    visitor.soap("ContinuousMove", velocity(0.5, 0.1))
    visitor.now_s = 1.0
    assert visitor.soap(*stop).name == f"{stop[0]}Response"
    assert not visitor.camera.device.velocity(2.0).is_zero
    other = ("Stop", PROFILE) if kind == "zero_ignored" else ("ContinuousMove", velocity(0.0, 0.0, 0.0))
    visitor.now_s = 2.0
    visitor.soap(*other)
    assert visitor.camera.device.velocity(3.0).is_zero


def test_some_trip_over_addressing_headers() -> None:
    visitor = visit("onvif-fov", Fault("addressing_rejected"))
    header = '<a:Action xmlns:a="http://www.w3.org/2005/08/addressing">x</a:Action>'
    assert visitor.soap("Stop", PROFILE, header=header).name == "Fault"
    assert visitor.soap("Stop", PROFILE).name == "StopResponse"


def test_ranges_of_the_fov_space_as_the_field_has_them() -> None:
    for kind, span in (("fov_range_100", (-100.0, 100.0)), ("fov_range_zero", (0.0, 0.0))):
        visitor = visit("onvif-fov", Fault(kind))
        spaces = visitor.soap("GetNodes").need("PTZNode/SupportedPTZSpaces")
        fov = next(space for space in spaces if space.text_of("URI") == PAN_TILT_FOV)
        assert (fov.float_of("XRange/Min"), fov.float_of("XRange/Max")) == span
        x = 100 if span[1] else 1
        move = f'<Translation><tt:PanTilt x="{x}" y="0" space="{PAN_TILT_FOV}"/></Translation>'
        visitor.soap("RelativeMove", PROFILE + move)
        assert visitor.camera.device.true_pose(5.0).pan_deg == pytest.approx(30, abs=0.3)
    visitor = visit("onvif-fov", Fault("fov_ignored"))
    visitor.soap(
        "RelativeMove",
        f'{PROFILE}<Translation><tt:PanTilt x="1" y="0" space="{PAN_TILT_FOV}"/></Translation>',
    )
    assert visitor.camera.device.velocity(0.5).is_zero


def test_time_outs_told_as_nothing() -> None:
    visitor = visit("onvif-fov", Fault("timeout_range_zero"))
    assert visitor.soap("GetConfigurationOptions").text_of("PTZConfigurationOptions/PTZTimeout/Max") == "PT0S"


def test_without_a_login_there_is_a_challenge_or_a_fault() -> None:
    status, answer = send(visit(), "GetNodes")
    assert (status, fault_words(answer)) == (401, ["ter:NotAuthorized"])
    status, answer = send(visit(onvif_login="token"), "GetNodes")
    assert (status, fault_words(answer)) == (400, ["ter:NotAuthorized"])


def test_tokens_are_let_in_by_the_camera_s_own_clock() -> None:
    now = datetime.fromtimestamp(CameraSettings().epoch_s, UTC)
    assert now.year == 2026
    for seconds, status in ((0, 200), (290, 200), (-310, 400)):
        created = datetime.fromtimestamp(now.timestamp() + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        visitor = visit(onvif_login="token")
        assert send(visitor, "GetNodes", header=token(ADMIN.password, created))[0] == status, seconds
        assert visitor.camera.accounts.refused_since(0.0) == 0
    visitor = visit("onvif-fov", Fault("clock_jump", value=3600.0), onvif_login="token")
    created = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert send(visitor, "GetNodes", header=token(ADMIN.password, created))[0] == 400


def test_wrong_tokens_count_as_failed_logins_with_those_of_isapi() -> None:
    host = camera("hik-8425ix", settings=CameraSettings(onvif_login="token"))
    visitor = Visitor(host, peer="h:1")
    for n in range(7):
        header = token("wrong", "2026-01-01T00:00:00Z", b"%016d" % n)
        assert send(visitor, "GetNodes", header=header)[0] == 400
    assert host.accounts.standing("h", 0.0).locked
    assert visitor.ask("GET", "/ISAPI/System/deviceInfo").response.status == 401
    assert b"userLocked" in visitor.ask("GET", "/ISAPI/System/deviceInfo").response.body


def test_a_camera_may_take_only_digest_or_only_tokens() -> None:
    header = token(ADMIN.password, "2026-01-01T00:00:00Z")
    assert send(visit(onvif_login="digest"), "GetNodes", header=header)[0] == 401
    assert visit(onvif_login="digest").soap("GetNodes").name == "GetNodesResponse"
    assert visit(onvif_login="token").soap("GetNodes").name == "Fault"


@pytest.mark.parametrize(
    "body", [b"", b"<a/>", b"<e:Envelope xmlns:e='x'><e:Body/></e:Envelope>", b"\x00" * 50, b"<" * 1000,
             b'<!DOCTYPE a [<!ENTITY b "c">]><Envelope><Body><GetNodes>&b;</GetNodes></Body></Envelope>'],
)  # fmt: skip
def test_what_is_no_envelope_is_a_fault(body: bytes) -> None:
    answer = camera("onvif-fov").handle(Request("POST", "/onvif/ptz_service", (), body), 0.0).response
    assert answer.status == 400
    assert b"ter:WellFormed" in answer.body


def test_faces_that_a_camera_does_not_have() -> None:
    assert Visitor(camera("onvif-fov")).ask("GET", "/ISAPI/System/deviceInfo").response.status == 404
    assert Visitor(camera("encoder-mh6171")).ask("POST", "/onvif/device_service").response.status == 404


def test_durations() -> None:
    assert [seconds_of(text) for text in ("PT0S", "PT1.5S", "PT1M", "P1DT1H", "PT2H3M4S")] == [
        0, 1.5, 60, 90_000, 7384,
    ]  # fmt: skip
    for text in ("", "P", "PT", "1", "PTS", "-PT1S", "P1Y", "PT1.S"):
        with pytest.raises(SoapFault):
            seconds_of(text)


@pytest.mark.parametrize("profile", sorted(PROFILES))
@pytest.mark.parametrize("scale", onvif_spaces.ZOOM_SCALES)
def test_positions_go_there_and_back(profile: str, scale: str) -> None:
    spaces = Spaces(PROFILES[profile], scale)
    low, high = PROFILES[profile].tilt_range_deg
    first, last = PROFILES[profile].pan_range_deg or (0.0, 360.0)
    for share in (0.01, 0.3, 0.5, 0.77, 0.99):
        pan_deg, tilt_deg = first + share * (last - first), low + share * (high - low)
        space = spaces.pan_tilt_position
        back = spaces.direction_of(space, *spaces.position_of(space, pan_deg, tilt_deg))
        assert back == pytest.approx((pan_deg, tilt_deg), abs=1e-6)
        assert spaces.x_of_zoom(spaces.zoom_of(share)) == pytest.approx(share)
    most = PROFILES[profile].optics.most_zoom
    assert (spaces.zoom_of(0.0), spaces.zoom_of(1.0)) == pytest.approx((1.0, most))


def test_the_play_of_the_gears_does_not_lead_out_of_the_range() -> None:
    spaces = Spaces(PROFILES["onvif-generic"])
    assert spaces.position_of(PAN_TILT_GENERIC, 359.98, 0.0)[0] == -1.0
    assert spaces.position_of(PAN_TILT_GENERIC, 350.02, 0.0)[0] == 1.0


def test_a_variation_without_axes_has_no_spaces() -> None:
    markup = Spaces(PROFILES["onvif-fov"]).markup("x", Variation(pan_tilt=False, zoom=False))
    assert markup == "<x/>"
