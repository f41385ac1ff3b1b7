"""One wrong password, three processes, three protocols: at most two requests with credentials in a minute."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from ptz.simulator.accounts import Accounts, User
from ptz.simulator.camera import SimulatedCamera
from ptz.simulator.device import Device
from ptz.simulator.profiles import PROFILES
from ptz.simulator.server import serve

HEAD = """
import asyncio, sys
from engine.errors import PtzError
from ptz.drivers.base import DriverOptions, create_driver

async def main(name, url, seconds):
    loop = asyncio.get_running_loop()
    end_s, tries, driver = loop.time() + float(seconds), 0, None
    while loop.time() < end_s:
        driver = driver or create_driver(name, DriverOptions(url, "admin", sys.argv[4]), loop.time)
        try:
            await driver.open()
        except PtzError as error:
            # Whoever tries again without thinking, and forgets all that it knew.
            await driver.close()
            tries, driver = tries + 1, None
            last = type(error).__name__
        else:
            last = "open"
        await asyncio.sleep(0.05)
    print(tries, last)

asyncio.run(main(*sys.argv[1:4]))
"""
STREAM = """
import sys, time
from engine.errors import SourceError
from engine.sources.av_container import AvConnection, address_of
from engine.sources.base import SourceOptions

end_s, tries = time.monotonic() + float(sys.argv[3]), 0
while time.monotonic() < end_s:
    try:
        AvConnection(address_of(SourceOptions(sys.argv[2])), 2.0)
    except SourceError as error:
        tries += 1
        last = type(error).__name__
    time.sleep(0.05)
print(tries, last)
"""
SECONDS = "3"


class RtspCamera:
    """The video side of the camera: refuses every login by digest, and counts those that were sent."""

    def __init__(self) -> None:
        self.logins = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.logins += "\r\nAuthorization:" in head
                sequence = next(line for line in head.split("\r\n") if line.startswith("CSeq"))
                ok = head.startswith("OPTIONS")
                status = "200 OK" if ok else "401 Unauthorized"
                asked = 'WWW-Authenticate: Digest realm="IP Camera(51253)", nonce="4e44", stale="FALSE"\r\n'
                writer.write(f"RTSP/1.0 {status}\r\n{sequence}\r\n{'' if ok else asked}\r\n".encode())
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


async def three_processes(password: str, folder: Path) -> tuple[list[list[str]], int]:
    """What each of them printed, and how many requests with credentials the camera has seen."""
    camera = SimulatedCamera(Device(PROFILES["hik-8425ix"]), Accounts([User("admin", "richtig")]))
    video = RtspCamera()
    environment = os.environ | {"ENGINE_LOGINS": str(folder)}

    async def run(code: str, *arguments: str) -> list[str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, *arguments, stdout=asyncio.subprocess.PIPE, env=environment
        )
        return (await process.communicate())[0].decode().split()

    async with serve(camera) as served, await asyncio.start_server(video.answer, "127.0.0.1", 0) as rtsp:
        port = rtsp.sockets[0].getsockname()[1]
        url = f"rtsp://admin:{password}@127.0.0.1:{port}/Streaming/Channels/101"
        told = await asyncio.gather(
            run(HEAD, "hikvision", served.url, SECONDS, password),
            run(HEAD, "onvif", served.url, SECONDS, password),
            run(STREAM, "rtsp", url, SECONDS),
        )
    return list(told), camera.accounts.credentialed_since(-1e9) + video.logins


@pytest.mark.slow
def test_a_wrong_password_costs_two_requests_over_all_protocols_and_processes(tmp_path: Path) -> None:
    told, credentialed = asyncio.run(three_processes("falsch", tmp_path))
    assert credentialed == 2
    for tries, last in told:
        assert int(tries) > 5 and last in ("PtzLocked", "SourceUnauthorized")
    # Started anew, nobody tries again.
    assert asyncio.run(three_processes("falsch", tmp_path))[1] == 0
