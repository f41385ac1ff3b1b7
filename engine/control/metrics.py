"""The status as Prometheus metrics. The only file that imports prometheus_client.

Every scrape reads the status anew: there are no metric objects that could fall behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from engine.control.metrics_bus import bus_metrics
from engine.control.metrics_ptz import ptz_metrics
from engine.control.metrics_video import publish_metrics, video_metrics, viewer_metrics
from engine.control.status import (
    CAMERA_STATES,
    HEALTH_STATES,
    CameraEventsStatus,
    CameraReid,
    CameraSegmentation,
    CameraStatus,
    EngineStatus,
    IdentityStatus,
    InferenceStatus,
    LatencySummary,
    ProcessStatus,
    ReidStatus,
    SegmentationStatus,
    StreamStatus,
)
from engine.metrics import LatencyHistogram


class StatusCollector(Collector):
    """Turns the newest status into metric families."""

    def __init__(self, status_provider: Callable[[], EngineStatus]) -> None:
        self._status_provider = status_provider

    def collect(self) -> Iterable[Metric]:
        """All metric families of one scrape, from one status."""
        status = self._status_provider()
        yield from _run_metrics(status)
        yield from _process_metrics(status["processes"])
        yield from _inference_metrics(status["inference"])
        if status["reid"] is not None:
            yield from _reid_metrics(status["reid"])
        if status["identity"] is not None:
            yield from _identity_metrics(status["identity"])
        if status["segmentation"] is not None:
            yield from _segmentation_metrics(status["segmentation"])
            yield from _mask_times(status["segmentation"]["cameras"])
            yield from _segmentation_labels(status["segmentation"]["cameras"])
        if status["ptz"] is not None:
            yield from ptz_metrics(status["ptz"])
        if status["bus"] is not None:
            yield from bus_metrics(status["bus"])
        if status["publish"] is not None:
            yield from publish_metrics(status["publish"])
        videos = {
            name: video for name, each in status["cameras"].items() if (video := each["video"]) is not None
        }
        if videos:
            yield from video_metrics(videos)
        yield from viewer_metrics(status["viewers"])
        yield from _camera_metrics(status["cameras"])
        yield _drops(status["cameras"])
        yield _losses(status["cameras"])
        yield from _camera_motion(status["cameras"])
        yield _latency(status["cameras"])
        events = {
            name: camera["events"]
            for name, camera in status["cameras"].items()
            if camera["events"] is not None
        }
        yield from _event_metrics(events)
        yield from _stream_metrics(status["streams"])


def registry_of(status_provider: Callable[[], EngineStatus]) -> CollectorRegistry:
    """A registry that holds this status and nothing else."""
    registry = CollectorRegistry(auto_describe=False)  # or it would read a status that is not there yet
    registry.register(StatusCollector(status_provider))
    return registry


def exposition(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """(body, content type) of a scrape: Prometheus text, or OpenMetrics where `accept` asks for it."""
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type


def _run_metrics(status: EngineStatus) -> Iterator[Metric]:
    build = InfoMetricFamily("camring_build", "What is running.")
    run = status["run"]
    build.add_metric([], {"version": status["version"], "profile": run["profile"], "model": run["model"]})
    yield build
    yield GaugeMetricFamily(
        "camring_start_time_seconds",
        "When the run began, seconds since the Unix epoch.",
        status["started_wall_s"],
    )
    yield GaugeMetricFamily("camring_uptime_seconds", "How long the run has lasted.", status["uptime_s"])
    health = GaugeMetricFamily("camring_health", "1 for the present health of the run.", labels=["status"])
    for name in HEALTH_STATES:
        health.add_metric([name], float(status["status"] == name))
    yield health


def _process_metrics(processes: dict[str, ProcessStatus]) -> Iterator[Metric]:
    def gauge(name: str, help_text: str, value: Callable[[ProcessStatus], float | None]) -> Metric:
        family = GaugeMetricFamily(f"camring_process_{name}", help_text, labels=["process"])
        for process, status in processes.items():
            if (number := value(status)) is not None:
                family.add_metric([process], number)
        return family

    def counter(name: str, help_text: str, value: Callable[[ProcessStatus], float]) -> Metric:
        family = CounterMetricFamily(f"camring_process_{name}", help_text, labels=["process"])
        for process, status in processes.items():
            family.add_metric([process], value(status))
        return family

    yield gauge("up", "1 while the worker runs.", lambda s: float(s["state"] == "running"))
    yield counter("restarts", "How often the worker was started again.", lambda s: s["restarts"])
    yield counter("cpu_seconds", "Processor time used, all incarnations.", lambda s: s["cpu_s"])
    yield gauge("resident_memory_bytes", "Resident memory.", lambda s: s["rss_bytes"])
    yield gauge("open_fds", "File descriptors open.", lambda s: s["fds"])
    yield gauge("threads", "Threads running.", lambda s: s["threads"])
    yield gauge("heartbeat_age_seconds", "Since the last sign of life.", lambda s: s["heartbeat_age_s"])


def _inference_metrics(status: InferenceStatus) -> Iterator[Metric]:
    def gauge(name: str, help_text: str, value: float | None) -> Metric:
        family = GaugeMetricFamily(f"camring_inference_{name}", help_text)
        if value is not None:
            family.add_metric([], value)
        return family

    def counter(name: str, help_text: str, value: int) -> Metric:
        return CounterMetricFamily(f"camring_inference_{name}", help_text, value)

    window_ms = status["window_ms"]
    yield gauge("lanes", "Calls that the model computes at the same time.", status["lanes"])
    yield gauge("calls", "Calls in flight at most.", status["calls"])
    yield gauge("batch_limit", "Most frames in a call.", status["batch"])
    yield gauge("live_cameras", "Cameras that gave a frame within two seconds.", status["live_cameras"])
    yield gauge("queue_depth", "Frames that wait to be taken.", status["queue_depth"])
    yield gauge(
        "window_seconds", "Longest wait for a fuller batch.", None if window_ms is None else window_ms / 1e3
    )
    yield gauge("batch_frames", "Mean frames per batch, recently.", status["batch_frames"])
    yield gauge("occupancy_ratio", "Mean share of what a batch could hold, recently.", status["occupancy"])
    yield counter("batches", "Batches that were run.", status["batches"])
    yield counter("frames", "Frames in these batches.", status["frames"])
    yield counter("prepared_ahead", "Batches begun while all lanes were busy.", status["prepared_ahead"])
    yield counter("discarded_boxes", "Boxes whose numbers made no sense.", status["discarded_boxes"])
    yield gauge("degraded", "What runs worse than it was asked for, a count.", len(status["degraded"]))
    choices = GaugeMetricFamily(
        "camring_inference_choice", "1 for what was chosen automatically.", labels=["what", "chosen"]
    )
    for choice in status["choices"]:
        choices.add_metric([choice["what"], choice["chosen"]], 1.0)
    yield choices


def _reid_metrics(status: ReidStatus) -> Iterator[Metric]:
    def of_cameras(
        name: str, help_text: str, label: str, counts: Callable[[CameraReid], dict[str, int]]
    ) -> Metric:
        family = CounterMetricFamily(f"camring_reid_{name}", help_text, labels=["camera", label])
        for camera, told in status["cameras"].items():
            for key, count in sorted(counts(told).items()):
                family.add_metric([camera, key], count)
        return family

    boxes = CounterMetricFamily("camring_reid_boxes", "Boxes that were asked about.", labels=["camera"])
    for camera, told in status["cameras"].items():
        boxes.add_metric([camera], told["boxes"])
    yield boxes
    yield of_cameras("crops", "Boxes that were embedded, by need.", "need", lambda told: told["embedded"])
    yield of_cameras(
        "left_out", "Boxes not embedded although they were worth it.", "reason", lambda told: told["left_out"]
    )
    yield GaugeMetricFamily(
        "camring_reid_budget_crops_per_second", "Most crops a second, 0 = no limit.", status["crops_per_s"]
    )
    yield GaugeMetricFamily("camring_reid_queue_depth", "Frames that wait for embeddings.", status["queue"])
    yield CounterMetricFamily("camring_reid_calls", "Calls of the network.", status["calls"])
    per_crop = GaugeMetricFamily("camring_reid_crop_seconds", "Time of the network for one crop, recently.")
    if status["ms_per_crop"] is not None:
        per_crop.add_metric([], status["ms_per_crop"] / 1e3)
    yield per_crop
    held = GaugeMetricFamily(
        "camring_reid_held_seconds",
        "How long frames waited for embeddings, over the run.",
        labels=["quantile"],
    )
    for quantile, value_ms in (("0.5", status["held_ms"]["p50"]), ("0.95", status["held_ms"]["p95"])):
        if value_ms is not None:
            held.add_metric([quantile], value_ms / 1e3)
    yield held
    yield GaugeMetricFamily(
        "camring_reid_degraded", "What runs worse than it was asked for, a count.", len(status["degraded"])
    )


def _identity_metrics(status: IdentityStatus) -> Iterator[Metric]:
    def by_reason(name: str, help_text: str, counts: dict[str, int]) -> Metric:
        family = CounterMetricFamily(f"camring_identities_{name}", help_text, labels=["reason"])
        for reason, count in sorted(counts.items()):
            family.add_metric([reason], count)
        return family

    scope = GaugeMetricFamily(
        "camring_identity_scope", "1 for what may be remembered at present.", labels=["scope"]
    )
    scope.add_metric([status["scope"]], 1.0)
    yield scope
    gauge, counter = GaugeMetricFamily, CounterMetricFamily
    yield gauge("camring_identities_known", "Identities that are remembered.", status["known"])
    yield gauge("camring_identities_looks", "Looks that are kept of them.", status["looks"])
    yield counter("camring_identities_recognised", "Tracks of somebody known.", status["recognised"])
    yield counter("camring_identities_new", "Tracks of somebody new.", status["new"])
    yield by_reason("refused", "Tracks that looked like somebody, and why they were not.", status["refused"])
    yield by_reason("forgotten", "Identities that were forgotten.", status["forgotten"])
    search = GaugeMetricFamily(
        "camring_identity_search_seconds", "Time of a search, over the run.", labels=["quantile"]
    )
    for quantile, value_ms in (("0.5", status["search_ms"]["p50"]), ("0.95", status["search_ms"]["p95"])):
        if value_ms is not None:
            search.add_metric([quantile], value_ms / 1e3)
    yield search
    yield gauge(
        "camring_identity_degraded",
        "What runs worse than it was asked for, a count.",
        len(status["degraded"]),
    )


def _segmentation_metrics(status: SegmentationStatus) -> Iterator[Metric]:
    def of_cameras(name: str, help_text: str, value: Callable[[CameraSegmentation], float]) -> Metric:
        family = GaugeMetricFamily(f"camring_segmentation_{name}", help_text, labels=["camera"])
        for camera, told in status["cameras"].items():
            family.add_metric([camera], value(told))
        return family

    def whole(
        kind: type[GaugeMetricFamily | CounterMetricFamily], name: str, help_text: str, value: float
    ) -> Metric:
        return kind(f"camring_segmentation_{name}", help_text, value)

    gauge, counter = GaugeMetricFamily, CounterMetricFamily
    yield whole(
        gauge, "lane_busy_ratio", "Share of the time the segmenter computed, recently.", status["lane_busy"]
    )
    yield whole(counter, "keyframes", "Frames that were segmented.", status["keyframes"])
    yield whole(counter, "rows", "Objects on these frames.", status["rows"])
    yield whole(gauge, "degraded", "What runs worse than it was asked for, a count.", len(status["degraded"]))
    yield of_cameras("objects", "Objects that are segmented now.", lambda told: told["objects"])
    yield of_cameras(
        "masked_fps", "Results per second with masks, recently.", lambda told: told["masked_fps"]
    )
    yield of_cameras(
        "keyframe_fps", "Segmented frames per second, recently.", lambda told: told["keyframe_fps"]
    )


def _mask_times(cameras: dict[str, CameraSegmentation]) -> Iterator[Metric]:
    def quantiles(name: str, help_text: str, value: Callable[[CameraSegmentation], LatencySummary]) -> Metric:
        family = GaugeMetricFamily(
            f"camring_segmentation_{name}_seconds", help_text, labels=["camera", "quantile"]
        )
        for camera, told in cameras.items():
            summary = value(told)
            for quantile, value_ms in (("0.5", summary["p50"]), ("0.95", summary["p95"])):
                if value_ms is not None:
                    family.add_metric([camera, quantile], value_ms / 1e3)
        return family

    yield quantiles(
        "mask_age", "Age of the masks of a result, over the run.", lambda told: told["mask_age_ms"]
    )
    yield quantiles(
        "mask_lag", "Keyframe captured to its masks there, over the run.", lambda told: told["mask_lag_ms"]
    )


def _segmentation_labels(cameras: dict[str, CameraSegmentation]) -> Iterator[Metric]:
    modes = GaugeMetricFamily(
        "camring_segmentation_mode", "1 for the present mode of the camera.", labels=["camera", "mode"]
    )
    events = CounterMetricFamily(
        "camring_segmentation_events",
        "What happened to segmented objects, by kind.",
        labels=["camera", "kind"],
    )
    for camera, told in cameras.items():
        modes.add_metric([camera, told["mode"]], 1.0)
        for kind, count in sorted(told["events"].items()):
            events.add_metric([camera, kind], count)
    yield modes
    yield events


def _camera_metrics(cameras: dict[str, CameraStatus]) -> Iterator[Metric]:
    def gauge(name: str, help_text: str, value: Callable[[CameraStatus], float]) -> Metric:
        family = GaugeMetricFamily(f"camring_{name}", help_text, labels=["camera"])
        for camera, status in cameras.items():
            family.add_metric([camera], value(status))
        return family

    def counter(name: str, help_text: str, value: Callable[[CameraStatus], float]) -> Metric:
        family = CounterMetricFamily(f"camring_{name}", help_text, labels=["camera"])
        for camera, status in cameras.items():
            family.add_metric([camera], value(status))
        return family

    state = GaugeMetricFamily(
        "camring_camera_state", "1 for the present state of the camera.", labels=["camera", "state"]
    )
    for camera, status in cameras.items():
        for name in CAMERA_STATES:
            state.add_metric([camera, name], float(status["state"] == name))
    yield state
    yield counter("frames_in", "Frames that the source delivered.", lambda s: s["frames_in"])
    yield counter("frames_processed", "Frames that went through inference.", lambda s: s["frames_processed"])
    yield gauge("frames_pending", "Frames neither processed nor dropped yet.", lambda s: s["frames_pending"])
    yield counter("results_out", "Results written.", lambda s: s["results_out"])
    yield gauge("input_fps", "Frames per second from the source, recently.", lambda s: s["fps_in"])
    yield gauge("inferred_fps", "Frames per second through inference, recently.", lambda s: s["fps_inferred"])
    yield gauge("output_fps", "Results per second written, recently.", lambda s: s["fps_out"])


def _drops(cameras: dict[str, CameraStatus]) -> Metric:
    family = CounterMetricFamily(
        "camring_frames_dropped", "Frames that were not processed, by reason.", labels=["camera", "reason"]
    )
    for camera, status in cameras.items():
        for reason, count in sorted(status["dropped"].items()):
            family.add_metric([camera, reason], count)
    return family


def _camera_motion(cameras: dict[str, CameraStatus]) -> Iterator[Metric]:
    told = {camera: status["camera_motion"] for camera, status in cameras.items()}
    frames = CounterMetricFamily(
        "camring_camera_motion_frames",
        "Frames that the camera's own motion was looked for on.",
        labels=["camera"],
    )
    moved = CounterMetricFamily(
        "camring_camera_motion_moved", "Frames on which the camera had moved.", labels=["camera"]
    )
    untrusted = CounterMetricFamily(
        "camring_camera_motion_untrusted", "Frames on which that could not be told, by reason.",
        labels=["camera", "reason"],
    )  # fmt: skip
    for camera, motion in told.items():
        if motion is not None:
            frames.add_metric([camera], motion["frames"])
            moved.add_metric([camera], motion["moved"])
            for reason, count in sorted(motion["untrusted"].items()):
                untrusted.add_metric([camera, reason], count)
    yield from (frames, moved, untrusted)


def _losses(cameras: dict[str, CameraStatus]) -> Metric:
    family = CounterMetricFamily(
        "camring_results_lost", "Results that did not reach an output, by place and reason.",
        labels=["camera", "place", "reason"],
    )  # fmt: skip
    for camera, status in cameras.items():
        for place, by_reason in sorted(status["results_lost"].items()):
            for reason, count in sorted(by_reason.items()):
                family.add_metric([camera, place, reason], count)
    return family


def _event_metrics(cameras: dict[str, CameraEventsStatus]) -> Iterator[Metric]:
    events = CounterMetricFamily(
        "camring_events", "What has happened, by kind, place and direction.",
        labels=["camera", "kind", "region", "direction"],
    )  # fmt: skip
    occupancy = GaugeMetricFamily(
        "camring_zone_occupancy", "Objects in a zone now.", labels=["camera", "zone"]
    )
    groups = GaugeMetricFamily("camring_groups", "Groups that there are now.", labels=["camera"])
    lost = CounterMetricFamily(
        "camring_events_lost", "Events that found no room in a record.", labels=["camera"]
    )
    for camera, told in cameras.items():
        for kind, count in sorted(told["kinds"].items()):
            if kind not in ("crossed", "entered", "exited", "dwelled"):
                events.add_metric([camera, kind, "", ""], count)
        for name, line in told["lines"].items():
            events.add_metric([camera, "crossed", name, "left_to_right"], line["left_to_right"])
            events.add_metric([camera, "crossed", name, "right_to_left"], line["right_to_left"])
        for name, zone in told["zones"].items():
            events.add_metric([camera, "entered", name, ""], zone["entries"])
            events.add_metric([camera, "exited", name, ""], zone["exits"])
            events.add_metric([camera, "dwelled", name, ""], zone["dwells"])
            occupancy.add_metric([camera, name], zone["present"])
        groups.add_metric([camera], told["groups"])
        lost.add_metric([camera], told["lost"])
    yield from (events, occupancy, groups, lost)


def _stream_metrics(streams: dict[str, StreamStatus]) -> Iterator[Metric]:
    clients = GaugeMetricFamily("camring_stream_clients", "Who listens over WebSocket.", labels=["stream"])
    sent = CounterMetricFamily("camring_stream_messages", "Messages sent to them.", labels=["stream"])
    lost = CounterMetricFamily(
        "camring_stream_lost", "Messages that they were too slow for.", labels=["stream"]
    )
    dropped = CounterMetricFamily(
        "camring_stream_dropped", "Clients cut off because they did not read.", labels=["stream"]
    )
    for stream, told in streams.items():
        clients.add_metric([stream], told["clients"])
        sent.add_metric([stream], told["sent"])
        lost.add_metric([stream], told["lost"])
        dropped.add_metric([stream], told["dropped"])
    yield from (clients, sent, lost, dropped)


def _latency(cameras: dict[str, CameraStatus]) -> Metric:
    family = HistogramMetricFamily(
        "camring_latency_seconds", "Time a frame spent in a stage; total is capture to output.",
        labels=["camera", "stage"],
    )  # fmt: skip
    for camera, status in cameras.items():
        for stage, snapshot in status["latency_histogram"].items():
            histogram = LatencyHistogram.from_dict(snapshot)
            buckets = [(_bound(bound_ms), count) for bound_ms, count in histogram.cumulative()]
            family.add_metric([camera, stage], buckets, histogram.sum_ms / 1e3)
    return family


def _bound(bound_ms: float) -> str:
    return "+Inf" if bound_ms == float("inf") else f"{bound_ms / 1e3:.6g}"
