"""The ISAPI face: shapes, three conventions of positions, presets, strictness, what is refused how."""

from __future__ import annotations

from itertools import islice

import pytest

from ptz.simulator.accounts import User
from ptz.simulator.camera import CameraSettings
from ptz.simulator.faults import Fault
from tests.ptz.simulator.visitor import NAMED, PTZ, Visitor, camera, parameters, ptz_data


def strict(*rules: str, profile: str = "hik-8425ix") -> Visitor:
    return Visitor(camera(profile, settings=CameraSettings(rules=frozenset(rules))))


def test_the_device_tells_what_it_is() -> None:
    info = Visitor(camera()).get("/ISAPI/System/deviceInfo")
    assert (info.name, info.text_of("model"), info.text_of("deviceType")) == (
        "DeviceInfo", "DS-2DF8425IX-AELW", "IPDome",
    )  # fmt: skip
    assert (info.text_of("firmwareVersion"), info.text_of("firmwareReleasedDate")) == (
        "V5.8.0",
        "build 230208",
    )
    assert Visitor(camera("encoder-mh6171")).get("/ISAPI/System/deviceInfo").text_of("deviceType") == "DVR"


def test_capabilities_of_the_8425ix_are_those_that_were_captured() -> None:
    told = Visitor(camera()).get(f"{PTZ}/capabilities")
    assert told.name == "PTZChanelCap", "as real cameras spell it"
    space = told.need("AbsolutePanTiltPositionSpace")
    ends = [space.int_of(f"{axis}Range/{end}") for axis in "XY" for end in ("Min", "Max")]
    assert ends == [0, 3600, -500, 600], "raw: positive is down"
    assert told.int_of("AbsoluteZoomPositionSpace/ZRange/Max") == 250
    assert told.int_of("maxPresetNum") == 300
    assert told.need("PresetNameCap/specialNo").attributes["opt"].startswith("33,34,35")


def test_an_encoder_tells_no_ranges_and_obeys_nothing() -> None:
    host = camera("encoder-mh6171")
    visitor = Visitor(host)
    assert visitor.get(f"{PTZ}/capabilities").find("AbsolutePanTiltPositionSpace") is None
    assert visitor.get("/ISAPI/PTZCtrl/channels").need("PTZChannel").find("PTZRs485Para") is not None
    for name in ("continuous", "momentary", "absolute", "absoluteEx"):
        assert visitor.put(f"{PTZ}/{name}", ptz_data(40, 0, 0)) == (200, "ok")
    assert visitor.ask("GET", f"{PTZ}/status").response.status == 403
    visitor.now_s = 5.0
    assert host.device.true_pose(5.0).pan_deg == 0


def test_positions_go_three_ways() -> None:
    host = camera()
    visitor = Visitor(host)
    body = f"<PTZAbsoluteEx {NAMED}><elevation>18.20</elevation><azimuth>320.20</azimuth>"
    body += "<absoluteZoom>17.2</absoluteZoom><horizontalSpeed>40</horizontalSpeed>"
    body += "<verticalSpeed>40</verticalSpeed></PTZAbsoluteEx>"
    assert visitor.put(f"{PTZ}/absoluteEx", body.encode()) == (200, "ok")
    visitor.now_s = 15.0
    pose = host.device.true_pose(15.0)
    assert pose.tilt_deg == pytest.approx(-18.2, abs=0.3), "raw elevation is positive downwards"
    assert pose.pan_deg == pytest.approx(320.2, abs=0.3)
    high = visitor.get(f"{PTZ}/status").need("AbsoluteHigh")
    assert high.int_of("elevation") == pytest.approx(182, abs=3)
    assert high.int_of("azimuth") == pytest.approx(3202, abs=3)
    assert high.int_of("absoluteZoom") == 172
    fine = visitor.get(f"{PTZ}/absoluteEx")
    assert fine.float_of("elevation") == pytest.approx(-pose.tilt_deg, abs=0.011)
    assert len(fine.text_of("azimuth").partition(".")[2]) == 2


def test_absolute_is_in_tenths() -> None:
    host = camera()
    visitor = Visitor(host)
    place = "<elevation>-100</elevation><azimuth>450</azimuth><absoluteZoom>20</absoluteZoom>"
    body = f"<PTZData {NAMED}><AbsoluteHigh>{place}</AbsoluteHigh></PTZData>"
    assert visitor.put(f"{PTZ}/absolute", body.encode()) == (200, "ok")
    pose = host.device.true_pose(8.0)
    assert (pose.pan_deg, pose.tilt_deg, pose.zoom) == pytest.approx((45, 10, 2), abs=0.3)


def test_absolute_ex_goes_no_faster_than_it_is_told() -> None:
    host = camera()
    body = (
        f"<PTZAbsoluteEx {NAMED}><elevation>0</elevation><azimuth>170</azimuth><absoluteZoom>1</absoluteZoom>"
    )
    body += "<horizontalSpeed>10</horizontalSpeed></PTZAbsoluteEx>"
    Visitor(host).put(f"{PTZ}/absoluteEx", body.encode())
    assert host.device.velocity(3.0).pan_deg_s == pytest.approx(10, abs=0.01)


def test_a_positive_level_of_tilt_is_up_and_a_momentary_turn_ends() -> None:
    host = camera()
    visitor = Visitor(host)
    more = "<Momentary><duration>600</duration></Momentary>"
    assert visitor.put(f"{PTZ}/momentary", ptz_data(40, 10, 0, more)) == (200, "ok")
    assert host.device.velocity(0.5).tilt_deg_s > 0
    assert host.device.velocity(0.5).pan_deg_s > 0
    assert host.device.velocity(2.0).is_zero
    assert visitor.get(f"{PTZ}/status").int_of("AbsoluteHigh/elevation") <= 0


def test_elements_that_are_missing_leave_their_axes_alone() -> None:
    host = camera()
    visitor = Visitor(host)
    visitor.put(f"{PTZ}/continuous", ptz_data(50, 0, 0))
    visitor.now_s = 1.0
    visitor.put(f"{PTZ}/continuous", b"<PTZData><zoom>50</zoom></PTZData>")
    velocity = host.device.velocity(1.5)
    assert velocity.pan_deg_s > 5
    assert velocity.zoom_octaves_s > 0
    visitor.now_s = 1.5
    visitor.put(f"{PTZ}/continuous", b"<PTZData><pan>0</pan><tilt>0</tilt></PTZData>")
    velocity = host.device.velocity(3.0)
    assert (velocity.pan_deg_s, velocity.zoom_octaves_s > 0) == (0, True)


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        ("continuous", b"<PTZData><pan>101</pan></PTZData>", (400, "badParameters")),
        ("continuous", b"<PTZData><pan>ten</pan></PTZData>", (400, "badXmlContent")),
        ("continuous", b"<PTZData></PTZData>", (400, "badXmlContent")),
        ("continuous", b"<PTZData><pan>1", (400, "badXmlFormat")),
        ("continuous", b"", (400, "badXmlContent")),
        ("continuous", b'<!DOCTYPE a [<!ENTITY b "c">]><PTZData><pan>&b;</pan></PTZData>', (400, "badXmlFormat")),
        ("momentary", ptz_data(1, 1, 1), (400, "badXmlContent")),
        ("momentary", ptz_data(1, 1, 1, "<Momentary><duration>99000</duration></Momentary>"), (400, "badParameters")),
        ("relative", b"<PTZData><Relative/></PTZData>", (404, "notSupport")),
        ("absoluteEx", b"<PTZAbsoluteEx><elevation>NaN</elevation><azimuth>1</azimuth></PTZAbsoluteEx>",
         (400, "badXmlContent")),
        ("absoluteEx", b"<PTZAbsoluteEx><elevation>0</elevation><azimuth>361</azimuth></PTZAbsoluteEx>",
         (400, "badParameters")),
        ("presets/94", b"<PTZPreset><id>94</id><presetName>a</presetName></PTZPreset>", (400, "badParameters")),
        ("presets/999", b"<PTZPreset><id>999</id></PTZPreset>", (400, "badParameters")),
        ("presets/5/goto", b"", (400, "badParameters")),
        ("nonsense", b"<a/>", (404, "notSupport")),
    ],
)  # fmt: skip
def test_what_is_refused_and_how(path: str, body: bytes, answer: tuple[int, str]) -> None:
    host = camera()
    assert Visitor(host).put(f"{PTZ}/{path}", body) == answer
    assert host.device.commands == 0


def test_getting_what_can_only_be_put_is_403() -> None:
    response = Visitor(camera()).ask("GET", f"{PTZ}/continuous").response
    assert response.status == 403
    assert b"<statusCode>6<" in response.body
    assert b"methodNotAllowed" in response.body


def test_another_channel_is_refused() -> None:
    path = "/ISAPI/PTZCtrl/channels/2/continuous"
    assert Visitor(camera()).put(path, ptz_data(1, 0, 0)) == (400, "badParameters")


def test_presets_are_stored_listed_called_and_removed() -> None:
    host = camera()
    visitor = Visitor(host)
    assert visitor.put(
        f"{PTZ}/presets/3", b"<PTZPreset><id>3</id><presetName>gate</presetName></PTZPreset>"
    ) == (200, "ok")
    visitor.put(f"{PTZ}/continuous", ptz_data(80, 0, 0))
    visitor.now_s = 2.0
    assert visitor.put(f"{PTZ}/presets/3/goto") == (200, "ok")
    assert host.device.true_pose(8.0).pan_deg == pytest.approx(0, abs=0.3)
    visitor.now_s = 8.0
    preset = visitor.get(f"{PTZ}/presets").need("PTZPreset")
    assert (preset.int_of("id"), preset.text_of("presetName")) == (3, "gate")
    assert visitor.get(f"{PTZ}/presets/3").text_of("presetName") == "gate"
    assert visitor.ask("DELETE", f"{PTZ}/presets/3").response.status == 200
    assert visitor.get(f"{PTZ}/presets").children == []


def test_preset_94_reboots() -> None:
    host = camera()
    visitor = Visitor(host)
    visitor.put(f"{PTZ}/presets/94/goto")
    assert not host.reachable(1.0)
    assert host.reachable(70.0)


def test_home_is_where_it_was_stored() -> None:
    host = camera()
    visitor = Visitor(host)
    visitor.put(f"{PTZ}/continuous", ptz_data(80, 0, 0))
    visitor.now_s = 1.0
    assert visitor.put(f"{PTZ}/homeposition/goto") == (200, "ok")
    assert host.device.true_pose(6.0).pan_deg == pytest.approx(0, abs=0.3)
    assert visitor.get(f"{PTZ}/homeposition").int_of("AbsoluteHigh/azimuth") == 0


@pytest.mark.parametrize(
    ("box", "pan_deg", "tilt_deg", "zoom"),
    [
        ((255, 127, 255, 128), 29.9, 0.0, 1.0),
        ((128, 255, 127, 255), 0.0, 18.0, 1.0),
        ((96, 160, 160, 96), 0.0, 0.0, 255 / 64),
        ((160, 96, 96, 160), 0.0, 0.0, 1.0),
    ],
)
def test_position_3d(box: tuple[int, int, int, int], pan_deg: float, tilt_deg: float, zoom: float) -> None:
    host = camera()
    x0, y0, x1, y1 = box
    points = f"<StartPoint><positionX>{x0}</positionX><positionY>{y0}</positionY></StartPoint>"
    points += f"<EndPoint><positionX>{x1}</positionX><positionY>{y1}</positionY></EndPoint>"
    for wrapped in (
        f"<Position3D>{points}</Position3D>",
        f"<PTZData><Position3D>{points}</Position3D></PTZData>",
    ):
        host = camera()
        assert Visitor(host).put(f"{PTZ}/position3D", wrapped.encode()) == (200, "ok")
        pose = host.device.true_pose(10.0)
        assert (pose.pan_deg + 180) % 360 - 180 == pytest.approx(pan_deg, abs=0.4)
        assert pose.tilt_deg == pytest.approx(tilt_deg, abs=0.4)
        assert pose.zoom == pytest.approx(zoom, rel=0.05)


def test_each_rule_of_strictness_is_kept() -> None:
    named, bare = ptz_data(10, 0, 0), ptz_data(10, 0, 0, named="")
    declared = b'<?xml version="1.0" encoding="UTF-8"?>' + named
    turned = f"<PTZData {NAMED}><tilt>1</tilt><pan>1</pan></PTZData>".encode()
    path = f"{PTZ}/continuous"
    table = [
        ("namespace_required", bare, named, (400, "badXmlContent")),
        ("declaration_required", named, declared, (400, "badXmlFormat")),
        ("order_required", turned, named, (400, "badXmlContent")),
        ("no_mixed", ptz_data(10, 0, 10), named, (400, "invalidOperation")),
    ]
    for rule, broken, kept, answer in table:
        assert strict(rule).put(path, broken) == answer, rule
        assert strict(rule).put(path, kept) == (200, "ok"), rule
        assert strict().put(path, broken) == (200, "ok"), rule


def test_a_camera_may_say_ok_and_do_nothing_without_a_namespace() -> None:
    visitor = strict("namespace_ignored")
    assert visitor.put(f"{PTZ}/continuous", ptz_data(10, 0, 0, named="")) == (200, "ok")
    assert visitor.camera.device.commands == 0
    assert visitor.put(f"{PTZ}/continuous", ptz_data(10, 0, 0)) == (200, "ok")
    assert visitor.camera.device.commands == 1


def test_a_camera_may_want_content_length_and_type() -> None:
    assert strict("length_required").put(f"{PTZ}/continuous", ptz_data(1, 0, 0)) == (400, "badXmlFormat")
    visitor = strict("content_type_required")
    assert visitor.ask("PUT", f"{PTZ}/continuous", ptz_data(1, 0, 0), "text/xml").response.status == 400
    assert visitor.put(f"{PTZ}/continuous", ptz_data(1, 0, 0)) == (200, "ok")


def test_a_reboot_may_want_no_body() -> None:
    assert strict("reboot_wants_no_body").put("/ISAPI/System/reboot", b"<a/>") == (400, "badXmlFormat")
    assert strict("reboot_wants_no_body").put("/ISAPI/System/reboot") == (200, "ok")


def test_the_namespace_of_answers_can_be_chosen() -> None:
    for namespace in ("http://www.isapi.org/ver20/XMLSchema", ""):
        visitor = Visitor(camera(settings=CameraSettings(namespace=namespace)))
        assert visitor.get("/ISAPI/System/deviceInfo").namespace == namespace


def test_users_who_may_only_look() -> None:
    visitor = Visitor(camera(), User("guest", "guest", role="viewer"))
    assert visitor.get(f"{PTZ}/status").name == "PTZStatus"
    assert visitor.put(f"{PTZ}/continuous", ptz_data(1, 0, 0)) == (403, "insufficientPermission")


def test_user_check_tells_tries_and_lock() -> None:
    host = camera()
    path = "/ISAPI/Security/userCheck"
    assert Visitor(host).get(path).int_of("statusValue") == 200
    wrong = Visitor(host, User("admin", "wrong"))
    for tries_left in (6, 5, 4, 3, 2, 1):
        answer = Visitor(host, User("admin", "wrong")).ask("GET", path).response
        assert answer.status == 401
        assert f"<retryLoginTime>{tries_left}<".encode() in answer.body
    assert b"<lockStatus>lock<" in wrong.ask("GET", path).response.body
    refused = Visitor(host).ask("GET", f"{PTZ}/status").response
    assert refused.status == 401, "the right password, too"
    assert b"userLocked" in refused.body
    told = Visitor(host).ask("GET", path).response.body
    assert b"<unlockTime>1800<" in told


@pytest.mark.parametrize("path", ["101", "102"])
def test_streams_and_their_pictures(path: str) -> None:
    visitor = Visitor(camera())
    video = visitor.get(f"/ISAPI/Streaming/channels/{path}").need("Video")
    assert video.int_of("videoResolutionWidth") == (1280 if path == "101" else 640)
    assert video.int_of("maxFrameRate") == 1500, "frames per second times 100"
    still = visitor.ask("GET", f"/ISAPI/Streaming/channels/{path}/picture").response
    assert still.header("Content-Type") == "image/jpeg"
    assert still.body.startswith(b"\xff\xd8")
    assert visitor.put(f"/ISAPI/Streaming/channels/{path}/requestKeyFrame") == (200, "ok")


def test_film_is_pictures_without_end_at_the_rate_of_the_camera() -> None:
    answer = Visitor(camera()).ask("GET", "/Streaming/channels/102/httppreview")
    assert answer.stream is not None
    pieces = list(islice(answer.stream, 4))
    assert [wait_s for wait_s, _ in pieces] == pytest.approx([0, 1 / 15, 1 / 15, 1 / 15])
    assert all(piece.count(b"\xff\xd8") == 1 for _, piece in pieces)


def alerts(*faults: Fault) -> tuple[str, list[tuple[float, bytes]]]:
    settings = CameraSettings(heartbeat_s=0.3)
    answer = Visitor(camera("hik-8425ix", *faults, settings=settings)).ask(
        "GET", "/ISAPI/Event/notification/alertStream"
    )
    assert answer.stream is not None
    return answer.response.header("Content-Type") or "", list(islice(answer.stream, 3))


def test_the_event_stream_beats() -> None:
    content_type, pieces = alerts()
    assert content_type == "multipart/mixed; boundary=boundary"
    assert [wait_s for wait_s, _ in pieces] == [0, 0.3, 0.3]
    head, body = pieces[1][1].split(b"\r\n\r\n", 1)
    assert head.startswith(b"--boundary\r\n")
    assert b"Content-Length: %d" % (len(body) - 2) in head
    assert b"<eventType>videoloss<" in body
    assert b"<eventState>inactive<" in body


@pytest.mark.parametrize(
    ("value", "told", "used"),
    [(0, "boundary", b"--boundary"), (1, '"<boundary>"', b"--<boundary>"), (2, "MIME_boundary", b"--MIME_boundary"),
     (3, "--boundary", b"--boundary")],
)  # fmt: skip
def test_boundaries_are_spelt_as_in_the_field(value: float, told: str, used: bytes) -> None:
    content_type, pieces = alerts(Fault("alert_boundary", value=value))
    assert content_type.endswith(f"boundary={told}")
    assert pieces[0][1].startswith(used + b"\r\n")


def test_faults_of_the_event_stream() -> None:
    assert [piece for _, piece in alerts(Fault("alert_silent"))[1]] == [b"", b"", b""]
    whole = b"".join(piece for _, piece in alerts(Fault("alert_split"))[1])
    assert whole == alerts()[1][0][1]
    assert b"Content-Length" not in alerts(Fault("alert_no_length"))[1][0][1]
    assert alerts(Fault("alert_junk"))[1][0][1].startswith(b"\r\n\x00junk")


def test_challenges_are_found_by_the_visitor_of_these_tests() -> None:
    assert parameters('Digest qop="auth", realm="a b", nonce="c", stale="FALSE"') == {
        "qop": "auth", "realm": "a b", "nonce": "c",
    }  # fmt: skip
