"""Record worker: the results of all cameras, drawn on their frames, as one video (`output.record`).

Nothing here is ever waited for in a live run: what this worker is too slow for is skipped and counted.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from pathlib import Path

import cv2

from engine.config import RunConfig
from engine.outputs.base import FrameResult, Output
from engine.outputs.encode import EncoderSettings, picture_of
from engine.outputs.mosaic import Tile
from engine.outputs.mosaic_file import MosaicFile
from engine.outputs.overlay import OverlayMemory, draw_result, style_for
from engine.outputs.video import Timeline
from engine.types import FrameNv12
from engine.workers.results import Camera, advance, open_camera, report
from engine.workers.runtime import Context

GIVES_WAY = 3
"""Niceness in live runs, as of those who draw for viewers."""


class CameraTile(Output):
    """Draws one camera's results and hands them to the file that is common to all."""

    needs_frame = True

    def __init__(self, context: Context, name: str, file: MosaicFile) -> None:
        self._name, self._file, self._offline = name, file, context.config.offline
        self._style = context.config.output.style
        self._memory = OverlayMemory(known=not context.goes_on(name))
        self._timeline = Timeline()

    def write(self, result: FrameResult, frame: FrameNv12 | None = None) -> None:
        """Draw one frame. Raises `OutputError`."""
        assert frame is not None
        meta, picture = frame.meta, picture_of(frame)
        style = style_for(meta.height, meta.matrix, meta.full_range, self._style)
        draw_result(picture.y, picture.uv, result, style, self._memory)
        # Offline all cameras begin together; live they have a clock in common.
        time_ns = self._timeline.advance(meta) if self._offline else meta.captured_ns
        self._file.put(self._name, time_ns, Tile(picture.y, picture.uv, meta.matrix, meta.full_range))

    def miss(self, result: FrameResult) -> None:
        """There is nothing to draw on; what the result says still counts for later frames."""
        self._memory.take(result)

    def close(self) -> None:
        """The camera has ended."""
        self._file.end(self._name)


def run(context: Context) -> None:
    """Wait for the class names, then draw each camera's results until told to stop."""
    cv2.setNumThreads(1)
    context.stop_grace_s = None  # what is in flight is still written, and the file is finished
    if not context.config.offline:
        with suppress(PermissionError):
            os.nice(GIVES_WAY)
    with ExitStack() as outputs:
        file = open_file(context)
        outputs.callback(file.close)
        context.log("info", f"{context.config.output.record} by {file.settings.name}: {file.reason}")
        cameras = [_camera(context, each.name, file) for each in context.config.cameras]
        context.before_status = lambda: tell(context, cameras, file)
        context.on_config = lambda before, after: follow(context, cameras, file, after)
        while context.labels is None and not context.stopping:
            context.wait(0.25)
        context.work_through(lambda: any([advance(context, camera) for camera in cameras]))
        file.close()
        pictures, missing = file.recording.frames, sum(each.dropped["frame_gone"] for each in cameras)
        gone = f", {missing} results came too late to be drawn on their frames" if missing else ""
        context.log("info", f"{context.config.output.record}: {pictures} pictures{gone}")


def open_file(context: Context) -> MosaicFile:
    """The file of the run, or its next part after a killed predecessor. Raises `OutputError`."""
    output, names = context.config.output, [camera.name for camera in context.config.cameras]
    settings = EncoderSettings(output.encoder, output.preset, output.crf)
    return MosaicFile(Path(output.record).expanduser(), names, settings, resume=context.incarnation > 0)


def follow(context: Context, cameras: list[Camera], file: MosaicFile, after: RunConfig) -> None:
    """Cameras have come or gone: the grid changes with them. Raises `OutputError`."""
    names = [camera.name for camera in after.cameras]
    there = {camera.name: camera for camera in cameras}
    if set(names) != set(there):
        file.follow(names)
        cameras[:] = [there.get(name) or _camera(context, name, file) for name in names]


def tell(context: Context, cameras: list[Camera], file: MosaicFile) -> None:
    """Bring counters and troubles into the status."""
    report(context, cameras)
    path = file.recording.path
    context.status["record"] = {
        "file": "" if path is None else str(path),
        "pictures": file.recording.frames,
        "lost": file.recording.lost,
    }


def _camera(context: Context, name: str, file: MosaicFile) -> Camera:
    return open_camera(context, name, CameraTile(context, name, file))
