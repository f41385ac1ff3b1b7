"""The ONVIF face of a simulated camera: from an operation that is asked for to its answer."""

from __future__ import annotations

from engine.errors import PtzProtocolError, PtzRefused
from ptz.http import Response
from ptz.simulator.device import Device
from ptz.simulator.onvif_device import OPEN_TO_ALL, PATHS, OnvifDevice, Place
from ptz.simulator.onvif_envelope import Asked, SoapFault, faulted
from ptz.simulator.onvif_ptz import OnvifPtz
from ptz.simulator.rules import Has

PREFIX_OF_PATH = {path: prefix for prefix, path in PATHS.items()}
STATUS_FAULTS = {
    400: SoapFault("ter:InvalidArgVal", reason="bad request"),
    403: SoapFault("ter:NotAuthorized", reason="operation prohibited"),
    404: SoapFault("ter:ActionNotSupported", reason="no such operation", receiver=True),
    500: SoapFault("ter:Action", reason="internal error", receiver=True),
    503: SoapFault("ter:Action", "ter:Busy", reason="busy", receiver=True),
}
NOT_AUTHORIZED = SoapFault("ter:NotAuthorized", reason="Sender not authorized")


class OnvifFace:
    """Answers operations of users who have logged in, or which need no login."""

    def __init__(self, device: Device, has: Has, zoom_scale: str = "ratio", stream_url: str = "") -> None:
        self._ptz = OnvifPtz(device, has, zoom_scale)
        self._device = OnvifDevice(device.profile, self._ptz.configuration, stream_url)
        self._operations = self._device.operations | self._ptz.operations

    @staticmethod
    def is_open(asked: Asked) -> bool:
        """Whether this needs no login."""
        return (asked.service, asked.operation) in OPEN_TO_ALL

    def handle(self, asked: Asked, path: str, now_s: float, place: Place) -> Response:
        """Carry out what is asked. `place` says how the caller reaches the camera."""
        service = asked.service or PREFIX_OF_PATH.get(path, "")
        operation = self._operations.get((service, asked.operation))
        self._ptz.now_s = now_s
        try:
            if operation is None:
                raise SoapFault("ter:ActionNotSupported", reason="no such operation", receiver=True)
            return operation(asked, place)
        except SoapFault as fault:
            return faulted(fault)
        except (PtzProtocolError, PtzRefused):
            return faulted(SoapFault("ter:InvalidArgVal", reason="a value is missing or wrong"))


def refusal(status: int) -> Response:
    """The fault that stands for this HTTP status."""
    return faulted(STATUS_FAULTS.get(status, STATUS_FAULTS[500]))
