"""Video in the status: from what a stream process tells, before it does, and where there is none."""

from __future__ import annotations

from typing import Any

from engine.clock import ManualClock
from engine.control.status import RenditionStatus, VideoStatus
from engine.metrics import LatencyHistogram
from engine.status_video import video_lost, video_status
from engine.types import Rendition
from engine.workers.stream_rendition import PictureRendition, VideoRendition


def latency(*durations_ms: float) -> Any:
    histogram = LatencyHistogram()
    for duration_ms in durations_ms:
        histogram.add(duration_ms)
    return histogram.to_dict()


def stream(state: str = "disk full") -> dict[str, Any]:
    """The snapshot of a stream process."""
    clock = ManualClock()
    renditions = {
        "overlay": VideoRendition(Rendition.OVERLAY, None, clock, {"frames": 7, "encode": latency(4.0)}),
        "overlay_jpeg": PictureRendition(Rendition.OVERLAY_JPEG, None, clock, {}),
    }
    return {
        "cameras": {"gate": {"dropped": {"overrun": 2, "frame_gone": 1}}},
        "video": {
            "no_signal": True,
            "draw": latency(1.0, 2.0),
            "renditions": {name: lane.to_status() for name, lane in renditions.items()},
            "recording": {"state": state, "trouble": "no room", "file": "gate.mp4", "frames": 5, "deleted": 1,
                          "dropped": {"output_failed": 3}} if state != "off" else {"state": "off"},
        },
    }  # fmt: skip


def test_video_as_its_process_tells() -> None:
    told = video_status(stream())
    assert told is not None and set(told) == set(VideoStatus.__annotations__)
    assert told["no_signal"] and told["draw_ms"]["p50"] is not None
    assert told["recording"]["state"] == "disk full" and told["recording"]["dropped"] == {"output_failed": 3}
    overlay = told["renditions"]["overlay"]
    assert set(overlay) == set(told["renditions"]["overlay_jpeg"]) == set(RenditionStatus.__annotations__)
    assert (overlay["frames"], overlay["encode_ms"]["p50"], overlay["watched"]) == (7, 4.0, False)


def test_nothing_is_said_of_video_that_is_not_there() -> None:
    assert video_status({}) is None and video_lost({}, "gate") == {}


def test_losses_of_the_file_are_those_on_the_way_and_those_at_the_disk() -> None:
    assert video_lost(stream(), "gate") == {"overrun": 2, "frame_gone": 1, "output_failed": 3}
    assert video_lost(stream("off"), "gate") == {}, "where there is no file, nothing is lost from it"
    offline = {"cameras": {"gate": {"dropped": {"overrun": 2}}}}
    assert video_lost(offline, "gate") == {"overrun": 2}
