"""Output worker: every camera's results as JSON lines, in order, and the latency at the end of the pipeline."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import cv2

from engine.errors import OutputError
from engine.outputs.base import NoOutput, Output
from engine.outputs.jsonl import JsonlOutput
from engine.outputs.mask_files import MaskFiles, WithMaskFiles
from engine.workers.results import (
    RETRY_INTERVAL_S,
    Camera,
    advance,
    report,
    result_in,
)
from engine.workers.results import open_camera as open_results
from engine.workers.runtime import Context

__all__ = [
    "RETRY_INTERVAL_S",
    "Camera",
    "advance",
    "open_camera",
    "open_output",
    "report",
    "result_in",
    "run",
]


def run(context: Context) -> None:
    """Wait for the class names, then write each camera's results in order until told to stop."""
    cv2.setNumThreads(1)
    context.stop_grace_s = None  # what is in flight is still written, and files are finished
    with ExitStack() as outputs:
        cameras: list[Camera] = []
        outputs.callback(lambda: close_all(cameras))
        for name in (camera.name for camera in context.config.cameras):
            cameras.append(open_camera(context, name))
        context.before_status = lambda: report_everything(context, cameras)
        context.on_config = lambda before, after: follow(context, cameras)
        while context.labels is None and not context.stopping:
            context.wait(0.25)
        context.work_through(lambda: any([advance(context, camera) for camera in cameras]))


def report_everything(context: Context, cameras: list[Camera]) -> None:
    """Bring lines and masks into the status."""
    report(context, cameras)
    report_mask_files(context, cameras)


def follow(context: Context, cameras: list[Camera]) -> None:
    """Cameras have come or gone: files of the new ones are opened, what is left of the others is written.

    Raises `OutputError` for a file that cannot be opened, and changes nothing then.
    """
    names, there = [camera.name for camera in context.config.cameras], {camera.name for camera in cameras}
    opened: list[Camera] = []
    try:
        for name in names:
            if name not in there:
                opened.append(open_camera(context, name))
    except OutputError:
        close_all(opened)
        raise
    gone = [camera for camera in cameras if camera.name not in names]
    cameras[:] = [camera for camera in cameras if camera.name in names] + opened
    for camera in gone:
        while context.labels is not None and advance(context, camera):
            pass
        try:
            camera.output.close()
        except OutputError as error:
            context.log("error", f"{camera.name}: {error}")


def close_all(cameras: list[Camera]) -> None:
    """Close every output, also where one of them cannot be closed."""
    with ExitStack() as outputs:
        for camera in cameras:
            outputs.callback(camera.output.close)


def open_camera(context: Context, name: str) -> Camera:
    """Open the camera's lines and go on behind what a killed predecessor has written. Raises `OutputError`."""
    output = open_output(context, name)
    lines = output.output if isinstance(output, WithMaskFiles) else output
    return open_results(context, name, output, lines.last_frame if isinstance(lines, JsonlOutput) else -1)


def open_output(context: Context, name: str) -> Output:
    """The camera's JSON lines, or nothing; its masks beside them where that is asked for. Raises `OutputError`."""
    settings, folder = context.config.output, Path(context.config.output.directory)
    resume = context.goes_on(name)
    files: MaskFiles | None = None
    if settings.save_masks != "off":
        wait = context.config.offline
        files = MaskFiles(folder / "masks" / name, settings.save_masks, wait=wait, resume=resume)
        told = context.before.get("cameras", {}).get(name, {}).get("mask_files", {})
        files.dropped.update(told.get("dropped", {}))
        files.written = told.get("written", 0)
    lines: Output = NoOutput()
    if settings.jsonl:
        lines = JsonlOutput(folder / f"{name}.jsonl", resume=resume, masks=settings.masks)
    return lines if files is None else WithMaskFiles(lines, files)


def report_mask_files(context: Context, cameras: list[Camera]) -> None:
    """Add what has become of masks on disk to the status; after `report`."""
    for camera in cameras:
        if isinstance(camera.output, WithMaskFiles):
            files = camera.output.files
            told = {"written": files.written, "dropped": dict(files.dropped)}
            context.status["cameras"][camera.name]["mask_files"] = told
            if files.trouble:
                context.status["degraded"].append(f"{camera.name}: {files.trouble}")
