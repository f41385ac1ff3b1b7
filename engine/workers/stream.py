"""Stream worker: one camera's results drawn on their frames and encoded once, for files and for those who look.

results     in order, each joined to its frame                                              (results)
live video  what is wanted of them: renditions, the file, `no signal`                       (stream_live)
commands    who wants what, key frames, snapshots                                           (here)

In offline runs, where nobody can look in time and every frame counts, there is the file alone. Nothing here is ever
waited for in a live run: what this worker is too slow for is skipped and counted.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import cv2

from engine.outputs.base import Output
from engine.outputs.encode import EncoderSettings
from engine.outputs.video import VideoOutput
from engine.types import Rendition
from engine.workers.feed import Feed
from engine.workers.results import Camera, advance, open_camera, report
from engine.workers.runtime import Context
from engine.workers.stream_file import recording_settings
from engine.workers.stream_live import LiveVideo
from ipc.channel import Message

GIVES_WAY = 3
"""Niceness in live runs: half the weight of detection and tracking where the cores do not suffice for all."""
_LONGEST_WANT_S = 60.0


def run(context: Context) -> None:
    """Serve until told to stop; results once the class names are known."""
    cv2.setNumThreads(1)
    context.stop_grace_s = None  # what is in flight is still written, and files are finished
    if not context.config.offline:
        # Relative: an engine that runs nice itself may not be made less so, and its workers shall still differ.
        os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0) + GIVES_WAY)
    with ExitStack() as outputs:
        output = open_output(context)
        outputs.callback(output.close)
        if isinstance(output, LiveVideo):
            context.on_config = output.configured
        camera = open_camera(context, context.camera, output)
        context.before_status = lambda: tell(context, camera)
        context.work_through(lambda: step(context, camera))


def open_output(context: Context) -> Output:
    """The camera's video: live, or offline as well as it can be encoded. Raises `OutputError`."""
    config, name = context.config, context.camera
    if not config.offline:
        return LiveVideo(context, name, context.feeds.setdefault(f"frames:{name}", Feed()))
    settings, output = (
        EncoderSettings(config.output.encoder, config.output.preset, config.output.crf),
        config.output,
    )
    path = Path(output.directory) / f"{name}.mp4"
    return VideoOutput(
        path, settings, resume=context.goes_on(name), recording=recording_settings(output), style=output.style
    )


def step(context: Context, camera: Camera) -> bool:
    """One result, one round of commands, one look at what is due; whether there was anything."""
    live = camera.output if isinstance(camera.output, LiveVideo) else None
    busy = False
    for command in context.commands():
        obey(context, live, command)
        busy = True
    if live is not None:
        live.look_around(camera.tracks.newest_seq() - camera.last_seq - 1)
    if context.labels is not None or context.stopping:
        busy |= advance(context, camera)
    if live is not None:
        busy |= live.idle()
    return busy


def obey(context: Context, live: LiveVideo | None, command: Message) -> None:
    """Carry out one command, or answer why not."""
    kind = command["command"]
    work = {"stream-want": want, "stream-keyframe": give_keyframe, "stream-snapshot": take_snapshot}.get(kind)
    if work is None:
        context.answer(command, error=f"unknown command {kind!r}")
    elif live is None or not live.has_packets:
        error = f"{context.camera}: there is no live video in this run (stream.enabled, or it is offline)"
        context.answer(command, error=error, failure="conflict")
    else:
        work(context, live, command)


def want(context: Context, live: LiveVideo, command: Message) -> None:
    """Somebody looks at these renditions, for so long at least."""
    renditions = [rendition_of(name) for name in command.get("renditions", ())]
    ttl_s = command.get("ttl_s", 5.0)
    if not renditions or None in renditions or not 0.0 < ttl_s <= _LONGEST_WANT_S:
        error = f"`renditions` are some of {', '.join(NAMES)}, `ttl_s` is at most {_LONGEST_WANT_S:g}"
        context.answer(command, error=error)
        return
    told = {}
    for rendition in renditions:
        assert rendition is not None
        lane = live.lanes[rendition]
        lane.want(ttl_s)
        status = lane.to_status()
        # The encoder is made with the next picture: it runs, unless it is known that it cannot.
        trouble = status["trouble"]
        told[lane.name] = {
            "running": status["running"] or not trouble,
            "encoder": status["encoder"],
            "reason": trouble or status["reason"],
        }
    context.answer(command, {"renditions": told})


def give_keyframe(context: Context, live: LiveVideo, command: Message) -> None:
    """The next picture of a rendition is to be a key frame."""
    rendition = rendition_of(command.get("rendition", ""))
    if rendition not in live.video:
        context.answer(command, error="`rendition` is overlay or clean")
        return
    live.video[rendition].ask_keyframe()
    context.answer(command, {})


def take_snapshot(context: Context, live: LiveVideo, command: Message) -> None:
    """Answered with the number of a JPEG, as soon as there is one."""
    rendition, quality = rendition_of(command.get("rendition", "")), command.get("quality", 0)
    if rendition not in live.pictures or type(quality) is not int or not 0 <= quality <= 100:
        error = "`rendition` is overlay_jpeg or clean_jpeg, `quality` 1 to 100"
        context.answer(command, error=error)
        return
    live.ask_snapshot(command, rendition, quality)


NAMES = tuple(rendition.name.lower() for rendition in Rendition)


def rendition_of(name: object) -> Rendition | None:
    """The rendition of this name in lower case; None if there is none."""
    return Rendition(NAMES.index(name)) if name in NAMES else None


def tell(context: Context, camera: Camera) -> None:
    """Bring counters, troubles and latency into the status."""
    report(context, [camera])
    if isinstance(camera.output, LiveVideo):
        context.status["video"] = camera.output.report()
        context.status["degraded"] += camera.output.troubles()
