"""Real packets for the tests of publishing: a moving picture through x264, as the stream worker sends it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import PictureType

from engine.types.packet import Packet, PacketFlag, PacketMeta, Rendition
from tests.peers.media_servers import rtmp_server, rtsp_recorder, start_rtsp_recorder  # noqa: F401  # fixtures

START_NS, WALL_NS = 5_000_000_000, 1_700_000_000_000_000_000

PacketMaker = Callable[..., list[Packet]]


def encode(
    pictures: int,
    fps: float = 25.0,
    *,
    size: tuple[int, int] = (320, 240),
    keyframe_every: int = 25,
    first_number: int = 1,
    start_ns: int = START_NS,
    restarted: bool = False,
) -> list[Packet]:
    """So many pictures with a bright square that moves, one packet each."""
    width, height = size
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base = Fraction(1, 90_000)
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "forced-idr": "1"}
    encoder.thread_count = 1
    noise = np.random.default_rng(7).integers(60, 200, (64, 96), np.uint8)
    packets = []
    for index in range(pictures):
        picture = np.full((height * 3 // 2, width), 128, np.uint8)
        left = index * 4 % (width - 32)
        picture[height - 64 : height, :96] = noise  # so that a key frame needs several network packets
        picture[40:72, left : left + 32] = 235
        frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
        after_ns = round(index / fps * 1e9)
        frame.pts, frame.time_base = after_ns * 9 // 100_000, Fraction(1, 90_000)
        keyframe = index % keyframe_every == 0
        frame.pict_type = PictureType.I if keyframe else PictureType.NONE
        (encoded,) = encoder.encode(frame)
        flags = PacketFlag.KEYFRAME if keyframe else PacketFlag.NONE
        if restarted and index == 0:
            flags |= PacketFlag.DISCONTINUITY
        at_ns = start_ns + after_ns
        meta = PacketMeta(
            Rendition.OVERLAY, first_number + index, 0, 1, encoded.size, index, at_ns, WALL_NS + at_ns - START_NS,
            at_ns + 1_000_000, width, height, flags,
        )  # fmt: skip
        packets.append(Packet(meta, bytes(encoded)))
    return packets


def probe(ffprobe: str, source: Path | str) -> dict[str, str]:
    """What ffprobe finds of the video in a file or URL: codec_name, width, height, nb_read_frames."""
    entries = "stream=codec_name,width,height,nb_read_frames"
    command = [ffprobe, "-v", "error", "-count_frames", "-show_entries", entries, "-of", "json", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert done.stderr == "", done.stderr
    (stream,) = json.loads(done.stdout)["streams"]
    return {name: str(value) for name, value in stream.items()}


@pytest.fixture(scope="session")
def encoded() -> PacketMaker:
    """Makes packets; see `encode`."""
    return encode
