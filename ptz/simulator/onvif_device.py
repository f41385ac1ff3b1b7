"""The device and media services of a simulated ONVIF camera: what it is, where its services are, its profiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from ptz.http import Response
from ptz.simulator.onvif_envelope import SERVICES, Asked, SoapFault, answered
from ptz.simulator.profiles import DeviceProfile
from ptz.xml import Markup, Value, element

PATHS = {"tds": "/onvif/device_service", "trt": "/onvif/media_service", "tptz": "/onvif/ptz_service"}
PROFILES = ("Profile_1", "Profile_2")
PTZ_CONFIGURATION = "PTZConfiguration_1"
SNAPSHOT_PATH = "/onvif/snapshot"

OPEN_TO_ALL = frozenset({
    ("tds", "GetSystemDateAndTime"), ("tds", "GetServices"), ("tds", "GetServiceCapabilities"),
    ("tds", "GetCapabilities"), ("tds", "GetHostname"), ("tds", "GetWsdlUrl"),
})  # fmt: skip
"""Operations that need no login (ONVIF Core, access class PRE_AUTH)."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the camera is reached, as the other side sees it, and what its clock shows (seconds since 1970)."""

    authority: str
    clock_s: float

    def url(self, path: str) -> str:
        """Of a path at the camera."""
        return f"http://{self.authority}{path}"


Operation = Callable[[Asked, Place], Response]


class OnvifDevice:
    """Device and media services.

    configuration  the PTZ configuration as an element of the given name, or nothing where there is no head
    stream_url     where the video is, "" = where a camera has it
    """

    def __init__(
        self, profile: DeviceProfile, configuration: Callable[[str], Markup], stream_url: str = ""
    ) -> None:
        self._profile = profile
        self._configuration = configuration
        self._stream_url = stream_url
        self.operations: dict[tuple[str, str], Operation] = {
            ("tds", "GetSystemDateAndTime"): self._date_and_time,
            ("tds", "GetDeviceInformation"): self._information,
            ("tds", "GetServices"): self._services,
            ("tds", "GetServiceCapabilities"): self._device_capabilities,
            ("tds", "GetCapabilities"): self._capabilities,
            ("tds", "GetScopes"): self._scopes,
            ("tds", "GetHostname"): self._hostname,
            ("tds", "GetNetworkInterfaces"): self._network,
            ("trt", "GetServiceCapabilities"): self._media_capabilities,
            ("trt", "GetProfiles"): self._profiles,
            ("trt", "GetProfile"): self._one_profile,
            ("trt", "GetVideoSources"): self._video_sources,
            ("trt", "GetStreamUri"): self._stream_uri,
            ("trt", "GetSnapshotUri"): self._snapshot_uri,
        }

    @property
    def maker(self) -> str:
        """By the model: what the profiles are named after."""
        model = self._profile.model
        return (
            "HIKVISION" if model.startswith("DS-") else "Reolink" if model.startswith("RLC-") else "Generic"
        )

    def _date_and_time(self, _asked: Asked, place: Place) -> Response:
        now = datetime.fromtimestamp(place.clock_s, UTC)

        def moment(name: str) -> Markup:
            time = element("tt:Time", element("tt:Hour", now.hour), element("tt:Minute", now.minute),
                           element("tt:Second", now.second))  # fmt: skip
            date = element("tt:Date", element("tt:Year", now.year), element("tt:Month", now.month),
                           element("tt:Day", now.day))  # fmt: skip
            return element(name, time, date)

        return answered("tds", "GetSystemDateAndTime", element(
            "tds:SystemDateAndTime",
            element("tt:DateTimeType", "NTP"),
            element("tt:DaylightSavings", False),
            element("tt:TimeZone", element("tt:TZ", "UTC0")),
            moment("tt:UTCDateTime"),
            moment("tt:LocalDateTime"),
        ))  # fmt: skip

    def _information(self, _asked: Asked, _place: Place) -> Response:
        return answered(
            "tds",
            "GetDeviceInformation",
            element("tds:Manufacturer", self.maker),
            element("tds:Model", self._profile.model),
            element("tds:FirmwareVersion", self._profile.firmware),
            element("tds:SerialNumber", f"{self._profile.model}-000001"),
            element("tds:HardwareId", "88"),
        )

    def _services(self, asked: Asked, place: Place) -> Response:
        told = {"tds": self._device_abilities(), "trt": self._media_abilities()}
        wanted = asked.body.bool_of("IncludeCapability", False)
        version = element("tds:Version", element("tt:Major", 2), element("tt:Minor", 60))
        services = []
        for prefix, path in PATHS.items():
            abilities = [element("tds:Capabilities", told[prefix])] if wanted and prefix in told else []
            services.append(
                element(
                    "tds:Service",
                    element("tds:Namespace", SERVICES[prefix]),
                    element("tds:XAddr", place.url(path)),
                    *abilities,
                    version,
                )
            )
        return answered("tds", "GetServices", *services)

    def _device_abilities(self) -> Markup:
        security: dict[str, Value] = {"HttpDigest": True, "UsernameToken": True, "MaxUsers": 32}
        return element(
            "tds:Capabilities",
            element("tds:Network", attributes={"IPFilter": False, "ZeroConfiguration": False}),
            element("tds:Security", attributes=security),
            element("tds:System", attributes={"DiscoveryResolve": True, "DiscoveryBye": True}),
        )

    def _media_abilities(self) -> Markup:
        return element(
            "trt:Capabilities",
            element("trt:ProfileCapabilities", attributes={"MaximumNumberOfProfiles": len(PROFILES)}),
            element("trt:StreamingCapabilities", attributes={"RTP_TCP": True, "RTP_RTSP_TCP": True}),
            attributes={"SnapshotUri": True, "Rotation": False},
        )

    def _device_capabilities(self, _asked: Asked, _place: Place) -> Response:
        return answered("tds", "GetServiceCapabilities", self._device_abilities())

    def _media_capabilities(self, _asked: Asked, _place: Place) -> Response:
        return answered("trt", "GetServiceCapabilities", self._media_abilities())

    def _capabilities(self, _asked: Asked, place: Place) -> Response:
        streaming = element("tt:StreamingCapabilities", element("tt:RTPMulticast", False),
                            element("tt:RTP_TCP", True), element("tt:RTP_RTSP_TCP", True))  # fmt: skip
        return answered("tds", "GetCapabilities", element(
            "tds:Capabilities",
            element("tt:Device", element("tt:XAddr", place.url(PATHS["tds"]))),
            element("tt:Media", element("tt:XAddr", place.url(PATHS["trt"])), streaming),
            element("tt:PTZ", element("tt:XAddr", place.url(PATHS["tptz"]))),
        ))  # fmt: skip

    def _scopes(self, _asked: Asked, _place: Place) -> Response:
        words = ("Profile/Streaming", "type/ptz", f"hardware/{self._profile.model}", f"name/{self.maker}")
        scopes = [
            element(
                "tds:Scopes",
                element("tt:ScopeDef", "Fixed"),
                element("tt:ScopeItem", f"onvif://www.onvif.org/{word}".replace(" ", "%20")),
            )
            for word in words
        ]
        return answered("tds", "GetScopes", *scopes)

    def _hostname(self, _asked: Asked, _place: Place) -> Response:
        return answered("tds", "GetHostname", element(
            "tds:HostnameInformation", element("tt:FromDHCP", False), element("tt:Name", "camera")
        ))  # fmt: skip

    def _network(self, _asked: Asked, _place: Place) -> Response:
        info = element("tt:Info", element("tt:Name", "eth0"), element("tt:HwAddress", "00:00:5e:00:53:01"))
        interface = element("tds:NetworkInterfaces", element("tt:Enabled", True), info,
                            attributes={"token": "eth0"})  # fmt: skip
        return answered("tds", "GetNetworkInterfaces", interface)

    def _profiles(self, _asked: Asked, _place: Place) -> Response:
        listed = [self._profile_markup("trt:Profiles", number) for number in range(len(PROFILES))]
        return answered("trt", "GetProfiles", *listed)

    def _one_profile(self, asked: Asked, _place: Place) -> Response:
        return answered("trt", "GetProfile", self._profile_markup("trt:Profile", profile_number(asked)))

    def _profile_markup(self, name: str, number: int) -> Markup:
        optics, token = self._profile.optics, PROFILES[number]
        width, height = optics.width // (number + 1), optics.height // (number + 1)
        bounds: dict[str, Value] = {"x": 0, "y": 0, "width": optics.width, "height": optics.height}
        source = element(
            "tt:VideoSourceConfiguration",
            element("tt:Name", "VideoSource"),
            element("tt:UseCount", len(PROFILES)),
            element("tt:SourceToken", "VideoSource_1"),
            element("tt:Bounds", attributes=bounds),
            attributes={"token": "VideoSourceConfiguration_1"},
        )
        multicast = element(
            "tt:Multicast",
            element("tt:Address", element("tt:Type", "IPv4"), element("tt:IPv4Address", "0.0.0.0")),  # noqa: S104 - none
            element("tt:Port", 0),
            element("tt:TTL", 1),
            element("tt:AutoStart", False),
        )
        encoder = element(
            "tt:VideoEncoderConfiguration",
            element("tt:Name", f"VideoEncoder_{number + 1}"),
            element("tt:UseCount", 1),
            element("tt:Encoding", "H264"),
            element("tt:Resolution", element("tt:Width", width), element("tt:Height", height)),
            element("tt:Quality", 4.0),
            element("tt:RateControl", element("tt:FrameRateLimit", round(optics.fps)),
                    element("tt:EncodingInterval", 1), element("tt:BitrateLimit", 4096)),
            element("tt:H264", element("tt:GovLength", round(optics.fps * 2)), element("tt:H264Profile", "Main")),
            multicast,
            element("tt:SessionTimeout", "PT60S"),
            attributes={"token": f"VideoEncoderConfiguration_{number + 1}"},
        )  # fmt: skip
        content = [element("tt:Name", token), source, encoder, self._configuration("tt:PTZConfiguration")]
        return element(name, *content, attributes={"token": token, "fixed": True})

    def _video_sources(self, _asked: Asked, _place: Place) -> Response:
        optics = self._profile.optics
        size = element(
            "tt:Resolution", element("tt:Width", optics.width), element("tt:Height", optics.height)
        )
        source = element("trt:VideoSources", element("tt:Framerate", float(optics.fps)), size,
                         attributes={"token": "VideoSource_1"})  # fmt: skip
        return answered("trt", "GetVideoSources", source)

    def _stream_uri(self, asked: Asked, place: Place) -> Response:
        number = profile_number(asked)
        host = place.authority.rpartition(":")[0] or place.authority
        url = self._stream_url or f"rtsp://{host}:554/Streaming/Channels/10{number + 1}"
        return answered("trt", "GetStreamUri", _media_uri(url))

    def _snapshot_uri(self, asked: Asked, place: Place) -> Response:
        url = place.url(f"{SNAPSHOT_PATH}?channel={profile_number(asked) + 1}")
        return answered("trt", "GetSnapshotUri", _media_uri(url))


def _media_uri(url: str) -> Markup:
    return element(
        "trt:MediaUri",
        element("tt:Uri", url),
        element("tt:InvalidAfterConnect", False),
        element("tt:InvalidAfterReboot", False),
        element("tt:Timeout", "PT0S"),
    )


def profile_number(asked: Asked) -> int:
    """Which profile is meant, from 0. Raises `SoapFault` where there is none of this token."""
    token = asked.body.text_of("ProfileToken", "")
    if token not in PROFILES:
        raise SoapFault("ter:InvalidArgVal", "ter:NoProfile", reason="no such profile")
    return PROFILES.index(token)
