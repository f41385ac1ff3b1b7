"""A run of a head as pictures: where it pointed and where its target was, and how far from the centre that was.

The only file that imports matplotlib, which comes with the extra `plots`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import OutputError
from ptz.metrics import Series

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HIT, TRUTH = "#1f6feb", "#c9510c"


def plot_run(series: Series, title: str, file: Path, judged_from_s: float = 0.0) -> None:
    """Write one PNG: pan, tilt and zoom over time with the truth, and histograms of the distance from the centre.

    Raises `OutputError` where matplotlib is missing or the file cannot be written.
    """
    figure = _figure()
    axes: Any = figure.subplot_mosaic([["pan", "pan"], ["tilt", "tilt"], ["zoom", "zoom"], ["x", "y"]])
    times = series.time_s - series.time_s[0] if len(series) else series.time_s
    axes["pan"].plot(times, series.target_pan_deg, color=TRUTH, label="target")
    axes["pan"].plot(times, series.pan_deg, color=HIT, label="head")
    axes["tilt"].plot(times, series.target_tilt_deg, color=TRUTH)
    axes["tilt"].plot(times, series.tilt_deg, color=HIT)
    axes["zoom"].plot(times, series.zoom, color=HIT)
    axes["pan"].legend(loc="upper right")
    for name, unit in (("pan", "pan, °"), ("tilt", "tilt, °"), ("zoom", "zoom, ×")):
        axes[name].set_ylabel(unit)
        _shade_out(axes[name], times, series)
    axes["zoom"].set_xlabel("s")
    judged = series.between(judged_from_s)
    for name, offsets, size in (("x", judged.offset_x, "width"), ("y", judged.offset_y, "height")):
        known = np.clip(offsets[np.isfinite(offsets) & judged.present] * 100, -50, 50)
        axes[name].hist(known, bins=np.linspace(-50, 50, 101), color=HIT)
        axes[name].set_xlabel(f"off the centre, % of the {size}")
    figure.suptitle(title)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, dpi=110)
    except OSError as error:
        raise OutputError(f"{file}: the plot cannot be written: {error}") from error


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
