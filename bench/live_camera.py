"""A camera as its stream worker gives it, for benchmarks and tests of live video: real H.264 with a clock in it.

The top rows of each picture hold 64 blocks, a bit each, white for 1, most significant first: 32 bits of the frame's
number, 32 bits of CLOCK_MONOTONIC in ms. Whoever plays the video reads off which frame it is and how old.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.control.commands import Commands
from engine.control.video import VideoHub
from engine.outputs.encode import Encoder, EncoderSettings, PictureFormat
from engine.types import ColourMatrix, FrameMeta, FrameNv12
from engine.types.packet import Packet, PacketFlag, PacketMeta, Rendition

BITS = 64
CLOCK_ROWS = 16
LIVE = EncoderSettings(live=True)
VIDEO = (Rendition.OVERLAY, Rendition.CLEAN)


def paint_clock(y: NDArray[np.uint8], number: int, monotonic_ms: int) -> None:
    """Paint both numbers into the top rows of a luma plane, modulo 2³²."""
    value = (number & 0xFFFFFFFF) << 32 | monotonic_ms & 0xFFFFFFFF
    bits = np.array([value >> (BITS - 1 - bit) & 1 for bit in range(BITS)], np.uint8)
    row = np.repeat(bits * 219 + 16, y.shape[1] // BITS)
    y[:CLOCK_ROWS, : len(row)] = row


def read_clock(y: NDArray[np.uint8], block: int = 0) -> tuple[int, int]:
    """Number and ms of a luma (or grey) picture (height, width); `block` pixels to a bit, 0: the width over 64."""
    block = block or y.shape[1] // BITS
    quarter = max(1, block // 4)
    value = 0
    for bit in range(BITS):
        inside = y[4:12, bit * block + quarter : (bit + 1) * block - quarter]
        value = value << 1 | int(inside.mean() > 128)
    return value >> 32, value & 0xFFFFFFFF


def moving_pictures(width: int, height: int, count: int) -> list[FrameNv12]:
    """Pictures of a textured scene that moves: about as many bits as a street."""
    random = np.random.default_rng(1)
    wide = cv2.GaussianBlur(random.integers(0, 255, (height, width + 4 * count), np.uint8), (0, 0), 6)
    wide = np.clip((wide.astype(np.float32) - 127.0) * 8.0 + 127.0, 30, 220).astype(np.uint8)
    meta = FrameMeta(0, 0, 0, width, height, width, width, width * height)
    uv = np.full((height // 2, width // 2, 2), 128, np.uint8)
    return [FrameNv12(meta, np.ascontiguousarray(wide[:, 4 * n : 4 * n + width]), uv) for n in range(count)]


class LiveCamera:
    """Encodes pictures in a thread while they are wanted, and hands them to a hub; answers what the hub asks for.

    name  of the camera
    hub, commands  whose; set by `LiveCameras`
    """

    def __init__(
        self,
        name: str,
        hub: VideoHub,
        size: tuple[int, int] = (640, 360),
        fps: float = 30.0,
        settings: EncoderSettings = LIVE,
    ) -> None:
        self.name = name
        self.hub = hub
        self.fps = fps
        self.frames = 0
        self.encoding_cpu_s = 0.0
        """CPU time of the thread that paints and encodes, without what handing packets on takes."""
        self._handing_cpu_s = 0.0
        self.silent = threading.Event()
        self.settings = settings
        self._pictures = moving_pictures(*size, 60)
        self._wanted_until: dict[Rendition, float] = {}
        self._encoders: dict[Rendition, Encoder] = {}
        self._numbers = dict.fromkeys(Rendition, 0)
        self._keyframes: set[Rendition] = set()
        self._restarted = set(Rendition)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"camera {name}", daemon=True)
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join(5.0)

    def restart(self) -> None:
        """As if the worker had been killed: another encoder, numbers and times go on."""
        with self._lock:
            self._encoders.clear()
            self._restarted = set(Rendition)

    def ask(self, command: str, fields: dict[str, Any]) -> dict[str, Any]:
        """What the worker would answer."""
        self.asked.append((command, fields))
        with self._lock:
            if command == "stream-want":
                until = time.monotonic() + float(fields["ttl_s"])
                names = [Rendition[name.upper()] for name in fields["renditions"]]
                self._wanted_until.update(dict.fromkeys(names, until))
                return {
                    "renditions": {
                        name: {"running": True, "encoder": "libx264", "reason": "configured"}
                        for name in fields["renditions"]
                    }
                }
            rendition = Rendition[fields["rendition"].upper()]
            if command == "stream-keyframe":
                self._keyframes.add(rendition)
                return {}
            number = self._jpeg(rendition, self.frames, time.monotonic_ns(), fields["quality"])
            return {"number": number}

    def _run(self) -> None:
        due_s = time.monotonic()
        while not self._stopping.is_set():
            due_s += 1.0 / self.fps
            time.sleep(max(0.0, due_s - time.monotonic()))
            if not self.silent.is_set():
                self._picture(time.monotonic_ns())
                self.encoding_cpu_s = time.thread_time() - self._handing_cpu_s

    def _picture(self, captured_ns: int) -> None:
        with self._lock:
            self.frames += 1
            wanted = [each for each, until in self._wanted_until.items() if until > time.monotonic()]
            for rendition in wanted:
                if rendition in VIDEO:
                    self._video(rendition, self.frames, captured_ns)
                else:
                    self._jpeg(rendition, self.frames, captured_ns, 85)

    def _video(self, rendition: Rendition, frame: int, captured_ns: int) -> None:
        source = self._pictures[frame % len(self._pictures)]
        encoder = self._encoders.get(rendition)
        if encoder is None:
            encoder = self._encoders[rendition] = Encoder(
                PictureFormat(source.meta.width, source.meta.height, ColourMatrix.BT601, False),
                self.settings,
                self.fps,
            )
        picture = encoder.picture_of(source)
        paint_clock(picture.y, frame, captured_ns // 1_000_000)
        asked = rendition in self._keyframes
        self._keyframes.discard(rendition)
        for each in encoder.encode(picture, captured_ns, keyframe=asked):
            flags = PacketFlag.KEYFRAME if each.keyframe else PacketFlag.NONE
            self._publish(rendition, frame, each.time_ns, each.data, flags, source.meta)

    def _jpeg(self, rendition: Rendition, frame: int, captured_ns: int, quality: int) -> int:
        source = self._pictures[frame % len(self._pictures)]
        grey = source.y.copy()
        paint_clock(grey, frame, captured_ns // 1_000_000)
        data = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        return self._publish(rendition, frame, captured_ns, data, PacketFlag.KEYFRAME, source.meta)

    def _publish(
        self,
        rendition: Rendition,
        frame: int,
        captured_ns: int,
        data: bytes,
        flags: PacketFlag,
        of: FrameMeta,
    ) -> int:
        self._numbers[rendition] += 1
        if rendition in self._restarted:
            self._restarted.discard(rendition)
            flags |= PacketFlag.DISCONTINUITY
        now_ns = time.monotonic_ns()
        wall_ns = time.time_ns() - (now_ns - captured_ns)
        meta = PacketMeta(
            rendition, self._numbers[rendition], 0, 1, len(data), frame, captured_ns, wall_ns, now_ns,
            of.width, of.height, flags,
        )  # fmt: skip
        begun_s = time.thread_time()
        self.hub.publish(self.name, Packet(meta, data))
        self._handing_cpu_s += time.thread_time() - begun_s
        return self._numbers[rendition]


class LiveCameras:
    """A hub, and cameras that answer its commands."""

    def __init__(self, make: Callable[[Commands], VideoHub] = VideoHub) -> None:
        self.commands = Commands(self._take, "live")
        self.hub = make(self.commands)
        self.cameras: dict[str, LiveCamera] = {}
        self.deaf: set[str] = set()

    def add(self, name: str, **options: Any) -> LiveCamera:
        """One more camera, which runs."""
        camera = self.cameras[name] = LiveCamera(name, self.hub, **options)
        camera.start()
        return camera

    def stop(self) -> None:
        """End all of them."""
        for camera in self.cameras.values():
            camera.stop()

    def _take(self, message: dict[str, Any]) -> None:
        name = message["to"].partition(":")[2]
        if name in self.deaf:
            return
        fields = {key: value for key, value in message.items() if key not in ("id", "to", "command")}
        result = self.cameras[name].ask(message["command"], fields)
        self.commands.answered({"id": message["id"], "ok": True, "result": result})
