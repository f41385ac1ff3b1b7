"""Processed video of a running engine at real servers, one of which is killed and comes back."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.e2e.engine import EngineRun, until
from tests.peers.media_servers import (
    RtmpServer,
    RtspRecorder,
    rtmp_server,
    rtsp_recorder,
    start_rtsp_recorder,
)
from tests.publish.conftest import probe
from tests.publish.hls_rules import read

__all__ = ["rtmp_server", "rtsp_recorder", "start_rtsp_recorder"]


def test_video_reaches_servers_and_folders(
    engine_run: Callable[..., EngineRun],
    rtmp_server: RtmpServer,
    rtsp_recorder: RtspRecorder,
    ffprobe: str,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "hls"
    rtmp, rtsp, hls = rtmp_server.url("{camera}"), rtsp_recorder.url(), f"hls:{folder}"
    run = engine_run(
        "--source", "gate=test://", "--model", "motion", "--no-overlay",
        "--publish", rtmp, "--publish", rtsp, "--publish", hls,
    )  # fmt: skip

    def destination(url: str) -> dict[str, object]:
        health = run.health() or {}
        told = (health.get("publish") or {}).get("gate", {"destinations": {}})
        found: dict[str, object] = told["destinations"].get(url.replace("{camera}", "gate"), {})
        return found

    for url in (rtmp, rtsp, hls):
        until(lambda: destination(url).get("state") == "live", 30, f"live at {url}")  # noqa: B023 - asked here
    rtmp_server.kill()
    until(lambda: destination(rtmp).get("state") == "waiting", 10, "the killed server is told")
    assert any("publish" in reason for reason in (run.health() or {})["reasons"])
    rtmp_server.start()
    until(lambda: destination(rtmp).get("connections") == 2, 20, "live again")
    assert destination(hls)["connections"] == destination(rtsp)["connections"] == 1
    until(lambda: int(str(destination(rtsp)["packets"])) > 50, 20, "some video")
    assert run.stop() == 0

    recorded = probe(ffprobe, rtsp_recorder.recordings()[0])
    assert (recorded["codec_name"], recorded["width"], recorded["height"]) == ("h264", "1280", "720")
    assert int(recorded["nb_read_frames"]) > 40
    assert len(rtmp_server.recordings()) == 2
    assert read((folder / "index.m3u8").read_text(), steady=False).segments
    done = subprocess.run(
        [ffprobe, "-v", "error", str(rtmp_server.recordings()[1])], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
