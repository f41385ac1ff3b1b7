"""One camera's video while people may watch: what is wanted is drawn and encoded once, for the file and all viewers.

The file gets every picture that it can; viewers get the newest where this worker falls behind. A file that cannot be
written costs viewers nothing, and the other way round. While no result comes, viewers are shown `no signal`.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.config import RunConfig
from engine.errors import OutputError
from engine.metrics import LatencyHistogram
from engine.outputs.base import FrameResult, Output
from engine.outputs.encode import (
    EncoderPicture,
    EncoderSettings,
    PictureFormat,
    choose_encoder,
    picture_of,
)
from engine.outputs.no_signal import SLATE_SIZE, draw_no_signal, slate, words_of
from engine.outputs.overlay import OverlayMemory, draw_result, style_for
from engine.topology import has_live_video
from engine.types import ColourMatrix, FrameFlag, FrameMeta, FrameNv12, Rendition
from engine.workers.feed import Feed
from engine.workers.packets import PacketWriter
from engine.workers.runtime import Context
from engine.workers.stream_file import RecordedFile, recording_settings
from engine.workers.stream_rendition import PictureRendition, PictureTimes, VideoRendition
from ipc.channel import Message

BEHIND = 2
"""Results that may wait while viewers are still served; the frames of older ones are soon gone."""
KEYFRAME_S = 2.0
NO_SIGNAL_INTERVAL_S = 0.5
SNAPSHOT_PATIENCE_S = 1.0
"""How long a snapshot waits for the next result before it says that there is none."""
_USUAL_FRAMES_MISSED = 2.5


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A picture that somebody has asked for."""

    command: Message
    rendition: Rendition
    quality: int
    asked_ns: int


def encoder_settings(config: RunConfig) -> EncoderSettings:
    """How to encode: at once where somebody may watch, else as well as it can be done."""
    output = config.output
    live = has_live_video(config)
    settings = EncoderSettings(output.encoder, output.preset, output.crf, live=live)
    if not live:
        return settings
    return EncoderSettings(
        output.encoder, output.preset, output.crf, KEYFRAME_S, live=True, max_kbps=config.stream.max_kbps
    )


def silence_s(config: RunConfig, camera: str) -> float:
    """Silence after which viewers are told; a camera that is looked at rarely is silent in between."""
    own = next((each.infer_fps for each in config.cameras if each.name == camera), 0.0)
    fps = own or config.infer.fps
    return max(config.stream.no_signal_s, _USUAL_FRAMES_MISSED / fps if fps else 0.0)


def regions_of(config: RunConfig, camera: str) -> tuple[object, ...]:
    """Zones and lines of a camera."""
    return tuple((each.zones, each.lines) for each in config.cameras if each.name == camera)


class LiveVideo(Output):
    """What becomes of one camera's results. `look_around` comes before each of them."""

    def __init__(self, context: Context, name: str, frames: Feed) -> None:
        """Choose the encoder and prepare the file. Raises `OutputError`."""
        config, told = context.config, context.before.get("video", {})
        self._context, self._name, self._frames, self._clock = context, name, frames, context.clock
        self._memory = OverlayMemory(known=not context.goes_on(name))
        self._draw = LatencyHistogram.from_dict(told["draw"]) if "draw" in told else LatencyHistogram()
        self._open_renditions(told.get("renditions", {}))
        self._file: RecordedFile | None = None
        if config.output.overlay:
            path = Path(config.output.directory) / f"{name}.mp4"
            settings, before = recording_settings(config.output), told.get("recording", {})
            self._file = RecordedFile(path, settings, context.goes_on(name), self._clock, before)
        self._snapshots: list[Snapshot] = []
        self._catching_up = False
        self._heard_ns, self._heard_wall_ns = self._clock.now_ns(), 0
        self._slate_at_ns = 0
        self._silent = False
        self._size_wh = SLATE_SIZE

    def _open_renditions(self, told: dict[str, Any]) -> None:
        config, clock = self._context.config, self._clock
        writer = self._context.writers.get(f"packets:{self._name}")
        numbers = {name: each.get("number", 0) for name, each in told.items()}
        packets = PacketWriter(writer, numbers) if writer is not None else None
        asked_for = encoder_settings(config)
        settings, reason = choose_encoder(asked_for)
        self._context.log("info", f"video by {settings.name}: {reason}")
        self.video = {
            each: VideoRendition(each, packets, clock, told.get(each.name.lower(), {}))
            for each in (Rendition.OVERLAY, Rendition.CLEAN)
        }
        for video in self.video.values():
            video.configure(settings, reason, asked_for.name)
        self.pictures = {
            each: PictureRendition(each, packets, clock, told.get(each.name.lower(), {}))
            for each in (Rendition.OVERLAY_JPEG, Rendition.CLEAN_JPEG)
        }
        for pictures in self.pictures.values():
            pictures.most_fps, pictures.quality = config.stream.jpeg_fps, config.stream.jpeg_quality
        self.lanes = {**self.video, **self.pictures}
        self.has_packets = packets is not None
        if config.stream.publish and self.has_packets:
            self.lanes[Rendition[config.stream.view.upper()]].for_good = True

    def configured(self, before: RunConfig, after: RunConfig) -> None:
        """The camera has changed: counts at other zones and lines begin anew."""
        if regions_of(before, self._name) != regions_of(after, self._name):
            self._memory = OverlayMemory(known=False)

    def look_around(self, waiting: int) -> None:
        """Before each result: what is wanted now, and whether viewers go on with the newest; so many results wait."""
        self._catching_up = waiting > (0 if self._catching_up else BEHIND)
        watched = not self._catching_up and bool(self._viewers())
        self.needs_frame = self._records or watched or bool(self._snapshots)

    def write(self, result: FrameResult, frame: FrameNv12 | None = None) -> None:
        """Draw, encode, publish and record one result, as far as it is wanted. Troubles are counted, not raised."""
        self._heard_ns, self._heard_wall_ns = self._clock.now_ns(), self._clock.wall_ns()
        self._silent = False
        self._memory.take(result)
        if self._catching_up:
            for lane in self.lanes.values():
                if lane.live and not (lane.rendition is Rendition.OVERLAY and self._records):
                    lane.drop("encoder_behind")
        if self._file is not None and not self._file.ready:
            self._file.miss()
        if frame is None:
            return
        meta, picture_format = frame.meta, PictureFormat.of(frame)
        self._size_wh = meta.width, meta.height
        times = PictureTimes(meta.index, meta.captured_ns, meta.wall_ns)
        snapshots, self._snapshots = self._snapshots, []
        wanted = self._wanted() | {each.rendition for each in snapshots}
        clean = picture_of(frame) if wanted & {Rendition.CLEAN, Rendition.CLEAN_JPEG} else None
        drawn = self._drawn(result, frame) if wanted & {Rendition.OVERLAY, Rendition.OVERLAY_JPEG} else None
        for rendition in sorted(self._wanted()):
            picture = drawn if rendition in (Rendition.OVERLAY, Rendition.OVERLAY_JPEG) else clean
            assert picture is not None
            self._encode(rendition, picture, picture_format, times, meta)
        for snapshot in snapshots:
            picture = drawn if snapshot.rendition is Rendition.OVERLAY_JPEG else clean
            assert picture is not None
            self._answer(snapshot, picture, picture_format, times)

    def miss(self, result: FrameResult) -> None:
        """The frame of a result was gone before it could be drawn on."""
        self._memory.take(result)
        self._heard_ns, self._heard_wall_ns = self._clock.now_ns(), self._clock.wall_ns()
        for lane in self.lanes.values():
            if lane.live:
                lane.drop("frame_gone")

    def idle(self) -> bool:
        """What is to be done while no result comes; whether that was anything."""
        now_ns = self._clock.now_ns()
        for rendition, lane in self.video.items():
            if not lane.live:
                lane.unwatched(keep_encoder=rendition is Rendition.OVERLAY and self._file is not None)
        if self._file is not None:
            self._file.recording.tidy()
        silent_s = (now_ns - self._heard_ns) / 1e9
        impatient = any(now_ns - each.asked_ns > SNAPSHOT_PATIENCE_S * 1e9 for each in self._snapshots)
        silent = silent_s > silence_s(self._context.config, self._name)
        self._silent = silent
        if silent and (self._snapshots or self._viewers()) and now_ns >= self._slate_at_ns:
            self._slate_at_ns = now_ns + round(NO_SIGNAL_INTERVAL_S * 1e9)
            self._show_no_signal()
            return True
        if impatient:
            self._show_no_signal(viewers=False)
        return impatient

    def ask_snapshot(self, command: Message, rendition: Rendition, quality: int) -> None:
        """Answer with the number of a JPEG, made from the next result, or from the picture of no signal."""
        self._snapshots.append(Snapshot(command, rendition, quality, self._clock.now_ns()))

    def close(self) -> None:
        """Finish the file. Viewers are still served."""
        if self._file is not None:
            self._file.write(self.video[Rendition.OVERLAY].finish())
            self._file.close()

    def report(self) -> dict[str, Any]:
        """Everything for the status, from which a successor goes on."""
        return {
            "no_signal": self._silent,
            "draw": self._draw.to_dict(),
            "renditions": {lane.name: lane.to_status() for lane in self.lanes.values()},
            "recording": self._file.to_status() if self._file is not None else {"state": "off"},
        }

    def troubles(self) -> list[str]:
        """What is wrong at present, in lines for /health."""
        found = [self._file.trouble] if self._file is not None else []
        found += [f"{lane.name}: {lane.trouble}" for lane in self.video.values() if lane.trouble]
        return [f"{self._name}: {each}" for each in found if each]

    @property
    def _records(self) -> bool:
        return self._file is not None and self._file.ready

    def _viewers(self) -> list[Rendition]:
        return [rendition for rendition, lane in self.lanes.items() if lane.live]

    def _wanted(self) -> set[Rendition]:
        """What is made of the next picture."""
        wanted = {Rendition.OVERLAY} if self._records else set()
        if self._catching_up:
            return wanted
        wanted |= {rendition for rendition, lane in self.video.items() if lane.live}
        return wanted | {rendition for rendition, lane in self.pictures.items() if lane.due}

    def _drawn(self, result: FrameResult, frame: FrameNv12) -> EncoderPicture:
        began_ns = self._clock.now_ns()
        picture, meta = picture_of(frame), frame.meta
        style = style_for(meta.height, meta.matrix, meta.full_range, self._context.config.output.style)
        draw_result(picture.y, picture.uv, result, style, self._memory)
        self._draw.add((self._clock.now_ns() - began_ns) / 1e6)
        return picture

    def _encode(
        self,
        rendition: Rendition,
        picture: EncoderPicture,
        picture_format: PictureFormat,
        times: PictureTimes,
        meta: FrameMeta | None,
    ) -> None:
        """Into one rendition, and into the file if it is the file's; pictures without `meta` never are."""
        if rendition in self.pictures:
            self.pictures[rendition].encode_picture(picture, picture_format, times)
            return
        file = self._file if rendition is Rendition.OVERLAY and self._records else None
        keyframe = False
        if file is not None and meta is not None:
            shown_ns, keyframe = file.place(picture_format, meta)
            times = PictureTimes(times.frame_index, times.captured_ns, times.wall_ns, shown_ns)
        packets = self.video[rendition].encode_picture(picture, picture_format, times, keyframe)
        if file is not None:
            file.write(packets)
            if meta is not None and self.video[rendition].trouble:
                file.miss("encoder_failed")

    def _answer(
        self, snapshot: Snapshot, picture: EncoderPicture, picture_format: PictureFormat, times: PictureTimes
    ) -> None:
        error = "the picture is larger than the room for packets; raise stream.packet_slot_kib"
        number = 0
        try:
            lane = self.pictures[snapshot.rendition]
            number = lane.encode_picture(picture, picture_format, times, snapshot.quality)
        except OutputError as refused:
            error = str(refused)
        if number:
            self._context.answer(snapshot.command, {"number": number})
        else:
            self._context.answer(snapshot.command, error=error, failure="unavailable")

    def _show_no_signal(self, viewers: bool = True) -> None:
        """Into everything that is watched, and for snapshots that wait; never into the file."""
        now_ns, wall_ns = self._clock.now_ns(), self._clock.wall_ns()
        times = PictureTimes(-1, now_ns, wall_ns, no_signal=True)
        with ExitStack() as leases:
            frame = self._last_picture(leases) or slate(*self._size_wh, now_ns, wall_ns)
            picture, meta, picture_format = picture_of(frame), frame.meta, PictureFormat.of(frame)
        frames_come = now_ns - meta.published_ns < self._context.config.stream.no_signal_s * 1e9
        lines = words_of(self._name, self._heard_wall_ns, frames_come=frames_come)
        draw_no_signal(picture.y, picture.uv, meta, lines)
        for rendition in sorted(self._viewers()) if viewers else ():
            self._encode(rendition, picture, picture_format, times, None)
        snapshots, self._snapshots = self._snapshots, []
        for snapshot in snapshots:
            self._answer(snapshot, picture, picture_format, times)

    def _last_picture(self, leases: ExitStack) -> FrameNv12 | None:
        """The newest frame with a picture that is still there; none where persons are to be hidden."""
        style = self._context.config.output.style
        if style_for(SLATE_SIZE[1], ColourMatrix.BT601, False, style).look.hide:
            return None
        for seq, block in reversed(self._frames.metas_after(0)):
            meta = FrameMeta.unpack(block)
            if meta.width and not meta.flags & FrameFlag.END_OF_STREAM and (lease := self._frames.lease(seq)):
                leases.enter_context(lease)
                return FrameNv12.view(FrameMeta.unpack(lease.meta), lease.array())
        return None
