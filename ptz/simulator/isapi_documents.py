"""What an ISAPI camera tells of itself: device, streams, capabilities of its head. Written from its profile.

Element names and shapes are those of real answers (DS-2DF8425IX, DS-2DE2A404), the misspelt root `PTZChanelCap` with
them. Functions give the content; `IsapiDocuments.whole` puts version and namespace to the root.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

from ptz.simulator.profiles import DeviceProfile
from ptz.types import Pose
from ptz.xml import Markup, Value, document, element

NAMESPACE = "http://www.hikvision.com/ver20/XMLSchema"

STATUS_STRINGS = {
    0: "OK", 1: "OK", 2: "Device Busy", 3: "Device Error", 4: "Invalid Operation", 5: "Invalid XML Format",
    6: "Invalid XML Content", 7: "Reboot Required", 9: "Additional Error",
}  # fmt: skip


def ranged(name: str, low: Value, high: Value) -> Markup:
    """<name><Min>…</Min><Max>…</Max></name>"""
    return element(name, element("Min", low), element("Max", high))


def fixed(value: float, places: int) -> str:
    """A number with its decimals, as these cameras write it: 18.20."""
    return f"{round(value, places) + 0.0:.{places}f}"


class IsapiDocuments:
    """The documents of one camera.

    namespace  of the answers; "" = none
    """

    def __init__(self, profile: DeviceProfile, namespace: str = NAMESPACE) -> None:
        self.profile = profile
        self.namespace = namespace
        self.sign = profile.offer.raw_tilt_sign

    def whole(self, name: str, *content: Value, attributes: dict[str, Value] | None = None) -> bytes:
        """A whole document with this root."""
        named: dict[str, Value] = {"xmlns": self.namespace} if self.namespace else {}
        return document(element(name, *content, attributes={"version": "2.0"} | named | (attributes or {})))

    def response_status(self, path: str, code: int, sub: str) -> bytes:
        """ResponseStatus: what became of a request."""
        return self.whole(
            "ResponseStatus",
            element("requestURL", "".join(letter for letter in path[:256] if letter.isprintable())),
            element("statusCode", code),
            element("statusString", STATUS_STRINGS.get(code, "Additional Error")),
            element("subStatusCode", sub),
        )

    def device_info(self) -> bytes:
        """System/deviceInfo."""
        profile = self.profile
        firmware, _, released = profile.firmware.partition(" ")
        return self.whole(
            "DeviceInfo",
            element("deviceName", "IP DOME" if profile.offer.device_type == "IPDome" else "Embedded Net DVR"),
            element("deviceID", "48443030-3638-3534-3837-000000000000"),
            element("model", profile.model),
            element("serialNumber", f"{profile.model}20260101AAWR000000001W"),
            element("macAddress", "00:00:5e:00:53:01"),
            element("firmwareVersion", firmware),
            element("firmwareReleasedDate", released or "build 200101"),
            element("deviceType", profile.offer.device_type),
            element("telecontrolID", 88),
        )

    def system_status(self, clock_s: float, up_s: float) -> bytes:
        """System/status."""
        return self.whole(
            "DeviceStatus",
            element("currentDeviceTime", utc_text(clock_s)),
            element("deviceUpTime", int(up_s)),
            element(
                "CPUList",
                element("CPU", element("cpuDescription", "ARM"), element("cpuUtilization", 30)),
            ),
            element(
                "MemoryList",
                element("Memory", element("memoryUsage", 180), element("memoryAvailable", 300)),
            ),
        )

    def time(self, clock_s: float) -> bytes:
        """System/time."""
        return self.whole(
            "Time",
            element("timeMode", "NTP"),
            element("localTime", utc_text(clock_s)),
            element("timeZone", "CST+0:00:00"),
        )

    def user_check(self, *, accepted: bool, locked: bool, unlock_s: float, tries_left: int) -> bytes:
        """Security/userCheck."""
        told = [] if accepted and not locked else [
            element("isIllegalLogin", True),
            element("lockStatus", "lock" if locked else "unlock"),
            element("unlockTime", math.ceil(unlock_s)),
            element("retryLoginTime", tries_left),
        ]  # fmt: skip
        return self.whole(
            "userCheck",
            element("statusValue", 200 if accepted else 401),
            element("statusString", "OK" if accepted else "Unauthorized"),
            *told,
        )

    def streams(self) -> bytes:
        """Streaming/channels."""
        return self.whole("StreamingChannelList", *(self._stream(number) for number in (101, 102)))

    def stream(self, number: int) -> bytes:
        """Streaming/channels/<number>."""
        return self.whole("StreamingChannel", *self._stream_content(number))

    def _stream(self, number: int) -> Markup:
        return element("StreamingChannel", *self._stream_content(number), attributes={"version": "2.0"})

    def _stream_content(self, number: int) -> list[Markup]:
        optics = self.profile.optics
        share = 1 if number % 100 == 1 else 2
        protocols = [
            element("ControlProtocol", element("streamingTransport", name)) for name in ("RTSP", "HTTP")
        ]
        return [
            element("id", number),
            element("channelName", "Camera 01"),
            element("enabled", True),
            element("Transport", element("rtspPortNo", 554), element("ControlProtocolList", *protocols)),
            element(
                "Video",
                element("enabled", True),
                element("videoInputChannelID", number // 100),
                element("videoCodecType", "H.264"),
                element("videoScanType", "progressive"),
                element("videoResolutionWidth", optics.width // share),
                element("videoResolutionHeight", optics.height // share),
                element("videoQualityControlType", "VBR"),
                element("vbrUpperCap", 4096 // share),
                element("maxFrameRate", round(optics.fps * 100)),
                element("keyFrameInterval", 2000),
                element("GovLength", round(optics.fps * 2)),
            ),
        ]

    def channel_list(self) -> bytes:
        """PTZCtrl/channels: on an encoder with the parameters of its serial line."""
        content = [element("id", 1), element("enabled", True), element("videoInputID", 1)]
        if not self.profile.moves:
            content += [
                element("panMaxSpeed", 0),
                element("tiltMaxSpeed", 0),
                element("serialNumber", 1),
                element("controlProtocol", "HIKVISION"),
                element("PTZRs485Para", element("baudRate", 9600), element("dataBits", 8),
                        element("parityType", "none"), element("stopBits", 1)),
            ]  # fmt: skip
        return self.whole("PTZChannelList", element("PTZChannel", *content, attributes={"version": "2.0"}))

    def capabilities(self) -> bytes:
        """PTZCtrl/channels/1/capabilities."""
        profile, offer = self.profile, self.profile.offer
        content: list[Markup] = []
        if offer.ranges:
            low, high = self._raw_tilt_range()
            first, last = profile.pan_range_deg or (0.0, 360.0)
            content += [
                element("AbsolutePanTiltPositionSpace", ranged("XRange", round(first * 10), round(last * 10)),
                        ranged("YRange", round(low * 10), round(high * 10))),
                element("AbsoluteZoomPositionSpace",
                        ranged("ZRange", 10, round(profile.optics.most_zoom * 10))),
            ]  # fmt: skip
        content += [
            element("ContinuousPanTiltSpace", ranged("XRange", -100, 100), ranged("YRange", -100, 100)),
            element("ContinuousZoomSpace", ranged("ZRange", -100, 100)),
            element("maxPresetNum", offer.most_presets),
            element("maxPatrolNum", 8),
            element("maxPatternNum", 4),
        ]
        if not profile.moves:
            content += [
                element("PTZRs485Para", element("baudRate", 9600)),
                element("controlProtocol", "HIKVISION", attributes={"opt": "HIKVISION,PELCO-P,PELCO-D"}),
            ]
        reserved = ",".join(str(number) for number in sorted(offer.reserved_presets))
        special = [element("specialNo", attributes={"opt": reserved})] if offer.tells_reserved else []
        content.append(
            element(
                "PresetNameCap", element("presetNameSupport", True), element("maxPresetNameLen", 20), *special
            )
        )
        if profile.moves:
            content += [
                element("isSupportPosition3D", True),
                element("isSupportManualTrack", True),
                element("ParkAction", element("enabled", profile.park_s > 0),
                        element("Parktime", attributes={"min": 5, "max": 720})),
            ]  # fmt: skip
        return self.whole("PTZChanelCap", *content)

    def _raw_tilt_range(self) -> tuple[float, float]:
        low, high = sorted(self.sign * end for end in self.profile.tilt_range_deg)
        return low, high

    def status(self, pose: Pose, *, per_deg: float = 10, zoom: bool = True) -> bytes:
        """PTZCtrl/channels/1/status: tenths of a degree, or what `per_deg` says. A pose may hold NaN."""
        return self.whole("PTZStatus", self.absolute_high(pose, per_deg, zoom))

    def absolute_high(self, pose: Pose, per_deg: float = 10, zoom: bool = True) -> Markup:
        """A position in raw units."""
        parts = [
            element("elevation", raw_text(self.sign * pose.tilt_deg * per_deg)),
            element("azimuth", raw_text(pose.pan_deg * per_deg)),
        ]
        if zoom:
            parts.append(element("absoluteZoom", raw_text(pose.zoom * 10)))
        return element("AbsoluteHigh", *parts)

    def absolute_ex(self, pose: Pose) -> bytes:
        """PTZCtrl/channels/1/absoluteEx: degrees with two decimals."""
        return self.whole("PTZAbsoluteEx", *(element(*pair) for pair in self._ex(pose)))

    def _ex(self, pose: Pose) -> list[tuple[str, str]]:
        return [
            ("elevation", fixed(self.sign * pose.tilt_deg, 2)),
            ("azimuth", fixed(pose.pan_deg, 2)),
            ("absoluteZoom", fixed(pose.zoom, 2)),
        ]

    def absolute_ex_capabilities(self, pose: Pose) -> bytes:
        """The same with ranges as attributes; the text is the live value."""
        profile = self.profile
        low, high = self._raw_tilt_range()
        first, last = profile.pan_range_deg or (0.0, 360.0)
        ranges: list[tuple[float, float]] = [(low, high), (first, last), (1.0, profile.optics.most_zoom)]
        content = [
            element(name, text, attributes={"min": fixed(least, 2), "max": fixed(most, 2)})
            for (name, text), (least, most) in zip(self._ex(pose), ranges, strict=True)
        ]
        speeds = (("horizontalSpeed", profile.pan), ("verticalSpeed", profile.tilt))
        content += [
            element(name, attributes={"min": "0.20", "max": fixed(axis.preset_speed, 2)})
            for name, axis in speeds
        ]
        return self.whole("PTZAbsoluteEx", *content, element("zoomType", "absoluteZoom"))

    def home(self, pan_deg: float, tilt_deg: float, zoom: float) -> bytes:
        """PTZCtrl/channels/1/homeposition."""
        return self.whole("HomePosition", self.absolute_high(Pose(0.0, pan_deg, tilt_deg, zoom)))

    def preset(self, number: int, name: str, pose: Pose | None) -> Markup:
        """One PTZPreset in a list."""
        return element("PTZPreset", *self._preset_content(number, name, pose))

    def whole_preset(self, number: int, name: str, pose: Pose | None) -> bytes:
        """PTZCtrl/channels/1/presets/<number>."""
        return self.whole("PTZPreset", *self._preset_content(number, name, pose))

    def _preset_content(self, number: int, name: str, pose: Pose | None) -> list[Markup]:
        place = [] if pose is None else [self.absolute_high(pose, self.profile.reporting.per_deg)]
        return [element("enabled", True), element("id", number), element("presetName", name), *place]

    def presets(self, presets: list[Markup]) -> bytes:
        """PTZCtrl/channels/1/presets."""
        return self.whole("PTZPresetList", *presets)


def raw_text(value: float) -> str:
    """A whole number as text; "NaN" where it is none, as a broken sensor gives."""
    return str(round(value)) if math.isfinite(value) else "NaN"


def utc_text(clock_s: float) -> str:
    """Seconds since 1970 as cameras write them."""
    return datetime.fromtimestamp(clock_s, UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")
