"""Metrics of the heads that are steered: state, direction, commands, wear and latency."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from engine.control.status import PtzStatus


def ptz_metrics(heads: Mapping[str, PtzStatus]) -> Iterator[Metric]:
    """All metric families of the heads, by camera."""

    def gauge(name: str, help_text: str, value: Callable[[PtzStatus], float | None]) -> Metric:
        family = GaugeMetricFamily(f"camring_ptz_{name}", help_text, labels=["camera"])
        for camera, head in heads.items():
            if (known := value(head)) is not None:
                family.add_metric([camera], known)
        return family

    yield from _states(heads)
    yield gauge(
        "pan_degrees", "Azimuth of the optical axis, clockwise.", lambda head: _of_pose(head, "pan_deg")
    )
    yield gauge("tilt_degrees", "Elevation of the optical axis.", lambda head: _of_pose(head, "tilt_deg"))
    yield gauge("zoom_ratio", "Zoom, 1 = widest.", lambda head: _of_pose(head, "zoom"))
    yield gauge("commands_per_second", "Commands sent, recently.", lambda head: head["commands_s"])
    moving = CounterMetricFamily(
        "camring_ptz_moving_seconds", "Time in which the head moved.", labels=["camera"]
    )
    for camera, head in heads.items():
        moving.add_metric([camera], head["moving_s"])
    yield moving
    yield from _commands_and_latency(heads)


def _of_pose(head: PtzStatus, key: str) -> float | None:
    return None if head["pose"] is None else head["pose"][key]


def _states(heads: Mapping[str, PtzStatus]) -> Iterator[Metric]:
    state = GaugeMetricFamily(
        "camring_ptz_state", "1 for the head's present state.", labels=["camera", "state"]
    )
    following = GaugeMetricFamily(
        "camring_ptz_following",
        "1 for what the camera does at present.",
        labels=["camera", "following", "policy"],
    )
    for camera, head in heads.items():
        state.add_metric([camera, head["state"]], 1.0)
        following.add_metric([camera, head["following"], head["policy"]], 1.0)
    yield state
    yield following


def _commands_and_latency(heads: Mapping[str, PtzStatus]) -> Iterator[Metric]:
    commands = CounterMetricFamily(
        "camring_ptz_commands", "Commands to the head and what became of them.", labels=["camera", "what"]
    )
    latency = GaugeMetricFamily(
        "camring_ptz_latency_seconds",
        "Sending a command to the head moving (command), and age of a picture when it arrives (image).",
        labels=["camera", "what"],
    )
    for camera, head in heads.items():
        for what, count in sorted(head["counts"].items()):
            commands.add_metric([camera, what], count)
        measured = (("command", head["command_latency_ms"]), ("image", head["image_latency_ms"]))
        for what, latency_ms in measured:
            if latency_ms is not None:
                latency.add_metric([camera, what], latency_ms / 1e3)
    yield commands
    yield latency
