"""What ISAPI cameras tell of themselves: recorded shapes, and the oddities of others."""

from __future__ import annotations

import pytest

from ptz.drivers.isapi_capabilities import channel_numbers, device_facts, exact_facts, head_facts
from ptz.xml import parse

NAMESPACES = [
    'xmlns="http://www.hikvision.com/ver20/XMLSchema"',
    'xmlns="http://www.isapi.org/ver20/XMLSchema"',
    'xmlns="http://www.std-cgi.com/ver20/XMLSchema"',
    "",
]
DOME = """<?xml version="1.0" encoding="UTF-8"?>
<{root} version="2.0" {namespace}>
 <AbsolutePanTiltPositionSpace><XRange><Min>0</Min><Max>3600</Max></XRange>
  <YRange><Min>-500</Min><Max>600</Max></YRange></AbsolutePanTiltPositionSpace>
 <AbsoluteZoomPositionSpace><ZRange><Min>10</Min><Max>250</Max></ZRange></AbsoluteZoomPositionSpace>
 <ContinuousPanTiltSpace><XRange><Min>-100</Min><Max>100</Max></XRange>
  <YRange><Min>-100</Min><Max>100</Max></YRange></ContinuousPanTiltSpace>
 <ContinuousZoomSpace><ZRange><Min>-100</Min><Max>100</Max></ZRange></ContinuousZoomSpace>
 <maxPresetNum>300</maxPresetNum><maxPatrolNum>8</maxPatrolNum>
 <PresetNameCap><presetNameSupport>true</presetNameSupport><maxPresetNameLen>20</maxPresetNameLen>
  <specialNo opt="33,34,46,90,92-95"></specialNo></PresetNameCap>
</{root}>"""


@pytest.mark.parametrize("root", ["PTZChanelCap", "PTZChannelCap"])
@pytest.mark.parametrize("namespace", NAMESPACES)
def test_an_8425ix_in_any_spelling(root: str, namespace: str) -> None:
    facts = head_facts(parse(DOME.format(root=root, namespace=namespace).encode(), "test"))
    assert (facts.pan, facts.tilt, facts.zoom) == ((0, 3600), (-500, 600), (10, 250))
    assert facts.turns and facts.zooms and (facts.most_presets, facts.longest_name) == (300, 20)
    assert facts.reserved == frozenset({33, 34, 46, 90, 92, 93, 94, 95})


@pytest.mark.parametrize(
    "ranges",
    ["<Min>0</Min><Max>0</Max>", "<Min>3600</Min><Max>0</Max>", "<Min>NaN</Min><Max>inf</Max>", "<Min>0</Min>", "",
     "<Min>a</Min><Max>b</Max>"],
)  # fmt: skip
def test_ranges_that_are_none(ranges: str) -> None:
    body = f"<c><AbsolutePanTiltPositionSpace><XRange>{ranges}</XRange></AbsolutePanTiltPositionSpace></c>"
    assert head_facts(parse(body.encode(), "test")).pan is None


def test_an_encoder_tells_nothing() -> None:
    facts = head_facts(parse(b"<PTZChanelCap><controlProtocol opt='PELCO-D'/></PTZChanelCap>", "test"))
    assert facts.pan is facts.tilt is facts.zoom is None and facts.reserved is None and not facts.turns
    assert facts.most_presets == 0


def test_counts_in_attributes() -> None:
    body = b"<c><maxPresetNum max='255'/><PresetNameCap><maxPresetNameLen>x</maxPresetNameLen></PresetNameCap></c>"
    facts = head_facts(parse(body, "test"))
    assert (facts.most_presets, facts.longest_name) == (255, 0)


def test_the_ranges_of_absolute_ex() -> None:
    body = b"""<PTZAbsoluteEx version="2.0"><elevation min="-50.00" max="60.00">18.20</elevation>
     <azimuth min="0.00" max="360.00">320.20</azimuth><absoluteZoom min="1.00" max="25.00">17.20</absoluteZoom>
     <horizontalSpeed min="0.20" max="210.80">0</horizontalSpeed>
     <verticalSpeed min="x" max="151.80"/></PTZAbsoluteEx>"""
    facts = exact_facts(parse(body, "test"))
    assert (facts.elevation, facts.azimuth, facts.zoom) == ((-50, 60), (0, 360), (1, 25))
    assert facts.pan_speed == (0.2, 210.8) and facts.tilt_speed is None


@pytest.mark.parametrize(
    ("kind", "recorder"),
    [("IPDome", False), ("IPCamera", False), ("DVR", True), ("NVR", True), ("Mobile DVR", True), ("", False)],
)
def test_the_kind_of_device(kind: str, recorder: bool) -> None:
    body = f"<DeviceInfo xmlns='n'><model> DS-2DF8425IX \n -AELW</model><deviceType>{kind}</deviceType></DeviceInfo>"
    facts = device_facts(parse(body.encode(), "test"))
    assert (facts.model, facts.device_type, facts.namespace) == ("DS-2DF8425IX -AELW", kind, "n")
    assert facts.is_recorder is recorder


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"<PTZChannelList><PTZChannel><id>1</id></PTZChannel><PTZChannel><id>3</id></PTZChannel></PTZChannelList>",
         [1, 3]),
        (b"<PTZChannel><id>2</id></PTZChannel>", [2]),
        (b"<PTZChannelList/>", []),
    ],
)  # fmt: skip
def test_channels(body: bytes, expected: list[int]) -> None:
    assert channel_numbers(parse(body, "test")) == expected
