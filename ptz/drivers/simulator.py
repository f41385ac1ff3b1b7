"""The simulated camera without a protocol: what it can do, straight from its mechanics. URL: sim://NAME.

NAME is a device of `ptz.simulator.registry`, or a profile. Answers take as long as the profile says. The same device
behind its protocol faces is reached by the drivers of these protocols.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from engine.errors import PtzRefused, PtzUnreachable, PtzUnsupported
from ptz.drivers.base import DriverOptions, PtzDriver
from ptz.simulator.device import Device
from ptz.simulator.registry import device_of
from ptz.types import Capabilities, Levels, Preset, Status


class SimulatorDriver(PtzDriver, names=("simulator",)):
    """Drives a `Device` of this process. `device` may be handed over; without it the URL names one."""

    def __init__(
        self, options: DriverOptions, now: Callable[[], float], device: Device | None = None
    ) -> None:
        super().__init__(options, now)
        self._device = device

    async def open(self) -> Capabilities:
        if self._device is None:
            self._device = device_of(self.options.url.removeprefix("sim://").strip("/"), self.now())
        await self._answer()
        profile, offer = self._device.profile, self._device.profile.offer
        self.capabilities = Capabilities(
            device=f"{profile.model} {profile.firmware}",
            device_type=offer.device_type,
            continuous=True,
            self_expiring=offer.momentary,
            absolute=offer.absolute,
            status=profile.reporting.status,
            moving=profile.reporting.moving,
            presets=offer.most_presets > 0,
            home=True,
            most_presets=offer.most_presets,
            reserved_presets=offer.reserved_presets,
            pan_range_deg=profile.pan_range_deg,
            tilt_range_deg=profile.tilt_range_deg,
            zoom_range=(1.0, profile.optics.most_zoom),
            most_deg_s=(profile.pan.preset_speed, profile.tilt.preset_speed) if offer.absolute_ex else None,
            choices=("simulated, without a protocol",),
        )
        return self.capabilities

    async def move(self, levels: Levels, ttl_s: float) -> None:
        device = await self._answer()
        device.turn(levels, self.now(), ttl_s if device.profile.offer.momentary else None)
        await self._answered()

    async def stop(self) -> None:
        device = await self._answer()
        device.stop(self.now())
        await self._answered()

    async def status(self) -> Status:
        device = await self._answer()
        if not device.profile.reporting.status:
            raise PtzUnsupported(f"{self.options.url}: the camera does not tell where it points")
        now_s = self.now()
        status = device.report(now_s, fine=device.profile.offer.absolute_ex)
        await self._answered()
        return status

    async def absolute(self, pan_deg: float, tilt_deg: float, zoom: float, max_deg_s: float | None) -> None:
        device = await self._answer()
        if not device.profile.offer.absolute:
            raise PtzUnsupported(f"{self.options.url}: the camera has no absolute moves")
        speed = max_deg_s if device.profile.offer.absolute_ex else None
        device.go_to(pan_deg, tilt_deg, zoom, speed, self.now())
        await self._answered()

    async def presets(self) -> list[Preset]:
        device = await self._answer()
        await self._answered()
        return list(device.presets.values())

    async def go_to_preset(self, preset: str) -> None:
        self._refuse_reserved(preset)
        device = await self._answer()
        device.go_to_preset(preset, self.now())
        await self._answered()

    async def store_preset(self, preset: str, name: str) -> str:
        self._refuse_reserved(preset)
        device = await self._answer()
        device.store_preset(preset, name, self.now())
        await self._answered()
        return preset

    async def remove_preset(self, preset: str) -> None:
        self._refuse_reserved(preset)
        device = await self._answer()
        device.remove_preset(preset)
        await self._answered()

    async def home(self) -> None:
        device = await self._answer()
        device.go_home(self.now())
        await self._answered()

    async def close(self) -> None:
        """Nothing is held."""

    def _refuse_reserved(self, preset: str) -> None:
        if preset.isdigit() and int(preset) in self.capabilities.reserved_presets:
            raise PtzRefused(f"{self.options.url}: preset {preset} is reserved by the camera")

    async def _answer(self) -> Device:
        """Half of the way to the camera and back."""
        if self._device is None:
            raise PtzUnreachable(f"{self.options.url}: not opened yet")
        if self._device.down(self.now()):
            await asyncio.sleep(self.options.timeout_s)
            raise PtzUnreachable(f"{self.options.url}: no answer, it is restarting")
        await asyncio.sleep(self._device.profile.offer.answer_s / 2)
        return self._device

    async def _answered(self) -> None:
        """The other half."""
        if self._device is not None:
            await asyncio.sleep(self._device.profile.offer.answer_s / 2)
