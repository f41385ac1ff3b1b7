"""Decode worker: one camera's pictures into its frame pool, and into GPU memory where inference can reach that.

Never waits for a reader, except in `--offline` runs, where the pool makes it wait so that no frame is lost.
Knows sources and slots. Does not know models, trackers or other cameras.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from engine import topology
from engine.errors import SourceError
from engine.metrics import RateMeter
from engine.sources.base import Picture, Source, SourceOptions, create_source
from engine.sources.poses import Poses
from engine.sources.reconnect import Reconnector, Wait
from engine.sources.timeline import GUESSED_FPS
from engine.types import FrameFlag, FrameMeta, FrameNv12, PtzPose, Surface, nv12_geometry
from engine.workers.decode_pose import HeadPose
from engine.workers.feed import Feed, Writer
from engine.workers.runtime import Context
from ipc.pool import Slot

LIVE_SURFACES = 2
"""Pictures of a live camera that are kept in GPU memory while inference has not asked for them."""


@dataclass
class Pacer:
    """Lets a file play in its own time: says when a picture is due, and starts over after a jump.

    late_limit_ns   a file that cannot keep up by more does not try to catch up
    early_limit_ns  a longer gap in the file is not waited for
    offset_ns       monotonic time minus presentation time; None before the first picture
    last_pts_ns     presentation time of the last picture, or what stands for it
    """

    late_limit_ns: int = 500_000_000
    early_limit_ns: int = 10_000_000_000
    offset_ns: int | None = None
    last_pts_ns: int = 0

    def due_ns(self, picture: Picture, now_ns: int, fps: float = 0.0) -> int:
        """Monotonic time at which this picture should appear; `fps` counts where the file has no times."""
        step_ns = round(1e9 / (fps or GUESSED_FPS))
        pts_ns = picture.pts_ns if picture.pts_ns >= 0 else self.last_pts_ns + step_ns
        self.last_pts_ns = pts_ns
        if self.offset_ns is not None and not picture.discontinuity:
            due_ns = self.offset_ns + pts_ns
            if -self.late_limit_ns <= due_ns - now_ns <= self.early_limit_ns:
                return due_ns
        self.offset_ns = now_ns - pts_ns
        return now_ns


def run(context: Context) -> None:
    """Open, publish pictures until the end or the order to stop, close."""
    camera = next(camera for camera in context.config.cameras if camera.name == context.camera)
    options = SourceOptions(
        url=camera.resolved_source(),
        loop=camera.loop,
        offline=context.config.offline,
        rtsp_transport=camera.rtsp_transport,
        timeout_s=context.config.decode.timeout_s,
        decoder_threads=context.config.decode.threads,
        backend=context.config.decode.backend,
        surfaces=context.hosted and context.config.infer.backends[0] in topology.GPU_BACKENDS,
    )

    def open_source() -> Source:
        return create_source(options)

    publisher = Publisher(context, loop=camera.loop)
    if publisher.ended:
        context.status.update(state="ended", reason="")
        return
    reconnector = Reconnector(open_source, context.clock)
    try:
        if camera.poses_path is not None:
            publisher.poses = Poses.read(Path(camera.poses_path))
        publish_all(context, publisher, reconnector, paced=not context.config.offline)
    except SourceError as error:
        context.status.update(state="failed", reason=str(error))
        # A source that never gave a picture may be taken back, and the one before it goes on.
        context.status["silent"] = bool(context.params.get("on_trial")) and not publisher.published
        if not context.status["silent"]:
            publisher.publish_end()
        raise
    finally:
        reconnector.close()
        context.surfaces.forget(context.camera)


def publish_all(context: Context, publisher: Publisher, reconnector: Reconnector, *, paced: bool) -> None:
    """The loop: grab, wait until due, write into a slot, publish."""
    pacer = Pacer()
    to_skip = publisher.next_index - context.params.get("first_frame", 0)
    while not context.stopping:
        item = reconnector.grab()
        publisher.report(reconnector)
        if isinstance(item, Wait):
            wait_until(context, item.until_ns)
            continue
        if item is None:
            publisher.publish_end()
            return
        if to_skip > 0 and publisher.resumes_file and not reconnector.live:
            to_skip -= 1
            context.tend()
            continue
        if paced and not reconnector.live:
            item = wait_for(context, item, pacer.due_ns(item, context.clock.now_ns(), reconnector.fps))
        publisher.publish(item, reconnector)
        context.tend()


def wait_for(context: Context, picture: Picture, due_ns: int) -> Picture:
    """Wait until a file's picture is due, which is when a camera would have taken it."""
    wait_until(context, due_ns)
    return replace(picture, captured_ns=context.clock.now_ns(), wall_ns=context.clock.wall_ns())


def wait_until(context: Context, due_ns: int) -> None:
    """Sleep until `due_ns` or until told to stop, tending messages meanwhile."""
    while not context.stopping and (left_ns := due_ns - context.clock.now_ns()) > 0:
        context.wait(left_ns / 1e9)


class Publisher:
    """Puts pictures into the camera's frame pool; asks for a bigger one when the picture outgrows it.

    next_index    number of the next frame; goes on where a killed predecessor stopped
    ended         a predecessor has published the end of the stream, and nothing may follow it
    resumes_file  this process replaces a killed one, so a file's first `next_index` pictures are out already
    poses         where the camera looked, by the pictures' own time; None where no file says so
    head          where its head points; None for a camera that is not steered
    published     whether this process has published anything
    """

    def __init__(self, context: Context, *, loop: bool) -> None:
        self.context = context
        self.pool_name = f"frames:{context.camera}"
        self.rate = RateMeter(context.clock)
        self.next_index: int = context.past.get(context.camera, {}).get("frame", 0)
        self.ended = self.published = False
        self.poses: Poses | None = None
        self.head: HeadPose | None = None
        if context.camera in topology.heads(context.config):
            self.head = HeadPose(context.feeds.setdefault(f"pose:{context.camera}", Feed()))
        writer = context.writers.get(self.pool_name)
        newest = writer.newest_meta() if writer else None
        if newest is not None:
            last = FrameMeta.unpack(newest)
            self.ended = bool(last.flags & FrameFlag.END_OF_STREAM)
            self.next_index = last.index + 1
        self.resumes_file = context.incarnation > 0 and not loop
        self._discontinuity = context.incarnation > 0
        context.before_status = lambda: context.status.update(fps=self.rate.per_second())

    def publish(self, picture: Picture, reconnector: Reconnector) -> None:
        """Write one picture into a slot and make it visible.

        One without pixels goes out as an empty record, which inference refuses and counts.
        """
        stride, offset_uv, slot_bytes = nv12_geometry(picture.width, picture.height)
        has_pixels = bool(picture.width and picture.height)
        claimed = self._claim(picture.width, picture.height, slot_bytes if has_pixels else 0)
        if claimed is None:
            if not has_pixels:
                self.context.log("warning", "left out a picture without pixels that came before all others")
            return
        writer, slot = claimed
        flags = FrameFlag.NONE
        if picture.discontinuity or self._discontinuity:
            flags |= FrameFlag.DISCONTINUITY
        meta = FrameMeta(
            index=self.next_index,
            captured_ns=picture.captured_ns,
            wall_ns=picture.wall_ns,
            width=picture.width,
            height=picture.height,
            stride_y=stride,
            stride_uv=stride,
            offset_uv=offset_uv,
            pts_ns=picture.pts_ns,
            matrix=picture.matrix,
            full_range=picture.full_range,
            flags=flags,
            pose=self._pose(picture),
        )
        surface = None
        if has_pixels:
            frame = FrameNv12.view(meta, slot.array())
            try:
                surface = reconnector.read_into(frame.y, frame.uv)
            except BaseException:
                writer.producer.abort(slot)
                raise
            self._discontinuity = False
            self.context.status.update(width=picture.width, height=picture.height)
        self._publish(writer, slot, meta, surface)
        self.next_index += 1
        self.rate.tick()

    def _pose(self, picture: Picture) -> PtzPose | None:
        """Where the camera looked, as the file of poses says, else the source itself, else its head's samples."""
        if self.poses is not None:
            return self.poses.at(picture.pts_ns / 1e9) if picture.pts_ns >= 0 else None
        if picture.pose is None and self.head is not None:
            return self.head.at(picture.captured_ns)
        return picture.pose

    def publish_end(self) -> None:
        """Publish the end of the stream, which travels behind the last frame through every stage."""
        claimed = self._claim(0, 0, 0)
        if claimed is None:
            return
        writer, slot = claimed
        now_ns, wall_ns = self.context.clock.now_ns(), self.context.clock.wall_ns()
        meta = FrameMeta(self.next_index, now_ns, wall_ns, 0, 0, 0, 0, 0, flags=FrameFlag.END_OF_STREAM)
        self._publish(writer, slot, meta)

    def report(self, reconnector: Reconnector) -> None:
        """Bring the camera's state into the status, and into the log when it has changed."""
        status = self.context.status
        state, reason = reconnector.state.value, reconnector.reason
        if (state, reason) != (status.get("state"), status.get("reason")):
            level = "info" if state in ("connecting", "streaming", "ended") else "warning"
            self.context.log(level, f"{state}: {reason}" if reason else state)
        status.update(state=state, reason=reason, corrupt_packets=reconnector.corrupt_packets)

    def _claim(self, width: int, height: int, slot_bytes: int) -> tuple[Writer, Slot] | None:
        """A slot that is big enough; None when told to stop before there is one."""
        context = self.context
        requested = False
        while not context.stopping:
            writer = context.writers.get(self.pool_name)
            if writer is None or writer.producer.layout.slot_bytes < slot_bytes:
                if writer is None and not slot_bytes:
                    return None
                if not requested:
                    context.send("frame-pool", camera=context.camera, width=width, height=height)
                    requested = True
            elif (slot := writer.producer.begin()) is not None:
                return writer, slot
            context.wait(0.25)
        return None

    def _publish(self, writer: Writer, slot: Slot, meta: FrameMeta, surface: Surface | None = None) -> None:
        replace(meta, published_ns=self.context.clock.now_ns()).pack_into(slot.meta)
        seq = writer.producer.publish(slot)
        self.published = True
        if surface is not None:
            # Offline every frame that is still there may be asked for; live only the newest, and the one before
            # it if that was just being leased.
            most = writer.producer.layout.slots if self.context.config.offline else LIVE_SURFACES
            self.context.surfaces.put(self.context.camera, seq, surface, most)
        writer.notify()
