"""The simulated camera's ONVIF face, driven over a socket by clients that others wrote: does the head really move?

onvif-zeep-async reads answers by ONVIF's own WSDL and schemas; onveef writes its requests by hand.
"""

from __future__ import annotations

import asyncio
import importlib.util
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ptz.simulator.accounts import Accounts, Login, User
from ptz.simulator.camera import CameraSettings, SimulatedCamera
from ptz.simulator.device import Device
from ptz.simulator.profiles import PROFILES
from ptz.simulator.server import Served, serve
from ptz.types import Pose

pytestmark = pytest.mark.peer
TOKEN, USER, PASSWORD = "Profile_1", "operator", "s3cret"
QUICK = 8
"""The device's time runs so much faster than ours: nobody waits for motors."""
INSTALL = "pip install -c requirements.lock -e '.[dev]'"


@asynccontextmanager
async def camera_on_a_socket(profile: str) -> AsyncIterator[tuple[SimulatedCamera, Served]]:
    """A camera whose clock is that of this machine: these clients send tokens of their own time."""
    settings = CameraSettings(epoch_s=time.time())
    camera = SimulatedCamera(Device(PROFILES[profile]), Accounts([User(USER, PASSWORD)]), settings)
    begin_s = asyncio.get_running_loop().time()
    async with serve(camera, now=lambda: QUICK * (asyncio.get_running_loop().time() - begin_s)) as served:
        yield camera, served


def pose_of(camera: SimulatedCamera) -> Pose:
    return camera.device.true_pose(camera.device.now_s)


async def stands(camera: SimulatedCamera, status: Any) -> Pose:
    """Ask for the status until the head has come to rest, at most for some seconds."""
    before = pose_of(camera)
    for _ in range(100):
        await asyncio.sleep(0.05)
        await status()
        after = pose_of(camera)
        if (before.pan_deg, before.tilt_deg, before.zoom) == (after.pan_deg, after.tilt_deg, after.zoom):
            return after
        before = after
    pytest.fail("the head does not come to rest")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("profile", ["onvif-fov", "onvif-generic"])
def test_onvif_zeep_async(profile: str) -> None:
    if importlib.util.find_spec("onvif") is None:
        pytest.skip(f"onvif-zeep-async is missing: {INSTALL}")
    from onvif import ONVIFCamera
    from zeep.exceptions import Fault

    async def scene() -> None:
        async with camera_on_a_socket(profile) as (camera, served):
            client = ONVIFCamera(served.host, served.port, USER, PASSWORD)
            await client.update_xaddrs()
            device = await client.create_devicemgmt_service()
            assert (await device.GetDeviceInformation()).Model == PROFILES[profile].model
            media = await client.create_media_service()
            profiles = await media.GetProfiles()
            assert [one.token for one in profiles] == ["Profile_1", "Profile_2"]
            assert profiles[0].PTZConfiguration.NodeToken == "PTZNode_1"
            head = await client.create_ptz_service()
            node = (await head.GetNodes())[0]
            assert node.HomeSupported and node.SupportedPTZSpaces.ContinuousPanTiltVelocitySpace
            options = await head.GetConfigurationOptions({"ConfigurationToken": "PTZConfiguration_1"})
            names = [space.URI.rpartition("/")[2] for space in options.Spaces.AbsolutePanTiltPositionSpace]
            assert "PositionGenericSpace" in names
            assert ("SphericalPositionSpace" in names) == (profile == "onvif-fov")

            begin = pose_of(camera)
            velocity = {"PanTilt": {"x": 0.5, "y": -0.4}, "Zoom": {"x": 0.0}}
            await head.ContinuousMove({"ProfileToken": TOKEN, "Velocity": velocity, "Timeout": "PT5S"})
            await asyncio.sleep(0.1)
            told = await head.GetStatus({"ProfileToken": TOKEN})
            assert told.Position is not None and (told.MoveStatus is not None) == (profile == "onvif-fov")
            if told.MoveStatus is not None:
                assert told.MoveStatus.PanTilt == "MOVING"
            await head.Stop({"ProfileToken": TOKEN, "PanTilt": True, "Zoom": True})
            rest = await stands(camera, lambda: head.GetStatus({"ProfileToken": TOKEN}))
            assert rest.pan_deg > begin.pan_deg + 3 and rest.tilt_deg < begin.tilt_deg - 2

            stored = await head.SetPreset({"ProfileToken": TOKEN, "PresetName": "Gate"})
            listed = await head.GetPresets({"ProfileToken": TOKEN})
            assert [(one.token, one.Name) for one in listed] == [(stored, "Gate")]
            await head.GotoHomePosition({"ProfileToken": TOKEN})
            await stands(camera, lambda: head.GetStatus({"ProfileToken": TOKEN}))
            await head.GotoPreset({"ProfileToken": TOKEN, "PresetToken": stored})
            back = await stands(camera, lambda: head.GetStatus({"ProfileToken": TOKEN}))
            assert back.pan_deg == pytest.approx(rest.pan_deg, abs=0.5)
            with pytest.raises(Fault, match="no such preset"):
                await head.GotoPreset({"ProfileToken": TOKEN, "PresetToken": "nowhere"})
            await client.close()

            stranger = ONVIFCamera(served.host, served.port, USER, "wrong")
            await stranger.update_xaddrs()
            with pytest.raises(Fault, match="Sender not authorized"):
                await (await stranger.create_media_service()).GetProfiles()
            await stranger.close()
            assert camera.accounts.attempts[-1].login is Login.REFUSED

    asyncio.run(scene())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_onveef() -> None:
    if importlib.util.find_spec("onveef") is None:
        pytest.skip(f"onveef is missing: {INSTALL}")
    from onveef import AsyncOnvifClient, OnvifError

    async def scene() -> None:
        async with camera_on_a_socket("onvif-generic") as (camera, served):
            async with AsyncOnvifClient(served.host, served.port, USER, PASSWORD) as client:
                assert [one["token"] for one in await client.get_profiles()] == ["Profile_1", "Profile_2"]
                begin = pose_of(camera)
                await client.ptz_continuous_move(profile_token=TOKEN, pan=0.5, tilt=-0.3, zoom=0.2)
                await asyncio.sleep(0.1)
                assert {"pan", "tilt", "zoom"} <= set(await client.ptz_get_status(profile_token=TOKEN))
                await client.ptz_stop(profile_token=TOKEN)
                rest = await stands(camera, lambda: client.ptz_get_status(profile_token=TOKEN))
                assert rest.pan_deg > begin.pan_deg + 3 and rest.tilt_deg < begin.tilt_deg - 2
                assert rest.zoom > begin.zoom + 0.05

                await client.ptz_absolute_move(profile_token=TOKEN, pan=-0.8, tilt=0.4, zoom=0.1)
                await stands(camera, lambda: client.ptz_get_status(profile_token=TOKEN))
                told = await client.ptz_get_status(profile_token=TOKEN)
                assert (told["pan"], told["tilt"]) == pytest.approx((-0.8, 0.4), abs=0.01)
                await client.ptz_set_preset(profile_token=TOKEN, preset_name="yard")
                preset = (await client.ptz_get_presets(profile_token=TOKEN))[0]["token"]
                await client.ptz_goto_home_position(profile_token=TOKEN)
                await client.ptz_goto_preset(profile_token=TOKEN, preset_token=preset)
                await stands(camera, lambda: client.ptz_get_status(profile_token=TOKEN))
                told = await client.ptz_get_status(profile_token=TOKEN)
                assert told["pan"] == pytest.approx(-0.8, abs=0.01)
            async with AsyncOnvifClient(served.host, served.port, USER, "wrong") as stranger:
                with pytest.raises(OnvifError, match="not authorized"):
                    await stranger.get_profiles()
            assert camera.accounts.attempts[-1].login is Login.REFUSED

    asyncio.run(scene())
