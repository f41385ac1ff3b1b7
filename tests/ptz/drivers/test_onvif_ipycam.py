"""Our ONVIF driver with ipycam, a device that others wrote: tokens only, undeclared prefixes, no options."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import PtzUnauthorized
from ptz.discovery import discover
from ptz.drivers.base import DriverOptions
from ptz.drivers.onvif import OnvifDriver
from ptz.types import Levels

pytestmark = pytest.mark.peer
PEER = Path(__file__).parents[2] / "peers" / "ipycam_camera.py"
USER, PASSWORD = "operator", "s3cret"


class Ipycam:
    """The running device, and what its head really does."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        self.url = f"http://127.0.0.1:{int(process.stdout.readline())}"

    def head(self) -> dict[str, float]:
        """Position and speed, asked past ONVIF."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        found: dict[str, float] = json.loads(self._process.stdout.readline())
        return found


@pytest.fixture(scope="module")
def ipycam(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ipycam]:
    if importlib.util.find_spec("ipycam") is None:
        pytest.skip("ipycam is missing: pip install --no-deps --require-hashes -r requirements-ipycam.lock")
    with subprocess.Popen(
        [sys.executable, str(PEER), USER, PASSWORD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=tmp_path_factory.mktemp("ipycam"),
    ) as process:
        yield Ipycam(process)
        process.kill()


def driver_of(ipycam: Ipycam, password: str = PASSWORD, login: str = "auto") -> OnvifDriver:
    return OnvifDriver(
        DriverOptions(
            ipycam.url,
            USER,
            password,
            tilt_range_deg=(-90.0, 90.0),
            pan_range_deg=(-180.0, 180.0),
            zoom_range=(1.0, 4.0),
            login=login,
        ),
        time.monotonic,
    )


@pytest.mark.parametrize("login", ["auto", "token", "token_text"])
def test_everything_that_it_can(ipycam: Ipycam, login: str) -> None:
    async def scene() -> None:
        driver = driver_of(ipycam, login=login)
        told = await driver.open()
        assert told.continuous and told.absolute and told.status and told.home and not told.relative_fov
        assert told.moves == {"pan", "tilt", "zoom"} and told.zoom_range == (1.0, 4.0)
        if login == "auto":
            assert any(choice.startswith("login: WS-UsernameToken") for choice in told.choices), told.choices

        await driver.home()
        await driver.move(Levels(pan=50, tilt=-20, zoom=10), 0.6)
        moving = ipycam.head()
        assert (moving["pan_speed"], moving["tilt_speed"], moving["zoom_speed"]) == (0.5, -0.2, 0.1)
        await asyncio.sleep(0.1)
        status = await driver.status()
        assert status.pose is not None and 0 < status.pose.pan_deg < 90
        assert status.moving is None, "it sends the name of its template's field instead of a state"
        for way in ("stop", "zero_with_spaces", "zero"):
            driver.use_stop_way(way)
            await driver.move(Levels(pan=-10), 0.6)
            await driver.stop()
            assert ipycam.head()["pan_speed"] == 0, way

        await driver.absolute(90.0, -45.0, 2.5, None)
        head = ipycam.head()
        assert (head["pan"], head["tilt"], head["zoom"]) == pytest.approx((0.5, -0.5, 0.5), abs=1e-6)
        status = await driver.status()
        assert status.pose is not None and status.zoomed
        assert (status.pose.pan_deg, status.pose.tilt_deg, status.pose.zoom) == pytest.approx((90, -45, 2.5))

        token = await driver.store_preset("", "gate")
        assert token and any(preset.preset == token for preset in await driver.presets())
        await driver.home()
        assert ipycam.head()["pan"] == pytest.approx(0)
        await driver.go_to_preset(token)
        assert ipycam.head()["pan"] == pytest.approx(0.5)
        await driver.close()

    asyncio.run(scene())


def test_a_wrong_password(ipycam: Ipycam) -> None:
    async def scene() -> None:
        driver = driver_of(ipycam, password="wrong")
        with pytest.raises(PtzUnauthorized, match="refused the login") as error:
            await driver.open()
        assert "wrong" not in str(error.value)
        await driver.close()

    asyncio.run(scene())


def test_it_is_discovered(ipycam: Ipycam) -> None:
    found = asyncio.run(discover(0.4, address="127.0.0.1"))
    assert f"{ipycam.url}/onvif/device_service" in [device.url for device in found]
