"""One camera's place in the inference process: from its frames to its results, in order, with every drop counted.

What happened to frames that were not processed travels in the records, so that it survives any kill. Where no
result comes for long to carry it, a record without one (`FrameFlag.NOTICE`) does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from engine import topology
from engine.batching.camera_queue import Arrival, CameraQueue, Drops, Pick
from engine.clock import Clock
from engine.config import RunConfig
from engine.metrics import RateMeter
from engine.models.base import BatchItem
from engine.types import Detections, Embeddings, FrameFlag, FrameMeta, FrameNv12, ResultMeta
from engine.workers.feed import Feed, Writer
from engine.workers.infer_calls import Answer
from engine.workers.infer_looks import NOTHING, Look, write_record
from engine.workers.runtime import Context
from engine.workers.surfaces import Surfaces
from ipc.pool import Lease

NOTICE_AFTER_NS = 500_000_000
"""Live: how long drops may stay untold while no result carries them."""
NOTICE_AFTER_FRAMES = 4
"""Offline: the same in frames. Until they are told, their slots are not free for the decoder, and a pool has more."""


@dataclass
class Job:
    """One record on its way: a frame in the detector, or the end of the stream, which has none.

    position  place of the frame in the batch's answer
    look      what of it is embedded, None while that is not decided (`engine.workers.infer_demand`)
    frame     its picture, where something of it may be embedded
    """

    meta: ResultMeta
    lease: Lease | None = None
    answer: Answer | None = None
    position: int = 0
    look: Look | None = NOTHING
    frame: FrameNv12 | None = None

    def answered(self) -> bool:
        """Whether the detections are there."""
        return self.answer is None or self.answer.done()

    def finished(self) -> bool:
        """True when there is nothing to wait for any more. The frame is given back as soon as that is so."""
        if not self.answered() or self.look is None or not self.look.done:
            return False
        self.frame = None
        if self.lease is not None:
            self.lease.release()
        return True

    def detections(self) -> Detections:
        """The answer, with embeddings once they are there. Raises what the detector raised."""
        found = Detections.empty() if self.answer is None else self.answer.result()[self.position]
        if self.look is None or self.look.embeddings is None:
            return found
        return replace(found, embeddings=self.look.embeddings)


@dataclass
class Camera:
    """Where a camera's frames come from, wait and go.

    state     what the detector keeps for this camera
    surfaces  where its frames may lie in GPU memory as well
    pending   records on their way, oldest first
    end       the end of the stream, once it is there and not on its way yet
    told      drops as of the newest record; `told_ns` is when they began to differ from those counted, 0 if not
    embeds    whether it is to be decided what of each frame is embedded
    looks_without_room   embeddings for which there was no room in the record of their frame
    """

    name: str
    clock: Clock
    feed: Feed
    writer: Writer
    rate: RateMeter
    state: object | None
    queue: CameraQueue
    surfaces: Surfaces
    restarted: bool = False
    looked_seq: int = 0
    notices: int = 0
    pending: deque[Job] = field(default_factory=deque)
    end: ResultMeta | None = None
    told: Drops = field(default_factory=Drops)
    told_ns: int = 0
    embeds: bool = False
    looks_without_room: int = 0

    def resume(self) -> None:
        """Go on behind the last record that a killed predecessor has published."""
        newest = self.writer.newest_meta()
        if newest is None:
            return
        last = ResultMeta.unpack(newest)
        self.looked_seq = self.queue.seen_seq = last.frame_seq
        self.queue.drops, self.told = drops_in(last), drops_in(last)
        self.notices = last.notices
        self.queue.ended = bool(last.flags & FrameFlag.END_OF_STREAM)

    def look(self) -> None:
        """Take notice of the frames that have come."""
        metas = self.feed.metas_after(self.looked_seq)
        if metas and self.restarted:
            self.restarted = False
            if self.queue.live:
                # Only the newest is worth starting with; the others came while nobody was there.
                metas = metas[-1:]
                self.queue.lose(metas[0][0] - 1)
        for seq, packed in metas:
            self._arrive(seq, FrameMeta.unpack(packed))
            self.looked_seq = seq

    def _arrive(self, seq: int, meta: FrameMeta) -> None:
        if meta.flags & FrameFlag.END_OF_STREAM:
            self.queue.end(seq)
            self.end = ResultMeta.of_frame(seq, meta)
        elif not meta.width or not meta.height:
            self.queue.refuse(seq)
        else:
            time_ns = meta.captured_ns if self.queue.live else meta.pts_ns
            self.queue.arrive(Arrival(seq, time_ns, meta.captured_ns, meta.published_ns))

    def lease(self, pick: Pick) -> tuple[Job, BatchItem] | None:
        """The frame that was picked; None if it has been overwritten since it was looked at."""
        lease = self.feed.lease(pick.arrival.seq)
        if lease is None:
            self.queue.gone()
            return None
        frame_meta = FrameMeta.unpack(lease.meta)
        meta = with_drops(ResultMeta.of_frame(lease.seq, frame_meta), pick.drops)
        job = Job(replace(meta, trace=replace(meta.trace, batched_ns=self.clock.now_ns())), lease)
        self.pending.append(job)
        frame = FrameNv12.view(frame_meta, lease.array())
        if (surface := self.surfaces.take(self.name, lease.seq)) is not None:
            frame = replace(frame, surface=surface)
        if self.embeds:
            job.look, job.frame = None, frame
        return job, BatchItem(frame, self.state)

    def next_unasked(self) -> Job | None:
        """The oldest frame of which it is not decided what is embedded, if its detections are there."""
        undecided = next((job for job in self.pending if job.look is None), None)
        return undecided if undecided is not None and undecided.answered() else None

    def looks_under_way(self) -> int:
        """Frames that wait for embeddings."""
        return sum(job.look is not None and not job.look.done for job in self.pending)

    def finish(self) -> bool:
        """Send the end of the stream on its way behind the last frame; whether that was now."""
        if self.end is None or self.queue.waiting:
            return False
        self.pending.append(Job(with_drops(self.end, self.queue.drops)))
        self.end = None
        return True

    def publish(self) -> int:
        """Publish what is ready, in order; stops where the reader must catch up. Returns how many records."""
        published = 0
        ready = [job.finished() for job in self.pending]
        for _ in range(ready.index(False) if False in ready else len(ready)):
            if not self._publish(self.pending[0]):
                break
            self.pending.popleft()
            published += 1
        return published + self._publish_notice()

    def _publish(self, job: Job) -> bool:
        is_frame = job.answer is not None
        trace = replace(job.meta.trace, inferred_ns=self.clock.now_ns() if is_frame else 0)
        meta = replace(job.meta, trace=trace, notices=self.notices)
        if not self._write(meta, job.detections):
            return False
        if is_frame:
            self.queue.done()
            self.rate.tick()
        return True

    def _publish_notice(self) -> bool:
        """Say what was dropped where nothing else will say it soon."""
        if self.pending or self.queue.drops == self.told or self.queue.decided_seq < 1:
            self.told_ns = 0
            return False
        now_ns = self.clock.now_ns()
        self.told_ns = self.told_ns or now_ns
        untold = self.queue.drops.total() - self.told.total()
        if now_ns - self.told_ns < NOTICE_AFTER_NS if self.queue.live else untold < NOTICE_AFTER_FRAMES:
            return False
        if self.queue.waiting or self.end is not None:
            return False
        meta = ResultMeta(self.queue.decided_seq, 0, self.clock.wall_ns(), 0, 0, flags=FrameFlag.NOTICE)
        meta = replace(with_drops(meta, self.queue.drops), notices=self.notices + 1)
        if not self._write(meta, Detections.empty):
            return False
        self.notices += 1
        return True

    def _write(self, meta: ResultMeta, detections: Callable[[], Detections]) -> bool:
        """Publish one record and let go of the frames up to its own; False where there is no slot for it."""
        slot = self.writer.producer.begin()
        if slot is None:
            return False
        found = detections()
        written, looks = write_record(found, slot.array())
        self.looks_without_room += count_of(found.embeddings) - count_of(looks)
        meta = replace(
            meta, count=written.count, mask_bytes=written.mask_bytes, masks_lost=written.masks_lost,
            embedding_count=count_of(looks), embedding_dims=looks.dims if looks is not None else 0,
        )  # fmt: skip
        meta.pack_into(slot.meta)
        self.writer.producer.publish(slot)
        self.writer.notify()
        self.feed.acknowledge(meta.frame_seq)
        self.told = drops_in(meta)
        return True


def count_of(looks: Embeddings | None) -> int:
    """How many there are."""
    return 0 if looks is None else len(looks)


def drops_in(meta: ResultMeta) -> Drops:
    """The drops that a record tells of."""
    return Drops(
        meta.dropped_superseded, meta.dropped_restart, meta.dropped_rate, meta.dropped_stale, meta.dropped_empty
    )  # fmt: skip


def with_drops(meta: ResultMeta, drops: Drops) -> ResultMeta:
    """The record, telling of these drops."""
    return replace(
        meta, dropped_superseded=drops.superseded, dropped_restart=drops.restart, dropped_rate=drops.rate,
        dropped_stale=drops.stale, dropped_empty=drops.empty,
    )  # fmt: skip


def target_fps(config: RunConfig, name: str) -> float:
    """The rate at which a camera's frames are wanted; 0: every frame."""
    own = next(camera for camera in config.cameras if camera.name == name)
    return own.infer_fps or config.infer.fps


def open_camera(context: Context, name: str, state: object | None) -> Camera:
    """Find the camera's pools and the place to go on."""
    config = context.config
    camera = Camera(
        name=name,
        clock=context.clock,
        feed=context.feeds.setdefault(f"frames:{name}", Feed()),
        writer=context.writers[f"detections:{name}"],
        rate=RateMeter(context.clock),
        state=state,
        queue=CameraQueue(
            name,
            target_fps=target_fps(config, name),
            live=not config.offline,
            most_in_flight=topology.frames_in_flight(config),
        ),
        surfaces=context.surfaces,
        restarted=context.incarnation > 0,
    )
    camera.resume()
    return camera
