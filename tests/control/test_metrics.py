"""The metrics, read back by the parsers that Prometheus' own Python client has."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import parser
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics_parser

from engine.control.metrics import exposition, registry_of
from engine.control.status import CAMERA_STATES
from tests.control.statuses import make_status

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def families(accept: str = "") -> Iterator[Metric]:
    body, content_type = exposition(registry_of(make_status), accept)
    text = body.decode()
    if content_type.startswith("application/openmetrics-text"):
        yield from openmetrics_parser.text_string_to_metric_families(text)  # type: ignore[no-untyped-call]  # prometheus_client
    else:
        assert content_type.startswith("text/plain")
        yield from parser.text_string_to_metric_families(text)


def samples(accept: str = "") -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every value by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families(accept)
        for sample in family.samples
    }


def of(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted(labels.items()))


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_the_numbers_of_the_status_are_there(accept: str) -> None:
    values = samples(accept)
    expected = {
        of("camring_build_info", version="1.2.3", profile="m3-cpu", model="yolov8n.onnx"): 1,
        of("camring_uptime_seconds"): 61.5,
        of("camring_start_time_seconds"): 1_700_000_000.5,
        of("camring_health", status="ok"): 1,
        of("camring_health", status="failing"): 0,
        of("camring_process_up", process="decode:gate"): 1,
        of("camring_process_restarts_total", process="infer"): 2,
        of("camring_process_cpu_seconds_total", process="infer"): 12.5,
        of("camring_process_resident_memory_bytes", process="infer"): 123_456_789,
        of("camring_process_heartbeat_age_seconds", process="infer"): 0.2,
        of("camring_frames_in_total", camera="gate"): 1000,
        of("camring_frames_processed_total", camera="gate"): 490,
        of("camring_frames_pending", camera="gate"): 3,
        of("camring_frames_dropped_total", camera="gate", reason="superseded"): 405,
        of("camring_frames_dropped_total", camera="gate", reason="rate"): 90,
        of("camring_frames_dropped_total", camera="gate", reason="stale"): 10,
        of("camring_frames_dropped_total", camera="gate", reason="restart"): 2,
        of("camring_results_out_total", camera='odd "name"\\'): 489,
        of("camring_results_lost_total", camera="gate", place="jsonl", reason="output_failed"): 1,
        of("camring_results_lost_total", camera="gate", place="video", reason="frame_gone"): 4,
        of("camring_camera_motion_frames_total", camera="gate"): 490,
        of("camring_camera_motion_moved_total", camera="gate"): 30,
        of("camring_camera_motion_untrusted_total", camera="gate", reason="texture"): 4,
        of("camring_events_total", camera="gate", kind="appeared", region="", direction=""): 12,
        of(
            "camring_events_total", camera="gate", kind="crossed", region="gate", direction="left_to_right"
        ): 5,
        of("camring_events_total", camera="gate", kind="exited", region="yard", direction=""): 6,
        of("camring_zone_occupancy", camera="gate", zone="yard"): 3,
        of("camring_groups", camera="gate"): 1,
        of("camring_events_lost_total", camera="gate"): 4,
        of("camring_stream_clients", stream="events"): 2,
        of("camring_stream_lost_total", stream="events"): 3,
        of("camring_input_fps", camera="gate"): 25,
        of("camring_inferred_fps", camera="gate"): 12.25,
        of("camring_output_fps", camera="gate"): 12,
        of("camring_inference_lanes"): 2,
        of("camring_inference_calls"): 3,
        of("camring_inference_batch_limit"): 8,
        of("camring_inference_live_cameras"): 8,
        of("camring_inference_queue_depth"): 5,
        of("camring_inference_window_seconds"): 0.0625,
        of("camring_inference_batch_frames"): 7.5,
        of("camring_inference_occupancy_ratio"): 0.9375,
        of("camring_inference_batches_total"): 400,
        of("camring_inference_frames_total"): 3000,
        of("camring_inference_prepared_ahead_total"): 390,
        of("camring_inference_discarded_boxes_total"): 1,
        of("camring_inference_degraded"): 0,
        of("camring_inference_choice", what="backend", chosen="ort-cpu"): 1,
        of("camring_segmentation_lane_busy_ratio"): 0.75,
        of("camring_segmentation_keyframes_total"): 120,
        of("camring_segmentation_rows_total"): 300,
        of("camring_segmentation_degraded"): 1,
        of("camring_segmentation_objects", camera="gate"): 3,
        of("camring_segmentation_masked_fps", camera="gate"): 12,
        of("camring_segmentation_keyframe_fps", camera="gate"): 4.5,
        of("camring_segmentation_mode", camera="gate", mode="track"): 1,
        of("camring_segmentation_events_total", camera="gate", kind="added"): 4,
        of("camring_segmentation_mask_age_seconds", camera="gate", quantile="0.95"): 0.3,
        of("camring_segmentation_mask_lag_seconds", camera="gate", quantile="0.5"): 0.2,
        of("camring_ptz_state", camera="gate", state="ok"): 1,
        of("camring_ptz_following", camera="gate", following="following", policy="group"): 1,
        of("camring_ptz_pan_degrees", camera="gate"): 182.5,
        of("camring_ptz_tilt_degrees", camera="gate"): -10.25,
        of("camring_ptz_zoom_ratio", camera="gate"): 2.5,
        of("camring_ptz_commands_total", camera="gate", what="renewed"): 12,
        of("camring_ptz_commands_per_second", camera="gate"): 0.75,
        of("camring_ptz_moving_seconds_total", camera="gate"): 61.5,
        of("camring_ptz_latency_seconds", camera="gate", what="command"): 0.062,
    }
    assert {key: values.get(key) for key in expected} == expected


def test_the_budget_of_reidentification_is_visible() -> None:
    values = samples()
    expected = {
        of("camring_reid_boxes_total", camera="gate"): 900,
        of("camring_reid_crops_total", camera="gate", need="ambiguous"): 20,
        of("camring_reid_left_out_total", camera="gate", reason="budget"): 3,
        of("camring_reid_budget_crops_per_second"): 60,
        of("camring_reid_queue_depth"): 2,
        of("camring_reid_crop_seconds"): 0.0095,
        of("camring_reid_held_seconds", quantile="0.5"): 0.02,
        of("camring_reid_held_seconds", quantile="0.95"): None,
    }
    assert {key: values.get(key) for key in expected} == expected
    status = make_status()
    status["reid"] = None
    assert "camring_reid" not in exposition(registry_of(lambda: status), "")[0].decode()


def test_the_frames_of_a_camera_add_up() -> None:
    values = samples()
    dropped = sum(
        value
        for (name, labels), value in values.items()
        if name == "camring_frames_dropped_total" and ("camera", "gate") in labels
    )
    processed = values[of("camring_frames_processed_total", camera="gate")]
    pending = values[of("camring_frames_pending", camera="gate")]
    assert values[of("camring_frames_in_total", camera="gate")] == processed + pending + dropped


def test_a_camera_is_in_exactly_one_state() -> None:
    values = samples()
    states = {
        state: values[of("camring_camera_state", camera="gate", state=state)] for state in CAMERA_STATES
    }
    assert states == {state: float(state == "streaming") for state in CAMERA_STATES}


def test_latency_is_a_cumulative_histogram_in_seconds() -> None:
    family = next(family for family in families() if family.name == "camring_latency_seconds")
    assert family.type == "histogram"
    total = [s for s in family.samples if s.labels["camera"] == "gate" and s.labels["stage"] == "total"]
    buckets = {float(s.labels["le"]): s.value for s in total if s.name.endswith("_bucket")}
    assert list(buckets) == sorted(buckets)
    assert buckets[math.inf] == 4
    assert [buckets[bound] for bound in (0.0001, 0.1, 100.0)] == [0, 2, 3]
    assert list(buckets.values()) == sorted(buckets.values())
    by_name = {s.name: s.value for s in total if not s.name.endswith("_bucket")}
    assert by_name["camring_latency_seconds_count"] == 4
    assert by_name["camring_latency_seconds_sum"] == pytest.approx(100.371)


def test_everything_has_our_prefix_a_type_and_a_help_text() -> None:
    for family in families():
        assert family.name.startswith("camring_")
        assert family.type in ("counter", "gauge", "histogram")
        assert family.documentation.endswith(".")


def test_the_documentation_names_exactly_what_there_is() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "api_spec.md").read_text()
    table = text[text.index("### GET /metrics") :]
    suffixes = {"counter": "_total"}
    exported = {family.name + suffixes.get(family.type, "") for family in families()}
    assert set(re.findall(r"`(camring_\w+)`", table)) == exported


def test_what_is_not_known_is_not_exported() -> None:
    status = make_status()
    status["processes"]["infer"]["heartbeat_age_s"] = None
    status["inference"]["window_ms"] = status["inference"]["batch_frames"] = None
    text = exposition(registry_of(lambda: status), "")[0].decode()
    assert 'camring_process_heartbeat_age_seconds{process="decode:gate"}' in text
    assert 'camring_process_heartbeat_age_seconds{process="infer"}' not in text
    assert "\ncamring_inference_window_seconds" not in text and "\ncamring_inference_batch_frames" not in text


def test_a_run_without_masks_says_nothing_of_them() -> None:
    status = make_status()
    status["segmentation"] = None
    assert "camring_segmentation" not in exposition(registry_of(lambda: status), "")[0].decode()


def test_a_head_that_tells_nothing_has_no_direction() -> None:
    status = make_status()
    assert status["ptz"] is not None
    status["ptz"]["gate"]["pose"] = None
    text = exposition(registry_of(lambda: status), "")[0].decode()
    assert "\ncamring_ptz_pan_degrees" not in text and 'what="image"' not in text
    status["ptz"] = None
    assert "camring_ptz" not in exposition(registry_of(lambda: status), "")[0].decode()


def test_no_cameras_yet_is_a_valid_scrape() -> None:
    status = make_status()
    status["cameras"], status["processes"] = {}, {}
    text = exposition(registry_of(lambda: status), "")[0].decode()
    assert list(parser.text_string_to_metric_families(text))
