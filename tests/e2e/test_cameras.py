"""Cameras that die, sleep, hang or refuse: the whole engine against a real RTSP server.

The server is GStreamer's, on the loopback; it is killed, frozen and asked for a wrong password.
"""

from __future__ import annotations

import itertools
import json
import re
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.e2e.engine import EngineRun, clip, model, until
from tests.peers.fixtures import RtspServer
from tests.peers.proxy import CountingProxy

pytestmark = [pytest.mark.data, pytest.mark.peer, pytest.mark.slow]

PASSWORD = "hunter2-geheim"

StartRtspServer = Callable[..., RtspServer]
Start = Callable[..., EngineRun]


@pytest.fixture
def start(engine_run: Start, data_dir: Any) -> Callable[..., EngineRun]:
    """Starts the engine with the quickest detector, without video, with cameras given as `name=url`."""

    def started(*sources: str, more: tuple[str, ...] = (), timeout_s: float = 2.0) -> EngineRun:
        flags = [flag for source in sources for flag in ("--source", source)]
        environ = {"ENGINE_DECODE_TIMEOUT_S": str(timeout_s)}
        return engine_run(*flags, "--model", model(data_dir), "--no-overlay", *more, environ=environ)

    return started


def camera(run: EngineRun, name: str) -> dict[str, Any]:
    """What /health says of one camera; {} while nobody answers."""
    found: dict[str, Any] = (run.health() or {}).get("cameras", {}).get(name, {})
    return found


def until_state(run: EngineRun, name: str, state: str, timeout_s: float) -> dict[str, Any]:
    """Wait for a state of one camera in /health."""
    found: dict[str, Any] = until(
        lambda: (seen := camera(run, name)).get("state") == state and seen,
        timeout_s,
        f"{name} is {state}: {camera(run, name)}\n{run.text()}",
    )
    return found


def until_results(run: EngineRun, name: str, timeout_s: float) -> None:
    """Wait for five more results of one camera."""
    count = len(run.lines(name))
    until(lambda: len(run.lines(name)) >= count + 5, timeout_s, f"results of {name}\n{run.text()}")


def end(run: EngineRun) -> float:
    """SIGTERM: the run ends well, every frame is accounted for and written in order. Returns the seconds."""
    started_s = time.monotonic()
    assert run.stop() == 0, run.text()
    took_s = time.monotonic() - started_s
    accounts = re.findall(
        r"^  (\S+): (\d+) frames in, (\d+) processed, (.*) dropped, (\d+) results written", run.text(), re.M
    )
    assert accounts, run.text()
    for name, frames_in, processed, drops, written in accounts:
        dropped = sum(int(number) for number in re.findall(r"\d+", drops))
        assert int(frames_in) == int(processed) + dropped, run.text()
        numbers = [line["frame"] for line in run.lines(name)]
        assert numbers == sorted(set(numbers)), f"{name}: a frame came twice or out of order"
        assert len(numbers) == int(written) == int(processed), run.text()
    return took_s


def longest_pause_s(run: EngineRun, name: str) -> float:
    """Longest time between two pictures that have results."""
    times: list[float] = [line["time"] for line in run.lines(name)]
    return max(later - earlier for earlier, later in itertools.pairwise(times))


def test_a_camera_that_dies_three_times_comes_back_each_time(
    start: Callable[..., EngineRun], rtsp_server: RtspServer, data_dir: Any
) -> None:
    run = start(f"gate={rtsp_server.url()}", f"file={clip(data_dir, 'et_08_driving')}", more=("--loop",))
    until_results(run, "gate", 20)
    for _ in range(3):
        rtsp_server.kill()
        seen = until_state(run, "gate", "reconnecting", 4)
        assert seen["reason"] and str(rtsp_server.port) in seen["reason"]
        health = run.health()
        assert health is not None and health["status"] == "degraded"
        assert any("gate" in reason and "reconnecting" in reason for reason in health["reasons"])
        rtsp_server.start()
        until_state(run, "gate", "streaming", 10)
        until_results(run, "gate", 5)
    health = run.health()
    assert health is not None and health["status"] == "ok", health
    end(run)
    assert run.text().count("decode:gate: streaming") == 4, run.text()
    assert longest_pause_s(run, "file") < 1.0


def test_a_camera_that_is_down_at_the_start_is_waited_for(
    start: Callable[..., EngineRun], rtsp_server: RtspServer
) -> None:
    rtsp_server.kill()
    run = start(f"gate={rtsp_server.url()}")
    seen = until_state(run, "gate", "reconnecting", 10)
    assert "connection refused" in seen["reason"] and seen["frames_in"] == 0
    rtsp_server.start()
    until_state(run, "gate", "streaming", 10)
    until_results(run, "gate", 5)
    end(run)
    first = run.lines("gate")[0]
    assert first["frame"] == first["skipped"], "frames count from the first that came"


@pytest.fixture
def proxy(start_rtsp_server: StartRtspServer) -> Iterator[CountingProxy]:
    """A proxy before a server that asks for a password."""
    server = start_rtsp_server("--user", "admin", "--password", "the-right-one")
    with closing(CountingProxy(server.port)) as witness:
        yield witness


def test_a_wrong_password_is_not_tried_again_and_again(
    start: Callable[..., EngineRun], proxy: CountingProxy
) -> None:
    run = start(f"gate=rtsp://admin:{PASSWORD}@127.0.0.1:{proxy.port}/live", more=("--log-level", "debug"))
    seen = until_state(run, "gate", "unauthorized", 10)
    assert "credentials" in seen["reason"]
    told = [json.dumps(run.health())]
    with urllib.request.urlopen(f"http://127.0.0.1:{run.port}/metrics", timeout=2) as answer:
        told.append(answer.read().decode())
    time.sleep(8)  # ten seconds of the run in all
    # One attempt is two requests: without a password, and with one when the camera has asked for it.
    assert 1 <= proxy.connections <= 2 and proxy.requests("DESCRIBE") <= 4
    assert camera(run, "gate")["state"] == "unauthorized"
    assert end(run) < 5
    assert PASSWORD not in run.text() and all(PASSWORD not in text for text in told)


def test_a_frozen_camera_is_noticed_and_comes_back(
    start: Callable[..., EngineRun], rtsp_server: RtspServer
) -> None:
    run = start(f"gate={rtsp_server.url()}", timeout_s=2.0)
    until_results(run, "gate", 20)
    rtsp_server.freeze()
    frozen_s = time.monotonic()
    seen = until_state(run, "gate", "reconnecting", 2 * 2.0)
    assert time.monotonic() - frozen_s <= 2 * 2.0 and seen["reason"]
    rtsp_server.thaw()
    until_state(run, "gate", "streaming", 15)
    until_results(run, "gate", 5)
    end(run)


def test_a_silent_camera_does_not_hold_up_the_end(
    start: Callable[..., EngineRun], rtsp_server: RtspServer
) -> None:
    """One decoder waits for a packet that does not come, the other for the answer to its first request."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        run = start(
            f"gate={rtsp_server.url()}",
            f"mute=rtsp://127.0.0.1:{mute.getsockname()[1]}/live",
            timeout_s=60.0,
        )
        until_results(run, "gate", 20)
        rtsp_server.freeze()
        time.sleep(1.0)
        assert camera(run, "gate")["state"] == "streaming" and camera(run, "mute")["state"] == "connecting"
        assert end(run) < 5
    assert "killed" not in run.text()


def test_pictures_come_over_udp_too(start: Callable[..., EngineRun], rtsp_server: RtspServer) -> None:
    run = start(f"gate={rtsp_server.url()}", more=("--rtsp-transport", "udp"))
    until(lambda: len(run.lines("gate")) >= 50, 25, f"two seconds of results\n{run.text()}")
    rate = camera(run, "gate")["fps_in"]
    end(run)
    assert rate > 15
