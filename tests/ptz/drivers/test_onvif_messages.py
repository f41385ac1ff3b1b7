"""What ONVIF cameras answer, in the ways that they really write it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import PtzProtocolError
from ptz.drivers.onvif_messages import (
    capability_paths,
    duration,
    node_of,
    path_of,
    profiles,
    seconds_of,
    service_paths,
    spaces_from,
    timeout_range_s,
    told,
    vector,
)
from ptz.xml import Element, parse

SPACES = "http://www.onvif.org/ver10/tptz/PanTiltSpaces/"


def read(text: str) -> Element:
    return parse(f"<R>{text}</R>".encode(), "camera")


def status(move: str, position: str = "") -> Element:
    return read(f"<PTZStatus>{position}{move}<UtcTime>2026-01-01T00:00:00Z</UtcTime></PTZStatus>")


@pytest.mark.parametrize(
    ("text", "moving"),
    [
        ("<MoveStatus><PanTilt>IDLE</PanTilt><Zoom>IDLE</Zoom></MoveStatus>", False),
        ("<MoveStatus><PanTilt>MOVING</PanTilt><Zoom>IDLE</Zoom></MoveStatus>", True),
        ("<MoveStatus><PanTilt>IDLE</PanTilt><Zoom>MOVING</Zoom></MoveStatus>", True),
        ("<MoveStatus><PanTilt>IDLE</PanTilt><Zoom>UNKNOWN</Zoom></MoveStatus>", False),
        ("<MoveStatus><PanTilt>UNKNOWN</PanTilt><Zoom>UNKNOWN</Zoom></MoveStatus>", None),
        ("<MoveStatus><PanTilt>true</PanTilt></MoveStatus>", True),
        ("<MoveStatus>MOVING</MoveStatus>", True),
        ("<MoveStatus>idle</MoveStatus>", False),
        ("<MoveStatus>false</MoveStatus>", False),
        ("<MoveStatus>None</MoveStatus>", None),
        ("<MoveStatus/>", None),
        ("", None),
    ],
)
def test_move_status(text: str, moving: bool | None) -> None:
    assert told(status(text)).moving is moving


def test_positions() -> None:
    whole = told(
        status("", f'<Position><PanTilt x="-0.5" y="1" space="{SPACES}P"/><Zoom x="0.25"/></Position>')
    )
    assert whole.pan_tilt == (-0.5, 1.0) and whole.pan_tilt_space == SPACES + "P" and whole.zoom == 0.25
    assert told(status("", "<Position><Zoom x='1'/></Position>")).pan_tilt is None
    assert told(status("", "<Position/>")).zoom is None
    assert told(status("")).pan_tilt is None


@pytest.mark.parametrize("x", ["NaN", "INF", "", "left"])
def test_positions_that_are_no_numbers(x: str) -> None:
    with pytest.raises(PtzProtocolError):
        told(status("", f'<Position><PanTilt x="{x}" y="0"/></Position>'))


def test_addresses_of_services_lose_their_host() -> None:
    answer = read(
        "<Service><Namespace>urn:ptz</Namespace><XAddr>http://10.0.0.5:8000/onvif/PTZ?n=1</XAddr></Service>"
        "<Service><Namespace>urn:media</Namespace><XAddr> /onvif/media </XAddr></Service>"
    )
    assert service_paths(answer) == {"urn:ptz": "/onvif/PTZ?n=1", "urn:media": "/onvif/media"}
    old = read("<Capabilities><PTZ><XAddr>http://[fe80::1]/onvif/ptz</XAddr></PTZ><Device/></Capabilities>")
    assert capability_paths(old) == {"PTZ": "/onvif/ptz"}


@pytest.mark.parametrize("address", ["", "http://[oops/x", "http://h/ a\tb", "http://h/\u00e4", "http://h"])
def test_addresses_that_are_none(address: str) -> None:
    assert path_of(address) == "/"


def test_profiles_without_a_head_do_not_count() -> None:
    answer = read(
        '<Profiles token="audio"/><Profiles token="m"><Name>Main</Name><PTZConfiguration token="c">'
        f"<NodeToken>n</NodeToken><DefaultAbsolutePantTiltPositionSpace>{SPACES}P</DefaultAbsolutePantTiltPositionSpace>"
        "</PTZConfiguration></Profiles><Profiles><PTZConfiguration/></Profiles>"
        '<Profiles token="m2"><Configurations><PTZ token="c2"/></Configurations></Profiles>'
    )
    first, second = profiles(answer)
    assert (first.token, first.name, first.configuration, first.node) == ("m", "Main", "c", "n")
    assert first.position_space == SPACES + "P" and first.velocity_space == ""
    assert (second.token, second.configuration) == ("m2", "c2"), "as Media2 writes it"


def test_nodes() -> None:
    answer = read(
        '<PTZNode token="a"><MaximumNumberOfPresets>8</MaximumNumberOfPresets></PTZNode>'
        '<PTZNode token="b"><HomeSupported>true</HomeSupported></PTZNode>'
    )
    assert node_of(answer, "b").home and not node_of(answer, "a").home
    assert node_of(answer, "other").most_presets == 8
    assert node_of(read(""), "a").spaces is None


def test_spaces_of_a_head_that_only_zooms() -> None:
    listed = read(
        "<ContinuousZoomVelocitySpace><URI>Z/VelocityGenericSpace</URI></ContinuousZoomVelocitySpace>"
        "<ContinuousPanTiltVelocitySpace><URI/></ContinuousPanTiltVelocitySpace>"
    )
    spaces = spaces_from(listed)
    assert spaces.velocity is None and spaces.zoom_velocity is not None and spaces.fov is None


def test_durations_and_their_range() -> None:
    assert [duration(s) for s in (0.6, 1.0, 0.0, 10.0)] == ["PT0.6S", "PT1S", "PT0.1S", "PT10S"]
    assert duration(0.6, whole=True) == "PT1S"
    assert [seconds_of(t) for t in ("PT10S", "PT0.5S", "PT1M", "P1DT1H", "PT0S")] == [10, 0.5, 60, 90000, 0]
    assert [seconds_of(t) for t in ("", "10", "PT5", "PTxS", "PTS", "PTnanS")] == [None] * 6
    answer = read(
        "<PTZConfigurationOptions><PTZTimeout><Min>PT1S</Min><Max>PT10S</Max></PTZTimeout></PTZConfigurationOptions>"
    )
    assert timeout_range_s(answer) == (1, 10)
    assert timeout_range_s(read("<PTZConfigurationOptions/>")) is None


@given(st.text("PTDHMS0123456789.", max_size=12))
def test_any_duration_is_read_or_not(text: str) -> None:
    seconds_of(text)


def test_a_vector_leaves_out_what_is_none() -> None:
    both = parse(vector("Velocity", (0.5, -0.25), 0.0, ("urn:p", "urn:z")).encode(), "ours")
    assert both.need("PanTilt").attributes == {"x": "0.5", "y": "-0.25", "space": "urn:p"}
    assert both.need("Zoom").attributes == {"x": "0", "space": "urn:z"}
    assert both.need("PanTilt").namespace == "http://www.onvif.org/ver10/schema"
    zoom = parse(vector("Velocity", None, 1.0).encode(), "ours")
    assert zoom.find("PanTilt") is None and zoom.need("Zoom").attributes == {"x": "1"}
