"""A run of a head as pictures: where it pointed and where its target was, and how far from the centre that was.

The only file that imports matplotlib, which comes with the extra `plots`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import OutputError
from ptz.metrics import Series
from ptz.simulator.closed_loop import START_S, RunReport

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HIT, TRUTH = "#1f6feb", "#c9510c"


def write_plots(report: RunReport, folder: Path) -> list[Path]:
    """Write one PNG of a run: pan, tilt and zoom over time with the truth, and histograms of the error.

    Raises `OutputError` where matplotlib is missing or the file cannot be written.
    """
    settings, script = report.settings, report.settings.script
    profile, policy = settings.profile or script.heads[0].profile, settings.policy or script.policy
    name = f"{settings.scene}-{report.camera}-{profile}-{policy}-{settings.law}-{settings.seed}"
    if settings.video_delay_s is not None:
        name += f"-video-{settings.video_delay_s:g}s"
    file = folder / f"{name}.png"
    series = report.series
    figure = _figure()
    axes: Any = figure.subplot_mosaic([["pan", "pan"], ["tilt", "tilt"], ["zoom", "zoom"], ["x", "y"]])
    times = series.time_s - series.time_s[0] if len(series) else series.time_s
    axes["pan"].plot(times, series.target_pan_deg, color=TRUTH, label="target")
    axes["pan"].plot(times, series.pan_deg, color=HIT, label="head")
    axes["tilt"].plot(times, series.target_tilt_deg, color=TRUTH)
    axes["tilt"].plot(times, series.tilt_deg, color=HIT)
    axes["zoom"].plot(times, series.zoom, color=HIT)
    axes["pan"].legend(loc="upper right")
    for panel, unit in (("pan", "pan, °"), ("tilt", "tilt, °"), ("zoom", "zoom, ×")):
        axes[panel].set_ylabel(unit)
        _shade_out(axes[panel], times, series)
    axes["zoom"].set_xlabel("s")
    judged = series.between(START_S + settings.warm_up_s)
    for panel, offsets, size in (("x", judged.offset_x, "width"), ("y", judged.offset_y, "height")):
        known = np.clip(offsets[np.isfinite(offsets) & judged.present] * 100, -50, 50)
        axes[panel].hist(known, bins=np.linspace(-50, 50, 101), color=HIT)
        axes[panel].set_xlabel(f"off the centre, % of the {size}")
    figure.suptitle(name)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, dpi=110)
    except OSError as error:
        raise OutputError(f"{file}: the plot cannot be written: {error}") from error
    return [file]


def _shade_out(axes: Any, times: Any, series: Series) -> None:
    """Grey where somebody who was to be shown was out of the picture."""
    out = series.present & ~series.in_frame
    axes.fill_between(
        times, 0, 1, where=out, transform=axes.get_xaxis_transform(), color="#888888", alpha=0.3, linewidth=0
    )


def _figure() -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise OutputError("plots need matplotlib: pip install 'camring[plots]'") from None
    return Figure(figsize=(10, 9), layout="constrained")
