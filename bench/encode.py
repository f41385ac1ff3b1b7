"""What live video costs the processor: copying, drawing and encoding one camera of 1280 × 720 at 30 frames/s.

python -m bench.encode [--clip FILE …] [--frames 120] [--objects 10]

Each step runs alone, on one thread, and its processor time is counted (not the time that passes), so that figures hold
on a machine that does other things meanwhile; the 95th percentile is of the time that passed. A clip that is larger or
smaller is resized before. Quality is the PSNR of the luma against the frames. What several viewers cost is not here:
they share the packets.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import av
import cv2
import numpy as np

from bench.data import clip
from bench.machine import argument_parser, heading, markdown_table, write_json
from bench.overlay import scene
from engine.config import OutputConfig
from engine.outputs.base import FrameResult
from engine.outputs.encode import (
    EncodedPicture,
    Encoder,
    EncoderPicture,
    EncoderSettings,
    PictureFormat,
    choose_encoder,
    most_kbps,
    picture_of,
)
from engine.outputs.jpeg import encode_jpeg
from engine.outputs.overlay import OverlayMemory, draw_result, style_for
from engine.types import ColourMatrix, FrameMeta, FrameNv12, Tracks, nv12_geometry

T = TypeVar("T")

WIDTH, HEIGHT, FPS = 1280, 720, 30
STEP_NS = 1_000_000_000 // FPS
PRESETS = ("ultrafast", "superfast", "veryfast", "faster")
DEFAULT_PRESET = OutputConfig().preset
LIVE_KEYFRAME_S = 2.0


@dataclass
class Cost:
    """Of each frame: processor time and the time that passed, in ms."""

    cpu_ms: list[float] = field(default_factory=list)
    wall_ms: list[float] = field(default_factory=list)

    def add(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do it, and count."""
        cpu_ns, wall_ns = time.thread_time_ns(), time.perf_counter_ns()
        done = work(*arguments)
        self.cpu_ms.append((time.thread_time_ns() - cpu_ns) / 1e6)
        self.wall_ms.append((time.perf_counter_ns() - wall_ns) / 1e6)
        return done

    @property
    def mean_ms(self) -> float:
        """Processor time of a frame."""
        return statistics.fmean(self.cpu_ms)

    def figures(self) -> tuple[str, str, str]:
        """Mean, 95th percentile, and the share of one core at 30 frames/s."""
        p95_ms = float(np.percentile(self.wall_ms, 95))
        return f"{self.mean_ms:.2f}", f"{p95_ms:.2f}", f"{self.mean_ms * FPS / 10:.0f} %"


def frames_of(path: Path, count: int) -> list[FrameNv12]:
    """The first frames of a clip, at 1280 × 720."""
    stride, offset_uv, slot_bytes = nv12_geometry(WIDTH, HEIGHT)
    frames: list[FrameNv12] = []
    with av.open(str(path)) as container:
        for index, decoded in enumerate(container.decode(video=0)):
            if index == count:
                break
            small = decoded.reformat(WIDTH, HEIGHT, "nv12").to_ndarray()
            meta = FrameMeta(
                index, index * STEP_NS, index * STEP_NS, WIDTH, HEIGHT, stride, stride, offset_uv
            )
            frame = FrameNv12.view(meta, np.empty(slot_bytes, np.uint8))
            frame.y[:], frame.uv[:] = small[:HEIGHT], small[HEIGHT:].reshape(HEIGHT // 2, WIDTH // 2, 2)
            frames.append(frame)
    return frames


def result_at(whole: FrameResult, index: int) -> FrameResult:
    """The scene of the benchmark of the overlay, made for 1080p, moved and scaled to this frame."""
    scale = WIDTH / 1920
    boxes = whole.tracks.boxes_xyxy * np.float32(scale)
    boxes[:, ::2] += 20.0 * np.sin(index / 10.0)
    tracks: Tracks = replace(whole.tracks, boxes_xyxy=boxes)
    if whole.tracks.masks is not None:
        tracks = replace(tracks, masks=replace(whole.tracks.masks, rects_xyxy=boxes))
    meta = replace(whole.meta, frame_seq=index + 1, index=index, width=WIDTH, height=HEIGHT)
    return replace(whole, meta=meta, tracks=tracks)


@dataclass(frozen=True)
class Encoded:
    """What an encoder made of a clip, and what that took."""

    cost: Cost
    packets: list[EncodedPicture]

    @property
    def kbps(self) -> float:
        """Mean bit rate."""
        return sum(len(packet.data) for packet in self.packets) * 8 * FPS / len(self.packets) / 1000

    @property
    def largest_kib(self) -> float:
        """The largest packet."""
        return max(len(packet.data) for packet in self.packets) / 1024


def encode(pictures: list[EncoderPicture], settings: EncoderSettings) -> Encoded:
    """Encode all pictures, each timed by itself."""
    encoder = Encoder(PictureFormat(WIDTH, HEIGHT, ColourMatrix.BT601, False), settings, FPS)
    cost, packets = Cost(), list[EncodedPicture]()
    for index, picture in enumerate(pictures):
        packets += cost.add(encoder.encode, picture, index * STEP_NS)
    packets.extend(encoder.flush())
    return Encoded(cost, packets)


def psnr(packets: list[EncodedPicture], pictures: list[EncoderPicture]) -> float:
    """Of the luma, in dB, on average."""
    context = av.CodecContext.create("h264", "r")
    assert isinstance(context, av.VideoCodecContext)
    decoded = [frame for packet in packets for frame in context.decode(av.Packet(packet.data))]
    decoded += context.decode(None)
    values = [
        cv2.PSNR(frame.to_ndarray()[:HEIGHT], np.ascontiguousarray(picture.y))
        for frame, picture in zip(decoded, pictures, strict=True)
    ]
    return statistics.fmean(values)


def clip_rows(
    path: Path, frames: list[FrameNv12], presets: tuple[str, ...]
) -> list[tuple[tuple[object, ...], float]]:
    """A row for each preset live, and for the encoder of offline runs; with the processor time of a frame."""
    pictures = [picture_of(frame) for frame in frames]
    rows: list[tuple[tuple[object, ...], float]] = []
    for preset in presets:
        settings = EncoderSettings("libx264", preset, live=True, keyframe_s=LIVE_KEYFRAME_S)
        rows.append(encoder_row(path.stem, f"live, {preset}", settings, pictures))
    offline = EncoderSettings("libx264", "veryfast")
    rows.append(encoder_row(path.stem, "offline, veryfast", offline, pictures))
    return rows


def encoder_row(
    name: str, how: str, settings: EncoderSettings, pictures: list[EncoderPicture]
) -> tuple[tuple[object, ...], float]:
    """One line of the table."""
    done = encode(pictures, settings)
    quality = psnr(done.packets, pictures)
    row = (name, how, *done.cost.figures(), f"{done.kbps:.0f}", f"{done.largest_kib:.0f}", f"{quality:.1f}")
    return row, done.cost.mean_ms


def steps_of(frames: list[FrameNv12], objects: int) -> dict[str, Cost]:
    """Everything that is done to a frame besides encoding it."""
    steps = {name: Cost() for name in ("copy", "draw", "jpeg")}
    style, memory, whole = (
        style_for(HEIGHT, ColourMatrix.BT601, False, "full"),
        OverlayMemory(),
        scene(objects),
    )
    for index, frame in enumerate(frames):
        picture = picture_of(frame)
        result = result_at(whole, index)
        steps["copy"].add(picture_of, frame)
        steps["draw"].add(draw_result, picture.y, picture.uv, result, style, memory)
        steps["jpeg"].add(encode_jpeg, picture.y, picture.uv, ColourMatrix.BT601, False, 80)
    return steps


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument(
        "--clip", type=Path, nargs="+", default=[clip("pets09_s2l1_0001-0320"), clip("et_08_driving")]
    )
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--objects", type=int, default=10)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    print(heading())
    settings, reason = choose_encoder(EncoderSettings("auto", live=True))
    cap = most_kbps(settings, PictureFormat(WIDTH, HEIGHT, ColourMatrix.BT601, False))
    print(f"`auto` takes {settings.name} here: {reason}. Cap on the bit rate: {cap} kbit/s.\n")
    clips = {path: frames_of(path, arguments.frames) for path in arguments.clip}
    rows, encoder_ms = list[tuple[object, ...]](), dict[str, list[float]]()
    for path, frames in clips.items():
        for row, mean_ms in clip_rows(path, frames, PRESETS):
            rows.append(row)
            encoder_ms.setdefault(str(row[1]), []).append(mean_ms)
    columns = ("clip", "encoder", "CPU ms a frame", "p95 ms", "of a core at 30 fps", "kbit/s", "largest packet KiB",
               "PSNR dB")  # fmt: skip
    print(markdown_table(columns, rows), end="\n\n")
    steps = steps_of(next(iter(clips.values())), arguments.objects)
    names = {
        "copy": "copy of the frame",
        "draw": f"drawing {arguments.objects} objects with masks and trails",
        "jpeg": "JPEG",
    }
    print(markdown_table(("step", "CPU ms a frame", "p95 ms", "of a core at 30 fps"),
                         [(names[name], *cost.figures()) for name, cost in steps.items()]), end="\n\n")  # fmt: skip
    live_ms = max(encoder_ms[f"live, {DEFAULT_PRESET}"])
    copy_ms, draw_ms, jpeg_ms = (steps[name].mean_ms for name in ("copy", "draw", "jpeg"))
    sums = {
        "processed picture, for the file and any number of viewers": copy_ms + draw_ms + live_ms,
        "and the clean one for viewers that draw themselves": 2 * (copy_ms + live_ms) + draw_ms,
        "and 10 JPEGs a second": 2 * (copy_ms + live_ms) + draw_ms + jpeg_ms / 3,
        "nobody looks, no file": 0.0,
    }
    print(markdown_table(("one camera, by sums (dearest clip)", "CPU ms a frame", "of a core at 30 fps"),
                         [(name, f"{ms:.1f}", f"{ms * FPS / 10:.0f} %") for name, ms in sums.items()]))  # fmt: skip
    write_json(
        arguments.json, encoder_ms=encoder_ms, sums_ms=sums, copy_ms=copy_ms, draw_ms=draw_ms, jpeg_ms=jpeg_ms
    )


if __name__ == "__main__":
    main()
