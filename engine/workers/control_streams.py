"""Results for the control worker's clients: read in a thread of its own, made into JSON, while somebody listens.

Nobody waits for this reader. It gives every slot back at once, and says how many records it could not read.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import orjson

from engine.control.stream import Streams
from engine.outputs.events import event_messages
from engine.outputs.jsonl import frame_record
from engine.topology import pool_of_outputs
from engine.types import FrameFlag, ResultMeta
from engine.workers.output import result_in
from engine.workers.runtime import STATUS_INTERVAL_S, Context


@dataclass
class _Place:
    """Where a camera's records have been read up to; before the first one of its kind nothing is missed."""

    last_seq: int = 0
    last_index: int = -1


class StreamReader:
    """Reads every camera's results for `streams`. `run` belongs to a thread; `stop` may be called by any."""

    def __init__(self, context: Context, streams: Streams) -> None:
        self._context = context
        self._streams = streams
        self._places = {camera.name: _Place() for camera in context.config.cameras}
        self._stopping = threading.Event()
        self._go_to_the_newest()

    def stop(self) -> None:
        """End `run` within a quarter of a second."""
        self._stopping.set()
        self._context.wake.notify()

    def run(self) -> None:
        """Hand over whatever comes, until stopped; sleep while nobody listens."""
        while not self._stopping.is_set():
            if not self._streams.somebody_listens.is_set():
                if not self._streams.somebody_listens.wait(STATUS_INTERVAL_S):
                    self._go_to_the_newest()
            elif self._context.labels is None or not any([self._advance(name) for name in self._places]):
                self._context.wake.wait(STATUS_INTERVAL_S)

    def _go_to_the_newest(self) -> None:
        for name, place in self._places.items():
            feed = self._context.feeds.get(pool_of_outputs(self._context.config, name))
            if feed is not None:
                place.last_seq, place.last_index = feed.newest_seq(), -1

    def _advance(self, name: str) -> bool:
        """Hand over one record, if there is one."""
        feed = self._context.feeds.get(pool_of_outputs(self._context.config, name))
        place = self._places[name]
        lease = feed.lease_next(place.last_seq) if feed is not None else None
        if lease is None:
            return False
        record, events = b"", []
        with lease:
            meta = ResultMeta.unpack(lease.meta)
            if not meta.flags & (FrameFlag.END_OF_STREAM | FrameFlag.NOTICE):
                before = place.last_index if place.last_index >= 0 else meta.index - 1
                result = result_in(self._context, name, meta, lease, before)
                if self._streams.listening("results"):
                    record = orjson.dumps(frame_record(result, self._context.config.output.masks))
                events = [(each["kind"], orjson.dumps(each)) for each in event_messages(result)]
                place.last_index = meta.index
                del result
        place.last_seq = lease.seq
        if lease.gap:
            self._streams.missed(name, lease.gap)
        if record or events:
            self._streams.publish(name, record, events)
        return True
