"""Live video for the control worker: every camera's packets read in a thread of its own and handed to the hub.

Nobody waits for this reader. It follows cameras that come and go at run time.
"""

from __future__ import annotations

import threading
from collections import Counter

from engine.config import RunConfig
from engine.control.video import VideoHub
from engine.workers.control_wake import WakeEnd
from engine.workers.packets import PacketReader
from engine.workers.runtime import STATUS_INTERVAL_S, Context


class VideoReader:
    """Reads `packets:<camera>` of all cameras for a hub. `run` belongs to a thread, the rest to the worker's own."""

    def __init__(self, context: Context, hub: VideoHub, wake: WakeEnd) -> None:
        self._context = context
        self._hub = hub
        self._wake = wake
        self._lock = threading.Lock()
        self._readers: dict[str, PacketReader] = {}
        self._lost: Counter[str] = Counter()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self.run, name="video", daemon=True)
        self._take_up(context.config)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._wake.notify()
        self._thread.join(1.0)

    def configured(self, before: RunConfig, after: RunConfig) -> None:
        """Another configuration: new cameras are read from now on, those that have gone are let go of."""
        gone = {camera.name for camera in before.cameras} - {camera.name for camera in after.cameras}
        with self._lock:
            for name in gone:
                reader = self._readers.pop(name, None)
                if reader is not None:
                    self._lost += _by_name(reader)
        for name in gone:
            self._hub.forget(name)
        self._take_up(after)

    def _take_up(self, config: RunConfig) -> None:
        """Read what is there to be read, and is not read yet."""
        with self._lock:
            for camera in config.cameras:
                feed = self._context.feeds.get(f"packets:{camera.name}")
                if feed is not None and camera.name not in self._readers:
                    self._readers[camera.name] = PacketReader(feed)

    def statistics(self) -> dict[str, int]:
        """Packets that were overwritten before they could be read, by rendition."""
        with self._lock:
            lost = sum(map(_by_name, self._readers.values()), Counter(self._lost))
        return dict(lost)

    def run(self) -> None:
        """Hand over whatever comes, until stopped."""
        while not self._stopping.is_set():
            if not any([self._advance(name) for name in tuple(self._readers)]):
                self._wake.wait(STATUS_INTERVAL_S)

    def _advance(self, name: str) -> bool:
        """Hand over one packet, if there is one."""
        with self._lock:  # the pool is not closed meanwhile
            reader = self._readers.get(name)
            packet = reader.next() if reader is not None else None
        if packet is None:
            return False
        self._hub.publish(name, packet)
        return True


def _by_name(reader: PacketReader) -> Counter[str]:
    return Counter({rendition.name.lower(): lost for rendition, lost in reader.lost.items() if lost})
