"""One simulated camera: a device, its accounts and the faces that it shows to the network.

Requests go in, answers come out, at times that are given: no sockets, no clock, no waiting. The same seed and the same
requests at the same times give the same answers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ptz.http import Request, Response
from ptz.simulator.accounts import Accounts
from ptz.simulator.answer import Answer
from ptz.simulator.device import Device

Picture = Callable[[float], bytes]
"""A JPEG of what the camera sees at this time of the device, in seconds."""


@dataclass(frozen=True, slots=True)
class CameraSettings:
    """What a camera's network side is like.

    answer_s  how long it takes to answer
    epoch_s   what the camera's clock shows at time 0 of the device, seconds since 1970
    """

    answer_s: float = 0.02
    epoch_s: float = 1_767_225_600.0


class SimulatedCamera:
    """One camera on the network.

    device    its mechanics; `device.faults` are the faults of all of it
    accounts  its users
    picture   what it sees; without it a grey picture
    """

    def __init__(
        self,
        device: Device,
        accounts: Accounts,
        settings: CameraSettings | None = None,
        picture: Picture | None = None,
    ) -> None:
        self.device = device
        self.accounts = accounts
        self.settings = settings or CameraSettings()
        self.picture = picture

    def handle(self, request: Request, now_s: float, peer: str = "") -> Answer:
        """What the camera answers to this request at this time, and does.

        peer  "host:port" of the other side: the host counts for lockouts, all of it names the connection.
        Never raises, whatever the request.
        """
        raise NotImplementedError

    def reachable(self, now_s: float) -> bool:
        """Whether anybody answers at its address; False while it boots."""
        raise NotImplementedError
