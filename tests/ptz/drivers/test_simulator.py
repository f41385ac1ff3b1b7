"""The driver `simulator`: a device in the same process, in virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from engine.errors import PtzRefused, PtzUnreachable, PtzUnsupported
from ptz.drivers.base import DriverOptions, PtzDriver, create_driver
from ptz.simulator import registry
from ptz.simulator.device import Device
from ptz.simulator.profiles import PROFILES
from ptz.types import Levels
from ptz.virtual_time import run_virtual


async def opened(url: str) -> PtzDriver:
    driver = create_driver("simulator", DriverOptions(url), asyncio.get_running_loop().time)
    await driver.open()
    return driver


def test_it_moves_and_stops_by_itself() -> None:
    async def main() -> None:
        device = Device(PROFILES["hik-8425ix"])
        registry.register("lobby", device)
        driver = await opened("sim://lobby")
        await driver.move(Levels(pan=40), ttl_s=0.5)
        await asyncio.sleep(0.3)
        assert not device.velocity(driver.now()).is_zero
        await asyncio.sleep(2.0)
        assert device.velocity(driver.now()).is_zero
        pose = (await driver.status()).pose
        assert pose is not None and pose.pan_deg == pytest.approx(
            device.true_pose(driver.now()).pan_deg, abs=0.02
        )
        await driver.absolute(90.0, -10.0, 2.0, 60.0)
        await asyncio.sleep(5.0)
        assert device.true_pose(driver.now()).pan_deg == pytest.approx(90.0, abs=0.25)
        await driver.close()
        registry.forget("lobby")

    run_virtual(main(), limit_s=60.0)


def test_capabilities_are_those_of_the_profile() -> None:
    async def main() -> None:
        with_stops = (await opened("sim://onvif-generic")).capabilities
        assert with_stops.pan_range_deg == (0.0, 350.0) and with_stops.most_deg_s is None
        endless = (await opened("sim://hik-8425ix")).capabilities
        assert endless.pan_range_deg is None and endless.most_deg_s == (210.8, 151.8)
        assert 94 in endless.reserved_presets

    run_virtual(main())


def test_what_cannot_be_done_is_told() -> None:
    async def main() -> None:
        with pytest.raises(PtzUnreachable, match="hik-8425ix"):
            await opened("sim://hik-8425xi")
        encoder = await opened("sim://encoder-mh6171")
        with pytest.raises(PtzUnsupported):
            await encoder.status()
        with pytest.raises(PtzUnsupported):
            await encoder.absolute(0.0, 0.0, 1.0, None)
        dome = await opened("sim://hik-8425ix")
        with pytest.raises(PtzRefused, match="94"):
            await dome.go_to_preset("94")
        await dome.store_preset("7", "gate")
        assert [preset.name for preset in await dome.presets()] == ["gate"]

    run_virtual(main())


def test_a_rebooting_camera_does_not_answer() -> None:
    async def main() -> None:
        device = Device(replace(PROFILES["hik-8425ix"], boot_s=10.0))
        registry.register("boots", device)
        driver = await opened("sim://boots")
        device.reboot(driver.now())
        with pytest.raises(PtzUnreachable):
            await driver.status()
        await asyncio.sleep(10.0)
        assert (await driver.status()).pose is not None
        registry.forget("boots")

    run_virtual(main())
