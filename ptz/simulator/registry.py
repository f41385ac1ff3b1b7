"""Simulated devices of this process, by name: what `sim://NAME` means to the driver `simulator`."""

from __future__ import annotations

from engine.errors import PtzUnreachable
from engine.registry import nearest
from ptz.simulator.device import Device
from ptz.simulator.profiles import PROFILES

_devices: dict[str, Device] = {}


def register(name: str, device: Device) -> None:
    """Let the driver find this device as `sim://NAME`; a former one of this name is forgotten."""
    _devices[name] = device


def device_of(name: str, now_s: float) -> Device:
    """The device of this name. A profile's name makes a new one of it at the first call.

    Raises `PtzUnreachable` where there is neither.
    """
    if name not in _devices:
        if name not in PROFILES:
            known = sorted({*_devices, *PROFILES})
            raise PtzUnreachable(
                f"sim://{name}: no such simulated camera{nearest(name, known)}; there are: {', '.join(known)}"
            )
        _devices[name] = Device(PROFILES[name], start_s=now_s)
    return _devices[name]


def forget(name: str) -> None:
    """Let go of a device; one that is not there is no matter."""
    _devices.pop(name, None)
