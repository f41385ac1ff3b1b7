"""What reading a source costs: one thread, decoding and writing NV12 into a slot, against usual ways.

    python -m bench.sources CLIP [CLIP …] [--repeat 3] [--json FILE]

`engine` is the project's source. `planes` decodes with PyAV and copies nothing: the floor. `bgr24` is PyAV with
its conversion to BGR, `opencv` is cv2.VideoCapture with its default of BGR. CPU milliseconds a frame, the median of
interleaved repetitions; cv2 may use its own decoding threads, its CPU time holds them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np

from bench.machine import argument_parser, heading, markdown_table, write_json
from engine.sources.av import AvSource
from engine.sources.base import SourceOptions
from engine.types import FrameMeta, FrameNv12, nv12_geometry


def read_with_engine(clip: str) -> int:
    """Frames read through the project's source, each written into one slot."""
    source = AvSource(SourceOptions(clip, offline=True))
    source.open()
    frame: FrameNv12 | None = None
    count = 0
    while (picture := source.grab()) is not None:
        if frame is None or frame.y.shape != (picture.height, picture.width):
            stride, offset_uv, nbytes = nv12_geometry(picture.width, picture.height)
            meta = FrameMeta(0, 0, 0, picture.width, picture.height, stride, stride, offset_uv)
            frame = FrameNv12.view(meta, np.zeros(nbytes, np.uint8))
        source.read_into(frame.y, frame.uv)
        count += 1
    source.close()
    return count


def _read_with_av(clip: str, use: Callable[[av.VideoFrame], object]) -> int:
    with av.open(clip) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        count = 0
        for frame in container.decode(stream):
            use(frame)
            count += 1
    return count


def read_planes(clip: str) -> int:
    """Frames decoded by PyAV and left where they are."""
    return _read_with_av(clip, lambda frame: frame.planes)


def read_bgr24(clip: str) -> int:
    """Frames decoded by PyAV and converted to BGR."""
    return _read_with_av(clip, lambda frame: frame.to_ndarray(format="bgr24"))


def read_with_opencv(clip: str) -> int:
    """Frames read by cv2.VideoCapture."""
    capture = cv2.VideoCapture(clip)
    count = 0
    while capture.read()[0]:
        count += 1
    capture.release()
    return count


READERS = {
    "engine": read_with_engine,
    "planes": read_planes,
    "bgr24": read_bgr24,
    "opencv": read_with_opencv,
}


def main() -> None:
    """Measure every clip with every reader and print a table."""
    parser = argument_parser(__doc__)
    parser.add_argument("clips", nargs="+", metavar="CLIP")
    parser.add_argument("--repeat", type=int, default=3)
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    rows: list[tuple[object, ...]] = []
    for clip in asked.clips:
        cpu_ms: dict[str, list[float]] = {name: [] for name in READERS}
        for _ in range(asked.repeat):
            for name, read in READERS.items():
                start_s = time.process_time()
                count = read(clip)
                cpu_ms[name].append((time.process_time() - start_s) / count * 1e3)
        rows.append((Path(clip).name, *(f"{statistics.median(cpu_ms[name]):.2f}" for name in READERS)))
    print(heading())
    print(markdown_table(("clip", *(f"{name} ms" for name in READERS)), rows))
    write_json(asked.json, rows=rows)


if __name__ == "__main__":
    main()
