"""Results for the control worker's clients: read in a thread of its own, made into JSON for those who listen.

Events are read also while nobody does: the newest ones are kept. Nobody waits for this reader. It gives every slot back
at once, and says how many records it could not read.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import orjson

from engine.config import RunConfig
from engine.control.stream import Streams
from engine.outputs.events import event_messages
from engine.outputs.jsonl import frame_record
from engine.topology import pool_of_outputs
from engine.types import FrameFlag, ResultMeta
from engine.workers.control_wake import WakeEnd
from engine.workers.results import result_in
from engine.workers.runtime import STATUS_INTERVAL_S, Context
from ipc.pool import Lease


@dataclass
class _Place:
    """Where a camera's records have been read up to; before the first one of its kind nothing is missed."""

    last_seq: int = 0
    last_index: int = -1


class StreamReader:
    """Reads every camera's results for `streams`. `run` belongs to a thread; the rest may be called by any."""

    def __init__(self, context: Context, streams: Streams, wake: WakeEnd) -> None:
        self._context = context
        self._streams = streams
        self._wake = wake
        self._lock = threading.Lock()
        self._config = context.config
        self._places = {camera.name: _Place() for camera in context.config.cameras}
        self._stopping = threading.Event()
        self._go_to_the_newest()

    def stop(self) -> None:
        """End `run` within a quarter of a second."""
        self._stopping.set()
        self._wake.notify()

    def configured(self, before: RunConfig, after: RunConfig) -> None:
        """Another configuration: new cameras are read from now on, those that have gone are let go of."""
        with self._lock:  # no record is being read
            self._config = after
            self._places = {camera.name: self._places.get(camera.name, _Place()) for camera in after.cameras}

    def run(self) -> None:
        """Hand over whatever comes, until stopped."""
        while not self._stopping.is_set():
            ready = self._context.labels is not None
            if not ready or not any([self._advance(name) for name in tuple(self._places)]):
                self._wake.wait(STATUS_INTERVAL_S)

    def _go_to_the_newest(self) -> None:
        for name, place in self._places.items():
            feed = self._context.feeds.get(pool_of_outputs(self._config, name))
            if feed is not None:
                place.last_seq = feed.newest_seq()

    def _advance(self, name: str) -> bool:
        """Hand over one record, if there is one."""
        with self._lock:
            place = self._places.get(name)
            feed = None if place is None else self._context.feeds.get(pool_of_outputs(self._config, name))
            lease = feed.lease_next(place.last_seq) if feed is not None and place is not None else None
            if lease is None or place is None:
                return False
            with lease:
                record, events = self._messages(name, place, lease)
            place.last_seq = lease.seq
        if lease.gap:
            self._streams.overlooked()
            if self._streams.somebody_listens.is_set():
                self._streams.missed(name, lease.gap)
        if record or events:
            self._streams.publish(name, record, events)
        return True

    def _messages(self, name: str, place: _Place, lease: Lease) -> tuple[bytes, list[tuple[str, bytes]]]:
        """The record, where somebody wants it, and its events; each made once for all."""
        meta = ResultMeta.unpack(lease.meta)
        if meta.flags & (FrameFlag.END_OF_STREAM | FrameFlag.NOTICE):
            return b"", []
        before = place.last_index if place.last_index >= 0 else meta.index - 1
        place.last_index = meta.index
        wanted = self._streams.somebody_listens.is_set() and self._streams.listening("results")
        if not wanted and not meta.event_count:
            return b"", []
        result = result_in(self._context, name, meta, lease, before)
        record = orjson.dumps(frame_record(result, self._config.output.masks)) if wanted else b""
        return record, [(each["kind"], orjson.dumps(each)) for each in event_messages(result)]
