"""Live video of a whole run: a viewer stays connected whatever happens behind the server."""

from __future__ import annotations

import asyncio
import os
import signal
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.control.live_server import viewer
from tests.e2e.engine import EngineRun, clip, model, until
from tests.e2e.live import done

pytestmark = [pytest.mark.data, pytest.mark.slow]


def test_viewers_stay_when_the_worker_is_killed_and_are_told_when_there_is_no_signal(
    engine_run: Callable[..., EngineRun], data_dir: Path, tmp_path: Path
) -> None:
    profile = tmp_path / "quick.toml"
    profile.write_text("[stream]\nno_signal_s = 1.0\n")
    run = engine_run(
        "--profile", str(profile), "--source", clip(data_dir, "et_08_driving"), "--loop", "--no-overlay",
        "--model", model(data_dir),
    )  # fmt: skip
    until(lambda: len(run.lines()) > 5, 20, f"results\n{run.text()}")
    url = f"http://127.0.0.1:{run.port}"

    async def watch() -> None:
        async with viewer(f"{url}/whep/cam0?view=overlay") as each:
            await each.until_seen(10)
            (pid,) = [pid for pid, kind in run.workers().items() if kind == "stream"]
            os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(0.5)
            await each.until_seen(len(each.seen) + 10)
            frames = [told["frame"] for told in each.told.values()]
            assert max(frames) > 10
            times = {line["frame"]: line["time"] for line in run.lines()}
            joined = [told for told in each.told.values() if told["frame"] in times]
            assert len(joined) > 5
            # What the channel tells of a frame is what its record says.
            assert all(abs(told["time"] - times[told["frame"]]) < 1e-3 for told in joined)
            await asyncio.to_thread(done, run, "POST", "/stop", {})
            async with asyncio.timeout(15):
                while not any(told["no_signal"] for told in each.told.values()):
                    await asyncio.sleep(0.1)
            await asyncio.to_thread(done, run, "POST", "/start", {})
            begun = len(each.told)
            async with asyncio.timeout(15):
                while all(told["no_signal"] for told in list(each.told.values())[begun:]):
                    await asyncio.sleep(0.1)
            assert each.peer.connectionState == "connected"

    asyncio.run(watch())
    with urllib.request.urlopen(f"{url}/snapshot/cam0.jpg", timeout=10) as answer:
        assert answer.read(3) == b"\xff\xd8\xff"
    with urllib.request.urlopen(f"{url}/hls/cam0/overlay/index.m3u8", timeout=20) as answer:
        assert answer.read(7) == b"#EXTM3U"
    assert run.stop() == 0
