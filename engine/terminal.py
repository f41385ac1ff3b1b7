"""What the user sees of a run: a live table on a terminal, plain log lines elsewhere, a summary at the end.

Log levels: `error` and `warning` are for the user to act on, `info` says what was chosen and what changed,
`debug` is for developers and holds what libraries print.
"""

from __future__ import annotations

import math
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Final, TextIO

from engine.clock import Clock, SystemClock
from engine.control.status import CameraStatus, EngineStatus

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

LEVELS: Final = ("debug", "info", "warning", "error")
REPEAT_WINDOW_S: Final = 10.0
STATUS_LINE_INTERVAL_S: Final = 10.0


class Terminal:
    """Writes log lines to `stream`, a live table when it is a terminal, and the summary to standard output."""

    def __init__(self, level: str = "info", stream: TextIO | None = None, clock: Clock | None = None) -> None:
        self._level = LEVELS.index(level)
        self._stream = stream or sys.stderr
        self._clock = clock or SystemClock()
        self._live: Live | None = None
        self._last_said: dict[tuple[str, str], float] = {}
        self._last_line: dict[str, str] = {}
        self._status_line_due_s = self._now_s() + STATUS_LINE_INTERVAL_S

    def __enter__(self) -> Terminal:
        if self._stream.isatty():
            from rich.console import Console
            from rich.live import Live

            # What is shown comes from cameras and libraries: `[rtsp]` in it is no markup.
            console = Console(file=self._stream, markup=False, emoji=False, highlight=False)
            self._live = Live(console=console, refresh_per_second=4, transient=True, redirect_stdout=False)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def log(self, level: str, source: str, text: str) -> None:
        """One line, without control characters. The same line from a source is said once in ten seconds.

        Unless it is news: after another line of that source, except at level `debug`, a camera that streams
        again has to say so however often it does.
        """
        if LEVELS.index(level) < self._level:
            return
        text, now_s = printable(text), self._now_s()
        repeated = now_s - self._last_said.get((source, text), -math.inf) < REPEAT_WINDOW_S
        if repeated and (level == "debug" or self._last_line.get(source) == text):
            return
        if level != "debug":
            self._last_line[source] = text
        self._last_said = {key: at for key, at in self._last_said.items() if now_s - at < REPEAT_WINDOW_S}
        self._last_said[source, text] = now_s
        line = f"{self._time_of_day()} {level:<7} {source}: {text}"
        if self._live is not None:
            self._live.console.print(line, soft_wrap=True)
        else:
            print(line, file=self._stream, flush=True)

    def show(self, status: EngineStatus) -> None:
        """Bring the table up to date, or say a status line now and then."""
        if self._live is not None:
            self._live.update(table_of(status))
        elif self._now_s() >= self._status_line_due_s:
            self._status_line_due_s = self._now_s() + STATUS_LINE_INTERVAL_S
            for name, camera in status["cameras"].items():
                self.log("info", name, line_of(camera))
            for line in masks_of(status):
                self.log("info", "segment", line)

    def _now_s(self) -> float:
        return self._clock.now_ns() / 1e9

    def _time_of_day(self) -> str:
        return time.strftime("%H:%M:%S", time.localtime(self._clock.wall_ns() // 1_000_000_000))


def printable(text: str) -> str:
    """One line that leaves the terminal as it is, whatever a camera or a library has sent."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def line_of(camera: CameraStatus) -> str:
    """A camera in one line."""
    latency = camera["latency_ms"]
    return (
        f"{camera['state']}, fps in {camera['fps_in']:.1f} inferred {camera['fps_inferred']:.1f} "
        f"out {camera['fps_out']:.1f}, "
        f"latency p50 {milliseconds(latency['p50'])} p95 {milliseconds(latency['p95'])} ms, "
        f"dropped {drops_of(camera)}"
    )


def milliseconds(value: float | None) -> str:
    """A latency in whole milliseconds, a dash before anything was measured."""
    return "–" if value is None else f"{value:.0f}"


def drops_of(camera: CameraStatus) -> str:
    """Dropped frames with their reasons."""
    drops = [f"{count} {reason}" for reason, count in camera["dropped"].items() if count]
    return ", ".join(drops) or "0"


def losses_of(camera: CameraStatus) -> str:
    """Results that did not reach an output, with place and reason; empty if there are none."""
    losses = [
        f"{count} {place} {reason}"
        for place, by_reason in camera["results_lost"].items()
        for reason, count in by_reason.items()
    ]
    return f", lost {', '.join(losses)}" if losses else ""


def batches_of(status: EngineStatus) -> str:
    """What the detector is given, in one line."""
    inference = status["inference"]
    frames, occupancy, window_ms = (
        inference["batch_frames"], inference["occupancy"], inference["window_ms"],
    )  # fmt: skip
    if frames is None or occupancy is None:
        return "no batch yet"
    return (
        f"batches of {frames:.1f} frames, {100 * occupancy:.0f} % of what is possible, "
        f"window {milliseconds(window_ms)} ms, {inference['queue_depth']} waiting, lanes {inference['lanes']}"
    )


def looks_of(status: EngineStatus) -> list[str]:
    """What re-identification has looked at so far; no line in a run without it."""
    reid = status["reid"]
    if reid is None:
        return []
    cameras = list(reid["cameras"].values())
    embedded, left_out = Counter[str](), Counter[str]()
    for camera in cameras:
        embedded.update(camera["embedded"])
        left_out.update({reason: count for reason, count in camera["left_out"].items() if count})
    parts = ", ".join(f"{count} {need}" for need, count in embedded.items())
    lost = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
    return [
        f"re-identification: {sum(camera['boxes'] for camera in cameras)} boxes, {embedded.total()} embedded"
        f"{f' ({parts})' if parts else ''}, {left_out.total()} left out{f' ({lost})' if lost else ''}, "
        f"{milliseconds(reid['ms_per_crop'])} ms a crop"
    ]


def masks_of(status: EngineStatus) -> list[str]:
    """What the segmenter does, camera by camera, and then all in all; no lines in a run without one."""
    segmentation = status["segmentation"]
    if segmentation is None:
        return []
    cameras = [
        f"masks of {name}: {told['mode']}, {told['objects']} objects, {told['masked_fps']:.1f} frames/s, keyframes "
        f"{told['keyframe_fps']:.1f}/s, age p50 {milliseconds(told['mask_age_ms']['p50'])} "
        f"p95 {milliseconds(told['mask_age_ms']['p95'])} ms"
        for name, told in segmentation["cameras"].items()
        if told["mode"] != "off"
    ]
    if not cameras:
        return ["masks: off"]
    per_keyframe = segmentation["rows_per_keyframe"]
    objects = "" if per_keyframe is None else f", {per_keyframe:.1f} objects a keyframe"
    return [*cameras, f"segmenter busy {100 * segmentation['lane_busy']:.0f} %{objects}"]


def table_of(status: EngineStatus) -> Table:
    """The live table: one row per camera, reasons for a degraded run below."""
    from rich.table import Table

    minutes, seconds = divmod(int(status["uptime_s"]), 60)
    table = Table(
        title=f"camring · {status['run']['profile']} · {status['status']} · {minutes:d}:{seconds:02d}",
        caption="\n".join(
            [
                batches_of(status),
                *looks_of(status),
                *masks_of(status),
                *(printable(reason) for reason in status["reasons"]),
            ]
        ),
    )
    for heading in ("camera", "state", "fps in", "inferred", "out", "p50 ms", "p95 ms", "frames", "dropped"):
        table.add_column(heading, justify="left" if heading in ("camera", "state", "dropped") else "right")
    for name, camera in status["cameras"].items():
        table.add_row(
            name,
            printable(f"{camera['state']} {camera['reason']}".strip()),
            f"{camera['fps_in']:.1f}",
            f"{camera['fps_inferred']:.1f}",
            f"{camera['fps_out']:.1f}",
            milliseconds(camera["latency_ms"]["p50"]),
            milliseconds(camera["latency_ms"]["p95"]),
            str(camera["frames_in"]),
            drops_of(camera),
        )
    return table


def summary_of(status: EngineStatus, directory: str) -> str:
    """What happened, at the end: one line per camera, and where the files are."""
    lines = [f"summary after {status['uptime_s']:.1f} s: {status['status']}"]
    lines += [f"  {printable(reason)}" for reason in status["reasons"]]
    for name, camera in status["cameras"].items():
        latency = camera["latency_ms"]
        lines.append(
            f"  {name}: {camera['frames_in']} frames in, {camera['frames_processed']} processed, "
            f"{drops_of(camera)} dropped, {camera['results_out']} results written{losses_of(camera)}, "
            f"latency p50 {milliseconds(latency['p50'])} p95 {milliseconds(latency['p95'])} ms"
        )
    inference = status["inference"]
    if inference["batches"]:
        lines.append(
            f"  inference: {inference['batches']} batches, "
            f"{inference['frames'] / inference['batches']:.2f} frames each"
        )
    lines += [f"  {line}" for line in looks_of(status)]
    segmentation = status["segmentation"]
    if segmentation is not None and segmentation["keyframes"]:
        lines.append(
            f"  segmentation: {segmentation['keyframes']} keyframes, "
            f"{segmentation['rows'] / segmentation['keyframes']:.2f} objects each"
        )
    for name, head in (status["ptz"] or {}).items():
        lines.append(
            f"  head of {name}: {printable(head['state'])}, {head['counts'].get('sent', 0)} commands, "
            f"{head['counts'].get('stops', 0)} stops, moved for {head['moving_s']:.0f} s"
        )
    restarts = sum(process["restarts"] for process in status["processes"].values())
    lines.append(f"  workers restarted: {restarts}; files in {directory}")
    return "\n".join(lines)
