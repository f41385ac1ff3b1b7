"""Live and recorded video as Prometheus metrics: what is encoded, kept and published."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from engine.control.status import RECORDING_STATES, RenditionStatus, VideoStatus
from engine.control.status_receivers import DestinationStatus, PublishStatus, ViewersStatus

Family = GaugeMetricFamily | CounterMetricFamily


def video_metrics(cameras: dict[str, VideoStatus]) -> Iterator[Metric]:
    """Drawing, encoding and recording of each camera."""
    yield from _whole_cameras(cameras)

    def of_renditions(family: Family, value: Callable[[RenditionStatus], float]) -> Metric:
        for camera, video in cameras.items():
            for rendition, told in video["renditions"].items():
                family.add_metric([camera, rendition], value(told))
        return family

    labels = ["camera", "rendition"]
    running = GaugeMetricFamily(
        "camring_video_encoder_running", "1 while there is an encoder.", labels=labels
    )
    watched = GaugeMetricFamily("camring_video_watched", "1 while somebody wants the packets.", labels=labels)
    fps = GaugeMetricFamily("camring_video_fps", "Pictures encoded per second, recently.", labels=labels)
    rate = GaugeMetricFamily("camring_video_bits_per_second", "What they take, recently.", labels=labels)
    frames = CounterMetricFamily("camring_video_frames", "Pictures encoded.", labels=labels)
    keyframes = CounterMetricFamily("camring_video_keyframes", "Key frames among them.", labels=labels)
    yield of_renditions(running, lambda told: float(told["running"]))
    yield of_renditions(watched, lambda told: float(told["watched"]))
    yield of_renditions(fps, lambda told: told["fps"])
    yield of_renditions(rate, lambda told: told["kbps"] * 1e3)
    yield of_renditions(frames, lambda told: told["frames"])
    yield of_renditions(keyframes, lambda told: told["keyframes"])
    seconds = GaugeMetricFamily(
        "camring_video_encode_seconds",
        "Time of encoding a picture, over the run.",
        labels=[*labels, "quantile"],
    )
    dropped = CounterMetricFamily(
        "camring_video_dropped",
        "Pictures that have not become packets, by reason.",
        labels=[*labels, "reason"],
    )
    for camera, video in cameras.items():
        for rendition, told in video["renditions"].items():
            for quantile, value_ms in (("0.5", told["encode_ms"]["p50"]), ("0.95", told["encode_ms"]["p95"])):
                if value_ms is not None:
                    seconds.add_metric([camera, rendition, quantile], value_ms / 1e3)
            for reason, count in sorted(told["dropped"].items()):
                dropped.add_metric([camera, rendition, reason], count)
    yield from (seconds, dropped)


def publish_metrics(cameras: dict[str, PublishStatus]) -> Iterator[Metric]:
    """Processed video on its way to servers and folders."""

    def of_destinations(family: Family, value: Callable[[DestinationStatus], float | None]) -> Metric:
        for camera, told in cameras.items():
            for address, destination in told["destinations"].items():
                if (number := value(destination)) is not None:
                    family.add_metric([camera, address], number)
        return family

    def gauge(name: str, help_text: str, value: Callable[[DestinationStatus], float | None]) -> Metric:
        family = GaugeMetricFamily(f"camring_publish_{name}", help_text, labels=["camera", "destination"])
        return of_destinations(family, value)

    def counter(name: str, help_text: str, value: Callable[[DestinationStatus], float]) -> Metric:
        family = CounterMetricFamily(f"camring_publish_{name}", help_text, labels=["camera", "destination"])
        return of_destinations(family, value)

    yield gauge("live", "1 while packets go there, and while there are none to send.", _live)
    yield gauge("queue_packets", "Packets that wait for it.", lambda told: told["queue"])
    yield gauge("lag_seconds", "Age of the newest packet when it had been sent.", _lag_s)
    yield counter("packets", "Packets sent.", lambda told: told["packets"])
    yield counter("bytes", "Bytes sent.", lambda told: told["bytes"])
    yield counter("reconnects", "How often it was live again.", lambda told: told["reconnects"])
    dropped = CounterMetricFamily(
        "camring_publish_dropped", "Packets that it was not sent, by reason.",
        labels=["camera", "destination", "reason"],
    )  # fmt: skip
    lost = CounterMetricFamily(
        "camring_publish_lost", "Packets overwritten before they could be read.", labels=["camera"]
    )
    for camera, told in cameras.items():
        lost.add_metric([camera], told["lost"])
        for address, destination in told["destinations"].items():
            for reason, count in sorted(destination["dropped"].items()):
                dropped.add_metric([camera, address, reason], count)
    yield from (dropped, lost)


def viewer_metrics(status: ViewersStatus) -> Iterator[Metric]:
    """Those who watch live video over HTTP."""
    watching = GaugeMetricFamily("camring_viewers", "Who watches live video now.", labels=["rendition"])
    for rendition, count in sorted(status["watching"].items()):
        watching.add_metric([rendition], count)
    skipped = CounterMetricFamily(
        "camring_viewers_skipped", "Packets that viewers were not sent, by reason.", labels=["reason"]
    )
    for reason, count in sorted(status["skipped"].items()):
        skipped.add_metric([reason], count)
    yield from (watching, skipped)


def _live(told: DestinationStatus) -> float:
    return float(told["state"] in ("live", "idle"))


def _lag_s(told: DestinationStatus) -> float | None:
    return None if told["lag_ms"] is None else told["lag_ms"] / 1e3


def _whole_cameras(cameras: dict[str, VideoStatus]) -> Iterator[Metric]:
    silent = GaugeMetricFamily(
        "camring_video_no_signal", "1 while viewers are shown that there is no signal.", labels=["camera"]
    )
    draw = GaugeMetricFamily(
        "camring_video_draw_seconds",
        "Time of drawing on a picture, over the run.",
        labels=["camera", "quantile"],
    )
    state = GaugeMetricFamily(
        "camring_recording_state",
        "1 for the present state of the camera's recording.",
        labels=["camera", "state"],
    )
    frames = CounterMetricFamily("camring_recording_frames", "Pictures recorded.", labels=["camera"])
    deleted = CounterMetricFamily(
        "camring_recording_deleted", "Segments deleted: too old or too many.", labels=["camera"]
    )
    dropped = CounterMetricFamily(
        "camring_recording_dropped",
        "Pictures that are not in a file, by reason.",
        labels=["camera", "reason"],
    )
    for camera, video in cameras.items():
        silent.add_metric([camera], float(video["no_signal"]))
        for quantile, value_ms in (("0.5", video["draw_ms"]["p50"]), ("0.95", video["draw_ms"]["p95"])):
            if value_ms is not None:
                draw.add_metric([camera, quantile], value_ms / 1e3)
        recording = video["recording"]
        for name in RECORDING_STATES:
            state.add_metric([camera, name], float(recording["state"] == name))
        frames.add_metric([camera], recording["frames"])
        deleted.add_metric([camera], recording["deleted"])
        for reason, count in sorted(recording["dropped"].items()):
            dropped.add_metric([camera, reason], count)
    yield from (silent, draw, state, frames, deleted, dropped)
