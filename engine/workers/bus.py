"""Bus worker: what is known of every camera goes to message brokers.

records   results of all cameras, each made into messages once               (here)
brokers   one delivery each, in a thread with an event loop                  (bus_deliveries.py)

Nobody waits for this worker, and it waits for no broker. Records that it could not read in time are counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

import orjson

from engine import topology
from engine.bus.home_assistant import HomeCamera
from engine.bus.state import CameraState
from engine.bus.topics import EVENTS, RESULTS, SNAPSHOT, STATE
from engine.config import CameraConfig, RunConfig
from engine.config.bus import OFF
from engine.outputs.events import event_messages
from engine.outputs.jsonl import frame_record
from engine.types import FrameFlag, ResultMeta
from engine.workers.bus_deliveries import Deliveries
from engine.workers.feed import Feed
from engine.workers.results import result_in
from engine.workers.runtime import Context
from ipc.pool import Lease

SNAPSHOT_PAUSE_S = 10.0
"""Least time between two pictures of a camera that Home Assistant is told of."""
SNAPSHOT_EVENTS = frozenset({"appeared", "crossed", "entered", "fast", "grouped"})
RECORDS_AT_ONCE = 16
"""Records of one camera that are read before it is the next one's turn."""


@dataclass
class Camera:
    """Where a camera's records have been read up to, and what is known of it.

    last_index  number of the frame of the newest record, -1 before the first
    lost        records that were overwritten before they could be read
    shown_s     when Home Assistant was last told of a new picture
    """

    config: CameraConfig
    feed: Feed
    state: CameraState
    last_seq: int = 0
    last_index: int = -1
    lost: int = 0
    shown_s: float | None = None


class Reader:
    """Reads all cameras for the brokers. Belongs to the worker's thread."""

    def __init__(self, context: Context, deliveries: Deliveries) -> None:
        self._context = context
        self._deliveries = deliveries
        self._status_seq = 0
        self.cameras: dict[str, Camera] = {}
        lost = context.before.get("bus", {}).get("lost", {})
        for camera in context.config.cameras:
            self.cameras[camera.name] = self._open(camera)
            self.cameras[camera.name].lost = lost.get(camera.name, 0)
        self._introduce()

    def take_over(self, before: RunConfig, after: RunConfig) -> None:
        """Cameras have come, gone or changed."""
        known = self.cameras
        self.cameras = {}
        for camera in after.cameras:
            old = known.get(camera.name)
            self.cameras[camera.name] = self._open(camera) if old is None else old
            if old is not None and old.config != camera:
                old.config, old.state = camera, self._state_of(camera)
        self._introduce()

    def step(self) -> bool:
        """Read what is there, send what is due. Whether there was anything to read."""
        self._read_status()
        busy = any([self._advance(camera) for camera in self.cameras.values()])
        self._say_states()
        return busy

    def _open(self, config: CameraConfig) -> Camera:
        feed = self._context.feeds[topology.pool_of_outputs(self._context.config, config.name)]
        # A predecessor that died has read so far.
        return Camera(config, feed, self._state_of(config), last_seq=feed.acknowledged())

    def _state_of(self, camera: CameraConfig) -> CameraState:
        config = self._context.config
        return CameraState(camera.name, camera.zones, config.events.classes, config.bus.state_s)

    def _introduce(self) -> None:
        cameras = [camera.config for camera in self.cameras.values()]
        self._deliveries.introduce(
            [HomeCamera(camera.name, tuple(zone.name for zone in camera.zones)) for camera in cameras]
        )

    def _advance(self, camera: Camera) -> bool:
        """Read some records of a camera. Whether there was any, and it is known what its classes mean."""
        for count in range(RECORDS_AT_ONCE):
            lease = camera.feed.lease_next(camera.last_seq) if self._context.labels is not None else None
            if lease is None:
                return count > 0
            with lease:
                self._read(camera, lease)
            camera.lost += lease.gap
            camera.last_seq = lease.seq
            camera.feed.acknowledge(lease.seq)
        return True

    def _read(self, camera: Camera, lease: Lease) -> None:
        """Make a record and its events into messages."""
        meta = ResultMeta.unpack(lease.meta)
        if meta.flags & (FrameFlag.END_OF_STREAM | FrameFlag.NOTICE):
            return
        config = self._context.config
        wants_records = config.bus.records == "results"
        before = camera.last_index if camera.last_index >= 0 else meta.index - 1
        result = result_in(self._context, camera.config.name, meta, lease, before)
        record = frame_record(result, config.output.masks if wants_records else "none")
        events = event_messages(result)
        camera.last_index = meta.index
        camera.state.observe(record, (meta.width, meta.height))
        if wants_records:
            self._deliveries.put(RESULTS, camera.config.name, orjson.dumps(record))
        for event in events:
            self._deliveries.put(EVENTS, camera.config.name, orjson.dumps(event), lasting=True)
        if any(event["kind"] in SNAPSHOT_EVENTS for event in events):
            self._show(camera)

    def _show(self, camera: Camera) -> None:
        """Tell where there is a new picture of the camera, if that is wanted and not too often."""
        base, now_s = self._context.config.bus.snapshot_url, self._context.clock.now_ns() / 1e9
        if base == OFF or (camera.shown_s is not None and now_s - camera.shown_s < SNAPSHOT_PAUSE_S):
            return
        camera.shown_s = now_s
        # Another address each time, or the old picture would be shown again.
        stamp = self._context.clock.wall_ns() // 10**6
        url = f"{base.rstrip('/')}/snapshot/{quote(camera.config.name, safe='')}.jpg?view=overlay&t={stamp}"
        self._deliveries.put(SNAPSHOT, camera.config.name, url.encode(), retain=True)

    def _read_status(self) -> None:
        """Take what the supervisor publishes of the run."""
        feed = self._context.feeds.get("run-status")
        lease = feed.lease_newest(self._status_seq) if feed is not None else None
        if lease is None:
            return
        with lease:
            self._status_seq = lease.seq
            told = orjson.loads(lease.data[: int.from_bytes(lease.meta[:4], "little")])
        for name, camera in self.cameras.items():
            if name in told["cameras"]:
                camera.state.note(told["cameras"][name])
                if camera.shown_s is None and told["cameras"][name]["state"] == "streaming":
                    self._show(camera)

    def _say_states(self) -> None:
        clock = self._context.clock
        now_s = clock.now_ns() / 1e9
        for name, camera in self.cameras.items():
            if camera.state.due(now_s):
                document = camera.state.say(now_s, clock.wall_ns() / 1e9)
                self._deliveries.put(STATE, name, orjson.dumps(document), retain=True)


def run(context: Context) -> None:
    """Hand on what is read until told to stop; then brokers have a moment for what is left."""
    deliveries = Deliveries(context.config.bus, context.clock)
    reader = Reader(context, deliveries)
    context.on_config = reader.take_over
    context.before_status = lambda: report(context, deliveries, reader)
    deliveries.start()
    try:
        context.work_through(reader.step)
    finally:
        deliveries.stop()
        report(context, deliveries, reader)


def report(context: Context, deliveries: Deliveries, reader: Reader) -> None:
    """Bring brokers and losses into the status; log once what has changed."""
    brokers = deliveries.statuses()
    context.status["bus"] = {
        "brokers": brokers,
        "lost": {name: camera.lost for name, camera in reader.cameras.items()},
    }
    context.status["degraded"] = [f"bus {told['reason']}" for told in brokers.values() if told["reason"]]
    for broker in deliveries.brokers:
        told = brokers[broker.address.shown]
        now = (told["state"] if told["state"] == "connected" else "", told["reason"])
        if now == broker.reported:
            continue
        broker.reported = now
        if told["reason"]:
            context.log("warning", f"{told['reason']}; tried again")
        elif told["state"] == "connected":
            context.log("info", f"{broker.address.shown}: connected")
